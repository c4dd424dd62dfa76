/* SPDX-License-Identifier: MIT */
#include "heap/place.h"

#include "heap/medium.h"

/* --- taking --- */

/* The class for a request, or VV_CLASS_COUNT when it is not small. */
static unsigned class_for(enum vv_lane lane, size_t byte_count, size_t alignment) {
    if (byte_count > VV_SMALL_MAX_BYTES) return VV_CLASS_COUNT;
    unsigned class_index = alignment <= VV_QUANTUM_BYTES
                               ? vv_class_of(byte_count)
                               : vv_class_of_aligned(byte_count, alignment);
    if (lane == VV_LANE_PLAIN) return class_index;
    while (class_index < VV_CLASS_COUNT && (!vv_plane_can_describe(class_index, byte_count) ||
                                            vv_classes[class_index].block_bytes % alignment != 0)) {
        class_index++;
    }
    return class_index;
}

static bool take_small(struct vv_thread *thread, enum vv_lane lane, unsigned class_index,
                       struct vv_place *out_place) {
    struct vv_heap *heap = vv_thread_heap(thread, lane);
    if (heap == NULL) return false;
    void *block = vv_heap_take(heap, class_index, &out_place->untouched);
    if (block == NULL) return false;
    struct vv_pool *pool = vv_pool_of_record(vv_pool_record(block));
    out_place->block = block;
    out_place->pool = pool;
    if (pool->plane != NULL) out_place->index = vv_pool_block_index(pool, block);
    return true;
}

static bool take_medium(const struct vv_need *need, struct vv_place *out_place) {
    struct vv_pool *pool = vv_medium_new(need->byte_count, need->alignment, &out_place->untouched);
    if (pool == NULL) return false;
    out_place->block = vv_pool_base(pool);
    out_place->pool = pool;
    return true;
}

static bool take_huge(const struct vv_need *need, struct vv_place *out_place) {
    struct vv_huge *huge =
        vv_huge_new(need->byte_count, need->alignment, need->untouched, &out_place->untouched);
    if (huge == NULL) return false;
    out_place->block = huge->address;
    out_place->huge = huge;
    return true;
}

static bool is_medium(const struct vv_need *need) {
    size_t limit = need->growing ? VV_MEDIUM_GROWN_MAX_BYTES : VV_MEDIUM_MAX_BYTES;
    return need->byte_count <= limit && need->alignment <= VV_ARENA_BYTES;
}

bool vv_place_take(struct vv_thread *thread, enum vv_lane lane, const struct vv_need *need,
                   struct vv_place *out_place) {
    *out_place = (struct vv_place){.index = 0};
    unsigned class_index = class_for(lane, need->byte_count, need->alignment);
    if (vv_likely(class_index < VV_CLASS_COUNT)) {
        return take_small(thread, lane, class_index, out_place);
    }
    return (is_medium(need) && take_medium(need, out_place)) || take_huge(need, out_place);
}

/* --- giving --- */

static void give_small(struct vv_thread *thread, struct vv_pool *pool, struct vv_block *block) {
    struct vv_heap *owner = atomic_load_explicit(&pool->owner, memory_order_relaxed);
    if (owner == thread->heaps[VV_LANE_PLAIN] || owner == thread->heaps[VV_LANE_FACTS]) {
        vv_heap_give(owner, pool, block);
    } else {
        vv_remote_free(&thread->remote, pool, block);
    }
}

void vv_place_give(struct vv_thread *thread, const struct vv_place *place) {
    if (place->huge != NULL) {
        vv_huge_free(place->huge);
    } else if (place->pool->kind == VV_POOL_MEDIUM) {
        vv_medium_free(place->pool);
    } else {
        give_small(thread, place->pool, place->block);
    }
}

/* --- finding --- */

bool vv_place_find(const void *address, struct vv_place *out_place) {
    *out_place = (struct vv_place){.block = (void *)(uintptr_t)address};
    if (!vv_region_contains(address)) {
        out_place->huge = vv_huge_find(address);
        return out_place->huge != NULL;
    }
    struct vv_pool *record = vv_pool_record(address);
    if (record->kind == VV_POOL_NONE || record->kind == VV_POOL_OBJECTS) return false;
    struct vv_pool *pool = vv_pool_of_record(record);
    out_place->pool = pool;
    if (pool->kind == VV_POOL_MEDIUM) return vv_pool_base(pool) == address;
    if (pool->plane != NULL) out_place->index = vv_pool_block_index(pool, address);
    return vv_is_aligned(address, VV_QUANTUM_BYTES);
}

size_t vv_place_usable_bytes(const struct vv_place *place) {
    if (place->huge != NULL) return place->huge->mapped_bytes;
    if (place->pool->kind == VV_POOL_MEDIUM) return vv_medium_usable_bytes(place->pool);
    return vv_pool_block_bytes(place->pool);
}

/* --- resizing --- */

/* Small blocks stay while at least half of the block is used. */
static bool small_serves(const struct vv_pool *pool, size_t byte_count) {
    size_t block_bytes = vv_pool_block_bytes(pool);
    if (byte_count > block_bytes || byte_count < block_bytes / 2) return false;
    return pool->plane == NULL || vv_plane_can_describe(pool->class_index, byte_count);
}

/* A block that has grown once is likely to grow again; room for an eighth more costs addresses,
 * not memory. */
static size_t with_room(size_t byte_count) {
    return byte_count + byte_count / 8;
}

static bool resize_huge(struct vv_place *place, size_t byte_count) {
    struct vv_huge *huge = place->huge;
    if (byte_count <= VV_MEDIUM_GROWN_MAX_BYTES / 2) return false;
    size_t mapped_bytes = huge->mapped_bytes;
    if (byte_count <= mapped_bytes && byte_count >= mapped_bytes / 2) return true;
    bool grows = byte_count > mapped_bytes;
    if (!(grows && vv_huge_resize(huge, with_room(byte_count))) &&
        !vv_huge_resize(huge, byte_count)) {
        return false;
    }
    place->block = huge->address;
    return true;
}

bool vv_place_resize(struct vv_place *place, size_t new_byte_count) {
    if (place->huge != NULL) return resize_huge(place, new_byte_count);
    if (place->pool->kind == VV_POOL_SMALL) return small_serves(place->pool, new_byte_count);
    if (new_byte_count <= VV_SMALL_MAX_BYTES) return false;
    return vv_medium_resize(place->pool, new_byte_count);
}

/* --- facts --- */

bool vv_place_keeps_facts(const struct vv_place *place) {
    return vv_place_get_fact(place).site != VV_SITE_NONE;
}

struct vv_fact vv_place_get_fact(const struct vv_place *place) {
    if (place->huge != NULL) {
        return (struct vv_fact){atomic_load_explicit(&place->huge->site, memory_order_relaxed),
                                place->huge->requested_bytes};
    }
    const struct vv_pool *pool = place->pool;
    if (pool->kind == VV_POOL_MEDIUM) {
        return (struct vv_fact){pool->medium_site, pool->medium_requested_bytes};
    }
    if (pool->plane == NULL) return (struct vv_fact){VV_SITE_NONE, 0};
    return vv_plane_get(pool, place->index);
}

void vv_place_set_fact(struct vv_place *place, struct vv_fact fact) {
    if (place->huge != NULL) {
        place->huge->requested_bytes = fact.requested_bytes;
        atomic_store_explicit(&place->huge->site, fact.site, memory_order_relaxed);
    } else if (place->pool->kind == VV_POOL_MEDIUM) {
        place->pool->medium_requested_bytes = fact.requested_bytes;
        place->pool->medium_site = fact.site;
    } else {
        vv_plane_set(place->pool, place->index, fact);
    }
}

void vv_place_clear_fact(struct vv_place *place) {
    if (place->pool != NULL && place->pool->kind == VV_POOL_SMALL) {
        vv_plane_clear(place->pool, place->index);
    } else {
        vv_place_set_fact(place, (struct vv_fact){VV_SITE_NONE, 0});
    }
}

void vv_place_forget_site(struct vv_place *place) {
    if (place->pool != NULL && place->pool->kind == VV_POOL_SMALL) {
        vv_plane_forget_site(place->pool, place->index);
        return;
    }
    struct vv_fact fact = vv_place_get_fact(place);
    if (fact.site == VV_SITE_NONE) return;
    vv_place_set_fact(place, (struct vv_fact){VV_SITE_UNKNOWN, fact.requested_bytes});
}

uint8_t *vv_place_mark(const struct vv_place *place) {
    if (place->huge != NULL) return &place->huge->mark;
    if (place->pool->kind == VV_POOL_MEDIUM) return &place->pool->state;
    return vv_plane_mark(place->pool, place->index);
}
