/* SPDX-License-Identifier: MIT
 * heap/operations.h - allocation and freeing in full: every size, thread state, lane and mode.
 * The fast paths (heap/fast.h) serve the common case and leave all else to these.
 *
 * Errors: NULL with errno ENOMEM; success and freeing leave errno as it is. Misuse is fatal. */
#ifndef VV_HEAP_OPERATIONS_H
#define VV_HEAP_OPERATIONS_H

#include "heap/request.h"

/* Called instead of malloc and free by their fast paths, by a jump: the frame is the caller's. */
void *vv_malloc_slow(size_t byte_count);
void vv_free_slow(void *block);

/* Serves any request. alignment is a power of two; byte_count may be too big. */
void *vv_allocate(const struct vv_request *request);

/* Frees a block through the function `api`. Accepts NULL. */
void vv_release(void *block, enum vv_api api, struct vv_stated stated, const void *frame);

/* realloc(), with the C library's rules: NULL allocates, size 0 frees and returns NULL. */
void *vv_reallocate(void *block, const struct vv_request *request);

/* Bytes that the program may use in a live block, 0 for NULL. Fatal for a foreign pointer. */
size_t vv_usable_bytes(const void *block);

#endif
