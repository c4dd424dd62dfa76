/* SPDX-License-Identifier: MIT
 * The public functions of varve/heap.h: what they say of the heap is what was done to it. */
#include "harness.h"

#include "varve/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static varve_heap_stats_data stats_now(void) {
    static varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    return stats;
}

TEST(the_geometry_is_consistent) {
    varve_geometry geometry;
    varve_heap_geometry(&geometry);
    CHECK_EQ_STR(geometry.name, VARVE_CLASSIC ? "classic" : "default");
    CHECK_EQ(geometry.alignment, VARVE_CLASSIC ? 8 : 16);
    CHECK_EQ(varve_heap_class_size(0), geometry.alignment);
    CHECK_EQ(varve_heap_class_size(geometry.class_count - 1), geometry.small_max_bytes);
    CHECK_EQ(varve_heap_class_size(geometry.class_count), 0);
    for (unsigned index = 1; index < geometry.class_count; index++) {
        CHECK_GT(varve_heap_class_size(index), varve_heap_class_size(index - 1));
    }
    if (VARVE_CLASSIC) {
        CHECK_EQ(geometry.arena_bytes, 256 * 1024);
        CHECK_EQ(geometry.pool_bytes, 4096);
        CHECK_EQ(geometry.small_max_bytes, 512);
    }
}

TEST(statistics_count_what_lives) {
    varve_heap_stats_data before = stats_now();
    size_t sizes[] = {24, 24, 24, 500, 20000, 100000, 50u << 20};
    void *blocks[7];
    for (size_t index = 0; index < 7; index++) blocks[index] = varve_malloc(sizes[index]);
    varve_heap_stats_data after = stats_now();
    CHECK_EQ(after.live_blocks - before.live_blocks, 7);
    size_t usable = 0;
    for (size_t index = 0; index < 7; index++) usable += varve_usable_size(blocks[index]);
    CHECK_EQ(after.live_bytes - before.live_bytes, usable);
    CHECK_EQ(after.huge.live_blocks - before.huge.live_blocks, 1);
    size_t by_class = after.medium.live_blocks + after.huge.live_blocks;
    for (uint32_t index = 0; index < after.class_count; index++) {
        by_class += after.classes[index].live_blocks;
    }
    CHECK_EQ(by_class, after.live_blocks);
    CHECK_GT(after.peak_resident_bytes, 0);
    CHECK_GT(after.minor_faults, 0);
    for (size_t index = 0; index < 7; index++) varve_free(blocks[index]);
    CHECK_EQ(stats_now().live_blocks, before.live_blocks);
    CHECK_EQ(stats_now().live_bytes, before.live_bytes);
}

static void collect(const char *text, size_t length, void *argument) {
    char *buffer = argument;
    size_t used = strlen(buffer);
    if (used + length < 8000) memcpy(buffer + used, text, length), buffer[used + length] = '\0';
}

TEST(the_account_is_readable_text) {
    static char text[8001];
    void *block = varve_malloc(1000);
    varve_heap_stats_data stats = stats_now();
    varve_heap_stats_write(&stats, collect, text);
    CHECK(strstr(text, "live") != NULL);
    CHECK(strstr(text, "fragmentation") != NULL);
    varve_free(block);
}

struct seen {
    void *wanted[3];
    size_t requested[3];
    size_t usable[3];
    uint32_t sites[3];
    unsigned count;
};

static int look(const varve_block *block, void *argument) {
    struct seen *seen = argument;
    for (unsigned index = 0; index < 3; index++) {
        if (block->address != seen->wanted[index]) continue;
        seen->requested[index] = block->requested_bytes;
        seen->sites[index] = block->site;
        seen->usable[index] = block->usable_bytes;
        seen->count++;
    }
    return 0;
}

static int stop_at_once(const varve_block *block, void *argument) {
    (void)block;
    (*(unsigned *)argument)++;
    return 42;
}

TEST(a_visit_shows_every_live_block_once) {
    struct seen seen = {.wanted = {varve_malloc(33), varve_malloc(40000), varve_malloc(40u << 20)}};
    CHECK_EQ(varve_heap_visit(look, &seen), 0);
    CHECK_EQ(seen.count, 3);
    CHECK_EQ(seen.requested[0], 0); /* nobody kept facts */
    for (unsigned index = 0; index < 3; index++) {
        CHECK_EQ(seen.usable[index], varve_usable_size(seen.wanted[index]));
    }
    unsigned calls = 0;
    CHECK_EQ(varve_heap_visit(stop_at_once, &calls), 42);
    CHECK_EQ(calls, 1);
    for (unsigned index = 0; index < 3; index++) varve_free(seen.wanted[index]);
    seen.count = 0;
    varve_heap_visit(look, &seen);
    CHECK_EQ(seen.count, 0);
}

TEST(a_visit_knows_the_facts_of_traced_blocks) {
    if (varve_trace_start(0) == -ENOSYS) SKIP("this build has no trace layer");
    struct seen seen = {.wanted = {varve_malloc(33), varve_malloc(40000), varve_malloc(40u << 20)}};
    varve_heap_visit(look, &seen);
    CHECK_EQ(seen.requested[0], 33);
    CHECK_EQ(seen.requested[1], 40000);
    CHECK_EQ(seen.requested[2], 40u << 20);
    for (unsigned index = 0; index < 3; index++) {
        CHECK_GE(seen.sites[index], 2);
        varve_free(seen.wanted[index]);
    }
}

TEST(the_heap_passes_its_own_check_and_memory_goes_back) {
    static void *blocks[20000];
    const char *sentence = "not touched";
    for (size_t index = 0; index < 20000; index++) blocks[index] = varve_malloc(index % 900);
    CHECK_EQ(varve_heap_check(&sentence), 0);
    for (size_t index = 0; index < 20000; index++) varve_free(blocks[index]);
    CHECK_GT(varve_trim(), (size_t)1 << 20);
    CHECK_EQ(varve_heap_check(NULL), 0);
    CHECK_GT(stats_now().returned_bytes, (size_t)1 << 20);
}
