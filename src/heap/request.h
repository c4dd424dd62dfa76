/* SPDX-License-Identifier: MIT
 * heap/request.h - what a caller asks the allocator for. */
#ifndef VV_HEAP_REQUEST_H
#define VV_HEAP_REQUEST_H

#include "base/bits.h"

/* The function that was called. Kept in traces and, in debug mode, with the block. */
enum vv_api {
    VV_API_NONE,
    VV_API_MALLOC,
    VV_API_CALLOC,
    VV_API_REALLOC,
    VV_API_ALIGNED, /* aligned_alloc, memalign, posix_memalign, valloc, pvalloc */
    VV_API_FREE,
    VV_API_NEW, /* C++: operator new and delete, */
    VV_API_NEW_ARRAY,
    VV_API_NEW_ALIGNED, /* the same with std::align_val_t */
    VV_API_NEW_ARRAY_ALIGNED,
    VV_API_OBJECT, /* of a world */
    VV_API_MMAP,   /* mmap, mremap, mprotect: no block of the heap, but a mapping */
    VV_API_COUNT,
};

/* Two kinds of memory, with sums and peaks of their own. */
enum vv_domain {
    VV_DOMAIN_MALLOC, /* blocks of the heap, by requested size */
    VV_DOMAIN_MMAP,   /* mappings that the program makes itself, by whole pages */
    VV_DOMAIN_COUNT,
};

static inline enum vv_domain vv_domain_of(unsigned api) {
    return api == VV_API_MMAP ? VV_DOMAIN_MMAP : VV_DOMAIN_MALLOC;
}

struct vv_request {
    size_t byte_count;
    size_t alignment; /* a power of two; VV_QUANTUM_BYTES when the caller did not ask */
    enum vv_api api;
    bool zeroed;
    void *const
        *frame; /* frame pointer of the called function: [0] caller's rbp, [1] return address */
};

/* What a sized or aligned operator delete says of its block; 0: nothing. */
struct vv_stated {
    size_t byte_count;
    size_t alignment;
};

#define VV_NOTHING_STATED ((struct vv_stated){0, 0})

/* The frame of the function in which it stands; that function must not be inlined. */
#define VV_FRAME() ((void *const *)__builtin_frame_address(0))

#endif
