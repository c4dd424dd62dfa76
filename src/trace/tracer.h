/* SPDX-License-Identifier: MIT
 * trace/tracer.h - what tracing keeps for a thread. */
#ifndef VV_TRACE_TRACER_H
#define VV_TRACE_TRACER_H

#include "heap/thread.h"
#include "trace/counters.h"
#include "trace/sampling.h"
#include "trace/stack.h"

struct vv_tracer {
    struct vv_counters counters;
    struct vv_stack stack;
    struct vv_sampler sampler;
    uint64_t session;         /* the trace that it belongs to: see trace.c */
    uint32_t suspended_count; /* the thread's allocations do not count while it is not 0 */
    uint64_t plain_session;   /* the same as session, if there is nothing to be done but to count
                                 every block with its whole stack; else UINT64_MAX */
};

/* A new tracer for the calling thread; NULL: no memory. Events for which there is no room in the
 * store are counted as such. */
struct vv_tracer *vv_tracer_new(uint64_t session);

/* The thread's counters belong to a store that is gone: begins anew. */
void vv_tracer_restart(struct vv_tracer *tracer, uint64_t session);

/* After a change of suspended_count: sets plain_session. */
void vv_tracer_settle(struct vv_tracer *tracer);

/* The thread ends. */
void vv_tracer_end(struct vv_tracer *tracer, uint64_t session);

#endif
