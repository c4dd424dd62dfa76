/* SPDX-License-Identifier: MIT */
#include "heap/purge.h"

#include "heap/arena.h"
#include "heap/huge.h"
#include "os/clock.h"

#define TICKS_PER_LOOK 32

static void purge_due(void) {
    uint64_t arena_ms = vv_arena_next_purge_ms();
    uint64_t huge_ms = vv_huge_next_purge_ms();
    if (arena_ms == UINT64_MAX && huge_ms == UINT64_MAX) return;
    uint64_t now_ms = vv_clock_coarse_ms();
    if (arena_ms <= now_ms) vv_arena_purge(now_ms);
    if (huge_ms <= now_ms) vv_huge_purge(now_ms);
}

void vv_purge_tick(uint32_t *counter) {
    if (++*counter % TICKS_PER_LOOK != 0) return;
    purge_due();
    vv_arena_refill_emergency();
}

size_t vv_purge_all(void) {
    return vv_arena_purge(UINT64_MAX) + vv_huge_purge(UINT64_MAX);
}
