/* SPDX-License-Identifier: MIT
 * heap/region.h - the address space of all arenas, and the record of every granule in it.
 *
 *   plan:  | region: arena 0 | arena 1 | ...      | records: one per granule | arenas: one each |
 *            ^base                     ^end
 *            |<------- usable -------->|
 *
 * Records lie apart from the blocks: a block is naturally aligned, a stray write into a block
 * cannot reach a record, and one cache line answers "whose is it, and which class".
 * Invariant: usable_bytes is a multiple of the arena size; for every usable arena its granule
 * records and its arena record are readable and writable.
 *
 * Without a limit on address space the whole plan is reserved at once. Under RLIMIT_AS it is
 * reserved step by step at an address where the rest of the plan is likely to stay free. */
#ifndef VV_HEAP_REGION_H
#define VV_HEAP_REGION_H

#include "heap/geometry.h"

#include <stdatomic.h>

struct vv_pool;
struct vv_arena;

struct vv_region {
    char *base;                  /* const after init, aligned to an arena */
    _Atomic size_t usable_bytes; /* relaxed; grows under the arena lock. Whoever holds a block of
                                    the region got it after the growth that made room for it. */
    struct vv_pool *pools;       /* const after init: record of granule i */
    struct vv_arena *arenas;     /* const after init: record of arena i */
    size_t reserved_bytes;       /* arena lock */
};

extern struct vv_region vv_region;

/* Reserves address space and makes the first arenas usable. False: out of memory. */
bool vv_region_init(void);

/* Makes at least one further arena usable, whose records read as zero. The caller holds the
 * arena lock. False: out of memory or of address space; nothing has changed. */
bool vv_region_grow(void);

static inline size_t vv_region_usable_bytes(void) {
    return atomic_load_explicit(&vv_region.usable_bytes, memory_order_relaxed);
}

static inline bool vv_region_contains(const void *address) {
    return (size_t)((uintptr_t)address - (uintptr_t)vv_region.base) < vv_region_usable_bytes();
}

static inline size_t vv_region_arena_count(void) {
    return vv_region_usable_bytes() >> VV_ARENA_SHIFT;
}

#endif
