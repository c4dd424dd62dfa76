/* SPDX-License-Identifier: MIT
 * object/edge_ring.h - targets of edges whose cache lines are on their way.
 *
 * Whoever follows edges prefetches what it needs of a target, puts the target in and works on the
 * one that comes out, VV_EDGE_RING_COUNT edges older. Zeroed, a ring is empty. */
#ifndef VV_OBJECT_EDGE_RING_H
#define VV_OBJECT_EDGE_RING_H

#include "base/bits.h"
#include "varve/object.h"

#define VV_EDGE_RING_COUNT 32u /* so long a prefetch takes */

struct vv_edge_ring {
    varve_object *targets[VV_EDGE_RING_COUNT]; /* NULL: taken */
    uint32_t put_count;                        /* both modulo 2^32 */
    uint32_t taken_count;                      /* as far as vv_edge_ring_take() has come */
};

/* Puts a target in; what comes out, or NULL. */
VV_INLINE varve_object *vv_edge_ring_put(struct vv_edge_ring *ring, varve_object *target) {
    varve_object **place = &ring->targets[ring->put_count++ % VV_EDGE_RING_COUNT];
    varve_object *oldest = *place;
    *place = target;
    return oldest;
}

/* Takes the oldest out; NULL: the ring is empty. */
static inline varve_object *vv_edge_ring_take(struct vv_edge_ring *ring) {
    uint32_t left = ring->put_count - ring->taken_count;
    if (left == 0) return NULL;
    if (left > VV_EDGE_RING_COUNT) ring->taken_count = ring->put_count - VV_EDGE_RING_COUNT;
    varve_object **place = &ring->targets[ring->taken_count++ % VV_EDGE_RING_COUNT];
    varve_object *oldest = *place;
    *place = NULL;
    return oldest;
}

#endif
