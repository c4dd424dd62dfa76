/* SPDX-License-Identifier: MIT
 * heap/arena.h - handing out runs of granules, first fit by address.
 *
 * An arena is two bitmaps. First fit at the lowest address keeps live memory dense and lets the
 * high arenas drain; memory that is resident already lies low, so it is reused before new pages
 * are touched. A freed granule stays resident (dirty) until its arena's purge time has come.
 *
 * One lock guards all arenas. It is taken when a pool or a medium block comes or goes, which is
 * once in hundreds of small allocations. */
#ifndef VV_HEAP_ARENA_H
#define VV_HEAP_ARENA_H

#include "heap/geometry.h"
#include "os/lock.h"

__extension__ typedef unsigned __int128 vv_granule_set; /* bit i: granule i of the arena */

/* Invariant: dirty and free describe only granules of the arena; a granule that is neither free
 * nor dirty belongs to a pool or was never touched; longest_free_run is that of `free`. */
struct vv_arena {
    vv_granule_set free;
    vv_granule_set dirty;      /* may hold old contents: does not read as zero */
    uint64_t purge_at_ms;      /* when the free dirty granules go back; 0: there are none */
    uint16_t longest_free_run; /* granules */
    bool is_emergency;         /* const after init: belongs to heap/emergency.h, nothing is free */
    uint8_t spare[21];
};
_Static_assert(sizeof(struct vv_arena) == VV_CACHE_LINE_BYTES, "one arena, one cache line");

/* A run of granules on its way between the arenas and a pool. */
struct vv_granule_run {
    uint32_t first; /* granule number in the region */
    uint32_t count;
    bool fresh; /* all bytes read as zero */
};

/* How much memory the arenas hold, in bytes. */
struct vv_arena_totals {
    size_t usable_bytes; /* arenas * arena size */
    size_t taken_bytes;  /* granules in pools and medium blocks */
    size_t dirty_bytes;  /* granules that are free and still resident */
    size_t purged_bytes; /* given back so far */
    size_t arena_count;
};

extern struct vv_lock vv_arena_lock;

/* Fills the bitmaps of the arenas that vv_region_init() made usable. Called once. */
void vv_arenas_init(void);

/* Takes `count` adjacent granules whose first is a multiple of `alignment` (a power of two, at
 * most an arena, in granules). Up to an arena's worth they are of one arena; more begin with an
 * arena. False: out of memory. Takes the arena lock; so do all below. */
bool vv_arena_take(uint32_t count, uint32_t alignment, struct vv_granule_run *out_run);

/* Adds an arena to the emergency reserve when it is low. Cheap when it is not. */
void vv_arena_refill_emergency(void);

/* Gives granules back; the first `touched_count` of them may hold old contents. */
void vv_arena_give(uint32_t first, uint32_t count, uint32_t touched_count);

/* Takes the `count` granules from granule `end` on, if they are free. */
bool vv_arena_extend(uint32_t end, uint32_t count, bool *out_fresh);

/* Returns free memory to the system where the time has come; `now_ms` UINT64_MAX: everywhere.
 * Returns the bytes given back. */
size_t vv_arena_purge(uint64_t now_ms);

/* The earliest time at which vv_arena_purge() has something to do; UINT64_MAX: never. Cheap,
 * takes no lock. */
uint64_t vv_arena_next_purge_ms(void);

void vv_arena_get_totals(struct vv_arena_totals *out_totals);

/* How long freed memory stays resident, in ms (VARVE_PURGE_MS). */
extern uint64_t vv_purge_delay_ms;

/* Checks the invariants of all arenas. NULL, or what is wrong. */
const char *vv_arena_check(void);

#endif
