/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "heap/plane.h"
#include "heap/size_class.h"

TEST(every_small_size_gets_the_first_class_that_holds_it) {
    vv_classes_init();
    for (size_t size = 0; size <= VV_SMALL_MAX_BYTES; size++) {
        unsigned index = vv_class_of(size);
        REQUIRE(index < VV_CLASS_COUNT);
        CHECK_GE(vv_classes[index].block_bytes, size);
        if (index > 0) CHECK_LT(vv_classes[index - 1].block_bytes, size);
    }
    CHECK_EQ(vv_classes[VV_CLASS_COUNT - 1].block_bytes, VV_SMALL_MAX_BYTES);
}

TEST(classes_waste_at_most_an_eighth) {
    vv_classes_init();
    for (unsigned index = 1; index < VV_CLASS_COUNT; index++) {
        size_t step = vv_classes[index].block_bytes - vv_classes[index - 1].block_bytes;
        CHECK(step == VV_QUANTUM_BYTES || step * 8 <= vv_classes[index].block_bytes);
        CHECK_EQ(vv_classes[index].block_bytes % VV_QUANTUM_BYTES, 0);
    }
}

TEST(pools_hold_enough_blocks_and_lose_little) {
    vv_classes_init();
    for (unsigned index = 0; index < VV_CLASS_COUNT; index++) {
        const struct vv_class *class = &vv_classes[index];
        size_t pool_bytes = class->granule_count * VV_GRANULE_BYTES;
        CHECK_GE(class->capacity, 4);
        CHECK_LE((size_t) class->capacity * class->block_bytes, pool_bytes);
        CHECK_LT(pool_bytes - (size_t) class->capacity * class->block_bytes, class->block_bytes);
        CHECK_LT(pool_bytes, (size_t)1 << 18 | 1); /* the proof at vv_class_block_index() */
    }
}

TEST(block_numbers_are_exact_for_every_offset_of_every_class) {
    vv_classes_init();
    for (unsigned index = 0; index < VV_CLASS_COUNT; index++) {
        const struct vv_class *class = &vv_classes[index];
        size_t pool_bytes = class->granule_count * VV_GRANULE_BYTES;
        for (size_t offset = 0; offset < pool_bytes; offset++) {
            if (vv_class_block_index(index, offset) != offset / class->block_bytes) {
                test_fail(__FILE__, __LINE__, "class %u, offset %zu", index, offset);
                return;
            }
        }
    }
}

TEST(aligned_requests_get_a_class_of_aligned_blocks) {
    vv_classes_init();
    for (size_t alignment = 1; alignment <= VV_GRANULE_BYTES; alignment *= 2) {
        for (size_t size = 0; size <= VV_SMALL_MAX_BYTES; size += 7) {
            unsigned index = vv_class_of_aligned(size, alignment);
            if (index == VV_CLASS_COUNT) {
                CHECK(alignment > VV_SMALL_MAX_BYTES || size > VV_SMALL_MAX_BYTES / 2 ||
                      VARVE_CLASSIC);
                continue;
            }
            CHECK_GE(vv_classes[index].block_bytes, size);
            CHECK_EQ(vv_classes[index].block_bytes % alignment, 0);
        }
    }
    CHECK_EQ(vv_class_of_aligned(1, 2 * VV_GRANULE_BYTES), VV_CLASS_COUNT);
}

TEST(narrow_facts_describe_every_unaligned_request) {
    vv_classes_init();
    for (size_t size = 1; size <= VV_SMALL_MAX_BYTES; size++) {
        CHECK(vv_plane_can_describe(vv_class_of(size), size));
    }
    CHECK(vv_plane_can_describe(vv_class_of(0), 0));
}

#if VARVE_CLASSIC
TEST(classic_geometry_is_that_of_the_teaching_text) {
    vv_classes_init();
    CHECK_EQ(VV_ARENA_BYTES, 256 * 1024);
    CHECK_EQ(VV_GRANULE_BYTES, 4 * 1024);
    CHECK_EQ(VV_CLASS_COUNT, 64);
    for (unsigned index = 0; index < VV_CLASS_COUNT; index++) {
        CHECK_EQ(vv_classes[index].block_bytes, 8 * (index + 1));
        CHECK_EQ(vv_classes[index].granule_count, 1);
    }
}
#endif
