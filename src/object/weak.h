/* SPDX-License-Identifier: MIT
 * object/weak.h - what lifetime and collector ask of weak references.
 *
 * The state of an object with weak references has VV_STATE_WEAKREF; without, none of these is
 * called, and the object has no byte for them. The table from object to its references lies in
 * world->weak.
 *
 * A collection calls, in this order:
 *   vv_weak_trash(object)    for each garbage object that has VV_STATE_WEAKREF or is of a type with
 *                            VV_TYPE_IS_WEAKREF
 *   vv_weak_run_callbacks()  once: callbacks of cleared references that are not garbage themselves
 * and then finalizers. */
#ifndef VV_OBJECT_WEAK_H
#define VV_OBJECT_WEAK_H

#include "object/world.h"

/* Registers the types / frees the table. -ENOMEM. */
int vv_weak_init(varve_world *world);
void vv_weak_done(varve_world *world);

/* The object's last strong reference is gone; its finalizer has run. Clears all weak references to
 * it, clears VV_STATE_WEAKREF, then runs their callbacks, newest first. The object is still whole;
 * its refcount is 0 and must stay so: nothing may reach it. */
void vv_weak_object_dies(varve_object *object);

/* A garbage object: clears the references to it (VV_STATE_WEAKREF goes), and if it is a weak
 * reference itself makes it forget its object and its callback. Callbacks that are to run are
 * remembered with a strong reference to their weak reference: those whose weak reference is not
 * garbage (vv_gc_is_trash() is false). Never fails: the links lie in the weak references. */
void vv_weak_trash(varve_object *object);

/* Runs what vv_weak_trash() remembered. Returns how many weak references were freed by that. */
size_t vv_weak_run_callbacks(varve_world *world);

/* Ephemeron tables (types with VV_TYPE_IS_EPHEMERONS). Their traverse shows keys' weak references
 * and values as owned, which is what the collector subtracts. When it marks, and there are tables
 * in the world, it calls vv_ephemerons_show() for each object that is reached. This visits the
 * object's values in the tables that are reached; for a table also its weak references, and the
 * values whose keys are reached, and returns true: there is nothing else to be shown. So whichever
 * of table and key is reached last shows the value, and each is looked at once. */
bool vv_ephemerons_exist(const varve_world *world);
bool vv_ephemerons_show(varve_object *object, bool (*is_reached)(const varve_object *object),
                        varve_visit visit, void *argument);

/* The first part alone. */
void vv_ephemerons_show_values(const varve_object *key,
                               bool (*is_reached)(const varve_object *object), varve_visit visit,
                               void *argument);

/* During a collection: whether the object is known to be garbage / whether
 * something that is not garbage refers to it (always true of objects that are no candidates). */
bool vv_gc_is_trash(const varve_object *object);
bool vv_gc_is_reached(const varve_object *object);

#endif
