/* SPDX-License-Identifier: MIT
 * os/scratch.h - memory that is taken bit by bit and given back all at once.
 *
 * Straight from the system, so that reading a trace inside the traced process changes nothing of
 * what is read. Not thread-safe: one owner. */
#ifndef VV_OS_SCRATCH_H
#define VV_OS_SCRATCH_H

#include "base/bits.h"

struct vv_scratch; /* lies in its own first chunk */

/* NULL: no memory. */
struct vv_scratch *vv_scratch_new(void);
void vv_scratch_free(struct vv_scratch *scratch);

/* `byte_count` zeroed bytes, aligned to 16. NULL: no memory. */
void *vv_scratch_take(struct vv_scratch *scratch, size_t byte_count);

/* `count` elements of `element_bytes`, checked for overflow. */
void *vv_scratch_take_array(struct vv_scratch *scratch, size_t count, size_t element_bytes);

/* A bigger place for an array of which `used_bytes` are in use: in place when it is the last thing
 * that was taken, else copied, and the old place is wasted. */
void *vv_scratch_grow(struct vv_scratch *scratch, void *place, size_t used_bytes,
                      size_t byte_count);

/* A copy of a text, with a zero byte behind it. */
char *vv_scratch_copy_text(struct vv_scratch *scratch, const char *text, size_t length);

#endif
