/* SPDX-License-Identifier: MIT
 * The trace from within: sums against a shadow model, threads, fork, restarts, the snapshot's
 * statistics. Links varve's objects, so that it also runs under sanitizers. */
#include "harness.h"

#include "os/pages.h"
#include "varve/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_COUNT 400

static void *allocate(size_t size) {
    void *block = varve_malloc(size);
    REQUIRE(block != NULL);
    return block;
}

static size_t current_bytes(void) {
    size_t current;
    varve_trace_memory(&current, NULL);
    return current;
}

static size_t peak_bytes(void) {
    size_t peak;
    varve_trace_memory(NULL, &peak);
    return peak;
}

static varve_snapshot *take(void) {
    varve_snapshot *snapshot = NULL;
    REQUIRE(varve_snapshot_take(&snapshot) == 0);
    return snapshot;
}

static void check_totals(size_t bytes, size_t blocks) {
    varve_snapshot *snapshot = take();
    size_t found_bytes, found_blocks;
    varve_snapshot_totals(snapshot, &found_bytes, &found_blocks);
    CHECK_EQ(found_bytes, bytes);
    CHECK_EQ(found_blocks, blocks);
    varve_snapshot_free(snapshot);
}

/* --- sums --- */

TEST(nothing_is_known_before_the_first_start) {
    varve_snapshot *snapshot;
    CHECK(!varve_trace_is_tracing());
    CHECK_EQ(current_bytes(), 0);
    CHECK_EQ(peak_bytes(), 0);
    CHECK_EQ(varve_trace_overhead(), 0);
    CHECK_EQ(varve_snapshot_take(&snapshot), -ESRCH);
    CHECK_EQ(varve_trace_clear(), -ESRCH);
    void *block = allocate(10);
    CHECK_EQ(varve_trace_of(block, NULL, 0), -ENOENT);
    varve_free(block);
}

TEST(current_and_peak_are_the_requested_bytes) {
    REQUIRE(varve_trace_start(0) == 0);
    CHECK(varve_trace_is_tracing());
    void *first = allocate(1001);
    void *second = allocate(33);
    CHECK_EQ(current_bytes(), 1034);
    varve_free(first);
    CHECK_EQ(current_bytes(), 33);
    CHECK_EQ(peak_bytes(), 1034);
    varve_trace_reset_peak();
    CHECK_EQ(peak_bytes(), 33);
    second = varve_realloc(second, 500000);
    CHECK_EQ(current_bytes(), 500000);
    CHECK_EQ(peak_bytes(), 500000);
    varve_free(second);
    check_totals(0, 0);
    varve_trace_stop();
}

struct model {
    void *blocks[SLOT_COUNT];
    size_t sizes[SLOT_COUNT];
    size_t live_bytes;
    size_t live_count;
    size_t peak_bytes;
    uint64_t random;
};

static size_t random_size(uint64_t *random) {
    unsigned bits = (unsigned)test_random_below(random, 20);
    return test_random_below(random, ((uint64_t)1 << bits) + 1);
}

static void forget(struct model *model, size_t index) {
    if (model->blocks[index] == NULL) return;
    model->live_bytes -= model->sizes[index];
    model->live_count--;
    model->blocks[index] = NULL;
}

static void note(struct model *model, size_t index, void *block, size_t size) {
    REQUIRE(block != NULL);
    model->blocks[index] = block;
    model->sizes[index] = size;
    model->live_bytes += size;
    model->live_count++;
    if (model->live_bytes > model->peak_bytes) model->peak_bytes = model->live_bytes;
}

/* Each call of the switch is a site of its own. */
static void change(struct model *model) {
    size_t index = test_random_below(&model->random, SLOT_COUNT);
    size_t size = random_size(&model->random);
    void *old = model->blocks[index];
    void *block;
    switch (test_random_below(&model->random, 5)) {
    case 0:
        block = varve_realloc(old, size + 1);
        forget(model, index);
        note(model, index, block, size + 1);
        return;
    case 1:
        varve_free(old);
        forget(model, index);
        return;
    case 2:
        block = varve_calloc(3, size);
        size *= 3;
        break;
    case 3: block = varve_aligned_alloc(64, size); break;
    default: block = varve_malloc(size); break;
    }
    varve_free(old);
    /* The new block was there before the old one went. */
    if (model->live_bytes + size > model->peak_bytes) model->peak_bytes = model->live_bytes + size;
    forget(model, index);
    note(model, index, block, size);
}

static void free_all(struct model *model) {
    for (size_t index = 0; index < SLOT_COUNT; index++) {
        varve_free(model->blocks[index]);
        forget(model, index);
    }
}

TEST(sums_equal_a_replay_to_the_byte) {
    REQUIRE(varve_trace_start(0) == 0);
    static struct model model;
    model.random = test_seed(11);
    for (unsigned step = 0; step < 30000; step++) {
        change(&model);
        if (step % 1000 == 0) check_totals(model.live_bytes, model.live_count);
    }
    CHECK_EQ(current_bytes(), model.live_bytes);
    CHECK_EQ(peak_bytes(), model.peak_bytes);
    check_totals(model.live_bytes, model.live_count);
    free_all(&model);
    check_totals(0, 0);
}

static void *work(void *argument) {
    struct model *model = argument;
    for (unsigned step = 0; step < 15000; step++) change(model);
    return NULL;
}

TEST(sums_of_several_threads_are_exact_when_they_rest) {
    REQUIRE(varve_trace_start(0) == 0);
    static struct model models[4];
    pthread_t threads[4];
    uint64_t seed = test_seed(12);
    size_t bytes = 0;
    size_t blocks = 0;
    for (size_t index = 0; index < 4; index++) {
        models[index].random = seed + index;
        pthread_create(&threads[index], NULL, work, &models[index]);
    }
    for (size_t index = 0; index < 4; index++) {
        pthread_join(threads[index], NULL);
        bytes += models[index].live_bytes;
        blocks += models[index].live_count;
    }
    check_totals(bytes, blocks);
    for (size_t index = 0; index < 4; index++) free_all(&models[index]); /* by another thread */
    check_totals(0, 0);
}

/* --- beginning and ending --- */

TEST(blocks_from_before_the_trace_are_not_in_its_sums) {
    void *before = allocate(5000);
    void *other = allocate(100);
    REQUIRE(varve_trace_start(0) == 0);
    CHECK_EQ(current_bytes(), 0);
    varve_free(before);
    CHECK_EQ(current_bytes(), 0);
    other = varve_realloc(other, 300); /* from now on it is known */
    CHECK_EQ(current_bytes(), 300);
    varve_free(other);
    CHECK_EQ(current_bytes(), 0);
}

TEST(a_second_start_forgets_nothing_and_clear_forgets_all) {
    REQUIRE(varve_trace_start(0) == 0);
    void *block = allocate(77);
    CHECK_EQ(varve_trace_start(0), 0);
    CHECK_EQ(current_bytes(), 77);
    CHECK_EQ(varve_trace_clear(), 0);
    CHECK_EQ(current_bytes(), 0);
    varve_free(block);
    CHECK_EQ(current_bytes(), 0);
    block = allocate(9);
    check_totals(9, 1);
    varve_free(block);
}

TEST(what_was_recorded_stays_readable_after_the_stop) {
    REQUIRE(varve_trace_start(0) == 0);
    void *block = allocate(123);
    varve_trace_stop();
    CHECK(!varve_trace_is_tracing());
    void *unseen = allocate(1000);
    CHECK_EQ(current_bytes(), 123);
    check_totals(123, 1);
    varve_free(block);
    varve_free(unseen);
}

TEST(a_trace_may_begin_and_end_while_others_allocate) {
    static struct model models[2];
    pthread_t threads[2];
    for (size_t index = 0; index < 2; index++) {
        models[index].random = 5 + index;
        pthread_create(&threads[index], NULL, work, &models[index]);
    }
    for (int round = 0; round < 20; round++) {
        CHECK_EQ(varve_trace_start(0), 0);
        varve_snapshot_free(take());
        varve_trace_stop();
    }
    for (size_t index = 0; index < 2; index++) pthread_join(threads[index], NULL);
    const char *sentence = NULL;
    CHECK_EQ(varve_heap_check(&sentence), 0);
}

static atomic_bool moving;

static void *move(void *argument) {
    (void)argument;
    while (atomic_load(&moving)) {
        void *block = allocate(20); /* always moves: 1000 is another class */
        varve_free(varve_realloc(block, 1000));
    }
    return NULL;
}

TEST(a_trace_may_begin_and_end_while_others_move_blocks) {
    pthread_t threads[2];
    atomic_store(&moving, true);
    for (size_t index = 0; index < 2; index++) pthread_create(&threads[index], NULL, move, NULL);
    for (int round = 0; round < 100; round++) {
        CHECK_EQ(varve_trace_start(0), 0);
        varve_trace_stop();
    }
    atomic_store(&moving, false);
    for (size_t index = 0; index < 2; index++) pthread_join(threads[index], NULL);
    const char *sentence = NULL;
    CHECK_EQ(varve_heap_check(&sentence), 0);
}

/* --- fork --- */

TEST(a_child_goes_on_with_what_its_parent_had) {
    REQUIRE(varve_trace_start(0) == 0);
    void *block = allocate(600);
    pid_t child = fork();
    if (child == 0) {
        void *own = allocate(7);
        if (current_bytes() != 607) _exit(1);
        varve_free(block);
        if (current_bytes() != 7) _exit(2);
        varve_free(own);
        _exit(current_bytes() == 0 ? 0 : 3);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
    CHECK_EQ(current_bytes(), 600);
    varve_free(block);
}

TEST(what_a_child_does_first_leaves_its_parents_trace_alone) {
    REQUIRE(varve_trace_start(0) == 0);
    void *block = allocate(600);
    varve_free(allocate(1000));
    for (int first = 0; first < 4; first++) {
        pid_t child = fork();
        if (child == 0) {
            if (first == 0) varve_trace_stop();
            if (first == 1) varve_trace_reset_peak();
            if (first == 2) varve_trace_clear();
            if (first < 3) _exit(varve_trace_is_tracing() == (first != 0) ? 0 : 1);
            _exit(current_bytes() == 600 && peak_bytes() == 600 ? 0 : 2);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
        CHECK_EQ(current_bytes(), 600);
        CHECK_EQ(peak_bytes(), 1600);
    }
    varve_free(block);
    check_totals(0, 0);
}

static void *start_and_stop(void *argument) {
    (void)argument;
    while (atomic_load(&moving)) {
        varve_trace_start(0);
        varve_trace_stop();
    }
    return NULL;
}

/* The status of a child that traces for itself. */
static int trace_in_a_child(void) {
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        varve_trace_stop();
        if (varve_trace_start(0) != 0) _exit(1);
        void *block = allocate(7);
        if (current_bytes() != 7) _exit(2);
        varve_free(block);
        _exit(current_bytes() == 0 ? 0 : 3);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

TEST(a_child_may_trace_though_its_parent_was_starting_to) {
    pthread_t thread;
    atomic_store(&moving, true);
    pthread_create(&thread, NULL, start_and_stop, NULL);
    for (int round = 0; round < 200; round++) {
        CHECK_EQ(trace_in_a_child(), 0);
    }
    atomic_store(&moving, false);
    pthread_join(thread, NULL);
}

static void *start_when_told(void *argument) {
    (void)argument;
    while (!atomic_load(&moving)) continue;
    varve_trace_start(0);
    return NULL;
}

/* Each round is a process that has never traced, which forks a little later in its start. */
TEST(a_child_may_trace_though_its_parent_was_starting_for_the_first_time) {
    for (int round = 0; round < 300; round++) {
        pid_t parent = fork();
        if (parent == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, start_when_told, NULL);
            pthread_detach(thread);
            atomic_store(&moving, true);
            for (volatile int spin = 0; spin < round * 100; spin++) continue;
            _exit(trace_in_a_child() == 0 ? 0 : 1);
        }
        int status = -1;
        waitpid(parent, &status, 0);
        CHECK_EQ(status, 0);
    }
}

/* --- snapshots --- */

static __attribute__((noinline)) void *make_apple(void) {
    void *block = varve_malloc(1000);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static __attribute__((noinline)) void *make_pear(void) {
    void *block = varve_malloc(20);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static const varve_statistic *find(const varve_statistics *statistics, const char *function) {
    for (size_t index = 0; index < statistics->length; index++) {
        if (strcmp(statistics->items[index].frame.function, function) == 0) {
            return &statistics->items[index];
        }
    }
    return NULL;
}

static void *fruit[30];

static void make_fruit(void) {
    for (size_t index = 0; index < 10; index++) fruit[index] = make_apple();
    for (size_t index = 10; index < 30; index++) fruit[index] = make_pear();
}

/* Names need libvarve-symbols.so beside the library, or a dynamic symbol table. */
static bool has_names(varve_snapshot *snapshot) {
    varve_statistics *statistics;
    REQUIRE(varve_snapshot_statistics(snapshot, VARVE_KEY_FUNCTION, false, &statistics) == 0);
    bool found = find(statistics, "make_apple") != NULL;
    varve_statistics_free(statistics);
    return found;
}

TEST(statistics_are_sorted_by_size_and_sum_up) {
    REQUIRE(varve_trace_start(0) == 0);
    make_fruit();
    varve_snapshot *snapshot = take();
    for (varve_key key = VARVE_KEY_LINE; key <= VARVE_KEY_THREAD; key++) {
        varve_statistics *statistics;
        REQUIRE(varve_snapshot_statistics(snapshot, key, false, &statistics) == 0);
        size_t bytes = 0;
        size_t blocks = 0;
        for (size_t index = 0; index < statistics->length; index++) {
            bytes += statistics->items[index].size;
            blocks += statistics->items[index].count;
            if (index > 0) {
                CHECK_GE(statistics->items[index - 1].size, statistics->items[index].size);
            }
        }
        CHECK_EQ(bytes, 10400);
        CHECK_EQ(blocks, 30);
        varve_statistics_free(statistics);
    }
    varve_statistics *none;
    CHECK_EQ(varve_snapshot_statistics(snapshot, (varve_key)99, false, &none), -EINVAL);
    varve_snapshot_free(snapshot);
}

TEST(statistics_name_functions_and_print_as_tracemalloc_does) {
    REQUIRE(varve_trace_start(0) == 0);
    make_fruit();
    varve_snapshot *snapshot = take();
    if (!has_names(snapshot)) SKIP("the names of static functions need libvarve-symbols.so");
    varve_statistics *statistics;
    REQUIRE(varve_snapshot_statistics(snapshot, VARVE_KEY_FUNCTION, false, &statistics) == 0);
    const varve_statistic *apples = find(statistics, "make_apple");
    REQUIRE(apples != NULL);
    CHECK_EQ(apples->size, 10000);
    CHECK_EQ(apples->count, 10);
    CHECK(apples->frame_count >= 3);
    char text[200];
    size_t length = varve_statistic_format(statistics, 0, text, sizeof text);
    CHECK_EQ_STR(text, "make_apple: size=10000 B, count=10, average=1000 B");
    CHECK_EQ(length, strlen(text));
    CHECK_EQ(varve_statistic_format(statistics, 0, text, 5), length);
    CHECK_EQ_STR(text, "make");
    varve_statistics_free(statistics);
    varve_snapshot_free(snapshot);
}

TEST(filters_keep_and_leave_out) {
    REQUIRE(varve_trace_start(0) == 0);
    make_fruit();
    varve_snapshot *snapshot = take();
    if (!has_names(snapshot)) SKIP("the names of static functions need libvarve-symbols.so");
    varve_filter apples = {.inclusive = true, .all_frames = true, .function = "make_a*"};
    varve_filter no_pears = {.inclusive = false, .all_frames = true, .function = "*_pea?"};
    varve_snapshot *filtered;
    size_t bytes, blocks;
    REQUIRE(varve_snapshot_filter(snapshot, &apples, 1, &filtered) == 0);
    varve_snapshot_totals(filtered, &bytes, &blocks);
    CHECK_EQ(bytes, 10000);
    varve_snapshot_free(filtered);
    REQUIRE(varve_snapshot_filter(snapshot, &no_pears, 1, &filtered) == 0);
    varve_snapshot_free(snapshot); /* a filtered one lives on */
    varve_snapshot_totals(filtered, &bytes, &blocks);
    CHECK_EQ(blocks, 10);
    varve_snapshot_free(filtered);
}

TEST(comparisons_show_what_changed_first) {
    REQUIRE(varve_trace_start(0) == 0);
    make_fruit();
    varve_snapshot *before = take();
    if (!has_names(before)) SKIP("the names of static functions need libvarve-symbols.so");
    for (size_t index = 0; index < 3; index++) varve_free(fruit[index]);
    void *more = make_pear();
    varve_snapshot *after = take();
    varve_statistics *statistics;
    REQUIRE(varve_snapshot_compare(after, before, VARVE_KEY_FUNCTION, false, &statistics) == 0);
    CHECK_EQ_STR(statistics->items[0].frame.function, "make_apple");
    CHECK_EQ(statistics->items[0].size_diff, -3000);
    CHECK_EQ(statistics->items[0].count_diff, -3);
    const varve_statistic *pears = find(statistics, "make_pear");
    REQUIRE(pears != NULL);
    CHECK_EQ(pears->size, 420);
    CHECK_EQ(pears->size_diff, 20);
    char text[200];
    varve_statistic_format(statistics, 0, text, sizeof text);
    CHECK_EQ_STR(text, "make_apple: size=7000 B (-3000 B), count=7 (-3), average=1000 B");
    varve_statistics_free(statistics);
    varve_snapshot_free(before);
    varve_snapshot_free(after);
    varve_free(more);
}

TEST(a_dumped_snapshot_is_loaded_again) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/varve-test-%d.varve", (int)getpid());
    REQUIRE(varve_trace_start(0) == 0);
    make_fruit();
    varve_snapshot *snapshot = take();
    REQUIRE(varve_snapshot_dump(snapshot, path) == 0);
    CHECK_EQ(varve_snapshot_dump(snapshot, path), -EEXIST);
    struct stat status;
    REQUIRE(stat(path, &status) == 0);
    CHECK_EQ(status.st_mode & 0777, 0600);
    varve_snapshot *loaded;
    REQUIRE(varve_snapshot_load(path, &loaded) == 0);
    size_t bytes, blocks;
    varve_snapshot_totals(loaded, &bytes, &blocks);
    CHECK_EQ(bytes, 10400);
    CHECK_EQ(blocks, 30);
    varve_statistics *statistics;
    REQUIRE(varve_snapshot_compare(loaded, snapshot, VARVE_KEY_LINE, false, &statistics) == 0);
    for (size_t index = 0; index < statistics->length; index++) {
        CHECK_EQ(statistics->items[index].size_diff, 0);
    }
    varve_statistics_free(statistics);
    varve_snapshot_free(snapshot);
    varve_snapshot_free(loaded);
    CHECK_EQ(varve_snapshot_load("/nothing/here", &loaded), -ENOENT);
    CHECK_EQ(varve_snapshot_load("/proc/self/exe", &loaded), -EINVAL);
    unlink(path);
}

TEST(snapshots_do_not_appear_in_each_other) {
    REQUIRE(varve_trace_start(0) == 0);
    void *block = allocate(55);
    varve_snapshot *first = take();
    varve_statistics *statistics;
    REQUIRE(varve_snapshot_statistics(first, VARVE_KEY_LINE, false, &statistics) == 0);
    check_totals(55, 1);
    varve_statistics_free(statistics);
    varve_snapshot_free(first);
    varve_free(block);
}

/* --- out of memory --- */

TEST(every_failure_of_memory_leaves_a_trace_that_adds_up) {
    for (uint64_t allowed = 0; allowed < 60; allowed++) {
        pid_t child = fork();
        if (child == 0) {
            static void *blocks[3000];
            size_t expected = 0;
            vv_pages_fail_after(allowed);
            int started = varve_trace_start(0);
            for (size_t index = 0; index < 3000; index++) {
                size_t size = index % 7 == 0 ? 70000 : index % 900;
                blocks[index] = varve_malloc(size);
                if (blocks[index] != NULL) expected += size;
            }
            vv_pages_fail_never();
            if (started == 0 && current_bytes() > expected) _exit(1);
            for (size_t index = 0; index < 3000; index++) varve_free(blocks[index]);
            if (started == 0 && current_bytes() != 0) _exit(2);
            _exit(started == 0 || started == -ENOMEM ? 0 : 3);
        }
        int status = -1;
        waitpid(child, &status, 0);
        if (status != 0) CHECK_EQ(status, (long)allowed + 1000000);
    }
}
