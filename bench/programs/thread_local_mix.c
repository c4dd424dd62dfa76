/* SPDX-License-Identifier: MIT
 * thread_local_mix - two threads that allocate for themselves, nothing shared.
 *
 * Stands for parallel work on private data: compilers in one process, ray tracers, query
 * workers. Each thread keeps 1024 blocks of 8 bytes to 4 KiB, most of them small, and replaces
 * random ones. Stresses whether threads stay out of each other's way: locks, shared counters
 * and false sharing show as a loss against small_blocks. */
#include "bench.h"

#include <pthread.h>

#define THREAD_COUNT 2
#define SLOT_COUNT ((size_t)1024)
#define FIRST_BYTES ((size_t)8)
#define OCTAVE_COUNT ((size_t)9) /* 8 bytes .. 4 KiB */
#define FILL_LIMIT_BYTES ((size_t)256)
#define STEP_COUNT ((size_t)30000000)

struct worker {
    pthread_t thread;
    uint64_t seed;
    size_t step_count;
    uint64_t checksum;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    struct bench_random random = bench_random_new(worker->seed);
    struct bench_block *slots = bench_calloc(SLOT_COUNT, sizeof *slots);
    uint64_t checksum = 0;
    for (size_t step = 0; step < worker->step_count; step++) {
        struct bench_block *slot = &slots[bench_random_below(&random, SLOT_COUNT)];
        checksum += bench_block_drop(slot);
        size_t size_bytes = bench_random_power_law(&random, FIRST_BYTES, OCTAVE_COUNT);
        bench_block_fill(slot, size_bytes, (unsigned char)random.state, FILL_LIMIT_BYTES);
    }
    for (size_t index = 0; index < SLOT_COUNT; index++) {
        checksum = bench_mix(checksum, bench_block_drop(&slots[index]));
    }
    free(slots);
    worker->checksum = checksum;
    return NULL;
}

int main(int argc, char **argv) {
    size_t step_count = bench_scaled(STEP_COUNT, bench_percent(argc, argv));
    struct worker workers[THREAD_COUNT];
    for (size_t index = 0; index < THREAD_COUNT; index++) {
        workers[index] = (struct worker){.seed = 20 + index, .step_count = step_count};
        if (pthread_create(&workers[index].thread, NULL, work, &workers[index]) != 0) {
            bench_fail("pthread_create");
        }
    }
    uint64_t checksum = 0;
    for (size_t index = 0; index < THREAD_COUNT; index++) {
        pthread_join(workers[index].thread, NULL);
        checksum = bench_mix(checksum, workers[index].checksum);
    }
    return bench_finish("thread_local_mix", checksum);
}
