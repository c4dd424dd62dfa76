/* SPDX-License-Identifier: MIT */
#include "heap/emergency.h"

#include "heap/arena.h"
#include "heap/medium.h"

#define WORD_GRANULES 64
#define WORDS_PER_ARENA ((VV_ARENA_GRANULE_COUNT + WORD_GRANULES - 1) / WORD_GRANULES)
#define WORD_MAX_COUNT 128

/* Bit i of a word: granule first_granule + i is free. */
struct word {
    _Atomic uint64_t free;
    uint32_t first_granule; /* const after the word is published by word_count */
};
static struct word words[WORD_MAX_COUNT];
static _Atomic uint32_t word_count;

void vv_emergency_add_arena(uint32_t arena_index) {
    uint32_t count = atomic_load_explicit(&word_count, memory_order_relaxed);
    for (uint32_t word = 0; word < WORDS_PER_ARENA && count < WORD_MAX_COUNT; word++, count++) {
        words[count].first_granule = arena_index * VV_ARENA_GRANULE_COUNT + word * WORD_GRANULES;
        atomic_store_explicit(&words[count].free, ~(uint64_t)0, memory_order_relaxed);
    }
    atomic_store_explicit(&word_count, count, memory_order_release); /* pairs with takers */
}

/* Low when the last word, which serves last, is in use, or is the only one. */
bool vv_emergency_is_low(void) {
    uint32_t count = atomic_load_explicit(&word_count, memory_order_relaxed);
    if (count == 0 || count == WORD_MAX_COUNT) return false;
    if (count == 1) return true; /* an arena of the classic geometry is one word */
    return ~atomic_load_explicit(&words[count - 1].free, memory_order_relaxed) != 0;
}

static uint64_t run_bits(unsigned start, unsigned count) {
    return (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << start;
}

static uint64_t run_starts(uint64_t set, unsigned count) {
    for (unsigned have = 1; have < count && set != 0;) {
        unsigned step = have < count - have ? have : count - have;
        set &= set >> step;
        have += step;
    }
    return set;
}

static bool take_from(struct word *word, unsigned count, uint32_t *out_granule) {
    uint64_t free = atomic_load_explicit(&word->free, memory_order_relaxed);
    for (;;) {
        uint64_t starts = run_starts(free, count);
        if (starts == 0) return false;
        unsigned start = vv_lowest_bit(starts);
        if (atomic_compare_exchange_weak_explicit(&word->free, &free,
                                                  free & ~run_bits(start, count),
                                                  memory_order_acquire, memory_order_relaxed)) {
            *out_granule = word->first_granule + start;
            return true;
        }
    }
}

struct vv_pool *vv_emergency_take(size_t byte_count) {
    if (byte_count > VV_EMERGENCY_MAX_BYTES) return NULL;
    unsigned count = (unsigned)vv_max(vv_divide_up(byte_count, VV_GRANULE_BYTES), 1);
    uint32_t limit = atomic_load_explicit(&word_count, memory_order_acquire);
    for (uint32_t index = 0; index < limit; index++) {
        struct vv_granule_run run = {.count = count, .fresh = true};
        if (take_from(&words[index], count, &run.first)) return vv_medium_pool_from(&run);
    }
    return NULL;
}

bool vv_emergency_owns(const struct vv_pool *pool) {
    return vv_region.arenas[vv_pool_index_of(pool) / VV_ARENA_GRANULE_COUNT].is_emergency;
}

void vv_emergency_give(struct vv_pool *pool) {
    uint32_t granule = vv_pool_index_of(pool);
    unsigned count = pool->granule_count;
    vv_medium_forget(pool);
    if (!vv_pages_purge(vv_pool_base(pool), count * VV_GRANULE_BYTES)) return; /* locked: lost */
    uint32_t limit = atomic_load_explicit(&word_count, memory_order_acquire);
    for (uint32_t index = 0; index < limit; index++) {
        uint32_t start = granule - words[index].first_granule;
        if (start >= WORD_GRANULES) continue;
        atomic_fetch_or_explicit(&words[index].free, run_bits(start, count), memory_order_release);
        return;
    }
}
