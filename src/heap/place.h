/* SPDX-License-Identifier: MIT
 * heap/place.h - where a block lies, of whatever size: in a small pool, as a medium pool, huge. */
#ifndef VV_HEAP_PLACE_H
#define VV_HEAP_PLACE_H

#include "heap/huge.h"
#include "heap/plane.h"
#include "heap/thread.h"

/* Exactly one of pool and huge is not NULL. */
struct vv_place {
    void *block;
    struct vv_pool *pool; /* small or medium: its first record */
    struct vv_huge *huge;
    uint32_t index; /* small: block number, set when the pool has a plane */
    bool untouched; /* after vv_place_take(): the block reads as zero */
};

/* What a block is needed for. */
struct vv_need {
    size_t byte_count;
    size_t alignment; /* a power of two, at least the quantum */
    bool untouched;   /* memory that reads as zero is welcome */
    bool growing;     /* realloc has grown the block and is likely to do so again */
};

/* Takes memory for a block. False: out of memory. */
bool vv_place_take(struct vv_thread *thread, enum vv_lane lane, const struct vv_need *need,
                   struct vv_place *out_place);

/* Gives the memory back, from any thread. */
void vv_place_give(struct vv_thread *thread, const struct vv_place *place);

/* Finds the block that begins at `address`. False: varve has no such block; a small block that is
 * free, and an address inside a small block, are found out in debug mode only. */
bool vv_place_find(const void *address, struct vv_place *out_place);

/* Changes the size where the block lies; a huge block may move to another address (place->block
 * changes). False: a new block is needed, nothing changed. */
bool vv_place_resize(struct vv_place *place, size_t new_byte_count);

size_t vv_place_usable_bytes(const struct vv_place *place);

/* The facts of a block that keeps some; site VV_SITE_NONE otherwise. */
struct vv_fact vv_place_get_fact(const struct vv_place *place);
bool vv_place_keeps_facts(const struct vv_place *place);
void vv_place_set_fact(struct vv_place *place, struct vv_fact fact);
void vv_place_clear_fact(struct vv_place *place);

/* Makes the site of a block with facts VV_SITE_UNKNOWN, while its owner may be using it. */
void vv_place_forget_site(struct vv_place *place);

/* The mark of debug mode. */
uint8_t *vv_place_mark(const struct vv_place *place);

#endif
