/* SPDX-License-Identifier: MIT
 * heap/pool.h - a run of granules with blocks of one class, or with one medium block.
 *
 *   base                                   base + granule_count * VV_GRANULE_BYTES
 *   |live|free|live|live|free|  not carved  |
 *                            ^ carved_count blocks
 *
 * Blocks are carved page by page, in rising order, when all carved ones are taken: memory is not
 * touched before it is needed. A free block holds the address of the next free one.
 *
 * States of a small pool, owner's view (count = blocks in `free`):
 *
 *   LEASED   a bin of the owner takes from it; its free blocks are in the bin, or in `free` when
 *            they came from other threads; `need` has no meaning
 *   FULL     nothing to carve, count < wake threshold; on no list; need == threshold - count
 *   USABLE   on the owner's list of its class; need == carved_count - count
 *
 * Invariant outside a lease: count + live == carved_count <= capacity, where blocks in the owner's
 * bin, on `remote` and in other threads' buffers count as live. */
#ifndef VV_HEAP_POOL_H
#define VV_HEAP_POOL_H

#include "heap/region.h"
#include "heap/size_class.h"

#include <stdatomic.h>

struct vv_heap;

struct vv_block {
    struct vv_block *next;
};

enum vv_pool_kind {
    VV_POOL_NONE,    /* a free granule, or one never used */
    VV_POOL_SMALL,   /* blocks of one class */
    VV_POOL_MEDIUM,  /* one block; owner is NULL */
    VV_POOL_OBJECTS, /* objects of a world: `plane` leads to their pool (object/object_pool.h) */
};

enum vv_pool_state { VV_POOL_LEASED, VV_POOL_FULL, VV_POOL_USABLE };

/* Index of a record; 0 is no pool (granule 0 is never handed out). */
typedef uint32_t vv_pool_index;

/* The record of a granule. In a small pool of several granules all have `owner`, `first`, `kind`
 * and `class_index`; the rest is used in the first only. A medium pool has only its first record:
 * the others are of the kind NONE. */
struct vv_pool {
    _Atomic(struct vv_heap *) owner; /* relaxed: only equality with one's own heap means anything */
    vv_pool_index first;             /* const while in use: the pool's first record */
    uint32_t spare;
    union {
        struct vv_block *free;         /* small, owner only */
        size_t medium_requested_bytes; /* medium: what the caller asked for, while facts are kept */
    };
    _Atomic uint64_t remote; /* see heap/remote.h */
    void *plane;             /* const while in use: facts per block (heap/plane.h), or NULL */
    uint8_t class_index;     /* const while in use */
    uint8_t kind;            /* const while in use; atomic for readers without a lock */
    uint8_t state;           /* owner only */
    bool fresh;              /* const while in use: bytes not carved yet read as zero */
    uint16_t need;           /* owner only: own frees until the next change of state */
    uint16_t carved_count;   /* owner only */
    union {
        vv_pool_index next;   /* small, owner only: list of the class */
        uint32_t medium_site; /* medium: who allocated it, 0 while facts are not kept */
    };
    vv_pool_index previous;   /* owner only */
    vv_pool_index woken_next; /* see heap/remote.h */
    uint16_t granule_count;   /* const while in use */
    uint16_t spare_too;
};

_Static_assert(sizeof(struct vv_pool) == VV_CACHE_LINE_BYTES, "one record, one cache line");

static inline struct vv_pool *vv_pool_at(vv_pool_index index) {
    return &vv_region.pools[index];
}

static inline vv_pool_index vv_pool_index_of(const struct vv_pool *pool) {
    return (vv_pool_index)(pool - vv_region.pools);
}

/* The record of the granule that contains `address`, which lies in the region. */
static inline struct vv_pool *vv_pool_record(const void *address) {
    size_t offset = (size_t)((uintptr_t)address - (uintptr_t)vv_region.base);
    vv_assert(offset < vv_region_usable_bytes());
    return &vv_region.pools[offset >> VV_GRANULE_SHIFT];
}

/* The pool of a granule that is in use. */
static inline struct vv_pool *vv_pool_of_record(const struct vv_pool *record) {
    return vv_pool_at(record->first);
}

static inline char *vv_pool_base(const struct vv_pool *pool) {
    return vv_region.base + ((size_t)vv_pool_index_of(pool) << VV_GRANULE_SHIFT);
}

static inline size_t vv_pool_block_bytes(const struct vv_pool *pool) {
    return vv_classes[pool->class_index].block_bytes;
}

static inline uint32_t vv_pool_block_index(const struct vv_pool *pool, const void *block) {
    return vv_class_block_index(pool->class_index,
                                (size_t)((const char *)block - vv_pool_base(pool)));
}

static inline struct vv_block *vv_pool_block(const struct vv_pool *pool, uint32_t index) {
    return (struct vv_block *)(void *)(vv_pool_base(pool) + index * vv_pool_block_bytes(pool));
}

/* Frees in a full pool after which it is worth taking from it again: an eighth of its blocks, so
 * that a refill is followed by that many fast allocations. */
static inline uint32_t vv_pool_wake_threshold(const struct vv_pool *pool) {
    uint32_t eighth = vv_classes[pool->class_index].capacity / 8u;
    return eighth > 0 ? eighth : 1;
}

/* Takes a fresh run of granules for blocks of the class and makes `owner` its owner; the state is
 * LEASED. NULL: out of memory. */
struct vv_pool *vv_pool_new(struct vv_heap *owner, unsigned class_index);

/* Gives the granules back. No block is live, `remote` is 0 and the pool is on no list. */
void vv_pool_free(struct vv_pool *pool);

/* Changes the owner of a pool that nobody takes from. */
void vv_pool_set_owner(struct vv_pool *pool, struct vv_heap *owner);

/* Carves the blocks of the next page (at least one) and returns them as a list, or NULL when all
 * are carved. *out_untouched: it is one block, whose bytes all still read as zero. */
struct vv_block *vv_pool_carve(struct vv_pool *pool, bool *out_untouched);

/* Blocks in `free`, for a pool that is not leased. */
uint32_t vv_pool_free_count(const struct vv_pool *pool);

/* Whether `block` is the address of one of the pool's carved blocks. */
bool vv_pool_has_block(const struct vv_pool *pool, const void *block);

/* Checks the invariants of a small pool that no other thread is using. NULL, or what is wrong. */
const char *vv_pool_check(const struct vv_pool *pool);

/* Calls `visit`, unless NULL, for the blocks of a list that are blocks of the pool, until one is
 * not or there have been as many as the pool has: a list that another thread is changing may lead
 * anywhere. Returns how many. */
uint32_t vv_pool_walk_list(const struct vv_pool *pool, const struct vv_block *block,
                           void (*visit)(uint32_t block_index, void *argument), void *argument);

#endif
