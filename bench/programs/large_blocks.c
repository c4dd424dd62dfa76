/* SPDX-License-Identifier: MIT
 * large_blocks - blocks of 64 KiB to 16 MiB, at most 20 of them alive.
 *
 * Stands for image, media and numeric programs: frame buffers, matrices, file contents. Each
 * step replaces a random block; one in four comes from calloc and is checked to be zero; every
 * page is written once, and one block in sixteen is filled whole. Stresses the way to the
 * system and back: mapping, page faults, keeping or returning memory, what calloc must clear. */
#include "bench.h"

#define SLOT_COUNT ((size_t)20)
#define FIRST_BYTES ((size_t)65536)
#define OCTAVE_COUNT ((size_t)8) /* 64 KiB .. 16 MiB */
#define STEP_COUNT ((size_t)2400)
#define FILL_ONE_IN ((size_t)16)
#define ZERO_ONE_IN ((size_t)4)

static struct bench_block slots[SLOT_COUNT];

/* Every page as it was tagged; the whole block was written by one tag only. */
static uint64_t check_and_drop(struct bench_block *block) {
    for (size_t offset = 0; offset < block->size_bytes && block->bytes != NULL;
         offset += BENCH_PAGE_BYTES) {
        if (block->bytes[offset] != block->tag) bench_fail("a page lost its contents");
    }
    return bench_block_drop(block);
}

static void check_zero(const struct bench_block *block) {
    for (size_t offset = 0; offset < block->size_bytes; offset += BENCH_PAGE_BYTES) {
        if (block->bytes[offset] != 0) bench_fail("calloc returned memory that is not zero");
    }
    if (block->bytes[block->size_bytes - 1] != 0) bench_fail("calloc left the last byte");
}

static void fill_slot(struct bench_random *random, struct bench_block *slot) {
    size_t size_bytes = bench_random_inverse(random, FIRST_BYTES, OCTAVE_COUNT);
    bool zeroed = bench_random_below(random, ZERO_ONE_IN) == 0;
    bool filled = bench_random_below(random, FILL_ONE_IN) == 0;
    slot->bytes = zeroed ? bench_calloc(size_bytes, 1) : bench_malloc(size_bytes);
    slot->size_bytes = (uint32_t)size_bytes;
    slot->tag = (unsigned char)(random->state | 1);
    if (zeroed) check_zero(slot);
    bench_block_touch(slot, /* fill_limit_bytes */ filled ? size_bytes : 0);
}

int main(int argc, char **argv) {
    size_t step_count = bench_scaled(STEP_COUNT, bench_percent(argc, argv));
    struct bench_random random = bench_random_new(11);
    uint64_t checksum = 0;
    for (size_t step = 0; step < step_count; step++) {
        struct bench_block *slot = &slots[bench_random_below(&random, SLOT_COUNT)];
        checksum = bench_mix(checksum, check_and_drop(slot));
        fill_slot(&random, slot);
    }
    for (size_t index = 0; index < SLOT_COUNT; index++) {
        checksum = bench_mix(checksum, check_and_drop(&slots[index]));
    }
    return bench_finish("large_blocks", checksum);
}
