/* SPDX-License-Identifier: MIT
 * inspect/own_bytes.h - bytes of one object, without what it refers to. */
#ifndef VV_INSPECT_OWN_BYTES_H
#define VV_INSPECT_OWN_BYTES_H

#include "object/layout.h"
#include "object/world.h"

/* As asked for: the block and what the object owns outside of it. */
size_t vv_own_requested_bytes(const varve_object *object, const struct varve_type *type);

/* Bytes of what an object of any type owns outside, as the heap gives them. */
size_t vv_outer_heap_bytes(const varve_object *object, const struct varve_type *type);

/* A block of varve_malloc(): a load and a table in the common case. */
VV_INLINE size_t vv_heap_block_bytes(const void *block) {
    if (block == NULL) return 0;
    if (vv_likely(vv_region_contains(block))) {
        const struct vv_pool *record = vv_pool_record(block);
        if (vv_likely(record->kind == VV_POOL_SMALL)) {
            return vv_classes[record->class_index].block_bytes;
        }
    }
    return varve_usable_size(block);
}

/* An object's block and its bytes in the planes: one of state, and four of scratch counts where
 * the pool has them. */
VV_INLINE size_t vv_block_and_plane_bytes(const struct vv_object_pool *pool) {
    return vv_object_block_bytes(pool) + (pool->kind == VV_SHELF_LEAF ? 1 : 5);
}

/* As the heap gives them: with rounding and planes. */
VV_INLINE size_t vv_own_heap_bytes(const varve_object *object, const struct vv_object_pool *pool,
                                   struct varve_type *const *types) {
    size_t bytes = vv_block_and_plane_bytes(pool);
    switch (object->type_index) {
    case VV_TYPE_NONE:
    case VV_TYPE_BOOL:
    case VV_TYPE_INT:
    case VV_TYPE_FLOAT:
    case VV_TYPE_STR:
    case VV_TYPE_BYTES:
    case VV_TYPE_TUPLE: return bytes;
    case VV_TYPE_LIST: return bytes + vv_heap_block_bytes(((const struct vv_list *)object)->items);
    case VV_TYPE_DICT:
    case VV_TYPE_SET:
        return bytes + vv_heap_block_bytes(((const struct vv_dict *)object)->table.slots);
    default: return bytes + vv_outer_heap_bytes(object, types[object->type_index]);
    }
}

#endif
