/* SPDX-License-Identifier: MIT
 * heap/huge.h - blocks too big for an arena: each is a mapping of its own.
 *
 * A freed mapping rests in a small cache, since a page that is already there costs nothing and a
 * new one over a microsecond; the cache gives way after a time, or when it holds too much. A
 * mapping that does not fit is grown or shrunk by mremap, which moves pages without copying.
 *
 * Found by address in a hash table under the huge lock. The record of a live block stays where it
 * is, so whoever owns the block may use its record without the lock. */
#ifndef VV_HEAP_HUGE_H
#define VV_HEAP_HUGE_H

#include "heap/geometry.h"
#include "os/lock.h"

#include <stdatomic.h>

struct vv_huge {
    char *address;
    size_t mapped_bytes; /* whole pages */
    size_t alignment;
    size_t requested_bytes; /* fact; 0 while facts are not kept */
    _Atomic uint32_t site;  /* fact */
    uint8_t mark;           /* of debug mode */
    uint64_t freed_at_ms;   /* in the cache */
    struct vv_huge *next;   /* hash chain, or cache list */
};

extern struct vv_lock vv_huge_lock;

/* A block of at least `byte_count` (at most PTRDIFF_MAX), or NULL. *out_untouched: it reads as
 * zero; `prefer_untouched` asks for that. */
struct vv_huge *vv_huge_new(size_t byte_count, size_t alignment, bool prefer_untouched,
                            bool *out_untouched);

/* The live block that begins at `address`, or NULL. */
struct vv_huge *vv_huge_find(const void *address);

/* Frees a live block; its record is gone afterwards. */
void vv_huge_free(struct vv_huge *huge);

/* Changes the size and perhaps the address. False: not possible, nothing changed. */
bool vv_huge_resize(struct vv_huge *huge, size_t new_byte_count);

/* Gives cached mappings back whose time has come; UINT64_MAX: all. Returns the bytes given. */
size_t vv_huge_purge(uint64_t now_ms);

/* The earliest time at which vv_huge_purge() has something to do; UINT64_MAX: never. */
uint64_t vv_huge_next_purge_ms(void);

/* Calls `visit` for every live block, with the huge lock held. */
void vv_huge_visit(void (*visit)(struct vv_huge *huge, void *argument), void *argument);

struct vv_huge_totals {
    size_t live_count;
    size_t live_bytes;
    size_t cached_bytes;
    size_t purged_bytes; /* given back so far */
};
void vv_huge_get_totals(struct vv_huge_totals *out_totals);

#endif
