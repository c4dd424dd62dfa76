/* SPDX-License-Identifier: MIT */
#include "object/weak.h"

#include "object/weak_list.h"
#include "object/weak_table.h"

#include <errno.h>

static const struct {
    uint32_t type_index;
    const varve_type_spec *spec;
} weak_types[] = {
    {VV_TYPE_WEAKREF, &vv_weakref_spec},
    {VV_TYPE_WEAK_MEMBER, &vv_weak_member_spec},
    {VV_TYPE_WEAK_METHOD, &vv_weak_method_spec},
    {VV_TYPE_FINALIZER, &vv_finalizer_spec},
    {VV_TYPE_WEAK_VALUE_DICT, &vv_weak_value_dict_spec},
    {VV_TYPE_WEAK_KEY_DICT, &vv_weak_key_dict_spec},
    {VV_TYPE_WEAK_SET, &vv_weak_set_spec},
    {VV_TYPE_EPHEMERONS, &vv_ephemerons_spec},
};

int vv_weak_init(varve_world *world) {
    world->weak = vv_world_allocate(world, sizeof *world->weak);
    if (world->weak == NULL) return -ENOMEM;
    *world->weak = (struct vv_weak){.slots = NULL};
    for (size_t index = 0; index < VV_ARRAY_COUNT(weak_types); index++) {
        if (vv_type_new_at(world, weak_types[index].type_index, weak_types[index].spec) == NULL) {
            return -ENOMEM;
        }
    }
    return 0;
}

void vv_weak_done(varve_world *world) {
    struct vv_weak *weak = world->weak;
    if (weak == NULL) return;
    vv_world_release(world, weak->slots);
    vv_world_release(world, weak);
    world->weak = NULL;
}

/* --- clearing --- */

/* The weak reference has been taken out of its object's list. */
static void forget(struct vv_weakref *ref) {
    ref->object = NULL;
    ref->next = ref->previous = NULL;
    if (ref->callback == vv_weak_member_died) vv_weak_table_of(ref)->dead_count++;
}

/* It will never call. Its table, if any, gets rid of it when it is next changed. */
static void silence(struct vv_weakref *ref) {
    if (ref->callback == vv_weak_member_died) vv_weak_table_of(ref)->stale_count++;
    ref->callback = NULL;
}

/* --- callbacks --- */

/* Ends the reference to a dead weak reference, and to what it held. That may be the last reference
 * to an object with weak references that held others, and so on: from some depth on they wait for
 * the frames to unwind, linked by `next`, with what they held as `argument`. */
static void drop(struct vv_weak *weak, struct vv_weakref *ref, varve_object *held) {
    if (weak->drop_depth >= VV_DEALLOC_MAX_DEPTH) {
        ref->argument = held;
        ref->next = weak->dropped;
        weak->dropped = ref;
        return;
    }
    weak->drop_depth++;
    varve_xdecref(held);
    varve_decref(&ref->head);
    while (weak->drop_depth == 1 && weak->dropped != NULL) {
        ref = weak->dropped;
        weak->dropped = ref->next;
        ref->next = NULL;
        held = ref->argument;
        ref->argument = NULL;
        varve_xdecref(held);
        varve_decref(&ref->head);
    }
    weak->drop_depth--;
}

/* Calls the callback of a dead weak reference; takes over a reference to it. Returns whether it
 * ended. A finalizer counts, since CPython's has a weak reference inside that does. */
static bool call(struct vv_weak *weak, struct vv_weakref *ref) {
    varve_weak_callback callback = ref->callback;
    ref->callback = NULL;
    varve_object *held = NULL;
    if (callback != NULL) {
        varve_world *world = varve_world_of(&ref->head);
        world->call_depth++;
        callback(&ref->head, ref->argument);
        world->call_depth--;
        held = ref->held;
        ref->held = NULL;
    }
    bool ends = ref->head.refcount == 1 || ref->head.type_index == VV_TYPE_FINALIZER;
    drop(weak, ref, held);
    return ends;
}

static size_t call_all(struct vv_weak *weak, struct vv_weakref *first) {
    size_t ended_count = 0;
    while (first != NULL) {
        struct vv_weakref *ref = first;
        first = ref->next;
        ref->next = NULL;
        ended_count += call(weak, ref);
    }
    return ended_count;
}

static void append(struct vv_weakref **first, struct vv_weakref **last, struct vv_weakref *ref) {
    varve_incref(&ref->head);
    if (*first == NULL) {
        *first = ref;
    } else {
        (*last)->next = ref;
    }
    *last = ref;
}

void vv_weak_object_dies(varve_object *object) {
    struct vv_weak *weak = varve_world_of(object)->weak;
    if (weak == NULL) return; /* the world is being freed */
    struct vv_weakref *first = NULL, *last = NULL, *next;
    for (struct vv_weakref *ref = vv_weak_list_take(object); ref != NULL; ref = next) {
        next = ref->next;
        forget(ref);
        if (ref->callback == NULL || vv_weakref_is_dying(ref)) continue;
        append(&first, &last, ref);
    }
    call_all(weak, first);
}

void vv_weak_trash(varve_object *object) {
    struct vv_weak *weak = varve_world_of(object)->weak;
    if (vv_is_weakref(object)) {
        struct vv_weakref *ref = (struct vv_weakref *)object;
        if (ref->object != NULL) {
            vv_weak_list_remove(ref);
            forget(ref);
        }
        silence(ref);
    }
    if ((*vv_object_state(object) & VV_STATE_WEAKREF) == 0) return;
    struct vv_weakref *next;
    for (struct vv_weakref *ref = vv_weak_list_take(object); ref != NULL; ref = next) {
        next = ref->next;
        forget(ref);
        if (ref->callback == NULL || vv_weakref_is_dying(ref)) continue;
        if (vv_gc_is_trash(&ref->head)) {
            silence(ref);
        } else {
            append(&weak->pending, &weak->pending_last, ref);
        }
    }
}

size_t vv_weak_run_callbacks(varve_world *world) {
    struct vv_weakref *first = world->weak->pending;
    world->weak->pending = world->weak->pending_last = NULL;
    return call_all(world->weak, first);
}
