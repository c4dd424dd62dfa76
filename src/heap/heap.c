/* SPDX-License-Identifier: MIT */
#include "heap/heap.h"

#include "heap/meta.h"
#include "heap/purge.h"
#include "heap/remote.h"
#include "heap/thread.h"

struct vv_heap vv_heap_none = {.lock = VV_LOCK(VV_RANK_HEAP)};

struct vv_heap *vv_heap_new(bool keeps_facts) {
    struct vv_heap *heap = vv_meta_allocate(sizeof *heap);
    if (heap == NULL) return NULL;
    heap->lock = (struct vv_lock)VV_LOCK(VV_RANK_HEAP);
    heap->keeps_facts = keeps_facts;
    return heap;
}

/* --- the list of usable pools of a class: circular, through next and previous --- */

static void list_insert(struct vv_heap *heap, struct vv_pool *pool, bool at_front) {
    vv_pool_index *first = &heap->usable[pool->class_index];
    vv_pool_index index = vv_pool_index_of(pool);
    if (*first == 0) {
        pool->next = pool->previous = index;
        *first = index;
        return;
    }
    struct vv_pool *next = vv_pool_at(*first);
    struct vv_pool *previous = vv_pool_at(next->previous);
    pool->next = *first;
    pool->previous = next->previous;
    previous->next = index;
    next->previous = index;
    if (at_front) *first = index;
}

static void list_remove(struct vv_heap *heap, struct vv_pool *pool) {
    vv_pool_index *first = &heap->usable[pool->class_index];
    vv_pool_index index = vv_pool_index_of(pool);
    if (pool->next == index) {
        *first = 0;
    } else {
        vv_pool_at(pool->previous)->next = pool->next;
        vv_pool_at(pool->next)->previous = pool->previous;
        if (*first == index) *first = pool->next;
    }
    pool->next = pool->previous = 0;
}

/* --- states of a pool --- */

/* An empty pool stays when its heap has no other usable one of the class and it is small: the
 * next allocation would have to take it again. vv_heap_flush() gives these back as well. */
static bool keep_empty(const struct vv_heap *heap, const struct vv_pool *pool, bool on_list) {
    if (pool->granule_count > 1) return false;
    if (on_list) return pool->next == vv_pool_index_of(pool);
    return heap->usable[pool->class_index] == 0;
}

static bool is_empty(const struct vv_pool *pool, uint32_t free_count) {
    return free_count == pool->carved_count;
}

/* Decides the state of a pool that is not leased (any more) and has `free_count` blocks in
 * `free`. `on_list`: it is on the usable list now. */
static void settle(struct vv_heap *heap, struct vv_pool *pool, uint32_t free_count, bool on_list) {
    if (is_empty(pool, free_count) && !keep_empty(heap, pool, on_list)) {
        if (on_list) list_remove(heap, pool);
        vv_pool_free(pool);
        return;
    }
    uint32_t threshold = vv_pool_wake_threshold(pool);
    bool carvable = pool->carved_count < vv_classes[pool->class_index].capacity;
    if (free_count >= threshold || carvable) {
        pool->state = VV_POOL_USABLE;
        pool->need = (uint16_t)(pool->carved_count - free_count);
        if (!on_list) list_insert(heap, pool, /* at_front */ free_count > 0);
    } else {
        pool->state = VV_POOL_FULL;
        pool->need = (uint16_t)(threshold - free_count);
    }
    vv_audit(vv_pool_check(pool));
}

void vv_heap_settle(struct vv_heap *heap, struct vv_pool *pool) {
    vv_lock(&heap->lock);
    settle(heap, pool, vv_pool_free_count(pool), pool->state == VV_POOL_USABLE);
    vv_unlock(&heap->lock);
}

static struct vv_block *last_block(struct vv_block *first) {
    while (first->next != NULL) first = first->next;
    return first;
}

/* Puts a chain of freed blocks into a pool of this heap. */
static void take_in_chain(struct vv_heap *heap, struct vv_pool *pool) {
    uint32_t count;
    struct vv_block *chain = vv_remote_take(pool, &count);
    vv_assert(chain != NULL);
    if (pool->free != NULL) last_block(chain)->next = pool->free;
    bool leased = pool->state == VV_POOL_LEASED;
    uint32_t free_count = leased ? 0 : vv_pool_free_count(pool) + count;
    pool->free = chain;
    if (!leased) settle(heap, pool, free_count, pool->state == VV_POOL_USABLE);
}

/* Takes in what other threads freed. */
static void collect(struct vv_heap *heap) {
    vv_pool_index index = vv_remote_take_woken(heap);
    while (index != 0) {
        struct vv_pool *pool = vv_pool_at(index);
        index = pool->woken_next; /* before the chain is taken: then the pool may be woken again */
        if (atomic_load_explicit(&pool->owner, memory_order_relaxed) == heap) {
            take_in_chain(heap, pool);
        } else {
            vv_remote_wake(pool); /* adopted by another heap meanwhile */
        }
    }
}

/* --- leases --- */

static uint32_t count_blocks(const struct vv_block *block) {
    uint32_t count = 0;
    for (; block != NULL; block = block->next) count++;
    return count;
}

/* Ends the lease of an empty bin. */
static void end_lease(struct vv_heap *heap, struct vv_bin *bin) {
    struct vv_pool *pool = vv_pool_at(bin->lease);
    vv_assert(bin->head == NULL);
    bin->lease = 0;
    bin->room = 0;
    settle(heap, pool, count_blocks(pool->free), /* on_list */ false);
}

static void begin_lease(struct vv_bin *bin, struct vv_pool *pool) {
    pool->state = VV_POOL_LEASED;
    bin->lease = vv_pool_index_of(pool);
}

/* Gives the blocks of a bin back to their pools and ends its lease. */
static void empty_bin(struct vv_heap *heap, struct vv_bin *bin) {
    struct vv_pool *lease = vv_pool_at(bin->lease);
    struct vv_block *block = bin->head;
    bin->head = NULL;
    while (block != NULL) {
        struct vv_block *next = block->next;
        struct vv_pool *pool = vv_pool_of_record(vv_pool_record(block));
        if (pool == lease) {
            block->next = pool->free;
            pool->free = block;
        } else if (vv_pool_push(pool, block) != NULL) {
            settle(heap, pool, vv_pool_free_count(pool), pool->state == VV_POOL_USABLE);
        }
        block = next;
    }
    end_lease(heap, bin);
}

/* Fills the bin from its lease. A block that was carved alone and never touched is returned at
 * once, so that it stays untouched. */
static struct vv_block *fill_from_lease(struct vv_heap *heap, unsigned class_index,
                                        bool *out_untouched) {
    struct vv_bin *bin = &heap->bin[class_index];
    struct vv_pool *pool = vv_pool_at(bin->lease);
    struct vv_block *block = pool->free;
    bin->room = vv_classes[class_index].bin_room;
    if (block != NULL) {
        pool->free = NULL;
    } else {
        block = vv_pool_carve(pool, out_untouched);
        if (block == NULL || *out_untouched) return block;
    }
    bin->head = block->next;
    return block;
}

/* A further pool for the class: one with free blocks, else an orphan's, else a new one. NULL: out
 * of memory. Adopting takes the registry lock, which comes before the heap's. */
static struct vv_pool *next_pool(struct vv_heap *heap, unsigned class_index) {
    vv_pool_index index = heap->usable[class_index];
    if (index != 0) {
        struct vv_pool *pool = vv_pool_at(index);
        list_remove(heap, pool);
        return pool;
    }
    if (vv_orphans_exist()) {
        vv_unlock(&heap->lock);
        struct vv_pool *pool = vv_orphans_adopt_pool(heap, class_index);
        vv_lock(&heap->lock);
        if (pool != NULL) return pool;
    }
    return vv_pool_new(heap, class_index);
}

/* Pools with free blocks come before carving on: their memory is resident. */
static bool lease_can_serve(const struct vv_heap *heap, unsigned class_index) {
    if (heap->bin[class_index].lease == 0) return false;
    const struct vv_pool *pool = vv_pool_at(heap->bin[class_index].lease);
    if (pool->free != NULL) return true;
    if (pool->carved_count == vv_classes[class_index].capacity) return false;
    vv_pool_index usable = heap->usable[class_index];
    return usable == 0 || vv_pool_at(usable)->free == NULL;
}

void *vv_heap_refill(struct vv_heap *heap, unsigned class_index, bool *out_untouched) {
    struct vv_bin *bin = &heap->bin[class_index];
    struct vv_block *block = NULL;
    *out_untouched = false;
    vv_lock(&heap->lock);
    collect(heap);
    if (!lease_can_serve(heap, class_index)) {
        struct vv_pool *pool = next_pool(heap, class_index);
        if (pool == NULL) goto done;
        if (bin->lease != 0) end_lease(heap, bin);
        begin_lease(bin, pool);
    }
    block = fill_from_lease(heap, class_index, out_untouched);
done:
    vv_unlock(&heap->lock);
    vv_purge_tick(&heap->refill_count);
    return block;
}

/* --- handing over --- */

/* Gives back the empty pools of the list; with `recount`, after counting their free blocks. */
static void free_empty_pools(struct vv_heap *heap, unsigned class_index, bool recount) {
    vv_pool_index index = heap->usable[class_index];
    if (index == 0) return;
    vv_pool_index last = vv_pool_at(index)->previous;
    for (;;) {
        struct vv_pool *pool = vv_pool_at(index);
        vv_pool_index next = pool->next;
        bool done = index == last;
        if (recount) pool->need = (uint16_t)(pool->carved_count - count_blocks(pool->free));
        if (pool->need == 0) {
            list_remove(heap, pool);
            vv_pool_free(pool);
        }
        if (done) return;
        index = next;
    }
}

static void flush(struct vv_heap *heap, bool recount) {
    vv_lock(&heap->lock);
    collect(heap);
    for (unsigned class_index = 0; class_index < VV_CLASS_COUNT; class_index++) {
        struct vv_bin *bin = &heap->bin[class_index];
        if (bin->lease != 0) empty_bin(heap, bin);
        free_empty_pools(heap, class_index, recount);
    }
    vv_unlock(&heap->lock);
    vv_audit(vv_heap_check(heap));
}

void vv_heap_flush(struct vv_heap *heap) {
    flush(heap, /* recount */ false);
}

void vv_heap_recover(struct vv_heap *heap) {
    flush(heap, /* recount */ true);
}

struct vv_pool *vv_heap_yield_pool(struct vv_heap *heap, unsigned class_index) {
    struct vv_pool *pool = NULL;
    vv_lock(&heap->lock);
    collect(heap);
    vv_pool_index index = heap->usable[class_index];
    if (index != 0) {
        pool = vv_pool_at(index);
        list_remove(heap, pool);
    }
    vv_unlock(&heap->lock);
    return pool;
}

static const char *check_list(const struct vv_heap *heap, unsigned class_index) {
    vv_pool_index first = heap->usable[class_index];
    if (first == 0) return NULL;
    vv_pool_index index = first;
    do {
        const struct vv_pool *pool = vv_pool_at(index);
        vv_expect(pool->state == VV_POOL_USABLE, "a listed pool is not usable");
        vv_expect(pool->class_index == class_index, "a pool is on the list of another class");
        vv_expect(atomic_load_explicit(&pool->owner, memory_order_relaxed) == heap,
                  "a heap lists a pool of another");
        vv_expect(vv_pool_at(pool->next)->previous == index, "a list of pools is broken");
        const char *wrong = vv_pool_check(pool);
        if (wrong != NULL) return wrong;
        index = pool->next;
    } while (index != first);
    return NULL;
}

/* Most blocks that a bin can hold. */
static uint32_t bin_limit(unsigned class_index) {
    return vv_classes[class_index].capacity + vv_classes[class_index].bin_room;
}

/* Whether a block from a list may be followed: it is one of a pool of this heap and class. */
static bool is_own_block(const struct vv_heap *heap, unsigned class_index,
                         const struct vv_block *block) {
    if (!vv_region_contains(block)) return false;
    const struct vv_pool *record = vv_pool_record(block);
    return atomic_load_explicit(&record->owner, memory_order_relaxed) == heap &&
           record->class_index == class_index &&
           vv_pool_has_block(vv_pool_of_record(record), block);
}

uint32_t vv_heap_walk_bin(const struct vv_heap *heap, const struct vv_pool *pool,
                          void (*visit)(uint32_t block_index, void *argument), void *argument) {
    unsigned class_index = pool->class_index;
    uint32_t count = 0, left = bin_limit(class_index);
    const struct vv_block *block = heap->bin[class_index].head;
    for (; block != NULL && left > 0 && is_own_block(heap, class_index, block); left--) {
        if (vv_pool_has_block(pool, block)) {
            if (visit != NULL) visit(vv_pool_block_index(pool, block), argument);
            count++;
        }
        block = block->next;
    }
    return count;
}

static const char *check_bin(const struct vv_heap *heap, unsigned class_index) {
    const struct vv_bin *bin = &heap->bin[class_index];
    if (bin->lease == 0) {
        vv_expect(bin->head == NULL, "a bin without a lease has blocks");
        vv_expect(bin->room == 0, "a bin without a lease has room");
        return NULL;
    }
    const struct vv_pool *pool = vv_pool_at(bin->lease);
    vv_expect(pool->state == VV_POOL_LEASED, "a lease is of a pool that is not leased");
    uint32_t count = 0;
    for (const struct vv_block *block = bin->head; block != NULL; block = block->next) {
        vv_expect(is_own_block(heap, class_index, block), "a bin has what is no block of it");
        vv_expect(++count <= bin_limit(class_index), "a bin has a cycle");
    }
    return vv_pool_check(pool);
}

const char *vv_heap_check(struct vv_heap *heap) {
    const char *wrong = NULL;
    vv_lock(&heap->lock);
    for (unsigned index = 0; index < VV_CLASS_COUNT && wrong == NULL; index++) {
        wrong = check_bin(heap, index);
        if (wrong == NULL) wrong = check_list(heap, index);
    }
    vv_unlock(&heap->lock);
    return wrong;
}
