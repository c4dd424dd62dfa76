/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "heap/arena.h"
#include "heap/emergency.h"
#include "heap/medium.h"
#include "heap/place.h"
#include "heap/process.h"

#include <string.h>

TEST(the_reserve_gives_zeroed_blocks_that_are_found_again) {
    REQUIRE(vv_process_init());
    for (size_t size = 0; size <= VV_EMERGENCY_MAX_BYTES; size = size * 2 + 1) {
        struct vv_pool *pool = vv_emergency_take(size);
        REQUIRE(pool != NULL);
        char *block = vv_pool_base(pool);
        CHECK_GE(vv_medium_usable_bytes(pool), size);
        for (size_t index = 0; index < size; index++) CHECK_EQ(block[index], 0);
        memset(block, 1, size);
        struct vv_place place;
        CHECK(vv_place_find(block, &place));
        CHECK(vv_emergency_owns(place.pool));
        vv_medium_free(pool);
        CHECK(!vv_place_find(block, &place));
    }
    CHECK_EQ_PTR(vv_emergency_take(VV_EMERGENCY_MAX_BYTES + 1), NULL);
}

TEST(the_reserve_ends_and_begins_again_with_what_is_freed) {
    enum { MAX = 256 };
    struct vv_pool *pools[MAX];
    REQUIRE(vv_process_init());
    unsigned count = 0;
    while (count < MAX && (pools[count] = vv_emergency_take(1)) != NULL) count++;
    CHECK_EQ(count, vv_max(VV_ARENA_GRANULE_COUNT, 64));
    CHECK(vv_emergency_is_low());
    for (unsigned index = 0; index < count; index++) {
        for (unsigned other = 0; other < index; other++) CHECK(pools[index] != pools[other]);
    }
    vv_medium_free(pools[7]);
    CHECK_EQ_PTR(vv_emergency_take(1), pools[7]);
}

TEST(a_low_reserve_is_refilled_when_arenas_grow) {
    REQUIRE(vv_process_init());
    while (vv_emergency_take(1) != NULL) {
    }
    struct vv_granule_run run;
    for (int count = 0; count < 8; count++) vv_arena_take(VV_ARENA_GRANULE_COUNT, 1, &run);
    CHECK(vv_emergency_take(1) != NULL);
    CHECK_EQ_PTR(vv_arena_check(), NULL);
}
