/* SPDX-License-Identifier: MIT
 * trace/session.h - beginning and ending a trace of this process.
 *
 * A trace begins with the process when `varve run` asks for it in the environment:
 *
 *   VARVE_TRACE          folder for the store; without it nothing is traced
 *   VARVE_RUN_ID         number of the run, the same for all its processes
 *   VARVE_TRACE_DEPTH    frames to keep of each stack; 0 or absent: all
 *   VARVE_TRACE_SAMPLE   mean bytes between samples; 0 or absent: every allocation
 *   VARVE_TRACE_FOLLOW   none: only the process VARVE_TRACE_ROOT and its first program;
 *                        fork: also processes that it forks; exec or absent: also what they execute
 *
 * or when the program calls varve_trace_start().
 *
 * A child made by fork() gets a store of its own with its first event; until then it would only be
 * about to exec. A page that fork() wipes tells it that it is a child, however it was forked. */
#ifndef VV_TRACE_SESSION_H
#define VV_TRACE_SESSION_H

#include "trace/tracer.h"

struct vv_session {
    uint32_t depth_limit; /* const while tracing, like the next */
    uint64_t sample_bytes;
};

extern struct vv_session vv_session;

/* The number of the session: raised when a store is opened, and when one is about to be closed. It
 * lies in a page that fork() wipes, so it is 0 in a child that has no store of its own yet. NULL:
 * nothing was ever traced. */
extern _Atomic uint64_t *vv_session_number;

static inline uint64_t vv_session_current(void) {
    return atomic_load_explicit(vv_session_number, memory_order_relaxed);
}

/* Whether a tracer counts for this process's present store. */
static inline bool vv_session_is_of(const struct vv_tracer *tracer) {
    return tracer->session == vv_session_current();
}

/* The thread's tracer for this process's present store; NULL: its events cannot be recorded. */
struct vv_tracer *vv_session_tracer_slow(struct vv_thread *thread);
static inline struct vv_tracer *vv_session_tracer(struct vv_thread *thread) {
    struct vv_tracer *tracer = thread->trace;
    if (vv_likely(tracer != NULL && vv_session_is_of(tracer))) return tracer;
    return vv_session_tracer_slow(thread);
}

/* Counts an event that could not be recorded. */
void vv_session_lose(void);

/* Whether the environment asks for a record of the process from its start. */
bool vv_session_is_wanted(void);

/* From the environment, at process start. */
void vv_session_begin(void);

/* The process ends in an orderly way. */
void vv_session_end(void);

/* In a child, inside its first event: opens its store. False: it is not recorded. */
bool vv_session_become_child(struct vv_thread *thread);

/* Around fork(). */
void vv_session_before_fork(void);
void vv_session_after_fork_in_parent(void);
void vv_session_after_fork_in_child(void);

/* From the program. 0, or -errno. */
int vv_session_start(uint32_t depth_limit);
void vv_session_stop(void);

#endif
