/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "heap/arena.h"
#include "heap/process.h"
#include "heap/region.h"

#include <string.h>

static char *granule_address(uint32_t granule) {
    return vv_region.base + ((size_t)granule << VV_GRANULE_SHIFT);
}

static struct vv_granule_run take(uint32_t count) {
    struct vv_granule_run run;
    REQUIRE(vv_arena_take(count, 1, &run));
    return run;
}

static void check_arenas(void) {
    const char *wrong = vv_arena_check();
    CHECK_EQ_STR(wrong != NULL ? wrong : "", "");
}

TEST(runs_come_from_the_lowest_address_that_fits) {
    REQUIRE(vv_process_init());
    struct vv_granule_run first = take(1), second = take(3), third = take(2);
    CHECK_EQ(second.first, first.first + 1);
    CHECK_EQ(third.first, second.first + 3);
    vv_arena_give(second.first, 3, 0);
    CHECK_EQ(take(4).first, third.first + 2);
    CHECK_EQ(take(2).first, second.first);
    CHECK_EQ(take(1).first, second.first + 2);
    check_arenas();
}

TEST(runs_never_cross_arenas) {
    REQUIRE(vv_process_init());
    for (uint32_t round = 0; round < 50; round++) {
        struct vv_granule_run run = take(VV_ARENA_GRANULE_COUNT / 2 - round % 7);
        CHECK_EQ(run.first / VV_ARENA_GRANULE_COUNT,
                 (run.first + run.count - 1) / VV_ARENA_GRANULE_COUNT);
    }
    check_arenas();
}

TEST(whole_arenas_and_aligned_runs_can_be_had) {
    REQUIRE(vv_process_init());
    take(1);
    struct vv_granule_run whole = take(VV_ARENA_GRANULE_COUNT);
    CHECK_EQ(whole.first % VV_ARENA_GRANULE_COUNT, 0);
    for (uint32_t alignment = 1; alignment <= VV_ARENA_GRANULE_COUNT / 2; alignment *= 2) {
        struct vv_granule_run run;
        REQUIRE(vv_arena_take(1, alignment, &run));
        CHECK_EQ(run.first % alignment, 0);
    }
    check_arenas();
}

TEST(fresh_runs_read_as_zero_and_used_ones_are_not_called_fresh) {
    REQUIRE(vv_process_init());
    struct vv_granule_run run = take(4);
    CHECK(run.fresh);
    memset(granule_address(run.first), 1, VV_GRANULE_BYTES);
    vv_arena_give(run.first, 4, 1);
    struct vv_granule_run again = take(1);
    CHECK_EQ(again.first, run.first);
    CHECK(!again.fresh);
    CHECK(take(3).fresh);
    vv_arena_give(again.first, 1, 1);
    CHECK_EQ(vv_arena_purge(UINT64_MAX), VV_GRANULE_BYTES);
    struct vv_granule_run purged = take(1);
    CHECK_EQ(purged.first, run.first);
    CHECK(purged.fresh);
    CHECK_EQ(*granule_address(purged.first), 0);
}

TEST(purging_waits_for_the_deadline) {
    vv_purge_delay_ms = 1000000;
    REQUIRE(vv_process_init());
    struct vv_granule_run run = take(2);
    memset(granule_address(run.first), 1, 2 * VV_GRANULE_BYTES);
    CHECK_EQ(vv_arena_next_purge_ms(), UINT64_MAX);
    vv_arena_give(run.first, 2, 2);
    uint64_t due_ms = vv_arena_next_purge_ms();
    CHECK(due_ms != UINT64_MAX);
    CHECK_EQ(vv_arena_purge(due_ms - 1), 0);
    CHECK_EQ(vv_arena_next_purge_ms(), due_ms);
    CHECK_EQ(vv_arena_purge(due_ms), 2 * VV_GRANULE_BYTES);
    CHECK_EQ(vv_arena_next_purge_ms(), UINT64_MAX);
}

TEST(a_run_grows_only_into_free_granules_of_its_arena) {
    REQUIRE(vv_process_init());
    struct vv_granule_run first = take(2), wall = take(1);
    bool fresh;
    CHECK(!vv_arena_extend(first.first + 2, 1, &fresh));
    vv_arena_give(wall.first, 1, 0);
    CHECK(vv_arena_extend(first.first + 2, 5, &fresh));
    CHECK(fresh);
    uint32_t arena_end = (first.first / VV_ARENA_GRANULE_COUNT + 1) * VV_ARENA_GRANULE_COUNT;
    CHECK(!vv_arena_extend(first.first + 7, arena_end - first.first - 6, &fresh));
    CHECK(vv_arena_extend(first.first + 7, arena_end - first.first - 7, &fresh));
    CHECK(!vv_arena_extend(arena_end, 1, &fresh));
    check_arenas();
}

/* Against a simple map of granules. */
TEST(random_runs_never_overlap_and_totals_add_up) {
    enum { RUNS = 300 };
    static struct vv_granule_run runs[RUNS];
    static uint8_t taken[1 << 20];
    uint64_t random = test_seed(11);
    REQUIRE(vv_process_init());
    struct vv_arena_totals before, after;
    vv_arena_get_totals(&before);
    size_t taken_count = 0;
    for (int step = 0; step < 20000; step++) {
        struct vv_granule_run *run = &runs[test_random_below(&random, RUNS)];
        if (run->count != 0) {
            memset(taken + run->first, 0, run->count);
            vv_arena_give(run->first, run->count,
                          (uint32_t)test_random_below(&random, run->count + 1));
            taken_count -= run->count;
            run->count = 0;
        } else {
            uint32_t limit = test_random_below(&random, 4) == 0 ? VV_ARENA_GRANULE_COUNT : 8;
            *run = take(1 + (uint32_t)test_random_below(&random, limit));
            for (uint32_t index = 0; index < run->count; index++) {
                REQUIRE(run->first + index < sizeof taken && taken[run->first + index] == 0);
                taken[run->first + index] = 1;
            }
            taken_count += run->count;
        }
        if (step % 500 == 0) check_arenas();
        if (step % 3000 == 0) vv_arena_purge(UINT64_MAX);
    }
    vv_arena_get_totals(&after);
    CHECK_EQ(after.taken_bytes - before.taken_bytes, taken_count * VV_GRANULE_BYTES);
}

TEST(no_memory_for_an_arena_is_reported_and_undone) {
    REQUIRE(vv_process_init());
    struct vv_granule_run run;
    vv_pages_fail_after(0);
    uint32_t count = 0;
    while (vv_arena_take(VV_ARENA_GRANULE_COUNT, 1, &run)) count++;
    CHECK_LE(count, 1);
    for (uint64_t calls = 1; calls < 4; calls++) {
        vv_pages_fail_after(calls);
        vv_arena_take(VV_ARENA_GRANULE_COUNT, 1, &run);
        check_arenas();
    }
    vv_pages_fail_never();
    CHECK(vv_arena_take(VV_ARENA_GRANULE_COUNT, 1, &run));
    memset(granule_address(run.first), 1, VV_ARENA_BYTES);
    check_arenas();
}
