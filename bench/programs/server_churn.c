/* SPDX-License-Identifier: MIT
 * server_churn - two chains of short-lived threads that inherit each other's blocks.
 *
 * Stands for servers with a thread per connection or a pool that replaces its workers. Each
 * chain owns an array of blocks; its thread replaces random ones by blocks of random sizes, then
 * starts its successor and ends, so that most blocks are freed by another thread than the one
 * that allocated them, and threads end often. Stresses frees into heaps of dead threads, the
 * start and end of threads, and growth that must not follow the number of threads. */
#include "bench.h"

#include <pthread.h>

#define CHAIN_COUNT 2
#define SLOT_COUNT ((size_t)4000)
#define SIZE_MIN_BYTES ((size_t)10)
#define SIZE_SPAN_BYTES ((size_t)990)
#define FILL_LIMIT_BYTES ((size_t)128)
#define ROUND_COUNT ((size_t)1000)
#define STEPS_PER_ROUND ((size_t)16000)

/* Belongs to the running thread of the chain; handed to the next one by pthread_create(). */
struct chain {
    struct bench_random random;
    struct bench_block slots[SLOT_COUNT];
    size_t rounds_left;
    uint64_t checksum;
};

static pthread_mutex_t finish_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finish_changed = PTHREAD_COND_INITIALIZER;
static size_t finished_count; /* lock: finish_lock */

static void start_thread(struct chain *chain);

static void replace_block(struct chain *chain) {
    struct bench_block *slot = &chain->slots[bench_random_below(&chain->random, SLOT_COUNT)];
    chain->checksum += bench_block_drop(slot);
    size_t size_bytes = SIZE_MIN_BYTES + bench_random_below(&chain->random, SIZE_SPAN_BYTES);
    bench_block_fill(slot, size_bytes, (unsigned char)chain->random.state, FILL_LIMIT_BYTES);
}

static void *run_round(void *argument) {
    struct chain *chain = argument;
    for (size_t step = 0; step < STEPS_PER_ROUND; step++) replace_block(chain);
    chain->rounds_left--;
    if (chain->rounds_left > 0) {
        start_thread(chain);
        return NULL;
    }
    pthread_mutex_lock(&finish_lock);
    finished_count++;
    pthread_cond_signal(&finish_changed);
    pthread_mutex_unlock(&finish_lock);
    return NULL;
}

static void start_thread(struct chain *chain) {
    pthread_t thread;
    if (pthread_create(&thread, /* attributes */ NULL, run_round, chain) != 0) {
        bench_fail("pthread_create");
    }
    pthread_detach(thread);
}

int main(int argc, char **argv) {
    size_t round_count = bench_scaled(ROUND_COUNT, bench_percent(argc, argv));
    struct chain *chains = bench_calloc(CHAIN_COUNT, sizeof *chains);
    for (size_t index = 0; index < CHAIN_COUNT; index++) {
        chains[index].random = bench_random_new(index);
        chains[index].rounds_left = round_count;
        start_thread(&chains[index]);
    }
    pthread_mutex_lock(&finish_lock);
    while (finished_count < CHAIN_COUNT) pthread_cond_wait(&finish_changed, &finish_lock);
    pthread_mutex_unlock(&finish_lock);

    uint64_t checksum = 0;
    for (size_t index = 0; index < CHAIN_COUNT; index++) {
        checksum = bench_mix(checksum, chains[index].checksum);
        for (size_t slot = 0; slot < SLOT_COUNT; slot++) {
            checksum += bench_block_drop(&chains[index].slots[slot]);
        }
    }
    free(chains);
    return bench_finish("server_churn", checksum);
}
