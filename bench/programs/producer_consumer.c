/* SPDX-License-Identifier: MIT
 * producer_consumer - blocks allocated by one thread and freed by another.
 *
 * Stands for pipelines: parser and worker, decoder and display, logger. Two threads and bounded
 * queues of batches. First a stream: one thread only allocates, the other only frees. Then ping
 * pong: both do both, and each frees what the other one allocated. Stresses foreign frees and
 * the way memory comes back to the thread that allocates. */
#include "bench.h"

#include <pthread.h>

#define BATCH_BLOCKS ((size_t)1000)
#define QUEUE_BATCHES ((size_t)32)
#define FIRST_BYTES ((size_t)16)
#define OCTAVE_COUNT ((size_t)6) /* 16 .. 1024 bytes */
#define FILL_LIMIT_BYTES ((size_t)256)
#define STREAM_BATCHES ((size_t)6000)
#define PING_PONG_BATCHES ((size_t)3000)
#define AHEAD_BATCHES ((size_t)8) /* what one side of the ping pong may be ahead */

struct batch {
    struct bench_block blocks[BATCH_BLOCKS];
};

/* Invariant: pop_count <= push_count <= pop_count + QUEUE_BATCHES. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct batch *batches[QUEUE_BATCHES]; /* lock: lock, as the two counts */
    size_t push_count;
    size_t pop_count;
};

static struct queue queue_there = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                   .changed = PTHREAD_COND_INITIALIZER};
static struct queue queue_back = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                  .changed = PTHREAD_COND_INITIALIZER};

static void queue_push(struct queue *queue, struct batch *batch) {
    pthread_mutex_lock(&queue->lock);
    while (queue->push_count - queue->pop_count == QUEUE_BATCHES) {
        pthread_cond_wait(&queue->changed, &queue->lock);
    }
    queue->batches[queue->push_count % QUEUE_BATCHES] = batch;
    queue->push_count++;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

static struct batch *queue_pop(struct queue *queue) {
    pthread_mutex_lock(&queue->lock);
    while (queue->push_count == queue->pop_count) {
        pthread_cond_wait(&queue->changed, &queue->lock);
    }
    struct batch *batch = queue->batches[queue->pop_count % QUEUE_BATCHES];
    queue->pop_count++;
    pthread_cond_signal(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    return batch;
}

static struct batch *batch_new(struct bench_random *random) {
    struct batch *batch = bench_malloc(sizeof *batch);
    for (size_t index = 0; index < BATCH_BLOCKS; index++) {
        size_t size_bytes = bench_random_power_law(random, FIRST_BYTES, OCTAVE_COUNT);
        bench_block_fill(&batch->blocks[index], size_bytes, (unsigned char)random->state,
                         FILL_LIMIT_BYTES);
    }
    return batch;
}

static uint64_t batch_free(struct batch *batch) {
    uint64_t checksum = 0;
    for (size_t index = 0; index < BATCH_BLOCKS; index++) {
        checksum = bench_mix(checksum, bench_block_drop(&batch->blocks[index]));
    }
    free(batch);
    return checksum;
}

/* What the second thread needs and returns. */
struct task {
    size_t batch_count; /* const after start */
    uint64_t checksum;  /* written by the thread, read after pthread_join() */
};

static void *consume(void *argument) {
    struct task *task = argument;
    for (size_t index = 0; index < task->batch_count; index++) {
        task->checksum += batch_free(queue_pop(&queue_there));
    }
    return NULL;
}

/* One side of the ping pong: keeps AHEAD_BATCHES on their way and frees what arrives. */
static uint64_t play(struct queue *to, struct queue *from, size_t batch_count, uint64_t seed) {
    struct bench_random random = bench_random_new(seed);
    uint64_t checksum = 0;
    size_t sent_count = 0;
    for (size_t index = 0; index < batch_count; index++) {
        for (; sent_count < batch_count && sent_count < index + AHEAD_BATCHES; sent_count++) {
            queue_push(to, batch_new(&random));
        }
        checksum += batch_free(queue_pop(from));
    }
    return checksum;
}

static void *answer(void *argument) {
    struct task *task = argument;
    task->checksum = play(&queue_back, &queue_there, task->batch_count, 2);
    return NULL;
}

static pthread_t start(void *(*function)(void *), struct task *task) {
    pthread_t thread;
    if (pthread_create(&thread, /* attributes */ NULL, function, task) != 0) {
        bench_fail("pthread_create");
    }
    return thread;
}

static uint64_t stream(size_t batch_count) {
    struct task task = {.batch_count = batch_count};
    pthread_t thread = start(consume, &task);
    struct bench_random random = bench_random_new(1);
    for (size_t index = 0; index < batch_count; index++) {
        queue_push(&queue_there, batch_new(&random));
    }
    pthread_join(thread, NULL);
    return task.checksum;
}

static uint64_t ping_pong(size_t batch_count) {
    struct task task = {.batch_count = batch_count};
    pthread_t thread = start(answer, &task);
    uint64_t checksum = play(&queue_there, &queue_back, batch_count, 3);
    pthread_join(thread, NULL);
    return checksum + task.checksum;
}

int main(int argc, char **argv) {
    unsigned long percent = bench_percent(argc, argv);
    uint64_t checksum = stream(bench_scaled(STREAM_BATCHES, percent));
    checksum = bench_mix(checksum, ping_pong(bench_scaled(PING_PONG_BATCHES, percent)));
    return bench_finish("producer_consumer", checksum);
}
