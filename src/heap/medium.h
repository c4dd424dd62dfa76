/* SPDX-License-Identifier: MIT
 * heap/medium.h - blocks of one to many granules: a pool with a single block, of no heap.
 *
 * Any thread may free or resize one; the arena lock does the rest. The record keeps the facts
 * (medium_site, medium_requested_bytes, and in `state` the mark of debug mode). */
#ifndef VV_HEAP_MEDIUM_H
#define VV_HEAP_MEDIUM_H

#include "heap/arena.h"
#include "heap/pool.h"

/* A block of at least `byte_count` <= VV_MEDIUM_MAX_BYTES aligned to `alignment`, a power of two
 * up to VV_MEDIUM_MAX_BYTES. NULL: out of memory. *out_untouched: it reads as zero. */
struct vv_pool *vv_medium_new(size_t byte_count, size_t alignment, bool *out_untouched);

void vv_medium_free(struct vv_pool *pool);

/* Changes the size without moving the block. False: not possible, nothing changed. */
bool vv_medium_resize(struct vv_pool *pool, size_t new_byte_count);

static inline size_t vv_medium_usable_bytes(const struct vv_pool *pool) {
    return pool->granule_count * VV_GRANULE_BYTES;
}

/* For heap/emergency.h: describes granules that are taken, and ends the description. */
struct vv_pool *vv_medium_pool_from(const struct vv_granule_run *run);
void vv_medium_forget(struct vv_pool *pool);

#endif
