/* SPDX-License-Identifier: MIT
 * heap/fast.h - the two fast paths, inlined into every entry point.
 *
 * malloc: is it small? is this thread outside the allocator? has the bin a block? Then pop it.
 * free:   is it in the region? is this thread outside? is the pool this heap's? Then push it.
 *
 * There is no test for tracing, debugging, a new thread or an ended one: each of them makes one of
 * these tests fail (see heap/thread.h). tests/fast_path/test_fast_path.py holds the instruction
 * counts and checks that a build without the trace layer has the same instructions. */
#ifndef VV_HEAP_FAST_H
#define VV_HEAP_FAST_H

#include "heap/operations.h"
#include "heap/thread.h"

VV_INLINE struct vv_heap *vv_front(void) {
    return atomic_load_explicit(&vv_local.front, memory_order_relaxed);
}

/* Ends the operation of vv_fast_give(), which jumps to it so as to need no frame. */
void vv_settle_slow(struct vv_heap *heap, struct vv_pool *pool);

/* A block from this thread's bin, or NULL when the slow path must be taken. */
VV_INLINE void *vv_fast_take(size_t byte_count) {
    if (vv_unlikely(byte_count > VV_SMALL_MAX_BYTES || vv_local.busy != 0)) return NULL;
    vv_busy_begin();
    struct vv_bin *bin = &vv_front()->bin[vv_class_of(byte_count)];
    struct vv_block *block = bin->head;
    if (vv_likely(block != NULL)) bin->head = block->next;
    vv_busy_end();
    return block;
}

VV_INLINE void *vv_fast_malloc(size_t byte_count) {
    void *block = vv_fast_take(byte_count);
    return vv_likely(block != NULL) ? block : vv_malloc_slow(byte_count);
}

/* Takes a block back into this thread's heap; false when the slow path must be taken. */
VV_INLINE bool vv_fast_give(void *block) {
    if (vv_unlikely(!vv_region_contains(block) || vv_local.busy != 0)) return false;
    struct vv_pool *record = vv_pool_record(block);
    struct vv_heap *heap = vv_front();
    if (vv_unlikely(atomic_load_explicit(&record->owner, memory_order_relaxed) != heap)) {
        return false;
    }
    vv_busy_begin();
    struct vv_pool *settles = vv_heap_push(heap, record, block);
    if (vv_likely(settles == NULL)) {
        vv_busy_end();
    } else {
        vv_settle_slow(heap, settles);
    }
    return true;
}

VV_INLINE void vv_fast_free(void *block) {
    if (vv_unlikely(!vv_fast_give(block))) vv_free_slow(block);
}

#endif
