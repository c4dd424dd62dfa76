/* SPDX-License-Identifier: MIT
 * heap/plane.h - facts about blocks, kept beside their pool.
 *
 *   pool    | blk 0 | blk 1 | blk 2 | blk 3 | ...
 *   plane   [ fact 0][ fact 1][ fact 2][ fact 3]      site of the allocation and requested size
 *   marks   [m 0][m 1][m 2][m 3]                      state for debug mode, one byte each
 *
 * A plane exists for the pools of heaps that keep facts (while tracing or debugging) and costs
 * nothing otherwise. A fact of 0 says: free, or allocated when nobody kept facts. Blocks that are
 * their own pool (medium, huge) keep the same facts in their record.
 *
 * Invariant: fact != 0 exactly for the live blocks of the pool that were allocated with facts. */
#ifndef VV_HEAP_PLANE_H
#define VV_HEAP_PLANE_H

#include "heap/pool.h"

/* Who allocated a block. Sites are numbered by the trace layer. */
enum {
    VV_SITE_NONE = 0,    /* not a live block, or one from before facts were kept */
    VV_SITE_UNKNOWN = 1, /* facts are kept, but nobody traces */
};

/* In blocks up to VV_FACT_NARROW_MAX_BYTES a fact is 32 bits: the site, and by how much the
 * requested size is below the block size. In larger ones it is 64 bits: the site, and the
 * requested size. */
#define VV_FACT_SLACK_BITS 7
#define VV_FACT_SLACK_MAX ((1u << VV_FACT_SLACK_BITS) - 1)
#define VV_FACT_NARROW_MAX_BYTES 1024
#define VV_SITE_LIMIT (1u << (32 - VV_FACT_SLACK_BITS)) /* site numbers are below */

struct vv_fact {
    uint32_t site;
    size_t requested_bytes;
};

/* Whether the marks of debug mode are kept as well. const after process start. */
extern bool vv_plane_with_marks;

/* Gives the pool a zeroed plane. False: out of memory. */
bool vv_plane_attach(struct vv_pool *pool);

/* Accepts a pool without a plane. */
void vv_plane_detach(struct vv_pool *pool);

/* Makes the site of a block with facts VV_SITE_UNKNOWN. Unlike all else here it may be called while
 * other threads use the block and even while they free the pool: the lock that freeing a plane
 * takes is held. */
void vv_plane_forget_site(struct vv_pool *pool, uint32_t index);

static inline bool vv_plane_is_narrow(const struct vv_pool *pool) {
    return vv_pool_block_bytes(pool) <= VV_FACT_NARROW_MAX_BYTES;
}

/* Whether a request can be described in a narrow fact of that class. Only a request with an odd
 * alignment cannot; it then takes a class with wide facts. */
static inline bool vv_plane_can_describe(unsigned class_index, size_t requested_bytes) {
    size_t block_bytes = vv_classes[class_index].block_bytes;
    return block_bytes > VV_FACT_NARROW_MAX_BYTES ||
           block_bytes - requested_bytes <= VV_FACT_SLACK_MAX;
}

/* The facts of a block are written by whoever owns the block and read by snapshots meanwhile, so
 * they are relaxed atomics. The pool has a plane. */
static inline void vv_plane_set(struct vv_pool *pool, uint32_t index, struct vv_fact fact) {
    if (vv_plane_is_narrow(pool)) {
        uint32_t slack = (uint32_t)(vv_pool_block_bytes(pool) - fact.requested_bytes);
        _Atomic uint32_t *facts = pool->plane;
        atomic_store_explicit(&facts[index], fact.site << VV_FACT_SLACK_BITS | slack,
                              memory_order_relaxed);
    } else {
        _Atomic uint64_t *facts = pool->plane;
        atomic_store_explicit(&facts[index], (uint64_t)fact.site << 32 | fact.requested_bytes,
                              memory_order_relaxed);
    }
}

static inline void vv_plane_clear(struct vv_pool *pool, uint32_t index) {
    if (vv_plane_is_narrow(pool)) {
        atomic_store_explicit((_Atomic uint32_t *)pool->plane + index, 0, memory_order_relaxed);
    } else {
        atomic_store_explicit((_Atomic uint64_t *)pool->plane + index, 0, memory_order_relaxed);
    }
}

static inline struct vv_fact vv_plane_get(const struct vv_pool *pool, uint32_t index) {
    if (vv_plane_is_narrow(pool)) {
        const _Atomic uint32_t *facts = pool->plane;
        uint32_t fact = atomic_load_explicit(&facts[index], memory_order_relaxed);
        uint32_t site = fact >> VV_FACT_SLACK_BITS;
        size_t slack = fact & VV_FACT_SLACK_MAX;
        return (struct vv_fact){site, site != 0 ? vv_pool_block_bytes(pool) - slack : 0};
    }
    const _Atomic uint64_t *facts = pool->plane;
    uint64_t fact = atomic_load_explicit(&facts[index], memory_order_relaxed);
    return (struct vv_fact){(uint32_t)(fact >> 32), (uint32_t)fact};
}

/* The mark of a block: one byte that debug mode reads and writes. */
static inline uint8_t *vv_plane_mark(const struct vv_pool *pool, uint32_t index) {
    size_t fact_bytes = vv_plane_is_narrow(pool) ? sizeof(uint32_t) : sizeof(uint64_t);
    vv_assert(vv_plane_with_marks);
    return (uint8_t *)pool->plane + vv_classes[pool->class_index].capacity * fact_bytes + index;
}

#endif
