/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "heap/arena.h"
#include "heap/process.h"
#include "heap/remote.h"
#include "heap/walk.h"

#include <string.h>

static struct vv_heap *new_heap(void) {
    REQUIRE(vv_process_init());
    struct vv_heap *heap = vv_heap_new(/* keeps_facts */ false);
    REQUIRE(heap != NULL);
    return heap;
}

static struct vv_block *take(struct vv_heap *heap, unsigned class_index) {
    bool untouched;
    struct vv_block *block = vv_heap_take(heap, class_index, &untouched);
    REQUIRE(block != NULL);
    return block;
}

static void give(struct vv_heap *heap, struct vv_block *block) {
    vv_heap_give(heap, vv_pool_record(block), block);
}

static struct vv_pool *pool_of(struct vv_block *block) {
    return vv_pool_of_record(vv_pool_record(block));
}

static void check_heap(struct vv_heap *heap) {
    const char *wrong = vv_heap_check(heap);
    CHECK_EQ_STR(wrong != NULL ? wrong : "", "");
}

static uint32_t capacity_of(unsigned class_index) {
    return vv_classes[class_index].capacity;
}

#define MAX_BLOCKS 4096
static struct vv_block *blocks[MAX_BLOCKS];

TEST(a_heap_reuses_the_last_freed_block) {
    struct vv_heap *heap = new_heap();
    struct vv_block *first = take(heap, 2);
    CHECK(vv_is_aligned(first, VV_QUANTUM_BYTES));
    give(heap, first);
    CHECK_EQ_PTR(take(heap, 2), first);
    check_heap(heap);
}

TEST(fresh_blocks_rise_in_address_without_gaps) {
    struct vv_heap *heap = new_heap();
    char *previous = (char *)take(heap, 3);
    for (uint32_t index = 1; index < capacity_of(3); index++) {
        char *block = (char *)take(heap, 3);
        CHECK_EQ(block - previous, vv_classes[3].block_bytes);
        previous = block;
    }
    check_heap(heap);
}

TEST(a_bin_accepts_some_blocks_of_other_pools_and_hands_them_out_first) {
    struct vv_heap *heap = new_heap();
    uint32_t count = capacity_of(0), room = count / 2;
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(heap, 0);
    struct vv_pool *pool = pool_of(blocks[0]);
    take(heap, 0); /* of a second pool */
    CHECK_EQ(heap->bin[0].room, vv_classes[0].bin_room);
    heap->bin[0].room = room; /* less than a pool has */
    for (uint32_t index = 0; index <= room; index++) give(heap, blocks[index]);
    check_heap(heap);
    CHECK_EQ(vv_pool_free_count(pool), 1); /* the last one */
    CHECK_EQ(vv_walk_free_blocks(pool, NULL), room + 1);
    for (uint32_t index = room; index-- > 0;) CHECK_EQ_PTR(take(heap, 0), blocks[index]);
    vv_heap_flush(heap);
    check_heap(heap);
}

TEST(a_full_pool_is_used_again_after_an_eighth_of_its_blocks_came_back) {
    struct vv_heap *heap = new_heap();
    uint32_t count = capacity_of(1);
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(heap, 1);
    struct vv_pool *pool = pool_of(blocks[0]);
    struct vv_block *other = take(heap, 1); /* of a second pool: the first is full now */
    CHECK(pool_of(other) != pool);
    CHECK_EQ(pool->state, VV_POOL_FULL);
    uint32_t threshold = vv_pool_wake_threshold(pool);
    heap->bin[1].room = 0; /* else the bin takes the first ones */
    for (uint32_t index = 0; index + 1 < threshold; index++) {
        give(heap, blocks[index]);
        CHECK_EQ(pool->state, VV_POOL_FULL);
        CHECK_EQ(vv_pool_free_count(pool), index + 1);
    }
    give(heap, blocks[threshold - 1]);
    CHECK_EQ(pool->state, VV_POOL_USABLE);
    check_heap(heap);
    uint32_t taken = 0; /* the second pool's first page is used up, then the first pool again */
    while (pool_of(take(heap, 1)) != pool) REQUIRE(++taken < count);
    CHECK_LT(taken, vv_divide_up(VV_PAGE_BYTES, vv_classes[1].block_bytes) + 1);
    check_heap(heap);
}

TEST(an_empty_pool_goes_back_to_its_arena) {
    struct vv_heap *heap = new_heap();
    uint32_t count = capacity_of(5) * 3;
    struct vv_arena_totals before, after;
    vv_arena_get_totals(&before);
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(heap, 5);
    for (uint32_t index = 0; index < count; index++) give(heap, blocks[index]);
    check_heap(heap);
    vv_heap_flush(heap);
    check_heap(heap);
    vv_arena_get_totals(&after);
    CHECK_EQ(after.taken_bytes, before.taken_bytes);
}

/* As if freed by another thread: in one chain. */
static void give_remotely(struct vv_block **list, uint32_t count) {
    static struct vv_remote_buffer buffer;
    for (uint32_t index = 0; index < count; index++) {
        vv_remote_free(&buffer, pool_of(list[index]), list[index]);
    }
    vv_remote_flush(&buffer);
}

TEST(blocks_freed_by_others_come_back_at_the_next_refill) {
    struct vv_heap *heap = new_heap();
    uint32_t count = capacity_of(2);
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(heap, 2);
    struct vv_pool *pool = pool_of(blocks[0]);
    give_remotely(blocks, count);
    CHECK_EQ(vv_walk_free_blocks(pool, NULL), count);
    for (uint32_t index = 0; index < count; index++) CHECK_EQ_PTR(pool_of(take(heap, 2)), pool);
    check_heap(heap);
}

TEST(a_pool_emptied_by_others_goes_back_to_its_arena) {
    struct vv_heap *heap = new_heap();
    struct vv_arena_totals before, after;
    vv_arena_get_totals(&before);
    uint32_t count = capacity_of(2) * 2 + 1;
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(heap, 2);
    give_remotely(blocks, count);
    vv_heap_flush(heap);
    vv_arena_get_totals(&after);
    CHECK_EQ(after.taken_bytes, before.taken_bytes);
}

TEST(a_pool_that_changed_its_owner_is_passed_on) {
    struct vv_heap *old_owner = new_heap(), *new_owner = new_heap();
    uint32_t count = capacity_of(2);
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(old_owner, 2);
    struct vv_block *other = take(old_owner, 2);
    struct vv_pool *pool = pool_of(blocks[0]);
    give_remotely(blocks, count / 2); /* onto the old owner's stack */
    struct vv_block *kept = blocks[count - 1];
    (void)other;
    vv_pool_set_owner(pool, new_owner);
    vv_heap_flush(old_owner);
    CHECK_EQ(atomic_load(&new_owner->woken), vv_pool_index_of(pool));
    vv_heap_flush(new_owner);
    CHECK_EQ(vv_pool_free_count(pool), count / 2);
    CHECK_EQ(pool_of(kept)->state, VV_POOL_USABLE);
    check_heap(new_owner);
    check_heap(old_owner);
}

TEST(a_heap_yields_pools_with_free_blocks) {
    struct vv_heap *heap = new_heap();
    uint32_t count = capacity_of(4);
    for (uint32_t index = 0; index < count; index++) blocks[index] = take(heap, 4);
    CHECK_EQ_PTR(vv_heap_yield_pool(heap, 4), NULL);
    for (uint32_t index = 0; index < count / 2; index++) give(heap, blocks[index]);
    vv_heap_flush(heap);
    struct vv_pool *pool = vv_heap_yield_pool(heap, 4);
    CHECK_EQ_PTR(pool, pool_of(blocks[0]));
    CHECK_EQ_PTR(vv_heap_yield_pool(heap, 4), NULL);
    check_heap(heap);
}

TEST(only_blocks_that_were_never_handed_out_are_called_untouched) {
    struct vv_heap *heap = new_heap();
    if (VARVE_CLASSIC) SKIP("classic classes are smaller than a page");
    unsigned class_index = vv_class_of(VV_PAGE_BYTES * 2);
    bool untouched;
    char *block = vv_heap_take(heap, class_index, &untouched);
    REQUIRE(block != NULL);
    CHECK(untouched);
    for (size_t index = 0; index < VV_PAGE_BYTES * 2; index++) CHECK_EQ(block[index], 0);
    memset(block, 1, VV_PAGE_BYTES * 2);
    give(heap, (struct vv_block *)(void *)block);
    CHECK_EQ_PTR(vv_heap_take(heap, class_index, &untouched), block);
    CHECK(!untouched);
}

TEST(running_out_of_memory_leaves_the_heap_sound) {
    struct vv_heap *heap = new_heap();
    vv_pages_fail_after(0);
    bool untouched;
    uint32_t count = 0;
    while (count < MAX_BLOCKS && vv_heap_take(heap, VV_CLASS_COUNT - 1, &untouched) != NULL)
        count++;
    CHECK_LT(count, MAX_BLOCKS);
    check_heap(heap);
    vv_pages_fail_never();
    CHECK(vv_heap_take(heap, VV_CLASS_COUNT - 1, &untouched) != NULL);
    check_heap(heap);
}
