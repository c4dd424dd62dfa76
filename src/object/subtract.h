/* SPDX-License-Identifier: MIT
 * object/subtract.h - taking references off the scratch counts of what they lead to.
 *
 * A count is read after its cache line has come: between an edge and its count there are
 * VV_EDGE_RING_COUNT others. The counts of objects that are in no set are decremented as well,
 * since nobody reads them; asking would cost another cache line.
 *
 * Invariant: settled: refs[target] has fallen by the edges to it that were shown. */
#ifndef VV_OBJECT_SUBTRACT_H
#define VV_OBJECT_SUBTRACT_H

#include "object/edge_ring.h"
#include "object/gc_inner.h"

struct vv_subtraction {
    uint32_t *ring[VV_EDGE_RING_COUNT]; /* counts to be decremented, oldest first */
    uint32_t at;
    uint32_t nobody; /* what empty places of the ring point to */
};

/* The structure must not move afterwards. */
static inline void vv_subtraction_begin(struct vv_subtraction *subtraction) {
    for (uint32_t slot = 0; slot < VV_EDGE_RING_COUNT; slot++) {
        subtraction->ring[slot] = &subtraction->nobody;
    }
}

/* A varve_visit whose argument is the subtraction. */
VV_INLINE int vv_subtract_edge(varve_object *child, void *argument) {
    struct vv_subtraction *subtraction = argument;
    vv_object_assert_live(child);
    const struct vv_object_pool *pool = vv_object_pool_of(child);
    uint32_t *count = &pool->refs[vv_object_index(pool, child)];
    __builtin_prefetch(count, 1);
    uint32_t **place = &subtraction->ring[subtraction->at++ % VV_EDGE_RING_COUNT];
    --**place;
    *place = count;
    return 0;
}

/* Now all counts are right; more edges may follow. */
static inline void vv_subtraction_settle(struct vv_subtraction *subtraction) {
    for (uint32_t slot = 0; slot < VV_EDGE_RING_COUNT; slot++) {
        --*subtraction->ring[slot];
        subtraction->ring[slot] = &subtraction->nobody;
    }
}

#endif
