/* SPDX-License-Identifier: MIT */
#include "heap/entry.h"

void *vv_calloc_slow(size_t count, size_t size) {
    struct vv_request request = {.byte_count = count * size,
                                 .alignment = VV_QUANTUM_BYTES,
                                 .api = VV_API_CALLOC,
                                 .zeroed = true,
                                 .frame = VV_FRAME()};
    return vv_allocate(&request);
}

void *vv_realloc_slow(void *block, size_t size) {
    struct vv_request request = {.byte_count = size,
                                 .alignment = VV_QUANTUM_BYTES,
                                 .api = VV_API_REALLOC,
                                 .frame = VV_FRAME()};
    return vv_reallocate(block, &request);
}

void *vv_aligned_slow(size_t alignment, size_t size) {
    struct vv_request request = {.byte_count = size,
                                 .alignment = vv_max(alignment, VV_QUANTUM_BYTES),
                                 .api = VV_API_ALIGNED,
                                 .frame = VV_FRAME()};
    return vv_allocate(&request);
}
