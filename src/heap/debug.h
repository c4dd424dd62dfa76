/* SPDX-License-Identifier: MIT
 * heap/debug.h - VARVE_DEBUG=1: finding misuse of blocks while the program runs.
 *
 *   live block:   | CD CD ... what the program asked for ... | FD FD ... guard |
 *   freed block:  | link | DD DD DD ...                                       |
 *   freed block over 64 KiB: no memory, every access faults
 *
 * Fresh bytes are filled with 0xCD and freed ones with 0xDD; behind each block are guard bytes
 * 0xFD, at least VV_DEBUG_GUARD_BYTES, which also catch what is written before the next block (the
 * byte values are those of CPython's debug hooks). A freed block waits in a quarantine before it
 * is used again; what is written to it meanwhile is found when it leaves, or at its next use.
 * The mark of a block (heap/plane.h) says which function allocated it and with which alignment, or
 * that it is free. */
#ifndef VV_HEAP_DEBUG_H
#define VV_HEAP_DEBUG_H

#include "heap/place.h"
#include "heap/request.h"

#define VV_DEBUG_GUARD_BYTES 16

/* const after process start */
extern bool vv_debug_on;

/* Called once, before the first allocation. */
void vv_debug_enable(void);

/* What must be taken for a request. The caller has excluded overflow. */
static inline size_t vv_debug_padded_bytes(size_t byte_count) {
    return vv_unlikely(vv_debug_on) ? byte_count + VV_DEBUG_GUARD_BYTES : byte_count;
}

/* Prepares a block whose fact has been set. Fatal: it was written to while it was free. */
void vv_debug_allocated(const struct vv_place *place, const struct vv_request *request);

/* Fatal: the block is not live, was allocated by a function that does not go with `api`, has not
 * the stated size or alignment, or was written to behind its end. VV_API_NONE: a free that was
 * deferred, by whatever function. */
void vv_debug_check_free(const struct vv_place *place, enum vv_api api, struct vv_stated stated);

/* Fatal: the block whose usable size is asked for is not live. */
void vv_debug_check_usable(const struct vv_place *place);

/* Whether the block waits in the quarantine. */
bool vv_debug_is_freed(const struct vv_place *place);

/* Puts a freed block into the quarantine. True: *place is now a block to be given back, one that
 * has left the quarantine or the same. False: nothing is to be given back. */
bool vv_debug_quarantine(struct vv_place *place);

/* Gives back the blocks of over 64 KiB that wait there, when memory is short. False: none. */
bool vv_debug_release_big(struct vv_thread *thread);

/* What waits there, which statistics count as live. */
void vv_debug_count_quarantine(size_t *out_block_count, size_t *out_byte_count);

#endif
