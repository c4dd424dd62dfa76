/* SPDX-License-Identifier: MIT
 * Threads, each with a world: they share the heap and nothing else. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "harness.h"
#include "varve/gc.h"
#include "varve/weakref.h"

#define HELD_COUNT 200

/* What one thread's program has done so far; compared between threads with the same seed. */
struct life {
    uint64_t seed;
    int round_count;
    uint64_t checksum;
    int finalized_count;
    int called_count;
};

static void count_finalizer(varve_object *self, void *argument) {
    (void)self;
    ((struct life *)argument)->finalized_count++;
}

static void count_callback(varve_object *ref, void *argument) {
    (void)ref;
    ((struct life *)argument)->called_count++;
}

static varve_object *make_something(varve_world *world, varve_object *cls, uint64_t choice) {
    switch (choice % 5) {
    case 0: return varve_list_new(world);
    case 1: return varve_dict_new(world);
    case 2: return varve_set_new(world);
    default: return varve_instance_new(cls);
    }
}

static void link_to(varve_object *holder, varve_object *item, uint64_t choice) {
    switch (varve_kind_of(holder)) {
    case VARVE_KIND_LIST: varve_list_append(holder, item); return;
    case VARVE_KIND_DICT: {
        varve_object *key = varve_int_new(varve_world_of(holder), (int64_t)(choice % 10));
        varve_dict_set(holder, key, item);
        varve_decref(key);
        return;
    }
    case VARVE_KIND_SET:
        if (varve_kind_of(item) == VARVE_KIND_INSTANCE) varve_set_add(holder, item);
        return;
    default: varve_instance_set(holder, (unsigned)choice % 2, item);
    }
}

/* Makes, links and drops objects at random; collections come by themselves. */
static void *live(void *argument) {
    static const char *const attributes[] = {"a", "b", NULL};
    struct life *life = argument;
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    varve_class_spec spec = {
        .name = "Node", .attributes = attributes, .finalize = count_finalizer, .argument = life};
    varve_object *cls = varve_class_new(world, &spec), *held[HELD_COUNT] = {NULL};
    uint64_t state = life->seed;
    for (int round = 0; round < life->round_count; round++) {
        uint64_t choice = test_random(&state);
        varve_object **place = &held[choice % HELD_COUNT];
        varve_clear_reference(place);
        varve_object *other = held[(choice >> 16) % HELD_COUNT];
        *place = make_something(world, cls, choice >> 32);
        REQUIRE(*place != NULL);
        if (other != NULL) link_to(*place, other, choice >> 40);
        if (other != NULL && choice % 3 == 0) link_to(other, *place, choice >> 44);
        if (choice % 64 == 0) {
            varve_object *ref = varve_weakref_new(*place, count_callback, life, NULL);
            REQUIRE(ref != NULL);
            link_to(*place, ref, choice >> 50); /* a set does not take it: it goes at once */
            varve_decref(ref);
        }
        life->checksum = life->checksum * 31 + varve_refcount(*place);
    }
    for (int index = 0; index < HELD_COUNT; index++) varve_xdecref(held[index]);
    varve_decref(cls);
    CHECK_EQ(varve_world_free(world), 0);
    return NULL;
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Runs the same program in `count` threads at once; returns how long it took. */
static uint64_t live_in_threads(struct life *lives, int count) {
    pthread_t threads[8];
    uint64_t begin_ns = now_ns();
    for (int index = 0; index < count; index++) {
        REQUIRE(pthread_create(&threads[index], NULL, live, &lives[index]) == 0);
    }
    for (int index = 0; index < count; index++) pthread_join(threads[index], NULL);
    return now_ns() - begin_ns;
}

TEST_SLOW(worlds_in_threads_run_as_if_alone, 400) {
    enum { THREADS = 4 };
    struct life alone = {.seed = test_seed(5), .round_count = 30000}, lives[THREADS];
    for (int index = 0; index < THREADS; index++) lives[index] = alone;
    live_in_threads(&alone, 1);
    live_in_threads(lives, THREADS);
    for (int index = 0; index < THREADS; index++) {
        CHECK_EQ(lives[index].checksum, alone.checksum);
        CHECK_EQ(lives[index].finalized_count, alone.finalized_count);
        CHECK_EQ(lives[index].called_count, alone.called_count);
    }
    CHECK_GT(alone.finalized_count, 1000);
}

/* Shares nothing with anybody: what two processors can do at the moment. */
static void *compute(void *argument) {
    volatile uint64_t *state = argument;
    for (int round = 0; round < 10000000; round++) *state = *state * 31 + 7;
    return NULL;
}

static uint64_t compute_in_threads(int count) {
    pthread_t threads[2];
    struct {
        uint64_t state;
        char apart[256];
    } states[2] = {{.state = 1}};
    uint64_t begin_ns = now_ns();
    for (int index = 0; index < count; index++) {
        REQUIRE(pthread_create(&threads[index], NULL, compute, &states[index].state) == 0);
    }
    for (int index = 0; index < count; index++) pthread_join(threads[index], NULL);
    return now_ns() - begin_ns;
}

/* Threads that shared a lock or a cache line would need the sum of their times. */
TEST_SLOW(worlds_in_two_threads_take_no_longer_than_one, 400) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    SKIP("sanitizers share locks of their own");
#endif
    if (VARVE_AUDIT) SKIP("audits take longer the more worlds there are");
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) SKIP("one processor");
    uint64_t best_percent = UINT64_MAX, best_control_percent = UINT64_MAX;
    /* Other processes may take a processor, so the best of many counts. */
    for (int attempt = 0; attempt < 100 && best_percent > 160; attempt++) {
        uint64_t control_percent = compute_in_threads(2) * 100 / compute_in_threads(1);
        if (control_percent < best_control_percent) best_control_percent = control_percent;
        struct life one = {.seed = 9, .round_count = 100000}, two[2] = {one, one};
        uint64_t one_ns = live_in_threads(&one, 1);
        uint64_t two_ns = live_in_threads(two, 2);
        uint64_t percent = two_ns * 100 / one_ns;
        if (percent < best_percent) best_percent = percent;
    }
    if (best_control_percent > 140) SKIP("there are not two processors for this program");
    CHECK_LE(best_percent, 160);
}

/* A world goes from thread to thread, each of which does something in it. */
struct relay {
    varve_world *world;
    varve_object *list;
    atomic_int turn;
};

struct runner {
    struct relay *relay;
    int index;
    int count;
};

static void *run_relay(void *argument) {
    struct runner *runner = argument;
    struct relay *relay = runner->relay;
    for (int round = 0; round < 200; round++) {
        while (atomic_load_explicit(&relay->turn, memory_order_acquire) != runner->index) {
            sched_yield();
        }
        varve_world_enter(relay->world);
        varve_object *item = varve_list_new(relay->world);
        varve_list_append(item, item);
        varve_list_append(relay->list, item);
        varve_decref(item);
        if (round % 10 == 0) varve_list_clear(relay->list);
        varve_gc_collect(relay->world, round % 3);
        varve_world_leave(relay->world);
        atomic_store_explicit(&relay->turn, (runner->index + 1) % runner->count,
                              memory_order_release);
    }
    return NULL;
}

TEST_SLOW(a_world_is_handed_from_thread_to_thread, 400) {
    enum { RUNNERS = 3 };
    varve_world *world = varve_world_new();
    struct relay relay = {.world = world, .list = varve_list_new(world)};
    varve_world_leave(world);
    struct runner runners[RUNNERS];
    pthread_t threads[RUNNERS];
    for (int index = 0; index < RUNNERS; index++) {
        runners[index] = (struct runner){&relay, index, RUNNERS};
        REQUIRE(pthread_create(&threads[index], NULL, run_relay, &runners[index]) == 0);
    }
    for (int index = 0; index < RUNNERS; index++) pthread_join(threads[index], NULL);
    varve_world_enter(world);
    varve_decref(relay.list);
    CHECK_EQ(varve_world_free(world), 0);
}
