/* SPDX-License-Identifier: MIT */
#include "heap/plane.h"

#include "heap/meta.h"

bool vv_plane_with_marks;

static size_t plane_bytes(const struct vv_pool *pool) {
    size_t block_count = vv_classes[pool->class_index].capacity;
    size_t fact_bytes = vv_plane_is_narrow(pool) ? sizeof(uint32_t) : sizeof(uint64_t);
    return block_count * (fact_bytes + (vv_plane_with_marks ? 1 : 0));
}

bool vv_plane_attach(struct vv_pool *pool) {
    pool->plane = vv_meta_allocate(plane_bytes(pool));
    return pool->plane != NULL;
}

void vv_plane_detach(struct vv_pool *pool) {
    void *plane = pool->plane;
    if (plane == NULL) return;
    pool->plane = NULL; /* first: see vv_plane_forget_site() */
    vv_meta_free(plane, plane_bytes(pool));
}

/* If the owner of the block writes the fact meanwhile, that is the one that stays. */
static void forget_narrow(_Atomic uint32_t *fact) {
    uint32_t old = atomic_load_explicit(fact, memory_order_relaxed);
    if (old >> VV_FACT_SLACK_BITS == VV_SITE_NONE) return;
    uint32_t new = (uint32_t)VV_SITE_UNKNOWN << VV_FACT_SLACK_BITS | (old & VV_FACT_SLACK_MAX);
    atomic_compare_exchange_strong(fact, &old, new);
}

static void forget_wide(_Atomic uint64_t *fact) {
    uint64_t old = atomic_load_explicit(fact, memory_order_relaxed);
    if (old >> 32 == VV_SITE_NONE) return;
    uint64_t new = (uint64_t)VV_SITE_UNKNOWN << 32 | (uint32_t)old;
    atomic_compare_exchange_strong(fact, &old, new);
}

void vv_plane_forget_site(struct vv_pool *pool, uint32_t index) {
    vv_lock(&vv_meta_lock);
    void *plane = pool->plane;
    if (plane != NULL && vv_plane_is_narrow(pool)) {
        forget_narrow((_Atomic uint32_t *)plane + index);
    } else if (plane != NULL) {
        forget_wide((_Atomic uint64_t *)plane + index);
    }
    vv_unlock(&vv_meta_lock);
}
