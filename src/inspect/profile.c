/* SPDX-License-Identifier: MIT
 * Stretches of code and what they do with memory.
 *
 * The trace has one peak. When a stretch begins, the peak so far is noted for all stretches that
 * are open, and the trace's begins anew; so each stretch knows its own. A trace that `varve run`
 * reads is left alone: its peak is the run's. */
#include "base/text.h"
#include "os/clock.h"
#include "os/environment.h"
#include "os/lock.h"
#include "os/scratch.h"
#include "varve/leak.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

struct varve_profile {
    struct vv_scratch *scratch; /* own: the profile lies in it */
    const char *name;
    unsigned top_count;
    uint64_t thread_id;   /* 0: all threads */
    uint64_t began_in_id; /* the thread */
    uint64_t started_ns;
    uint64_t excluded_ns;   /* profiles lock: what stretches within it took to begin and end */
    varve_snapshot *before; /* own */
    size_t begin_bytes;     /* live then */
    size_t begin_peak_bytes;
    size_t seen_peak_bytes; /* profiles lock: the highest peak of the trace before it was reset */
    varve_profile *next;    /* profiles lock */
};

static struct vv_lock profiles_lock = VV_LOCK(VV_RANK_PROFILES);
static varve_profile *open_profiles; /* profiles lock, like the next; newest first */
static bool started_trace;           /* to be stopped with the last profile */

/* --- the peak --- */

static bool trace_is_the_runs(void) {
    return !started_trace && vv_environment("VARVE_TRACE") != NULL;
}

static void note_peak_locked(void) {
    size_t peak_bytes;
    varve_trace_memory(NULL, &peak_bytes);
    for (varve_profile *profile = open_profiles; profile != NULL; profile = profile->next) {
        profile->seen_peak_bytes = vv_max(profile->seen_peak_bytes, peak_bytes);
    }
}

/* --- beginning --- */

/* 0 or -errno. */
static int open_locked(varve_profile *profile) {
    if (!varve_trace_is_tracing()) {
        int result = varve_trace_start(0);
        if (result < 0) return result;
        started_trace = true;
    }
    note_peak_locked();
    if (!trace_is_the_runs()) varve_trace_reset_peak();
    profile->next = open_profiles;
    open_profiles = profile;
    varve_trace_memory(&profile->begin_bytes, &profile->begin_peak_bytes);
    return 0;
}

/* What a stretch takes to begin or to end is no work of those around it in the same thread. */
static void exclude_since(uint64_t since_ns) {
    uint64_t thread_id = (uint64_t)gettid();
    vv_lock(&profiles_lock);
    uint64_t elapsed_ns = vv_clock_ns() - since_ns;
    for (varve_profile *profile = open_profiles; profile != NULL; profile = profile->next) {
        if (profile->began_in_id == thread_id) profile->excluded_ns += elapsed_ns;
    }
    vv_unlock(&profiles_lock);
}

/* A child made by fork() has the profiles that were open, and nobody else inside. */
static void before_fork(void) {
    vv_lock(&profiles_lock);
}

static void after_fork_in_parent(void) {
    vv_unlock(&profiles_lock);
}

static void after_fork_in_child(void) {
    vv_lock_reset(&profiles_lock);
}

static void watch_forks(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void close_locked(varve_profile *profile) {
    varve_profile **link = &open_profiles;
    while (*link != profile) link = &(*link)->next;
    *link = profile->next;
}

static void stop_trace_locked(void) {
    if (open_profiles != NULL || !started_trace) return;
    started_trace = false;
    varve_trace_stop();
}

static void free_profile(varve_profile *profile) {
    varve_snapshot_free(profile->before);
    vv_scratch_free(profile->scratch);
}

varve_profile *varve_profile_begin(const char *name, unsigned top_count, unsigned flags) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint64_t entered_ns = vv_clock_ns();
    pthread_once(&once, watch_forks);
    struct vv_scratch *scratch = vv_scratch_new();
    varve_profile *profile = scratch != NULL ? vv_scratch_take(scratch, sizeof *profile) : NULL;
    if (profile == NULL) {
        vv_scratch_free(scratch);
        errno = ENOMEM;
        return NULL;
    }
    *profile = (varve_profile){.scratch = scratch,
                               .name = name,
                               .top_count = top_count,
                               .began_in_id = (uint64_t)gettid()};
    if ((flags & VARVE_PROFILE_THREAD) != 0) profile->thread_id = profile->began_in_id;
    vv_lock(&profiles_lock);
    int result = open_locked(profile);
    if (result == 0) {
        result = varve_snapshot_take(&profile->before);
        if (result < 0) {
            close_locked(profile);
            stop_trace_locked();
        }
    }
    vv_unlock(&profiles_lock);
    if (result < 0) {
        free_profile(profile);
        errno = -result;
        return NULL;
    }
    exclude_since(entered_ns);
    profile->excluded_ns = 0;
    profile->started_ns = vv_clock_ns();
    return profile;
}

/* --- ending --- */

/* Reduces a snapshot to one thread. */
static int keep_thread(varve_snapshot **snapshot, uint64_t thread_id) {
    const varve_filter filter = {.inclusive = true, .thread_id = thread_id};
    varve_snapshot *filtered;
    int result = varve_snapshot_filter(*snapshot, &filter, 1, &filtered);
    if (result < 0) return result;
    varve_snapshot_free(*snapshot);
    *snapshot = filtered;
    return 0;
}

static void count_net(const varve_snapshot *before, const varve_snapshot *after,
                      varve_profile_result *result) {
    size_t old_bytes, old_blocks, bytes, blocks;
    varve_snapshot_totals(before, &old_bytes, &old_blocks);
    varve_snapshot_totals(after, &bytes, &blocks);
    result->net_bytes = (int64_t)(bytes - old_bytes);
    result->net_blocks = (int64_t)(blocks - old_blocks);
}

/* The sites that grew, up to the number that was asked for. */
static int keep_growth(const varve_profile *profile, const varve_statistics *all,
                       varve_statistics *out) {
    size_t top_count = vv_min(profile->top_count, all->length);
    varve_statistic *items = vv_scratch_take_array(profile->scratch, top_count + 1, sizeof *items);
    if (items == NULL) return -ENOMEM;
    *out = (varve_statistics){.items = items, .is_comparison = true, .key = all->key};
    for (size_t index = 0; index < all->length && out->length < top_count; index++) {
        if (all->items[index].size_diff > 0) items[out->length++] = all->items[index];
    }
    return 0;
}

static void set_peak(const varve_profile *profile, size_t peak_bytes, bool is_the_runs,
                     varve_profile_result *result) {
    size_t highest = vv_max(profile->seen_peak_bytes, peak_bytes);
    result->peak_is_known =
        profile->thread_id == 0 && (!is_the_runs || highest > profile->begin_peak_bytes);
    if (result->peak_is_known && highest > profile->begin_bytes) {
        result->peak_bytes = highest - profile->begin_bytes;
    }
}

static void write_to_stderr(const varve_profile_result *result, void *argument) {
    char line[1024];
    (void)argument;
    struct vv_text text = vv_text_in(line, sizeof line);
    vv_text_add(&text, "varve profile ");
    vv_text_add(&text, result->name);
    vv_text_add(&text, ": ");
    vv_text_add_decimal(&text, result->duration_ns / 1000);
    vv_text_add(&text, result->net_bytes < 0 ? " us, net -" : " us, net +");
    vv_text_add_size(&text, result->net_bytes < 0 ? 0 - (uint64_t)result->net_bytes
                                                  : (uint64_t)result->net_bytes);
    vv_text_add(&text, result->net_blocks < 0 ? " in -" : " in +");
    vv_text_add_decimal(&text, result->net_blocks < 0 ? 0 - (uint64_t)result->net_blocks
                                                      : (uint64_t)result->net_blocks);
    vv_text_add(&text, " blocks");
    if (result->peak_is_known) {
        vv_text_add(&text, ", peak +");
        vv_text_add_size(&text, result->peak_bytes);
    }
    vv_text_add(&text, "\n");
    vv_text_end(&text);
    vv_write_all(STDERR_FILENO, text.begin, (size_t)(text.at - text.begin));
    for (size_t index = 0; index < result->sites->length; index++) {
        size_t length = varve_statistic_format(result->sites, index, line, sizeof line - 1);
        length = vv_min(length, sizeof line - 2);
        line[length++] = '\n';
        vv_write_all(STDERR_FILENO, "  ", 2);
        vv_write_all(STDERR_FILENO, line, length);
    }
}

/* Compares and reports; sites are missing when there is no memory for them. */
static void report_profile(varve_profile *profile, varve_snapshot *after,
                           varve_profile_result *result,
                           void (*report)(const varve_profile_result *result, void *argument),
                           void *argument) {
    varve_statistics *all = NULL;
    varve_statistics grown = {.is_comparison = true, .key = VARVE_KEY_LINE};
    if (after != NULL) {
        count_net(profile->before, after, result);
        if (varve_snapshot_compare(after, profile->before, VARVE_KEY_LINE, false, &all) == 0) {
            result->is_complete = keep_growth(profile, all, &grown) == 0;
        }
    }
    result->sites = &grown;
    (report != NULL ? report : write_to_stderr)(result, argument);
    varve_statistics_free(all);
}

void varve_profile_end(varve_profile *profile,
                       void (*report)(const varve_profile_result *result, void *argument),
                       void *argument) {
    if (profile == NULL) return;
    uint64_t entered_ns = vv_clock_ns();
    varve_profile_result result = {.name = profile->name};
    varve_snapshot *after = NULL;
    size_t peak_bytes;
    vv_lock(&profiles_lock);
    result.duration_ns = entered_ns - profile->started_ns - profile->excluded_ns;
    varve_trace_memory(NULL, &peak_bytes);
    set_peak(profile, peak_bytes, trace_is_the_runs(), &result);
    if (varve_snapshot_take(&after) < 0) after = NULL;
    close_locked(profile);
    stop_trace_locked();
    vv_unlock(&profiles_lock);
    if (after != NULL && profile->thread_id != 0 &&
        (keep_thread(&profile->before, profile->thread_id) < 0 ||
         keep_thread(&after, profile->thread_id) < 0)) {
        varve_snapshot_free(after);
        after = NULL;
    }
    report_profile(profile, after, &result, report, argument);
    varve_snapshot_free(after);
    free_profile(profile);
    exclude_since(entered_ns);
}

int varve_profile_call(const char *name, unsigned top_count, int (*function)(void *argument),
                       void *argument) {
    varve_profile *profile = varve_profile_begin(name, top_count, 0);
    int result = function(argument);
    varve_profile_end(profile, NULL, NULL);
    return result;
}
