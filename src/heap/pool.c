/* SPDX-License-Identifier: MIT */
#include "heap/pool.h"

#include "heap/arena.h"
#include "heap/heap.h"
#include "heap/plane.h"

static void describe_granules(struct vv_pool *pool, struct vv_heap *owner, uint8_t kind) {
    for (unsigned index = pool->granule_count; index-- > 0;) {
        struct vv_pool *record = pool + index;
        record->first = vv_pool_index_of(pool);
        record->class_index = pool->class_index;
        record->kind = kind;
        atomic_store_explicit(&record->owner, owner, memory_order_relaxed);
    }
}

struct vv_pool *vv_pool_new(struct vv_heap *owner, unsigned class_index) {
    struct vv_granule_run run;
    if (!vv_arena_take(vv_classes[class_index].granule_count, 1, &run)) return NULL;

    struct vv_pool *pool = vv_pool_at(run.first);
    pool->class_index = (uint8_t)class_index;
    pool->granule_count = (uint16_t)run.count;
    pool->free = NULL;
    atomic_store_explicit(&pool->remote, 0, memory_order_relaxed);
    pool->state = VV_POOL_LEASED;
    pool->fresh = run.fresh;
    pool->need = 0;
    pool->carved_count = 0;
    pool->next = pool->previous = pool->woken_next = 0;
    pool->plane = NULL;
    if (owner->keeps_facts && !vv_plane_attach(pool)) {
        vv_arena_give(run.first, run.count, run.fresh ? 0 : run.count);
        return NULL;
    }
    describe_granules(pool, owner, VV_POOL_SMALL);
    return pool;
}

void vv_pool_free(struct vv_pool *pool) {
    vv_assert(atomic_load_explicit(&pool->remote, memory_order_relaxed) == 0);
    size_t carved_bytes = pool->carved_count * vv_pool_block_bytes(pool);
    uint32_t touched = (uint32_t)vv_divide_up(carved_bytes, VV_GRANULE_BYTES);
    if (!pool->fresh) touched = pool->granule_count;
    uint32_t count = pool->granule_count;
    vv_plane_detach(pool);
    describe_granules(pool, NULL, VV_POOL_NONE);
    vv_arena_give(vv_pool_index_of(pool), count, touched);
}

void vv_pool_set_owner(struct vv_pool *pool, struct vv_heap *owner) {
    for (unsigned index = 0; index < pool->granule_count; index++) {
        atomic_store_explicit(&pool[index].owner, owner, memory_order_relaxed);
    }
}

/* Blocks that begin before the end of the page in which the next one begins. */
static uint32_t blocks_of_next_page(const struct vv_pool *pool) {
    size_t block_bytes = vv_pool_block_bytes(pool);
    size_t begin = pool->carved_count * block_bytes;
    size_t page_end = vv_align_down(begin, VV_PAGE_BYTES) + VV_PAGE_BYTES;
    uint32_t left = vv_classes[pool->class_index].capacity - pool->carved_count;
    return (uint32_t)vv_min(vv_divide_up(page_end - begin, block_bytes), left);
}

struct vv_block *vv_pool_carve(struct vv_pool *pool, bool *out_untouched) {
    uint32_t count = blocks_of_next_page(pool);
    if (count == 0) return NULL;
    size_t block_bytes = vv_pool_block_bytes(pool);
    struct vv_block *first = vv_pool_block(pool, pool->carved_count);
    pool->carved_count = (uint16_t)(pool->carved_count + count);
    *out_untouched = count == 1 && pool->fresh;
    if (*out_untouched) return first;

    struct vv_block *block = first;
    for (uint32_t left = count; left > 1; left--) {
        struct vv_block *next = (struct vv_block *)(void *)((char *)block + block_bytes);
        block->next = next;
        block = next;
    }
    block->next = NULL;
    return first;
}

uint32_t vv_pool_free_count(const struct vv_pool *pool) {
    vv_assert(pool->state != VV_POOL_LEASED);
    uint32_t reach =
        pool->state == VV_POOL_FULL ? vv_pool_wake_threshold(pool) : pool->carved_count;
    return reach - pool->need;
}

bool vv_pool_has_block(const struct vv_pool *pool, const void *block) {
    size_t offset = (size_t)((uintptr_t)block - (uintptr_t)vv_pool_base(pool));
    if (offset >= pool->granule_count * VV_GRANULE_BYTES) return false;
    uint32_t index = vv_class_block_index(pool->class_index, offset);
    return index < pool->carved_count && index * vv_pool_block_bytes(pool) == offset;
}

uint32_t vv_pool_walk_list(const struct vv_pool *pool, const struct vv_block *block,
                           void (*visit)(uint32_t block_index, void *argument), void *argument) {
    uint32_t count = 0;
    while (block != NULL && count < pool->carved_count && vv_pool_has_block(pool, block)) {
        if (visit != NULL) visit(vv_pool_block_index(pool, block), argument);
        block = block->next;
        count++;
    }
    return count;
}

const char *vv_pool_check(const struct vv_pool *pool) {
    const struct vv_class *class = &vv_classes[pool->class_index];
    vv_expect(pool->kind == VV_POOL_SMALL, "a heap has a pool that is not one of blocks");
    vv_expect(pool->carved_count <= class->capacity, "a pool has more blocks than fit");
    for (unsigned index = 0; index < pool->granule_count; index++) {
        vv_expect(vv_pool_of_record(&pool[index]) == pool, "a granule's record names another pool");
        vv_expect(pool[index].class_index == pool->class_index, "a granule has another class");
    }
    uint32_t count = 0;
    for (const struct vv_block *block = pool->free; block != NULL; block = block->next) {
        vv_expect(vv_pool_has_block(pool, block), "a free list has an address that is no block");
        vv_expect(++count <= pool->carved_count, "a free list has a cycle");
    }
    if (pool->state == VV_POOL_LEASED) return NULL;
    vv_expect(count == vv_pool_free_count(pool), "a pool miscounts its free blocks");
    vv_expect(pool->state == VV_POOL_USABLE || count < vv_pool_wake_threshold(pool),
              "a pool with free blocks is called full");
    return NULL;
}
