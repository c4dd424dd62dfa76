/* SPDX-License-Identifier: MIT
 * heap/emergency.h - blocks for a malloc that interrupts malloc.
 *
 * A signal handler may run between any two instructions of this allocator, on the same thread,
 * while that thread holds any of its locks. What such a handler allocates comes from arenas of
 * its own whose bitmaps are changed by compare-and-swap alone: no lock, no state of the thread.
 * It is a reserve for a rare moment: a block takes at least a granule, one of more than
 * VV_EMERGENCY_MAX_BYTES cannot be had, and neither can more than some thousand at a time. */
#ifndef VV_HEAP_EMERGENCY_H
#define VV_HEAP_EMERGENCY_H

#include "heap/pool.h"

#define VV_EMERGENCY_MAX_BYTES (64 * VV_GRANULE_BYTES)

/* A medium block of zeroed memory, aligned to a granule, or NULL. Async-signal-safe. */
struct vv_pool *vv_emergency_take(size_t byte_count);

/* Whether the pool came from vv_emergency_take(). */
bool vv_emergency_owns(const struct vv_pool *pool);

/* Gives it back. Async-signal-safe. */
void vv_emergency_give(struct vv_pool *pool);

/* Adds a usable arena to the reserve / says that the next one should be added. The caller holds
 * the arena lock. */
void vv_emergency_add_arena(uint32_t arena_index);
bool vv_emergency_is_low(void);

#endif
