/* SPDX-License-Identifier: MIT
 * heap/remote.h - freeing blocks that another thread's heap owns.
 *
 * A thread collects such blocks in chains, one per pool, and splices a whole chain into the
 * pool with one compare-and-swap. Moving the cache line of the pool between cores costs 50 - 100
 * ns, so it should move once for many blocks.
 *
 *   pool->remote:  | first block of the chain, 48 bits | block count, 16 bits |
 *
 * The splice that finds the word 0 also puts the pool on its owner's stack of woken pools; the
 * owner takes that whole stack and each pool's chain when it next needs memory. So:
 * Invariant: remote != 0 exactly while the pool is on a woken stack (or on its way there), and a
 * pool with remote != 0 has live blocks in its owner's eyes, hence is never given back.
 *
 * A pool may change its owner (an orphaned heap's pool is adopted) between the splice and the
 * push; whoever finds a pool of another heap on its stack passes it on. */
#ifndef VV_HEAP_REMOTE_H
#define VV_HEAP_REMOTE_H

#include "heap/pool.h"

#if VARVE_AUDIT
#define VV_REMOTE_SLOT_COUNT 2
#define VV_REMOTE_MAX_BLOCKS 3
#else
#define VV_REMOTE_SLOT_COUNT 128 /* with fewer, the pools of a pipeline push each other out */
#define VV_REMOTE_MAX_BLOCKS 64
#endif
#define VV_REMOTE_MAX_BYTES ((size_t)4 * 1024) /* a chain is spliced before it holds back more */

/* A chain on its way to `pool`; empty when pool is NULL. Owner: the freeing thread. */
struct vv_remote_chain {
    struct vv_pool *pool;
    struct vv_block *first;
    struct vv_block *last;
    uint32_t block_count;
};

struct vv_remote_buffer {
    struct vv_remote_chain chains[VV_REMOTE_SLOT_COUNT]; /* by pool number, direct-mapped */
};

/* Frees a block of another heap's pool. */
void vv_remote_free(struct vv_remote_buffer *buffer, struct vv_pool *pool, struct vv_block *block);

/* Splices everything that the buffer holds. */
void vv_remote_flush(struct vv_remote_buffer *buffer);

/* Takes all woken pools off the heap's stack; the result is linked by woken_next. 0: none. */
vv_pool_index vv_remote_take_woken(struct vv_heap *heap);

/* Puts a pool whose chain is not empty on its owner's stack. */
void vv_remote_wake(struct vv_pool *pool);

/* Takes the chain of a pool that came off the stack. */
struct vv_block *vv_remote_take(struct vv_pool *pool, uint32_t *out_block_count);

/* The first block of the chain that waits for the owner, for a look that takes nothing. */
const struct vv_block *vv_remote_peek(const struct vv_pool *pool);

#endif
