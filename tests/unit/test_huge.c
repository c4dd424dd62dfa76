/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "heap/arena.h"
#include "heap/huge.h"

#include <string.h>

#define MIB ((size_t)1 << 20)

static struct vv_huge *new_huge(size_t byte_count, bool *out_untouched) {
    struct vv_huge *huge = vv_huge_new(byte_count, VV_PAGE_BYTES, false, out_untouched);
    REQUIRE(huge != NULL);
    return huge;
}

TEST(huge_blocks_are_found_by_their_address_only) {
    bool untouched;
    struct vv_huge *huge = new_huge(3 * MIB + 1, &untouched);
    CHECK(untouched);
    CHECK_EQ(huge->mapped_bytes, 3 * MIB + VV_PAGE_BYTES);
    CHECK_EQ_PTR(vv_huge_find(huge->address), huge);
    CHECK_EQ_PTR(vv_huge_find(huge->address + VV_PAGE_BYTES), NULL);
    char *address = huge->address;
    vv_huge_free(huge);
    CHECK_EQ_PTR(vv_huge_find(address), NULL);
}

TEST(a_freed_mapping_serves_a_request_that_fits) {
    bool untouched;
    struct vv_huge *huge = new_huge(5 * MIB, &untouched);
    char *address = huge->address;
    vv_huge_free(huge);
    huge = new_huge(5 * MIB - 100 * 1024, &untouched);
    CHECK_EQ_PTR(huge->address, address);
    CHECK(!untouched);
}

TEST(a_mapping_that_is_too_small_is_grown_for_a_request) {
    bool untouched;
    struct vv_huge *huge = new_huge(5 * MIB, &untouched);
    huge->address[5 * MIB - 1] = 1;
    vv_huge_free(huge);
    struct vv_huge_totals totals;
    vv_huge_get_totals(&totals);
    CHECK_EQ(totals.cached_bytes, 5 * MIB);
    huge = new_huge(8 * MIB, &untouched);
    CHECK(!untouched);
    CHECK_EQ(huge->mapped_bytes, 8 * MIB);
    memset(huge->address, 2, 8 * MIB);
    vv_huge_get_totals(&totals);
    CHECK_EQ(totals.cached_bytes, 0);
}

TEST(callers_that_want_zeroes_get_a_new_mapping) {
    bool untouched;
    struct vv_huge *huge = new_huge(5 * MIB, &untouched);
    memset(huge->address, 1, 5 * MIB);
    vv_huge_free(huge);
    huge = vv_huge_new(5 * MIB, VV_PAGE_BYTES, true, &untouched);
    REQUIRE(huge != NULL);
    CHECK(untouched);
    CHECK_EQ(huge->address[0], 0);
}

TEST(the_cache_is_bounded_and_empties_in_time) {
    bool untouched;
    struct vv_huge *blocks[40];
    for (size_t index = 0; index < 40; index++) blocks[index] = new_huge(10 * MIB, &untouched);
    for (size_t index = 0; index < 40; index++) vv_huge_free(blocks[index]);
    struct vv_huge_totals totals;
    vv_huge_get_totals(&totals);
    CHECK_LE(totals.cached_bytes, 64 * MIB);
    CHECK_EQ(totals.live_count, 0);
    CHECK(vv_huge_next_purge_ms() != UINT64_MAX);
    CHECK_EQ(vv_huge_purge(UINT64_MAX), totals.cached_bytes);
    vv_huge_get_totals(&totals);
    CHECK_EQ(totals.cached_bytes, 0);
    CHECK_EQ(vv_huge_next_purge_ms(), UINT64_MAX);
}

TEST(resizing_a_huge_block_keeps_contents_and_lookup) {
    bool untouched;
    struct vv_huge *huge = new_huge(2 * MIB, &untouched);
    memset(huge->address, 9, 2 * MIB);
    CHECK(vv_huge_resize(huge, 100 * MIB));
    CHECK_EQ(huge->address[2 * MIB - 1], 9);
    CHECK_EQ(huge->address[2 * MIB], 0);
    CHECK_EQ_PTR(vv_huge_find(huge->address), huge);
    CHECK(vv_huge_resize(huge, 1 * MIB));
    CHECK_EQ(huge->address[0], 9);
    CHECK_EQ_PTR(vv_huge_find(huge->address), huge);
}

TEST(huge_alignment_is_kept) {
    for (size_t alignment = VV_PAGE_BYTES; alignment <= 256 * MIB; alignment *= 4) {
        bool untouched;
        struct vv_huge *huge = vv_huge_new(2 * MIB, alignment, false, &untouched);
        REQUIRE(huge != NULL);
        CHECK(vv_is_aligned(huge->address, alignment));
        vv_huge_free(huge);
    }
}

TEST(no_memory_for_a_huge_block_is_null) {
    bool untouched;
    CHECK_EQ_PTR(vv_huge_new((size_t)1 << 50, VV_PAGE_BYTES, false, &untouched), NULL);
    vv_pages_fail_after(0);
    CHECK_EQ_PTR(vv_huge_new(2 * MIB, VV_PAGE_BYTES, false, &untouched), NULL);
    vv_pages_fail_never();
    CHECK(vv_huge_new(2 * MIB, VV_PAGE_BYTES, false, &untouched) != NULL);
}
