/* SPDX-License-Identifier: MIT
 * heap/misuse.h - the sentences in which varve names what a program did wrong. Each ends the
 * process; each has a test in tests/preload/test_debug.py. Found without debug mode: a pointer
 * that is not a block at all. The rest needs VARVE_DEBUG=1. */
#ifndef VV_HEAP_MISUSE_H
#define VV_HEAP_MISUSE_H

#include "heap/place.h"
#include "heap/request.h"

/* "free of 0x..., which is not a block of varve", or "... which is inside the block ...", or
 * "... whose memory has been freed". */
VV_COLD _Noreturn void vv_misuse_invalid_free(const void *address);

/* "0x... is not a block of varve" */
VV_COLD _Noreturn void vv_misuse_foreign_pointer(const void *address);

/* "SENTENCE block 0x... of N bytes TAIL", then where it was allocated, if that was traced. */
VV_COLD _Noreturn void vv_misuse_block(const char *sentence, const struct vv_place *place,
                                       struct vv_fact fact, const char *tail);

/* "block 0x... of N bytes allocated by malloc was freed by operator delete" */
VV_COLD _Noreturn void vv_misuse_mismatch(const struct vv_place *place, enum vv_api allocated_by,
                                          enum vv_api freed_by);

/* "sized operator delete of block 0x... of N bytes says M bytes" */
VV_COLD _Noreturn void vv_misuse_wrong_size(const struct vv_place *place, size_t stated_bytes);

/* "aligned operator delete of block 0x... of N bytes says an alignment of A, not B [or more]" */
VV_COLD _Noreturn void vv_misuse_wrong_alignment(const struct vv_place *place, size_t alignment,
                                                 bool or_more, size_t stated_alignment);

#endif
