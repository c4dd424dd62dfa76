/* SPDX-License-Identifier: MIT */
#include "trace/tracer.h"

#include "heap/debug.h"
#include "heap/meta.h"
#include "trace/session.h"

void vv_tracer_settle(struct vv_tracer *tracer) {
    bool is_plain = tracer->suspended_count == 0 && !vv_debug_on && vv_session.depth_limit == 0 &&
                    vv_session.sample_bytes == 0;
    tracer->plain_session = is_plain ? tracer->session : UINT64_MAX;
}

/* Tracers of ended threads, for the next ones: programs with short-lived threads would spend their
 * time with mapping and touching a tracer's pages. What such a tracer remembers of the trie stays
 * true in its session. */
#define IDLE_TRACER_COUNT 8
static _Atomic(struct vv_tracer *) idle_tracers[IDLE_TRACER_COUNT];

static struct vv_tracer *take_idle(void) {
    for (unsigned slot = 0; slot < IDLE_TRACER_COUNT; slot++) {
        if (atomic_load_explicit(&idle_tracers[slot], memory_order_relaxed) == NULL) continue;
        struct vv_tracer *tracer =
            atomic_exchange_explicit(&idle_tracers[slot], NULL, memory_order_acquire);
        if (tracer != NULL) return tracer; /* else another thread was faster */
    }
    return NULL;
}

/* False: there are enough. */
static bool put_idle(struct vv_tracer *tracer) {
    for (unsigned slot = 0; slot < IDLE_TRACER_COUNT; slot++) {
        struct vv_tracer *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&idle_tracers[slot], &none, tracer,
                                                    memory_order_release, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static struct vv_tracer *make(void) {
    struct vv_tracer *tracer = vv_meta_allocate(sizeof *tracer);
    if (tracer == NULL || vv_stack_open(&tracer->stack)) return tracer;
    vv_meta_free(tracer, sizeof *tracer);
    return NULL;
}

static void begin(struct vv_tracer *tracer, uint64_t session) {
    if (tracer->session != session) vv_stack_forget(&tracer->stack);
    tracer->session = session;
    tracer->suspended_count = 0;
    vv_stack_leave(&tracer->stack);
    vv_counters_begin(&tracer->counters);
    vv_tracer_settle(tracer);
}

struct vv_tracer *vv_tracer_new(uint64_t session) {
    struct vv_tracer *tracer = take_idle();
    if (tracer == NULL) tracer = make();
    if (tracer != NULL) begin(tracer, session);
    return tracer;
}

void vv_tracer_restart(struct vv_tracer *tracer, uint64_t session) {
    vv_counters_forget(&tracer->counters);
    begin(tracer, session);
}

void vv_tracer_end(struct vv_tracer *tracer, uint64_t session) {
    if (tracer->session == session) {
        vv_counters_end(&tracer->counters);
    } else {
        vv_counters_forget(&tracer->counters);
    }
    if (put_idle(tracer)) return;
    vv_stack_close(&tracer->stack);
    vv_meta_free(tracer, sizeof *tracer);
}
