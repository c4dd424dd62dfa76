/* SPDX-License-Identifier: MIT
 * object/traced.h - objects in the trace: who made each, under the name of its type.
 *
 *   facts  [ f0 ][ f1 ][ 0  ][ f3 ]     four bytes: | site 25 | block minus requested bytes 7 |
 *
 * A pool gets this plane when an object is made in it while a trace is on, and keeps it; objects
 * from before have no fact. Facts are of one session of the trace; those of an earlier one mean
 * nothing any more. In a child made by fork(), objects from before it are not recorded. */
#ifndef VV_OBJECT_TRACED_H
#define VV_OBJECT_TRACED_H

#include "heap/hooks.h"
#include "object/object_pool.h"

static inline bool vv_objects_are_traced(void) {
    return vv_unlikely(atomic_load_explicit(&vv_tracing, memory_order_relaxed));
}

/* A traced object was made. *label is the number of `name`, found out when it is 0. */
void vv_object_note_birth(varve_object *object, size_t byte_count, uint32_t *label,
                          const char *name);

/* An object of a pool that has facts is about to be freed. */
void vv_object_note_death(struct vv_object_pool *pool, const varve_object *object);

/* The site of a live object; VV_SITE_NONE: not recorded. */
uint32_t vv_object_site(const varve_object *object);

/* The pool goes, with objects that were not freed. Inside an operation of the allocator. */
void vv_object_drop_facts(struct vv_thread *thread, struct vv_object_pool *pool);

#endif
