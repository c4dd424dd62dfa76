/* SPDX-License-Identifier: MIT
 * heap/entry.h - the bodies of the allocation functions, for the two sets of names under which
 * they exist: varve_malloc and its kind (heap/api.c), malloc and its kind (heap/override.c). */
#ifndef VV_HEAP_ENTRY_H
#define VV_HEAP_ENTRY_H

#include "heap/fast.h"

#include <errno.h>
#include <string.h>

/* Out of line, entered by a jump, so that the frame is the caller's. */
void *vv_calloc_slow(size_t count, size_t size);
void *vv_realloc_slow(void *block, size_t size);
void *vv_aligned_slow(size_t alignment, size_t size);

VV_INLINE void *vv_entry_malloc(size_t size) {
    return vv_fast_malloc(size);
}

VV_INLINE void *vv_entry_calloc(size_t count, size_t size) {
    size_t byte_count;
    if (vv_unlikely(__builtin_mul_overflow(count, size, &byte_count))) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = vv_fast_take(byte_count);
    if (vv_unlikely(block == NULL)) return vv_calloc_slow(count, size);
    return memset(block, 0, byte_count);
}

/* Whether realloc has nothing to do: a small block of a heap without facts that still fits. */
VV_INLINE bool vv_fast_resize(const void *block, size_t size) {
    if (!vv_region_contains(block)) return false;
    const struct vv_pool *record = vv_pool_record(block);
    if (record->kind != VV_POOL_SMALL || vv_pool_of_record(record)->plane != NULL) return false;
    size_t block_bytes = vv_classes[record->class_index].block_bytes;
    return size <= block_bytes && size >= block_bytes / 2 && size != 0;
}

VV_INLINE void *vv_entry_realloc(void *block, size_t size) {
    return vv_fast_resize(block, size) ? block : vv_realloc_slow(block, size);
}

VV_INLINE void *vv_entry_aligned(size_t alignment, size_t size) {
    if (vv_unlikely(!vv_is_power_of_two(alignment))) {
        errno = EINVAL;
        return NULL;
    }
    return vv_aligned_slow(alignment, size);
}

VV_INLINE void vv_entry_free(void *block) {
    vv_fast_free(block);
}

#endif
