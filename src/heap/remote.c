/* SPDX-License-Identifier: MIT */
#include "heap/remote.h"

#include "heap/heap.h"

#define COUNT_BITS 16

static uint64_t word_of(const struct vv_block *first, uint64_t block_count) {
    return (uint64_t)(uintptr_t)first << COUNT_BITS | block_count;
}

static struct vv_block *first_of(uint64_t word) {
    return (struct vv_block *)(uintptr_t)(word >> COUNT_BITS);
}

static uint32_t count_of(uint64_t word) {
    return (uint32_t)(word & ((1u << COUNT_BITS) - 1));
}

void vv_remote_wake(struct vv_pool *pool) {
    struct vv_heap *owner = atomic_load_explicit(&pool->owner, memory_order_relaxed);
    vv_pool_index index = vv_pool_index_of(pool);
    vv_pool_index top = atomic_load_explicit(&owner->woken, memory_order_relaxed);
    do {
        pool->woken_next = top;
    } while (!atomic_compare_exchange_weak_explicit(&owner->woken, &top, index,
                                                    memory_order_release, memory_order_relaxed));
}

vv_pool_index vv_remote_take_woken(struct vv_heap *heap) {
    if (atomic_load_explicit(&heap->woken, memory_order_relaxed) == 0) return 0;
    return atomic_exchange_explicit(&heap->woken, 0, memory_order_acquire);
}

static void splice(struct vv_remote_chain *chain) {
    struct vv_pool *pool = chain->pool;
    uint64_t old = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    uint64_t new;
    do {
        chain->last->next = first_of(old);
        new = word_of(chain->first, count_of(old) + chain->block_count);
        /* Release: the owner reads the links. Acquire: when the word was 0, the owner has read
         * `woken_next` before it made it so. */
    } while (!atomic_compare_exchange_weak_explicit(&pool->remote, &old, new, memory_order_acq_rel,
                                                    memory_order_relaxed));
    chain->pool = NULL;
    if (old == 0) vv_remote_wake(pool);
}

struct vv_block *vv_remote_take(struct vv_pool *pool, uint32_t *out_block_count) {
    /* Pairs with splice(). */
    uint64_t word = atomic_exchange_explicit(&pool->remote, 0, memory_order_acq_rel);
    *out_block_count = count_of(word);
    return first_of(word);
}

const struct vv_block *vv_remote_peek(const struct vv_pool *pool) {
    return first_of(atomic_load_explicit(&pool->remote, memory_order_acquire));
}

static bool is_long(const struct vv_remote_chain *chain) {
    return chain->block_count >= VV_REMOTE_MAX_BLOCKS ||
           chain->block_count * vv_pool_block_bytes(chain->pool) >= VV_REMOTE_MAX_BYTES;
}

void vv_remote_free(struct vv_remote_buffer *buffer, struct vv_pool *pool, struct vv_block *block) {
    struct vv_remote_chain *chain = &buffer->chains[vv_pool_index_of(pool) % VV_REMOTE_SLOT_COUNT];
    if (chain->pool != pool) {
        if (chain->pool != NULL) splice(chain);
        *chain = (struct vv_remote_chain){.pool = pool, .first = block, .last = block};
        block->next = NULL;
    } else {
        block->next = chain->first;
        chain->first = block;
    }
    chain->block_count++;
    if (is_long(chain)) splice(chain);
}

void vv_remote_flush(struct vv_remote_buffer *buffer) {
    for (unsigned slot = 0; slot < VV_REMOTE_SLOT_COUNT; slot++) {
        if (buffer->chains[slot].pool != NULL) splice(&buffer->chains[slot]);
    }
}
