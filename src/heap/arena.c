/* SPDX-License-Identifier: MIT */
#include "heap/arena.h"

#include "heap/emergency.h"
#include "heap/region.h"
#include "os/clock.h"

#include <stdatomic.h>

struct vv_lock vv_arena_lock = VV_LOCK(VV_RANK_ARENA);
uint64_t vv_purge_delay_ms = 500;

static _Atomic uint64_t next_purge_ms = UINT64_MAX;
static size_t purged_bytes; /* arena lock */

/* Runs are sought by order, floor(log2(granules)). No arena below lowest_with_run[order] has a
 * free run of 2^order granules. Arena lock. */
#define ORDER_COUNT (VV_ARENA_SHIFT - VV_GRANULE_SHIFT + 1)
static uint32_t lowest_with_run[ORDER_COUNT];

#define NO_RUN UINT32_MAX
static const vv_granule_set one = 1;

static vv_granule_set run_bits(uint32_t first, uint32_t count) {
    vv_granule_set ones = count == 128 ? ~(vv_granule_set)0 : (one << count) - 1;
    return ones << first;
}

/* Bit i of the result: `count` granules from i on are all in `set`. */
static vv_granule_set run_starts(vv_granule_set set, uint32_t count) {
    for (uint32_t have = 1; have < count && set != 0;) {
        uint32_t step = have < count - have ? have : count - have;
        set &= set >> step;
        have += step;
    }
    return set;
}

static uint32_t lowest_granule(vv_granule_set set) {
    uint64_t low = (uint64_t)set;
    return low != 0 ? vv_lowest_bit(low) : 64 + vv_lowest_bit((uint64_t)(set >> 64));
}

static uint32_t granule_count_of(vv_granule_set set) {
    return (uint32_t)(__builtin_popcountll((uint64_t)set) +
                      __builtin_popcountll((uint64_t)(set >> 64)));
}

/* Finds the longest run by doubling: starts[k] are the starts of runs of 2^k. */
static uint16_t longest_run(vv_granule_set set) {
    if (set == 0) return 0;
    vv_granule_set starts[ORDER_COUNT] = {set};
    unsigned order = 0;
    for (; order + 1 < ORDER_COUNT; order++) {
        starts[order + 1] = starts[order] & (starts[order] >> (1u << order));
        if (starts[order + 1] == 0) break;
    }
    uint32_t length = 1u << order;
    vv_granule_set begins = starts[order];
    while (order-- > 0) {
        vv_granule_set longer = length < 128 ? begins & (starts[order] >> length) : 0;
        if (longer == 0) continue;
        begins = longer;
        length += 1u << order;
    }
    return (uint16_t)length;
}

/* Granules whose number is a multiple of `alignment`. */
static vv_granule_set aligned_granules(uint32_t alignment) {
    vv_granule_set set = one;
    for (uint32_t step = alignment; step < VV_ARENA_GRANULE_COUNT; step *= 2) set |= set << step;
    return set;
}

static struct vv_arena *arena_at(uint32_t index) {
    return &vv_region.arenas[index];
}

static void set_free(uint32_t arena_index, vv_granule_set free) {
    struct vv_arena *arena = arena_at(arena_index);
    arena->free = free;
    arena->longest_free_run = longest_run(free);
    for (unsigned order = 0; arena->longest_free_run >> order != 0; order++) {
        if (lowest_with_run[order] > arena_index) lowest_with_run[order] = arena_index;
    }
}

static void add_arenas(uint32_t from) {
    vv_granule_set all = run_bits(0, VV_ARENA_GRANULE_COUNT);
    for (uint32_t index = from; index < vv_region_arena_count(); index++) set_free(index, all);
}

static void add_emergency_arena(uint32_t index) {
    arena_at(index)->is_emergency = true;
    vv_emergency_add_arena(index);
}

/* Arena 0 is the emergency reserve: no ordinary run ever comes from it, so no pool has index 0. */
void vv_arenas_init(void) {
    for (unsigned order = 0; order < ORDER_COUNT; order++) lowest_with_run[order] = UINT32_MAX;
    add_emergency_arena(0);
    add_arenas(1);
}

/* The first granule of the lowest fitting run in the arena, or NO_RUN. */
static uint32_t find_in_arena(uint32_t index, uint32_t count, uint32_t alignment) {
    if (arena_at(index)->longest_free_run < count) return NO_RUN;
    vv_granule_set starts = run_starts(arena_at(index)->free, count);
    if (alignment > 1) starts &= aligned_granules(alignment);
    return starts != 0 ? lowest_granule(starts) : NO_RUN;
}

/* Takes free granules of one arena. Returns whether they read as zero. */
static bool take_granules(uint32_t index, vv_granule_set run) {
    struct vv_arena *arena = arena_at(index);
    bool fresh = (arena->dirty & run) == 0;
    vv_assert((arena->free & run) == run);
    arena->dirty &= ~run;
    set_free(index, arena->free & ~run);
    return fresh;
}

static bool take_from(uint32_t index, uint32_t count, uint32_t alignment,
                      struct vv_granule_run *out_run) {
    uint32_t start = find_in_arena(index, count, alignment);
    if (start == NO_RUN) return false;
    out_run->first = index * VV_ARENA_GRANULE_COUNT + start;
    out_run->count = count;
    out_run->fresh = take_granules(index, run_bits(start, count));
    return true;
}

/* --- runs over several arenas --- */

/* The part of a run that lies in one arena. */
struct part {
    uint32_t arena_index;
    vv_granule_set granules;
    uint32_t count;
};

static struct part first_part(uint32_t first, uint32_t count) {
    uint32_t start = first % VV_ARENA_GRANULE_COUNT;
    uint32_t fitting = VV_ARENA_GRANULE_COUNT - start;
    if (count > fitting) count = fitting;
    return (struct part){first / VV_ARENA_GRANULE_COUNT, run_bits(start, count), count};
}

static bool run_is_free(uint32_t first, uint32_t count) {
    while (count > 0) {
        struct part part = first_part(first, count);
        if (part.arena_index >= vv_region_arena_count()) return false;
        if ((arena_at(part.arena_index)->free & part.granules) != part.granules) return false;
        first += part.count;
        count -= part.count;
    }
    return true;
}

static bool take_run(uint32_t first, uint32_t count) {
    bool fresh = true;
    while (count > 0) {
        struct part part = first_part(first, count);
        fresh &= take_granules(part.arena_index, part.granules);
        first += part.count;
        count -= part.count;
    }
    return fresh;
}

/* Whole arenas, and the beginning of the one behind them. */
static bool take_spanning(uint32_t count, struct vv_granule_run *out_run) {
    uint32_t arena_count = (uint32_t)vv_region_arena_count();
    for (uint32_t index = lowest_with_run[ORDER_COUNT - 1]; index < arena_count; index++) {
        if (arena_at(index)->longest_free_run < VV_ARENA_GRANULE_COUNT) continue;
        uint32_t first = index * VV_ARENA_GRANULE_COUNT;
        if (!run_is_free(first, count)) continue;
        *out_run = (struct vv_granule_run){first, count, take_run(first, count)};
        return true;
    }
    return false;
}

/* Searches upwards and remembers how far up the search for this order may begin next time. */
static bool take_locked(uint32_t count, uint32_t alignment, struct vv_granule_run *out_run) {
    if (count > VV_ARENA_GRANULE_COUNT) return take_spanning(count, out_run);
    unsigned order = vv_log2(count);
    uint32_t arena_count = (uint32_t)vv_region_arena_count();
    bool may_raise = true;
    for (uint32_t index = lowest_with_run[order]; index < arena_count; index++) {
        if (may_raise) lowest_with_run[order] = index;
        if (arena_at(index)->longest_free_run >> order != 0) may_raise = false;
        if (take_from(index, count, alignment, out_run)) return true;
    }
    if (may_raise) lowest_with_run[order] = UINT32_MAX;
    return false;
}

static bool grow_locked(void) {
    uint32_t old_count = (uint32_t)vv_region_arena_count();
    if (!vv_region_grow()) return false;
    if (vv_emergency_is_low()) add_emergency_arena(old_count++);
    add_arenas(old_count);
    return true;
}

void vv_arena_refill_emergency(void) {
    if (!vv_emergency_is_low()) return;
    vv_lock(&vv_arena_lock);
    grow_locked();
    vv_unlock(&vv_arena_lock);
}

bool vv_arena_take(uint32_t count, uint32_t alignment, struct vv_granule_run *out_run) {
    vv_lock(&vv_arena_lock);
    bool taken = take_locked(count, alignment, out_run);
    while (!taken && grow_locked()) taken = take_locked(count, alignment, out_run);
    vv_unlock(&vv_arena_lock);
    return taken;
}

static void schedule_purge(struct vv_arena *arena) {
    if (arena->purge_at_ms != 0) return;
    arena->purge_at_ms = vv_clock_coarse_ms() + vv_purge_delay_ms;
    if (arena->purge_at_ms < vv_arena_next_purge_ms()) {
        atomic_store_explicit(&next_purge_ms, arena->purge_at_ms, memory_order_relaxed);
    }
}

static void give_part(const struct part *part, uint32_t touched_count) {
    struct vv_arena *arena = arena_at(part->arena_index);
    vv_assert((arena->free & part->granules) == 0);
    if (touched_count > 0) {
        uint32_t start = lowest_granule(part->granules);
        if (touched_count > part->count) touched_count = part->count;
        arena->dirty |= run_bits(start, touched_count);
        schedule_purge(arena);
    }
    set_free(part->arena_index, arena->free | part->granules);
}

void vv_arena_give(uint32_t first, uint32_t count, uint32_t touched_count) {
    vv_lock(&vv_arena_lock);
    while (count > 0) {
        struct part part = first_part(first, count);
        give_part(&part, touched_count);
        first += part.count;
        count -= part.count;
        touched_count -= touched_count < part.count ? touched_count : part.count;
    }
    vv_unlock(&vv_arena_lock);
}

bool vv_arena_extend(uint32_t end, uint32_t count, bool *out_fresh) {
    vv_lock(&vv_arena_lock);
    bool possible = run_is_free(end, count);
    if (possible) *out_fresh = take_run(end, count);
    vv_unlock(&vv_arena_lock);
    return possible;
}

/* Purges the free dirty granules of an arena. They are out of `free` meanwhile, so the lock is
 * not held during the system calls. */
static size_t purge_arena_locked(uint32_t index) {
    struct vv_arena *arena = arena_at(index);
    vv_granule_set target = arena->free & arena->dirty;
    arena->purge_at_ms = 0;
    if (target == 0) return 0;
    set_free(index, arena->free & ~target);
    vv_unlock(&vv_arena_lock);

    vv_granule_set failed = 0;
    char *base = vv_region.base + ((size_t)index << VV_ARENA_SHIFT);
    for (vv_granule_set left = target; left != 0;) {
        uint32_t start = lowest_granule(left);
        vv_granule_set rest = ~(left >> start);
        uint32_t count = rest == 0 ? 128 - start : lowest_granule(rest);
        if (start + count > VV_ARENA_GRANULE_COUNT) count = VV_ARENA_GRANULE_COUNT - start;
        vv_granule_set run = run_bits(start, count);
        if (!vv_pages_purge(base + start * VV_GRANULE_BYTES, count * VV_GRANULE_BYTES)) {
            failed |= run;
        }
        left &= ~run;
    }

    vv_lock(&vv_arena_lock);
    arena->dirty &= ~(target & ~failed);
    set_free(index, arena->free | target);
    return granule_count_of(target & ~failed) * VV_GRANULE_BYTES;
}

size_t vv_arena_purge(uint64_t now_ms) {
    size_t given_bytes = 0;
    uint64_t next_ms = UINT64_MAX;
    vv_lock(&vv_arena_lock);
    atomic_store_explicit(&next_purge_ms, UINT64_MAX, memory_order_relaxed);
    for (uint32_t index = 1; index < vv_region_arena_count(); index++) {
        uint64_t purge_at_ms = arena_at(index)->purge_at_ms;
        if (purge_at_ms == 0) continue;
        if (purge_at_ms <= now_ms) {
            given_bytes += purge_arena_locked(index);
        } else if (purge_at_ms < next_ms) {
            next_ms = purge_at_ms;
        }
    }
    purged_bytes += given_bytes;
    if (next_ms < vv_arena_next_purge_ms()) {
        atomic_store_explicit(&next_purge_ms, next_ms, memory_order_relaxed);
    }
    vv_unlock(&vv_arena_lock);
    return given_bytes;
}

uint64_t vv_arena_next_purge_ms(void) {
    return atomic_load_explicit(&next_purge_ms, memory_order_relaxed);
}

void vv_arena_get_totals(struct vv_arena_totals *out_totals) {
    vv_lock(&vv_arena_lock);
    struct vv_arena_totals totals = {.usable_bytes = vv_region_usable_bytes(),
                                     .arena_count = vv_region_arena_count(),
                                     .purged_bytes = purged_bytes};
    for (uint32_t index = 0; index < totals.arena_count; index++) {
        const struct vv_arena *arena = arena_at(index);
        if (arena->is_emergency) continue;
        size_t free_granules = granule_count_of(arena->free);
        totals.taken_bytes += (VV_ARENA_GRANULE_COUNT - free_granules) * VV_GRANULE_BYTES;
        totals.dirty_bytes += granule_count_of(arena->free & arena->dirty) * VV_GRANULE_BYTES;
    }
    vv_unlock(&vv_arena_lock);
    *out_totals = totals;
}

static const char *check_arena(uint32_t index) {
    const struct vv_arena *arena = arena_at(index);
    vv_granule_set all = run_bits(0, VV_ARENA_GRANULE_COUNT);
    vv_expect((arena->free & ~all) == 0, "an arena has granules outside");
    vv_expect((arena->dirty & ~all) == 0, "an arena has dirty granules outside");
    vv_expect(arena->longest_free_run == longest_run(arena->free), "an arena's run is miscounted");
    for (unsigned order = 0; arena->longest_free_run >> order != 0; order++) {
        vv_expect(lowest_with_run[order] <= index, "the search would miss an arena");
    }
    return NULL;
}

const char *vv_arena_check(void) {
    const char *wrong = NULL;
    vv_lock(&vv_arena_lock);
    for (uint32_t index = 1; index < vv_region_arena_count() && wrong == NULL; index++) {
        wrong = check_arena(index);
    }
    vv_unlock(&vv_arena_lock);
    return wrong;
}
