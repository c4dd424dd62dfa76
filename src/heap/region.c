/* SPDX-License-Identifier: MIT */
#include "heap/region.h"

#include "heap/arena.h"
#include "heap/pool.h"
#include "os/clock.h"

#include "base/hash.h"

struct vv_region vv_region;

/* The three parts of the plan, for a region of VV_REGION_MAX_BYTES. */
#define RECORDS_BYTES (VV_REGION_MAX_GRANULES * sizeof(struct vv_pool))
#define ARENAS_BYTES (VV_REGION_MAX_ARENAS * sizeof(struct vv_arena))
#define PLAN_BYTES (VV_REGION_MAX_BYTES + RECORDS_BYTES + ARENAS_BYTES)

/* What one arena needs of the other parts, in bytes. */
#define RECORDS_BYTES_PER_ARENA (VV_ARENA_GRANULE_COUNT * sizeof(struct vv_pool))
_Static_assert(RECORDS_BYTES_PER_ARENA % VV_PAGE_BYTES == 0, "commits whole pages");
#define ARENAS_PER_PAGE (VV_PAGE_BYTES / sizeof(struct vv_arena))

/* Arenas made usable at a time: a quarter of what there is, from 2 to 16, so that a small process
 * takes little and a large one seldom calls the system. */
#define GROW_MIN_ARENAS 2
#define GROW_MAX_ARENAS 16

/* Under a limit on address space the region takes at most this share of it per step. */
#define LIMITED_STEP_DIVISOR 16

static void set_plan(char *base) {
    vv_region.base = base;
    vv_region.pools = (struct vv_pool *)(void *)(base + VV_REGION_MAX_BYTES);
    vv_region.arenas = (struct vv_arena *)(void *)(base + VV_REGION_MAX_BYTES + RECORDS_BYTES);
}

static bool reserve_whole_plan(void) {
    if (vv_pages_address_space_limit() < 2 * PLAN_BYTES) return false;
    char *base = vv_pages_reserve(PLAN_BYTES, VV_ARENA_BYTES);
    if (base == NULL) return false;
    set_plan(base);
    vv_region.reserved_bytes = VV_REGION_MAX_BYTES;
    return true;
}

/* The pieces of the three parts that belong to a range of arenas. */
struct piece {
    char *address;
    size_t byte_count;
};
enum { PIECE_BLOCKS, PIECE_RECORDS, PIECE_ARENAS, PIECE_COUNT };

/* Bytes of the arena records' part that the first `arena_count` arenas need, in whole pages. */
static size_t arena_records_bytes(size_t arena_count) {
    return vv_align_up(arena_count * sizeof(struct vv_arena), VV_PAGE_BYTES);
}

static void pieces_of(size_t first, size_t count, struct piece *pieces) {
    size_t arenas_begin = arena_records_bytes(first);
    pieces[PIECE_BLOCKS].address = vv_region.base + (first << VV_ARENA_SHIFT);
    pieces[PIECE_BLOCKS].byte_count = count << VV_ARENA_SHIFT;
    pieces[PIECE_RECORDS].address = (char *)vv_region.pools + first * RECORDS_BYTES_PER_ARENA;
    pieces[PIECE_RECORDS].byte_count = count * RECORDS_BYTES_PER_ARENA;
    pieces[PIECE_ARENAS].address = (char *)vv_region.arenas + arenas_begin;
    pieces[PIECE_ARENAS].byte_count = arena_records_bytes(first + count) - arenas_begin;
}

static bool reserve_step(size_t arena_count) {
    size_t first = vv_region.reserved_bytes >> VV_ARENA_SHIFT;
    if (first + arena_count > VV_REGION_MAX_ARENAS) return false;
    struct piece pieces[PIECE_COUNT];
    pieces_of(first, arena_count, pieces);
    for (unsigned index = 0; index < PIECE_COUNT; index++) {
        const struct piece *piece = &pieces[index];
        if (piece->byte_count == 0) continue;
        if (vv_pages_reserve_at(piece->address, piece->byte_count)) continue;
        while (index-- > 0) vv_pages_unmap(pieces[index].address, pieces[index].byte_count);
        return false;
    }
    vv_region.reserved_bytes += arena_count << VV_ARENA_SHIFT;
    return true;
}

/* Finds a place for the plan where its first step can be reserved. The middle of the 47-bit
 * address space is empty: programs lie below it, libraries and stacks at its end. */
static bool reserve_first_step(size_t arena_count) {
    const uint64_t lowest = (uint64_t)16 << 40, highest = (uint64_t)80 << 40;
    uint64_t seed = vv_clock_ns() ^ (uintptr_t)&seed;
    for (unsigned attempt = 0; attempt < 16; attempt++) {
        seed = vv_mix64(seed + attempt);
        uint64_t address = lowest + seed % (highest - lowest);
        set_plan((char *)vv_align_down((size_t)address, VV_ARENA_BYTES));
        if (reserve_step(arena_count)) return true;
    }
    return false;
}

static size_t limited_step_arenas(void) {
    size_t step_bytes = vv_pages_address_space_limit() / LIMITED_STEP_DIVISOR;
    return vv_min(vv_max(step_bytes >> VV_ARENA_SHIFT, GROW_MIN_ARENAS), GROW_MAX_ARENAS);
}

bool vv_region_init(void) {
    bool is_reserved = vv_region.reserved_bytes > 0; /* by an attempt that failed later */
    if (!is_reserved && !reserve_whole_plan() && !reserve_first_step(limited_step_arenas()) &&
        !reserve_first_step(GROW_MIN_ARENAS)) {
        return false;
    }
    return vv_region_grow();
}

static bool commit(size_t arena_count) {
    size_t first = vv_region_arena_count();
    size_t wanted_bytes = (first + arena_count) << VV_ARENA_SHIFT;
    while (vv_region.reserved_bytes < wanted_bytes) {
        if (!reserve_step(limited_step_arenas()) && !reserve_step(1)) return false;
    }
    struct piece pieces[PIECE_COUNT];
    pieces_of(first, arena_count, pieces);
    for (unsigned index = 0; index < PIECE_COUNT; index++) {
        const struct piece *piece = &pieces[index];
        if (piece->byte_count == 0) continue;
        if (!vv_pages_commit(piece->address, piece->byte_count)) return false;
    }
    atomic_store_explicit(&vv_region.usable_bytes, wanted_bytes, memory_order_relaxed);
    return true;
}

bool vv_region_grow(void) {
    size_t quarter = vv_region_arena_count() / 4;
    size_t wanted = vv_min(vv_max(quarter, GROW_MIN_ARENAS), GROW_MAX_ARENAS);
    size_t left = VV_REGION_MAX_ARENAS - vv_region_arena_count();
    if (left == 0) return false;
    return commit(vv_min(wanted, left)) || commit(1);
}
