/* SPDX-License-Identifier: MIT
 * small_blocks - short-lived small blocks on one thread.
 *
 * Stands for interpreters, parsers and symbolic programs: very many blocks of 8 to 256 bytes,
 * most of them at the small end, few alive at any time. Stresses the fast path of malloc and
 * free: random lifetimes over some thousand slots, then bursts freed in reverse order. */
#include "bench.h"

#define SLOT_COUNT ((size_t)4096)
#define FIRST_BYTES ((size_t)8)
#define OCTAVE_COUNT ((size_t)5) /* 8 .. 256 bytes */
#define FILL_LIMIT_BYTES ((size_t)256)
#define RANDOM_STEPS ((size_t)20000000)
#define BURST_STEPS ((size_t)22000000)

static struct bench_block slots[SLOT_COUNT];

static void fill_slot(struct bench_random *random, struct bench_block *slot) {
    size_t size_bytes = bench_random_power_law(random, FIRST_BYTES, OCTAVE_COUNT);
    bench_block_fill(slot, size_bytes, (unsigned char)random->state, FILL_LIMIT_BYTES);
}

static uint64_t random_lifetimes(struct bench_random *random, size_t step_count) {
    uint64_t checksum = 0;
    for (size_t step = 0; step < step_count; step++) {
        struct bench_block *slot = &slots[bench_random_below(random, SLOT_COUNT)];
        checksum += bench_block_drop(slot);
        fill_slot(random, slot);
    }
    for (size_t index = 0; index < SLOT_COUNT; index++) {
        checksum += bench_block_drop(&slots[index]);
    }
    return checksum;
}

/* A stack that grows and shrinks by bursts: the block freed is always the newest. */
static uint64_t last_in_first_out(struct bench_random *random, size_t step_count) {
    uint64_t checksum = 0;
    size_t live_count = 0;
    for (size_t step = 0; step < step_count;) {
        size_t target_count = bench_random_below(random, SLOT_COUNT);
        for (; live_count < target_count; live_count++, step++) {
            fill_slot(random, &slots[live_count]);
        }
        for (; live_count > target_count; live_count--, step++) {
            checksum += bench_block_drop(&slots[live_count - 1]);
        }
    }
    while (live_count > 0) checksum += bench_block_drop(&slots[--live_count]);
    return checksum;
}

int main(int argc, char **argv) {
    unsigned long percent = bench_percent(argc, argv);
    struct bench_random random = bench_random_new(1);
    uint64_t checksum = random_lifetimes(&random, bench_scaled(RANDOM_STEPS, percent));
    checksum = bench_mix(checksum, last_in_first_out(&random, bench_scaled(BURST_STEPS, percent)));
    return bench_finish("small_blocks", checksum);
}
