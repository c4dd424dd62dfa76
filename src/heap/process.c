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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct vv_lock process_lock = VV_LOCK(VV_RANK_PROCESS);
static _Atomic bool initialised; /* release after init, acquire before use */
static pthread_key_t thread_key;
static bool stats_at_exit;
static bool stats_as_json;
static pid_t process_id;   /* whose memory this is: not the caller's after vfork() */
static _Atomic bool ended; /* its account was given */
static _Atomic enum { NOT_LOOKED, NOT_BYPASSED, BYPASSED } bypass;

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
    process_id = getpid();
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

void vv_process_look_for_bypass(void) {
    if (atomic_load_explicit(&bypass, memory_order_relaxed) != NOT_LOOKED) return;
    bool found = vv_override_is_bypassed != NULL && vv_override_is_bypassed();
    atomic_store_explicit(&bypass, found ? BYPASSED : NOT_BYPASSED, memory_order_relaxed);
}

bool vv_process_is_bypassed(void) {
    return atomic_load_explicit(&bypass, memory_order_relaxed) == BYPASSED;
}

static void end(void);

/* pthread_atfork() may allocate, so it waits until the program's constructors run. The start of
 * every process pays for each page that is touched here. */
__attribute__((constructor)) static void process_constructed(void) {
    vv_fork_watch();
    bool is_wanted = vv_hooks != NULL && vv_hooks->wants_process();
    if (!is_wanted && vv_environment("VARVE_STATS") == NULL) return;
    vv_process_look_for_bypass();
    vv_process_init();
    at_quick_exit(end);
}

/* --- end --- */

struct account {
    const char *path; /* NULL: stderr */
    int descriptor;
    bool failed;
};

static void write_stats(const char *text, size_t length, void *argument) {
    struct account *account = argument;
    if (!vv_write_all(account->descriptor, text, length)) account->failed = true;
}

/* Where VARVE_STATS_FILE says, at its end, so that several processes can write; or stderr. */
static struct account open_account(void) {
    struct account account = {vv_environment("VARVE_STATS_FILE"), STDERR_FILENO, false};
    if (account.path == NULL) return account;
    account.descriptor = open(account.path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
                              S_IRUSR | S_IWUSR);
    account.failed = account.descriptor < 0;
    return account;
}

static void write_account(const varve_heap_stats_data *stats, struct account *account) {
    if (stats_as_json) {
        vv_heap_stats_write_json(stats, write_stats, account);
    } else {
        varve_heap_stats_write(stats, write_stats, account);
    }
}

static void give_account(void) {
    static varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    struct account account = open_account();
    if (!account.failed) write_account(&stats, &account);
    if (account.path == NULL) return;
    if (account.descriptor >= 0) close(account.descriptor);
    if (!account.failed) return;
    complain("VARVE_STATS_FILE", account.path, "it cannot be written to; the account is here");
    account.descriptor = STDERR_FILENO;
    write_account(&stats, &account);
}

static void end(void) {
    if (!atomic_load_explicit(&initialised, memory_order_acquire)) return;
    if (atomic_exchange_explicit(&ended, true, memory_order_relaxed)) return;
    if (vv_hooks != NULL) vv_hooks->process_ended();
    if (stats_at_exit) give_account();
}

__attribute__((destructor)) static void process_ended(void) {
    end();
}

/* A handler that interrupts the allocator cannot look into it, and a child made by vfork() ends
 * without the memory that it borrowed. */
void vv_process_exits(void) {
    if (vv_local.busy == 0 && process_id == getpid()) end();
}

void vv_process_after_fork_in_child(void) {
    process_id = getpid();
}
