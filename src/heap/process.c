/* SPDX-License-Identifier: MIT */
#include "heap/process.h"

#include "base/options.h"
#include "base/text.h"
#include "heap/arena.h"
#include "heap/debug.h"
#include "heap/fork.h"
#include "heap/hooks.h"
#include "heap/region.h"
#include "heap/size_class.h"
#include "heap/stats.h"
#include "heap/thread.h"
#include "os/environment.h"
#include "os/signals.h"
#include "varve/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct vv_lock process_lock = VV_LOCK(VV_RANK_PROCESS);
static _Atomic bool initialised; /* release after init, acquire before use */
static pthread_key_t thread_key;
static bool stats_at_exit;
static bool stats_as_json;

/* --- options --- */

static void complain(const char *name, const char *value, const char *expected) {
    char buffer[300];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: ");
    vv_text_add(&text, name);
    vv_text_add(&text, "=");
    vv_text_add_bytes(&text, value, vv_min(strlen(value), 80));
    vv_text_add(&text, " is ignored: ");
    vv_text_add(&text, expected);
    vv_text_add(&text, "\n");
    vv_text_end(&text);
    vv_write_all(STDERR_FILENO, text.begin, (size_t)(text.at - text.begin));
}

static bool read_switch(const char *name) {
    bool on = false;
    const char *value = vv_environment(name);
    if (value != NULL && vv_option_switch(value, &on) < 0) {
        complain(name, value, "it must be 0 or 1");
    }
    return on;
}

#define PURGE_MAX_MS ((uint64_t)24 * 3600 * 1000)

static void read_purge_delay(void) {
    const char *value = vv_environment("VARVE_PURGE_MS");
    if (value != NULL && vv_option_number(value, PURGE_MAX_MS, &vv_purge_delay_ms) < 0) {
        complain("VARVE_PURGE_MS", value, "it must be a number of milliseconds, at most a day");
    }
}

static void read_stats(void) {
    const char *value = vv_environment("VARVE_STATS");
    stats_as_json = value != NULL && strcmp(value, "json") == 0;
    stats_at_exit = stats_as_json || read_switch("VARVE_STATS");
}

static void read_options(void) {
    read_purge_delay();
    if (read_switch("VARVE_DEBUG")) vv_debug_enable();
    read_stats();
}

/* --- beginning --- */

static bool init_locked(void) {
    vv_classes_init();
    if (vv_region_arena_count() == 0 && !vv_region_init()) return false;
    if (pthread_key_create(&thread_key, vv_thread_end) != 0) return false;
    vv_arenas_init();
    read_options();
    if (vv_hooks != NULL) vv_hooks->process_started();
    return true;
}

bool vv_process_init(void) {
    if (vv_likely(atomic_load_explicit(&initialised, memory_order_acquire))) return true;
    /* No handler may allocate meanwhile: there is no emergency reserve yet. */
    sigset_t mask;
    vv_signals_block(&mask);
    vv_lock(&process_lock);
    bool ready = atomic_load_explicit(&initialised, memory_order_relaxed);
    if (!ready) {
        ready = init_locked();
        atomic_store_explicit(&initialised, ready, memory_order_release);
    }
    vv_unlock(&process_lock);
    vv_signals_restore(&mask);
    return ready;
}

void vv_process_watch_thread_end(struct vv_thread *thread) {
    pthread_setspecific(thread_key, thread);
}

/* pthread_atfork() may allocate, so it waits until the program's constructors run. */
__attribute__((constructor)) static void process_constructed(void) {
    vv_fork_watch();
    bool is_wanted = vv_hooks != NULL && vv_hooks->wants_process();
    if (is_wanted || vv_environment("VARVE_STATS") != NULL) vv_process_init();
}

/* --- end --- */

static void write_stats(const char *text, size_t length, void *argument) {
    const int *descriptor = argument;
    vv_write_all(*descriptor, text, length);
}

/* Where VARVE_STATS_FILE says, at its end, so that several processes can write; or stderr. */
static int open_stats_file(void) {
    const char *path = vv_environment("VARVE_STATS_FILE");
    if (path == NULL) return STDERR_FILENO;
    int descriptor =
        open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (descriptor >= 0) return descriptor;
    complain("VARVE_STATS_FILE", path, "it cannot be written to");
    return STDERR_FILENO;
}

__attribute__((destructor)) static void process_ended(void) {
    if (!atomic_load_explicit(&initialised, memory_order_acquire)) return;
    if (vv_hooks != NULL) vv_hooks->process_ended();
    if (!stats_at_exit) return;
    static varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    int descriptor = open_stats_file();
    if (stats_as_json) {
        vv_heap_stats_write_json(&stats, write_stats, &descriptor);
    } else {
        varve_heap_stats_write(&stats, write_stats, &descriptor);
    }
    if (descriptor != STDERR_FILENO) close(descriptor);
}
