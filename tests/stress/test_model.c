/* SPDX-License-Identifier: MIT
 * The heap against a shadow model: random operations on 1 to 8 threads, blocks handed over between
 * them; every block is filled with a pattern of its own and checked before each change. Found:
 * overlapping blocks, lost contents, wrong alignment or usable size, calloc that is not zero.
 * Replay: VARVE_TEST_SEED=N tests/test_model NAME. */
#include "harness.h"

#include "varve/heap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_COUNT 512
#define THREAD_MAX 8

struct slot {
    unsigned char *block;
    size_t size;
    size_t alignment;
    unsigned char fill;
};

struct worker {
    pthread_t thread;
    uint64_t random;
    unsigned steps;
    unsigned profile;
    struct slot slots[SLOT_COUNT];
    pthread_mutex_t mutex; /* guards `mailbox`: blocks that others leave here */
    struct slot mailbox[SLOT_COUNT];
    struct worker *neighbour;
};

static varve_geometry geometry;

/* --- sizes, by profile --- */

static size_t random_size(struct worker *worker) {
    uint64_t *random = &worker->random;
    switch (worker->profile) {
    case 0: return test_random_below(random, 200);
    case 1: return test_random_below(random, 5000);
    case 2: { /* every magnitude alike */
        unsigned bits = (unsigned)test_random_below(random, 22);
        return test_random_below(random, ((uint64_t)1 << bits) + 1);
    }
    default: { /* around class and layer boundaries */
        size_t sizes[] = {
            geometry.alignment, geometry.small_max_bytes, geometry.pool_bytes, 4096, 512, 1024};
        size_t size = sizes[test_random_below(random, 6)];
        unsigned rare = (unsigned)test_random_below(random, 2000);
        if (rare < 8) size = geometry.arena_bytes;
        if (rare < 1) size = geometry.medium_max_bytes;
        return size + test_random_below(random, 5) - 2;
    }
    }
}

/* --- the model --- */

static void check_slot(const struct slot *slot) {
    for (size_t index = 0; index < slot->size; index += 1 + slot->size / 4096) {
        if (slot->block[index] != slot->fill) {
            test_fail(__FILE__, __LINE__, "block %p of %zu bytes changed at %zu: %02x, not %02x",
                      (void *)slot->block, slot->size, index, slot->block[index], slot->fill);
            test_stop();
        }
    }
    if (slot->size > 0) REQUIRE(slot->block[slot->size - 1] == slot->fill);
}

static void fill_slot(struct worker *worker, struct slot *slot) {
    slot->fill = (unsigned char)test_random(&worker->random);
    memset(slot->block, slot->fill, slot->size);
}

static void check_new(const struct slot *slot) {
    REQUIRE(slot->block != NULL);
    REQUIRE((uintptr_t)slot->block % slot->alignment == 0);
    size_t usable = varve_usable_size(slot->block);
    REQUIRE(usable >= slot->size);
    REQUIRE(usable <= (slot->size + 4096) / 4 * 5 + geometry.pool_bytes + slot->alignment);
}

static void allocate(struct worker *worker, struct slot *slot) {
    slot->size = random_size(worker);
    slot->alignment = geometry.alignment;
    switch (test_random_below(&worker->random, 8)) {
    case 0:
        slot->block = varve_calloc(1, slot->size);
        for (size_t index = 0; index < slot->size; index++) REQUIRE(slot->block[index] == 0);
        break;
    case 1:
        slot->alignment = (size_t)8 << test_random_below(&worker->random, 14);
        slot->block = varve_aligned_alloc(slot->alignment, slot->size);
        break;
    default: slot->block = varve_malloc(slot->size);
    }
    check_new(slot);
    fill_slot(worker, slot);
}

static void resize(struct worker *worker, struct slot *slot) {
    size_t new_size = random_size(worker) + 1;
    unsigned char *block = varve_realloc(slot->block, new_size);
    REQUIRE(block != NULL);
    slot->block = block;
    slot->alignment = geometry.alignment;
    if (new_size < slot->size) slot->size = new_size;
    check_slot(slot);
    slot->size = new_size;
    REQUIRE(varve_usable_size(block) >= new_size);
    fill_slot(worker, slot);
}

static void release(struct slot *slot) {
    varve_free(slot->block);
    slot->block = NULL;
}

/* Leaves the block to the neighbour and takes what lies at the same place of one's own mailbox. */
static void hand_over(struct worker *worker, struct slot *slot, size_t place) {
    struct worker *neighbour = worker->neighbour;
    pthread_mutex_lock(&neighbour->mutex);
    struct slot other = neighbour->mailbox[place];
    neighbour->mailbox[place] = *slot;
    pthread_mutex_unlock(&neighbour->mutex);
    *slot = other;
    if (slot->block != NULL) check_slot(slot);
}

static void collect(struct worker *worker) {
    for (size_t place = 0; place < SLOT_COUNT; place++) {
        pthread_mutex_lock(&worker->mutex);
        struct slot slot = worker->mailbox[place];
        worker->mailbox[place].block = NULL;
        pthread_mutex_unlock(&worker->mutex);
        if (slot.block == NULL) continue;
        check_slot(&slot);
        release(&slot);
    }
}

static void step(struct worker *worker) {
    size_t place = test_random_below(&worker->random, SLOT_COUNT);
    struct slot *slot = &worker->slots[place];
    if (slot->block == NULL) {
        allocate(worker, slot);
        return;
    }
    check_slot(slot);
    switch (test_random_below(&worker->random, 8)) {
    case 0: resize(worker, slot); break;
    case 1: hand_over(worker, slot, place); break;
    default: release(slot);
    }
}

static void *work(void *argument) {
    struct worker *worker = argument;
    for (unsigned count = 0; count < worker->steps; count++) {
        step(worker);
        if (count % 1000 == 999) collect(worker);
        if (count % 8000 == 7999) varve_trim();
    }
    for (size_t place = 0; place < SLOT_COUNT; place++) {
        if (worker->slots[place].block == NULL) continue;
        check_slot(&worker->slots[place]);
        release(&worker->slots[place]);
    }
    return NULL;
}

static void check_heap_is_sound(void) {
    const char *wrong = "";
    CHECK_EQ(varve_heap_check(&wrong), 0);
    CHECK_EQ_STR(wrong, "");
}

/* Several generations of threads, so that heaps are orphaned and taken over. */
static void run_model(unsigned thread_count, unsigned profile, unsigned steps) {
    uint64_t random = test_seed(thread_count * 1000 + profile);
    static struct worker workers[THREAD_MAX];
    varve_heap_geometry(&geometry);
    for (unsigned index = 0; index < thread_count; index++) {
        workers[index].neighbour = &workers[(index + 1) % thread_count];
        workers[index].profile = profile;
        workers[index].steps = steps / thread_count;
        pthread_mutex_init(&workers[index].mutex, NULL);
    }
    for (unsigned generation = 0; generation < 3; generation++) {
        for (unsigned index = 0; index < thread_count; index++) {
            workers[index].random = test_random(&random);
            pthread_create(&workers[index].thread, NULL, work, &workers[index]);
        }
        for (unsigned index = 0; index < thread_count; index++) {
            pthread_join(workers[index].thread, NULL);
        }
        check_heap_is_sound();
    }
    for (unsigned index = 0; index < thread_count; index++) collect(&workers[index]);
    varve_trim();
    check_heap_is_sound();
    varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    CHECK_EQ(stats.live_blocks, 0);
    CHECK_EQ(stats.resting_bytes, 0);
}

#ifdef __SANITIZE_THREAD__
#define STEPS 6000
#elif VARVE_AUDIT
#define STEPS 40000
#else
#define STEPS 150000
#endif

/* Large blocks are filled and compared, too, which is all that takes time then. */
#define MODEL(name, threads, profile)                                                              \
    TEST_SLOW(name, 300) {                                                                         \
        run_model(threads, profile, (profile) < 2 ? STEPS : STEPS / 4);                            \
    }

MODEL(one_thread_small_blocks, 1, 0)
MODEL(one_thread_mixed_blocks, 1, 1)
MODEL(one_thread_every_magnitude, 1, 2)
MODEL(one_thread_boundaries, 1, 3)
MODEL(two_threads_small_blocks, 2, 0)
MODEL(two_threads_every_magnitude, 2, 2)
MODEL(three_threads_boundaries, 3, 3)
MODEL(eight_threads_small_blocks, 8, 0)
MODEL(eight_threads_mixed_blocks, 8, 1)
MODEL(eight_threads_every_magnitude, 8, 2)
