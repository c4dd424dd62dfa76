/* SPDX-License-Identifier: MIT
 * heap/heap.h - the pools of one thread.
 *
 *   bin[class]:  head -> free -> free -> ...      free blocks: of one pool, the bin's lease, and
 *                                                 up to `room` of other pools
 *   usable[class]: pool <-> pool <-> ...          pools with free blocks, not leased
 *   (full pools are on no list: the free that makes one usable again finds it by address)
 *
 * Taking a block pops the bin. Freeing one pushes it onto the bin, so that the next allocation
 * gets memory that is still in the cache; but between two refills a bin accepts only so many blocks
 * of pools that are not its lease, and further ones go back to their pools, so that pools become
 * empty. When a bin runs dry, vv_heap_refill() leases another pool. See heap/fast.h for the two
 * fast paths.
 *
 * Synchronisation: bins and pools are the owner thread's. `lock` guards every change of a list or
 * a lease, so that fork() can find a heap at rest and so that others can adopt the pools of a heap
 * whose thread has ended (an orphan). `woken` is pushed to by anybody. */
#ifndef VV_HEAP_HEAP_H
#define VV_HEAP_HEAP_H

#include "heap/pool.h"
#include "os/lock.h"

/* Invariant: all blocks of the list are of the class and of this heap's pools; no lease implies no
 * blocks and no room. */
struct vv_bin {
    struct vv_block *head;
    vv_pool_index lease; /* 0: none */
    uint32_t room;       /* blocks of other pools that may still be pushed before the next refill */
};

struct vv_heap {
    struct vv_bin bin[VV_CLASS_COUNT];    /* owner thread only */
    vv_pool_index usable[VV_CLASS_COUNT]; /* lock; first of a circular list, 0 when empty */
    struct vv_lock lock;
    bool keeps_facts;            /* const: its pools have planes */
    uint32_t refill_count;       /* lock */
    struct vv_heap *next_orphan; /* registry lock */
    _Atomic vv_pool_index woken __attribute__((aligned(VV_CACHE_LINE_BYTES)));
};

/* An empty heap that owns nothing: what a thread's fast paths see when they must not succeed. */
extern struct vv_heap vv_heap_none;

/* A heap of the allocator's own memory, or NULL. Heaps are never freed, only orphaned. */
struct vv_heap *vv_heap_new(bool keeps_facts);

/* Takes a block of the class when the bin is empty. NULL: out of memory. *out_untouched: all
 * bytes of the block read as zero. The caller is the owner. */
void *vv_heap_refill(struct vv_heap *heap, unsigned class_index, bool *out_untouched);

/* The free of a block made its pool's `need` 0: the pool changes its state. Caller: the owner. */
void vv_heap_settle(struct vv_heap *heap, struct vv_pool *pool);

/* Takes a block. One branch when the bin has one. */
static inline void *vv_heap_take(struct vv_heap *heap, unsigned class_index, bool *out_untouched) {
    struct vv_bin *bin = &heap->bin[class_index];
    struct vv_block *block = bin->head;
    *out_untouched = false;
    if (vv_unlikely(block == NULL)) return vv_heap_refill(heap, class_index, out_untouched);
    bin->head = block->next;
    return block;
}

/* Puts a block back into its pool, which is not leased. Returns the pool when its state changes. */
static inline struct vv_pool *vv_pool_push(struct vv_pool *pool, struct vv_block *block) {
    block->next = pool->free;
    pool->free = block;
    return --pool->need == 0 ? pool : NULL;
}

/* Gives a block of one of the heap's own pools back; `record` is that of the block's granule.
 * Returns the pool when vv_heap_settle() must be called for it, else NULL. */
static inline struct vv_pool *vv_heap_push(struct vv_heap *heap, struct vv_pool *record,
                                           struct vv_block *block) {
    struct vv_bin *bin = &heap->bin[record->class_index];
    uint32_t is_foreign = bin->lease != record->first; /* no branch: nobody could foresee it */
    if (vv_unlikely(bin->room < is_foreign)) return vv_pool_push(vv_pool_of_record(record), block);
    bin->room -= is_foreign;
    block->next = bin->head;
    bin->head = block;
    return NULL;
}

static inline void vv_heap_give(struct vv_heap *heap, struct vv_pool *record,
                                struct vv_block *block) {
    struct vv_pool *pool = vv_heap_push(heap, record, block);
    if (vv_unlikely(pool != NULL)) vv_heap_settle(heap, pool);
}

/* Returns all leases, takes in what other threads freed, and gives empty pools back to the
 * arenas. The caller is the owner, or holds the registry lock while no thread owns the heap. */
void vv_heap_flush(struct vv_heap *heap);

/* The same for a heap whose thread vanished in fork(): its counts may be off by one. */
void vv_heap_recover(struct vv_heap *heap);

/* Takes a pool of the class with free blocks out of a heap that no thread owns; NULL: it has
 * none. The caller holds the registry lock; the pool has no owner yet. */
struct vv_pool *vv_heap_yield_pool(struct vv_heap *heap, unsigned class_index);

/* Calls `visit`, unless NULL, for the blocks of the pool that are in the heap's bin. Returns how
 * many. The owner may be changing the bin meanwhile: then the walk may end early. */
uint32_t vv_heap_walk_bin(const struct vv_heap *heap, const struct vv_pool *pool,
                          void (*visit)(uint32_t block_index, void *argument), void *argument);

/* Checks the invariants of a heap that no other thread is using. NULL, or what is wrong. */
const char *vv_heap_check(struct vv_heap *heap);

#endif
