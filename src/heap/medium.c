/* SPDX-License-Identifier: MIT */
#include "heap/medium.h"

#include "heap/emergency.h"

struct vv_pool *vv_medium_pool_from(const struct vv_granule_run *run) {
    struct vv_pool *pool = vv_pool_at(run->first);
    pool->granule_count = (uint16_t)run->count;
    pool->medium_site = 0;
    pool->medium_requested_bytes = 0;
    pool->plane = NULL;
    pool->state = 0;
    pool->first = run->first;
    pool->kind = VV_POOL_MEDIUM;
    atomic_store_explicit(&pool->owner, NULL, memory_order_relaxed);
    return pool;
}

void vv_medium_forget(struct vv_pool *pool) {
    pool->kind = VV_POOL_NONE;
}

struct vv_pool *vv_medium_new(size_t byte_count, size_t alignment, bool *out_untouched) {
    uint32_t count = (uint32_t)vv_max(vv_divide_up(byte_count, VV_GRANULE_BYTES), 1);
    uint32_t alignment_granules = (uint32_t)vv_max(alignment / VV_GRANULE_BYTES, 1);
    struct vv_granule_run run;
    if (!vv_arena_take(count, alignment_granules, &run)) return NULL;
    *out_untouched = run.fresh;
    return vv_medium_pool_from(&run);
}

void vv_medium_free(struct vv_pool *pool) {
    if (vv_emergency_owns(pool)) {
        vv_emergency_give(pool);
        return;
    }
    uint32_t count = pool->granule_count;
    vv_medium_forget(pool);
    vv_arena_give(vv_pool_index_of(pool), count, count);
}

bool vv_medium_resize(struct vv_pool *pool, size_t new_byte_count) {
    if (new_byte_count > VV_MEDIUM_MAX_BYTES || vv_emergency_owns(pool)) return false;
    uint32_t old_count = pool->granule_count;
    uint32_t new_count = (uint32_t)vv_max(vv_divide_up(new_byte_count, VV_GRANULE_BYTES), 1);
    uint32_t first = vv_pool_index_of(pool);
    if (new_count > old_count) {
        bool fresh;
        if (!vv_arena_extend(first + old_count, new_count - old_count, &fresh)) return false;
        pool->granule_count = (uint16_t)new_count;
    } else if (new_count < old_count) {
        uint32_t tail = old_count - new_count;
        pool->granule_count = (uint16_t)new_count;
        vv_arena_give(first + new_count, tail, tail);
    }
    return true;
}
