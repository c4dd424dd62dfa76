/* SPDX-License-Identifier: MIT
 * heap/walk.h - looking at every pool and every block of the heap. */
#ifndef VV_HEAP_WALK_H
#define VV_HEAP_WALK_H

#include "heap/place.h"

/* Calls `visit` for every small or medium pool in order of address. Takes no lock: other threads
 * may create and free pools meanwhile. A nonzero result ends the walk and is returned, else 0. */
int vv_walk_pools(int (*visit)(struct vv_pool *pool, void *argument), void *argument);

/* Free blocks of a small pool, including those in a bin and those freed by other threads that the
 * owner has not taken in. With `free_set` (a bit per block, zeroed) marks them as well. */
uint32_t vv_walk_free_blocks(const struct vv_pool *pool, uint64_t *free_set);

#define VV_WALK_SET_WORDS (65536 / 64)

/* Calls `visit` for every live block: small, medium, huge. As vv_walk_pools(). */
int vv_walk_blocks(int (*visit)(const struct vv_place *place, void *argument), void *argument);

#endif
