/* SPDX-License-Identifier: MIT */
#include "heap/walk.h"

#include "heap/debug.h"
#include "heap/remote.h"

#include <string.h>

int vv_walk_pools(int (*visit)(struct vv_pool *pool, void *argument), void *argument) {
    size_t granule_count = vv_region_usable_bytes() >> VV_GRANULE_SHIFT;
    for (size_t index = 0; index < granule_count; index++) {
        struct vv_pool *pool = vv_pool_at((vv_pool_index)index);
        if (pool->kind == VV_POOL_NONE || pool->kind == VV_POOL_OBJECTS) continue;
        if (vv_pool_of_record(pool) != pool) continue;
        int result = visit(pool, argument);
        if (result != 0) return result;
    }
    return 0;
}

static void mark(uint32_t block_index, void *argument) {
    uint64_t *set = argument;
    set[block_index / 64] |= (uint64_t)1 << (block_index % 64);
}

uint32_t vv_walk_free_blocks(const struct vv_pool *pool, uint64_t *free_set) {
    void (*visit)(uint32_t, void *) = free_set != NULL ? mark : NULL;
    uint32_t count = vv_pool_walk_list(pool, pool->free, visit, free_set);
    count += vv_pool_walk_list(pool, vv_remote_peek(pool), visit, free_set);
    struct vv_heap *owner = atomic_load_explicit(&pool->owner, memory_order_relaxed);
    if (owner != NULL) count += vv_heap_walk_bin(owner, pool, visit, free_set);
    return count;
}

struct block_walk {
    int (*visit)(const struct vv_place *place, void *argument);
    void *argument;
    int result;
};

static int show(const struct vv_place *place, const struct block_walk *walk) {
    return vv_debug_is_freed(place) ? 0 : walk->visit(place, walk->argument);
}

static int visit_small(struct vv_pool *pool, const struct block_walk *walk) {
    uint64_t free_set[VV_WALK_SET_WORDS];
    memset(free_set, 0, vv_divide_up(pool->carved_count, 64) * sizeof free_set[0]);
    vv_walk_free_blocks(pool, free_set);
    for (uint32_t index = 0; index < pool->carved_count; index++) {
        if ((free_set[index / 64] >> (index % 64) & 1) != 0) continue;
        struct vv_place place = {.block = vv_pool_block(pool, index), .pool = pool, .index = index};
        int result = show(&place, walk);
        if (result != 0) return result;
    }
    return 0;
}

static int visit_pool(struct vv_pool *pool, void *argument) {
    const struct block_walk *walk = argument;
    if (pool->kind == VV_POOL_SMALL) return visit_small(pool, walk);
    struct vv_place place = {.block = vv_pool_base(pool), .pool = pool};
    return show(&place, walk);
}

static void visit_huge(struct vv_huge *huge, void *argument) {
    struct block_walk *walk = argument;
    if (walk->result != 0) return;
    struct vv_place place = {.block = huge->address, .huge = huge};
    walk->result = show(&place, walk);
}

int vv_walk_blocks(int (*visit)(const struct vv_place *place, void *argument), void *argument) {
    struct block_walk walk = {.visit = visit, .argument = argument};
    walk.result = vv_walk_pools(visit_pool, &walk);
    if (walk.result == 0) vv_huge_visit(visit_huge, &walk);
    return walk.result;
}
