/* SPDX-License-Identifier: MIT */
#include "trace/session.h"

#include "base/options.h"
#include "base/text.h"
#include "heap/debug.h"
#include "heap/hooks.h"
#include "heap/process.h"
#include "heap/walk.h"
#include "os/clock.h"
#include "os/environment.h"
#include "os/pages.h"
#include "os/resident.h"
#include "trace/label.h"
#include "trace/mappings.h"
#include "trace/modules.h"
#include "trace/rule.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct vv_session vv_session;
_Atomic uint64_t *vv_session_number;

static struct vv_lock trace_lock = VV_LOCK(VV_RANK_TRACE);

#define DIRECTORY_BYTES 1024
static char directory[DIRECTORY_BYTES]; /* empty: the store is unnamed memory; const after start */
static bool follows_fork = true;        /* const after process start */

/* --- the store's beginning and end --- */

static const char *store_directory(void) {
    return directory[0] != '\0' ? directory : NULL;
}

static void note_last_seen(void) {
    struct vv_store_header *header = vv_store_header();
    atomic_store_explicit(&header->last_seen_ns, vv_clock_ns() - header->started_clock_ns,
                          memory_order_relaxed);
    atomic_store_explicit(&header->last_seen_ticks, vv_clock_ticks(), memory_order_relaxed);
}

static void note_end(enum vv_store_state state) {
    struct vv_store_header *header = vv_store_header();
    note_last_seen();
    atomic_store_explicit(&header->resident_bytes, vv_peak_resident_bytes(), memory_order_relaxed);
    atomic_store_explicit(&header->state, state, memory_order_release);
}

static void describe_session(void) {
    struct vv_store_header *header = vv_store_header();
    header->sample_bytes = vv_session.sample_bytes;
    header->depth_limit = vv_session.depth_limit;
    header->started_ticks = vv_clock_ticks();
    header->is_bypassed = vv_process_is_bypassed();
    vv_peak_open();
    note_last_seen();
}

static uint64_t last_session; /* numbers are not used again, not even after a fork */

static void raise_session(void) {
    atomic_store_explicit(vv_session_number, ++last_session, memory_order_release);
}

static bool make_number(void) {
    if (vv_session_number != NULL) return true;
    void *page = vv_pages_map(VV_PAGE_BYTES, VV_PAGE_BYTES);
    if (page == NULL) return false;
    vv_pages_wipe_on_fork(page, VV_PAGE_BYTES);
    vv_session_number = page;
    return true;
}

/* Opens the store and all tables, empty. 0 or -errno. The number comes first: where a store is
 * mapped, the number can be read, also in a child whose parent has come no further than that. */
static int open_all(void) {
    if (!make_number()) return -ENOMEM;
    int result = vv_store_open(store_directory());
    if (result < 0) return result;
    result = vv_rules_open();
    if (result == 0) {
        vv_modules_open();
        vv_counters_open();
        vv_mappings_open();
        result = vv_nodes_open();
    }
    if (result == 0) vv_labels_open();
    if (result < 0) {
        vv_store_discard();
        return result;
    }
    describe_session();
    raise_session();
    return 0;
}

static void start_recording(void) {
    atomic_store_explicit(&vv_tracing, true, memory_order_release);
    vv_lane_set(VV_LANE_FACTS);
}

static void complain(const char *what, int error) {
    char buffer[DIRECTORY_BYTES + 200];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: process ");
    vv_text_add_decimal(&text, (uint64_t)getpid());
    vv_text_add(&text, " is not recorded: ");
    vv_text_add(&text, what);
    vv_text_add(&text, directory);
    vv_text_add(&text, ": ");
    vv_text_add(&text, strerrordesc_np(-error));
    vv_text_add(&text, "\n");
    vv_text_end(&text);
    vv_write_all(STDERR_FILENO, text.begin, (size_t)(text.at - text.begin));
}

/* --- with the process --- */

static uint64_t number_option(const char *name, uint64_t max) {
    const char *value = vv_environment(name);
    uint64_t number = 0;
    if (value != NULL) vv_option_number(value, max, &number);
    return number;
}

/* Whether VARVE_TRACE_FOLLOW lets this program be traced. */
static bool is_followed(void) {
    const char *follow = vv_environment("VARVE_TRACE_FOLLOW");
    if (follow == NULL || strcmp(follow, "exec") == 0) return true;
    follows_fork = strcmp(follow, "fork") == 0;
    if (number_option("VARVE_TRACE_ROOT", UINT32_MAX) != (uint64_t)getpid()) return false;
    /* A program that ran in this process before has left its store. */
    char path[DIRECTORY_BYTES + 64];
    struct vv_text text = vv_text_in(path, sizeof path);
    vv_text_add(&text, directory);
    vv_text_add(&text, "/");
    vv_text_add_decimal(&text, (uint64_t)getpid());
    vv_text_add(&text, "-0.store");
    int saved_errno = errno;
    bool is_first = access(vv_text_end(&text), F_OK) != 0;
    errno = saved_errno;
    return is_first;
}

/* Cold, and so in the same pages as the constructor, which every process runs. */
VV_COLD bool vv_session_is_wanted(void) {
    const char *wanted = vv_environment("VARVE_TRACE");
    return wanted != NULL && wanted[0] != '\0' && strlen(wanted) < DIRECTORY_BYTES;
}

void vv_session_begin(void) {
    if (!vv_session_is_wanted()) return;
    const char *wanted = vv_environment("VARVE_TRACE");
    memcpy(directory, wanted, strlen(wanted) + 1);
    if (!is_followed()) return;
    vv_session.depth_limit = (uint32_t)number_option("VARVE_TRACE_DEPTH", UINT32_MAX);
    vv_session.sample_bytes = number_option("VARVE_TRACE_SAMPLE", INT32_MAX);
    int result = open_all();
    if (result == -ENOENT) return; /* the run is over: a daemon executes another program */
    if (result < 0) {
        complain("no store can be made in ", result);
        return;
    }
    start_recording();
}

static bool is_recorded_here(void) {
    return vv_store_base != NULL && vv_session_current() != 0;
}

void vv_session_end(void) {
    if (!is_recorded_here()) return;
    if (atomic_load_explicit(&vv_tracing, memory_order_relaxed)) note_end(VV_STORE_ENDED);
}

/* --- in a child --- */

void vv_session_before_fork(void) {
    vv_lock(&vv_mapped_lock);
    vv_counters_before_fork();
    vv_modules_before_fork();
    vv_lock(&vv_sites_lock);
}

void vv_session_after_fork_in_parent(void) {
    vv_unlock(&vv_sites_lock);
    vv_modules_after_fork(false);
    vv_counters_after_fork(false);
    vv_unlock(&vv_mapped_lock);
}

void vv_session_after_fork_in_child(void) {
    vv_lock_reset(&trace_lock); /* a thread that is not here may have been starting a trace */
    vv_lock_reset(&vv_sites_lock);
    vv_lock_reset(&vv_store_lock);
    vv_modules_after_fork(true);
    vv_counters_after_fork(true);
    vv_lock_reset(&vv_mapped_lock);
    if (!follows_fork) atomic_store_explicit(&vv_tracing, false, memory_order_relaxed);
}

static int count_inherited(const struct vv_place *place, void *argument) {
    struct vv_tracer *tracer = argument;
    struct vv_fact fact = vv_place_get_fact(place);
    if (fact.site < VV_SITE_FIRST) return 0;
    struct vv_amount amount = {(int64_t)fact.requested_bytes, 1};
    if (vv_session.sample_bytes != 0) {
        amount = vv_sampling_amount(vv_session.sample_bytes, fact.requested_bytes);
    }
    vv_counters_found(&tracer->counters, fact.site, amount);
    vv_store_header()->inherited_bytes += (uint64_t)amount.byte_count;
    vv_store_header()->inherited_count += (uint64_t)amount.block_count;
    return 0;
}

static void count_all_inherited(struct vv_tracer *tracer) {
    vv_walk_blocks(count_inherited, tracer);
    vv_mappings_inherit(&tracer->counters);
}

/* The parent's store is still mapped, and its report says it. */
static int note_unrecorded(const char *parent_store, int result) {
    struct vv_store_header *header = (struct vv_store_header *)(uintptr_t)parent_store;
    atomic_fetch_add_explicit(&header->unrecorded_count, 1, memory_order_relaxed);
    return result;
}

/* Opens the child's store and carries the parent's trie over. 0 or -errno. */
static int open_as_child(void) {
    const char *parent_store = vv_store_detach();
    int result = vv_store_open(store_directory());
    if (result == 0) result = vv_nodes_inherit(parent_store);
    if (result < 0) return note_unrecorded(parent_store, result);
    vv_labels_open();
    vv_modules_inherit(parent_store);
    vv_counters_open();
    describe_session();
    vv_store_release(parent_store);
    raise_session();
    return 0;
}

bool vv_session_become_child(struct vv_thread *thread) {
    int result = follows_fork ? open_as_child() : -ECHILD;
    if (result == 0) {
        uint64_t session = vv_session_current();
        if (thread->trace == NULL) {
            thread->trace = vv_tracer_new(session);
        } else {
            vv_tracer_restart(thread->trace, session);
        }
        if (thread->trace != NULL) count_all_inherited(thread->trace);
        return thread->trace != NULL;
    }
    atomic_store_explicit(&vv_tracing, false, memory_order_relaxed);
    if (result != -ECHILD && result != -ENOENT) complain("no store can be made in ", result);
    return false;
}

/* --- events --- */

VV_NOINLINE struct vv_tracer *vv_session_tracer_slow(struct vv_thread *thread) {
    if (vv_session_current() == 0 && !vv_session_become_child(thread)) return NULL;
    uint64_t session = vv_session_current();
    struct vv_tracer *tracer = thread->trace;
    if (tracer == NULL) {
        tracer = thread->trace = vv_tracer_new(session);
    } else if (tracer->session != session) {
        vv_tracer_restart(tracer, session);
    }
    return tracer;
}

VV_NOINLINE void vv_session_lose(void) {
    if (!is_recorded_here()) return;
    atomic_fetch_add_explicit(&vv_store_header()->lost_count, 1, memory_order_relaxed);
}

/* --- from the program --- */

/* Blocks of an earlier trace have sites that mean nothing any more. */
static int forget_site(const struct vv_place *place, void *argument) {
    (void)argument;
    struct vv_place copy = *place;
    vv_place_forget_site(&copy);
    return 0;
}

static int count_before(const struct vv_place *place, void *argument) {
    struct vv_amount *before = argument;
    before->byte_count += (int64_t)vv_place_usable_bytes(place);
    before->block_count++;
    return 0;
}

/* Threads that end may still write to the store that they have recorded into, unless its session is
 * over. It stays mapped if one of them sleeps in the middle of that. */
static void close_former(void) {
    raise_session();
    if (vv_threads_wait_for_others()) {
        vv_store_close();
    } else {
        vv_store_leave();
    }
}

int vv_session_start(uint32_t depth_limit) {
    int result = 0;
    vv_process_look_for_bypass();
    vv_lock(&trace_lock);
    if (!atomic_load_explicit(&vv_tracing, memory_order_relaxed)) {
        struct vv_amount before = {0, 0};
        vv_walk_blocks(count_before, &before);
        if (vv_store_base != NULL) {
            vv_walk_blocks(forget_site, NULL);
            close_former();
        }
        directory[0] = '\0';
        vv_session.depth_limit = depth_limit;
        vv_session.sample_bytes = 0;
        result = open_all();
        if (result == 0) {
            vv_store_header()->before_bytes = (uint64_t)before.byte_count;
            vv_store_header()->before_count = (uint64_t)before.block_count;
            start_recording();
        }
    }
    vv_unlock(&trace_lock);
    return result;
}

void vv_session_stop(void) {
    vv_lock(&trace_lock);
    if (atomic_load_explicit(&vv_tracing, memory_order_relaxed)) {
        atomic_store_explicit(&vv_tracing, false, memory_order_relaxed);
        if (!vv_debug_on) vv_lane_set(VV_LANE_PLAIN); /* debug mode keeps facts, too */
        /* Events that were under way end before the store may be closed. */
        vv_threads_wait_for_others();
        if (is_recorded_here()) note_end(VV_STORE_STOPPED);
    }
    vv_unlock(&trace_lock);
}
