/* SPDX-License-Identifier: MIT
 * mixed_sizes - sizes from 16 bytes to 32 KiB on a working set of some 40 MB.
 *
 * Stands for caches and servers that keep messages, pages and documents of all sizes side by
 * side. As many blocks from each octave of sizes, so the bytes are mostly in large blocks; a
 * random block is replaced each time. Stresses the classes above 1 KiB, fragmentation, and the
 * first touch of fresh pages. */
#include "bench.h"

#define SLOT_COUNT ((size_t)8800)
#define FIRST_BYTES ((size_t)16)
#define OCTAVE_COUNT ((size_t)11) /* 16 bytes .. 32 KiB */
#define FILL_LIMIT_BYTES ((size_t)512)
#define STEP_COUNT ((size_t)6500000)

static struct bench_block slots[SLOT_COUNT];

int main(int argc, char **argv) {
    size_t step_count = bench_scaled(STEP_COUNT, bench_percent(argc, argv));
    struct bench_random random = bench_random_new(5);
    uint64_t checksum = 0;
    for (size_t step = 0; step < step_count; step++) {
        struct bench_block *slot = &slots[bench_random_below(&random, SLOT_COUNT)];
        checksum += bench_block_drop(slot);
        size_t size_bytes = bench_random_inverse(&random, FIRST_BYTES, OCTAVE_COUNT);
        bench_block_fill(slot, size_bytes, (unsigned char)random.state, FILL_LIMIT_BYTES);
    }
    for (size_t index = 0; index < SLOT_COUNT; index++) {
        checksum = bench_mix(checksum, bench_block_drop(&slots[index]));
    }
    return bench_finish("mixed_sizes", checksum);
}
