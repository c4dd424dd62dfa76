/* SPDX-License-Identifier: MIT
 * Profiles of stretches of code: growth, peaks, nesting, threads. */
#include "harness.h"

#include "os/clock.h"
#include "os/pages.h"
#include "varve/leak.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
    varve_profile_result result;
    size_t site_count;
    long long largest;
};

static void keep(const varve_profile_result *result, void *argument) {
    struct seen *seen = argument;
    seen->result = *result;
    seen->site_count = result->sites->length;
    seen->largest = result->sites->length > 0 ? result->sites->items[0].size_diff : 0;
}

static varve_profile *begin(const char *name, unsigned flags) {
    varve_profile *profile = varve_profile_begin(name, 5, flags);
    if (profile == NULL && errno == ENOSYS) SKIP("a library without the trace layer");
    REQUIRE(profile != NULL);
    return profile;
}

TEST(a_profile_has_net_growth_peak_and_sites) {
    struct seen seen;
    varve_profile *profile = begin("work", 0);
    CHECK(varve_trace_is_tracing());
    void *kept = varve_malloc(1000);
    void *dropped = varve_malloc(50000);
    varve_free(dropped);
    varve_profile_end(profile, keep, &seen);
    CHECK(!varve_trace_is_tracing());
    CHECK_EQ_STR(seen.result.name, "work");
    CHECK_EQ(seen.result.net_bytes, 1000);
    CHECK_EQ(seen.result.net_blocks, 1);
    CHECK(seen.result.peak_is_known);
    CHECK_EQ(seen.result.peak_bytes, 51000);
    CHECK(seen.result.is_complete);
    CHECK_EQ(seen.site_count, 1);
    CHECK_EQ(seen.largest, 1000);
    varve_free(kept);
    varve_profile_end(NULL, keep, &seen);
}

TEST(profiles_nest_and_each_has_its_own_peak) {
    struct seen outer_seen, inner_seen;
    varve_profile *outer = begin("outer", 0);
    void *early = varve_malloc(90000);
    varve_free(early);
    void *kept = varve_malloc(100);
    varve_profile *inner = begin("inner", 0);
    void *middle = varve_malloc(20000);
    varve_free(middle);
    varve_free(kept);
    varve_profile_end(inner, keep, &inner_seen);
    CHECK(varve_trace_is_tracing());
    void *late = varve_malloc(300);
    varve_profile_end(outer, keep, &outer_seen);
    CHECK_EQ(inner_seen.result.peak_bytes, 20000);
    CHECK_EQ(inner_seen.result.net_bytes, -100);
    CHECK_EQ(inner_seen.site_count, 0);
    CHECK_EQ(outer_seen.result.peak_bytes, 90000);
    CHECK_EQ(outer_seen.result.net_bytes, 300);
    CHECK(!varve_trace_is_tracing());
    varve_free(late);
}

static void keep_slowly(const varve_profile_result *result, void *argument) {
    keep(result, argument);
    usleep(200000);
}

TEST(an_outer_profile_does_not_count_the_end_of_an_inner_one) {
    struct seen outer_seen, inner_seen;
    varve_profile *outer = begin("outer", 0);
    usleep(1000);
    varve_profile_end(begin("inner", 0), keep_slowly, &inner_seen);
    varve_profile_end(outer, keep, &outer_seen);
    CHECK_GE(outer_seen.result.duration_ns, 1000000);
    CHECK_LT(outer_seen.result.duration_ns, 150000000);
}

TEST(names_are_read_once) {
    struct seen seen;
    uint64_t least_ns = UINT64_MAX;
    for (int round = 0; round < 6; round++) {
        varve_profile *profile = begin("round", 0);
        void *block = varve_malloc(100);
        uint64_t before_ns = vv_clock_ns();
        varve_profile_end(profile, keep, &seen);
        uint64_t elapsed_ns = vv_clock_ns() - before_ns;
        CHECK_EQ(seen.site_count, 1);
        if (round > 0 && elapsed_ns < least_ns) least_ns = elapsed_ns;
        varve_free(block);
    }
    CHECK_LT(least_ns, 20000000); /* the C library's debug information alone takes longer */
}

TEST(a_trace_that_was_on_stays_on) {
    struct seen seen;
    if (varve_trace_start(0) == -ENOSYS) SKIP("a library without the trace layer");
    varve_profile_end(begin("inside", 0), keep, &seen);
    CHECK(varve_trace_is_tracing());
    CHECK_EQ(seen.result.net_bytes, 0);
    varve_trace_stop();
}

static pthread_barrier_t barrier;
static void *of_other_thread;

static void *allocate_elsewhere(void *argument) {
    of_other_thread = varve_malloc(7777);
    pthread_barrier_wait(&barrier);
    return argument;
}

TEST(a_threads_profile_has_only_what_the_thread_does) {
    struct seen all_seen, own_seen;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    varve_profile *all = begin("all", 0);
    varve_profile *own = begin("own", VARVE_PROFILE_THREAD);
    void *block = varve_malloc(123);
    REQUIRE(pthread_create(&thread, NULL, allocate_elsewhere, NULL) == 0);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    varve_profile_end(own, keep, &own_seen);
    varve_profile_end(all, keep, &all_seen);
    CHECK_EQ(own_seen.result.net_bytes, 123);
    CHECK(!own_seen.result.peak_is_known);
    CHECK_GE(all_seen.result.net_bytes, 7900);
    varve_free(block);
    varve_free(of_other_thread);
}

/* --- the macro and the function --- */

static int allocate(void *argument) {
    *(void **)argument = varve_malloc(2222);
    return 7;
}

/* What `function` writes to stderr. */
static void capture_stderr(void (*function)(void), char *text, size_t capacity) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    function();
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    ssize_t length = read(ends[0], text, capacity - 1);
    text[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    close(saved);
}

static void *kept_block;

static void call_in_profile(void) {
    CHECK_EQ(varve_profile_call("a call", 3, allocate, &kept_block), 7);
}

static int leave_early(void) {
    VARVE_PROFILE("outer", 3) {
        VARVE_PROFILE("inner", 3) {
            return 5;
        }
    }
    return 0;
}

/* On one line: no name hides another, which would be an error here. */
#define TWO_PROFILES VARVE_PROFILE("left", 3) VARVE_PROFILE("right", 3)

static void use_macros(void) {
    int rounds = 0;
    CHECK_EQ(leave_early(), 5);
    VARVE_PROFILE("broken off", 3) {
        rounds++;
        break;
    }
    VARVE_PROFILE("once", 3) {
        rounds++;
    }
    CHECK_EQ(rounds, 2);
    TWO_PROFILES rounds++;
    CHECK_EQ(rounds, 3);
}

TEST(a_call_is_reported_on_stderr) {
    char text[2048];
    varve_profile_end(begin("probe", 0), keep, &(struct seen){.site_count = 0});
    capture_stderr(call_in_profile, text, sizeof text);
    CHECK(strncmp(text, "varve profile a call: ", 22) == 0);
    CHECK(strstr(text, " us, net +2222 B in +1 blocks, peak +2222 B\n  ") != NULL);
    CHECK(strstr(text, "size=2222 B (+2222 B), count=1 (+1), average=2222 B\n") != NULL);
    varve_free(kept_block);
}

TEST(a_scope_ends_however_it_is_left) {
    char text[2048];
    varve_profile_end(begin("probe", 0), keep, &(struct seen){.site_count = 0});
    capture_stderr(use_macros, text, sizeof text);
    const char *names[] = {"inner", "outer", "broken off", "once", "right", "left"};
    const char *at = text;
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        at = at != NULL ? strstr(at, names[index]) : NULL;
        CHECK(at != NULL);
    }
    CHECK(!varve_trace_is_tracing());
}

/* --- memory that fails at every point --- */

TEST(without_memory_there_is_no_profile_and_no_trace) {
    struct seen seen;
    varve_profile_end(begin("probe", 0), keep, &seen);
    int failures = 0;
    for (uint64_t fail_at = 0; fail_at < 40; fail_at++) {
        vv_pages_fail_after(fail_at);
        varve_profile *profile = varve_profile_begin("x", 5, VARVE_PROFILE_THREAD);
        vv_pages_fail_never();
        failures += profile == NULL;
        CHECK_EQ(varve_trace_is_tracing(), profile != NULL);
        vv_pages_fail_after(fail_at);
        varve_profile_end(profile, keep, &seen);
        vv_pages_fail_never();
        CHECK(!varve_trace_is_tracing());
    }
    CHECK_GE(failures, 1);
}

static _Atomic bool profiling_ends;

static void *profile_again_and_again(void *argument) {
    (void)argument;
    while (!profiling_ends) {
        varve_profile *profile = varve_profile_begin("again", 1, 0);
        if (profile != NULL) varve_profile_end(profile, NULL, NULL);
    }
    return NULL;
}

TEST(a_child_forked_while_others_profile_can_do_so_too) {
    pthread_t thread;
    varve_profile_end(begin("first", 0), NULL, NULL);
    REQUIRE(pthread_create(&thread, NULL, profile_again_and_again, NULL) == 0);
    for (int round = 0; round < 30; round++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(60); /* ends it, should it hang */
            varve_profile *profile = varve_profile_begin("in the child", 1, 0);
            _exit(profile != NULL ? 0 : 1);
        }
        int status = -1;
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    profiling_ends = true;
    pthread_join(thread, NULL);
}

TEST(any_number_of_sites_may_be_asked_for) {
    struct seen seen;
    varve_profile_end(begin("probe", 0), keep, &seen);
    varve_profile *profile = varve_profile_begin("all", UINT32_MAX, 0);
    REQUIRE(profile != NULL);
    void *kept = varve_malloc(1000);
    varve_profile_end(profile, keep, &seen);
    CHECK(seen.result.is_complete);
    CHECK_EQ(seen.site_count, 1);
    CHECK_EQ(seen.largest, 1000);
    varve_free(kept);
    profile = varve_profile_begin("none", 0, 0);
    REQUIRE(profile != NULL);
    varve_profile_end(profile, keep, &seen);
    CHECK(seen.result.is_complete);
    CHECK_EQ(seen.site_count, 0);
}
