/* SPDX-License-Identifier: MIT
 * heap/meta.h - the allocator's own memory: heaps, planes, records of huge blocks, tables.
 *
 * Pieces are powers of two, cut from chunks that are never returned; a freed piece waits for the
 * next request of its size. Threads: any; takes the meta lock. */
#ifndef VV_HEAP_META_H
#define VV_HEAP_META_H

#include "base/bits.h"
#include "os/lock.h"

extern struct vv_lock vv_meta_lock;

/* Zeroed memory aligned to a cache line, or NULL. */
void *vv_meta_allocate(size_t byte_count);

/* `byte_count` is that of the allocation. Accepts NULL. */
void vv_meta_free(void *memory, size_t byte_count);

/* Bytes obtained from the system so far. */
size_t vv_meta_mapped_bytes(void);

#endif
