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
    if (pool->plane == NULL) return;
    vv_meta_free(pool->plane, plane_bytes(pool));
    pool->plane = NULL;
}
