/* SPDX-License-Identifier: MIT */
#include "cli/ahead.h"

#include "base/bits.h"
#include "capture/format.h"
#include "cli/stores.h"
#include "os/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_WAIT_NS 10000000u
#define LONGEST_WAIT_NS ((uint64_t)10000000000)
/* A pass may take a twentieth of the time. */
#define WAITS_PER_PASS 19u

struct vv_ahead {
    const char *folder;
    struct vv_symbols *symbols;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    atomic_bool is_ending;
};

/* --- the thread --- */

/* A store that cannot be read yet is read at the end. */
static void look_at(struct vv_ahead *ahead, const struct vv_store_name *store) {
    char path[VV_STORE_PATH_BYTES], sentence[256];
    struct vv_capture *capture;
    uint32_t unknown_count = 0;
    vv_store_path(ahead->folder, store, path);
    if (vv_capture_read_file(path, &capture, sentence, sizeof sentence) < 0) return;
    vv_capture_symbolise(capture, vv_symbols_look_up, ahead->symbols, &unknown_count);
    vv_capture_free(capture);
}

static void pass(struct vv_ahead *ahead) {
    struct vv_stores stores;
    vv_stores_list(ahead->folder, &stores); /* what is left out, nobody looks up ahead */
    for (unsigned index = 0; index < stores.count && !ahead->is_ending; index++) {
        look_at(ahead, &stores.names[index]);
    }
    vv_stores_free(&stores);
}

/* True: the program has ended. */
static bool wait_for_end(struct vv_ahead *ahead, uint64_t wait_ns) {
    uint64_t end_ns = vv_clock_ns() + wait_ns;
    struct timespec end = {(time_t)(end_ns / 1000000000u), (long)(end_ns % 1000000000u)};
    int error = 0;
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->is_ending && error == 0) {
        error = pthread_cond_clockwait(&ahead->ended, &ahead->lock, CLOCK_MONOTONIC, &end);
    }
    pthread_mutex_unlock(&ahead->lock);
    return ahead->is_ending;
}

static void *run(void *argument) {
    struct vv_ahead *ahead = argument;
    uint64_t wait_ns = FIRST_WAIT_NS;
    while (!wait_for_end(ahead, wait_ns)) {
        uint64_t begin_ns = vv_clock_ns();
        pass(ahead);
        uint64_t least_ns = (vv_clock_ns() - begin_ns) * WAITS_PER_PASS;
        wait_ns = vv_max(vv_min(wait_ns * 2, LONGEST_WAIT_NS), least_ns);
    }
    return NULL;
}

/* --- beginning and end --- */

/* The thread takes no signals: those of the terminal and those passed on are the main thread's. */
static int start_thread(struct vv_ahead *ahead) {
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    int error = vv_symbols_start_thread(&ahead->thread, run, ahead);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return error;
}

struct vv_ahead *vv_ahead_start(const char *folder) {
    struct vv_ahead *ahead = calloc(1, sizeof *ahead);
    if (ahead == NULL) return NULL;
    ahead->folder = folder;
    ahead->symbols = vv_symbols_open();
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->ended, NULL);
    if (ahead->symbols != NULL && start_thread(ahead) == 0) return ahead;
    if (ahead->symbols != NULL) vv_symbols_close(ahead->symbols);
    free(ahead);
    return NULL;
}

struct vv_symbols *vv_ahead_finish(struct vv_ahead *ahead) {
    if (ahead == NULL) return vv_symbols_open();
    pthread_mutex_lock(&ahead->lock);
    ahead->is_ending = true;
    pthread_cond_signal(&ahead->ended);
    pthread_mutex_unlock(&ahead->lock);
    pthread_join(ahead->thread, NULL);
    struct vv_symbols *symbols = ahead->symbols;
    pthread_cond_destroy(&ahead->ended);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
    return symbols;
}
