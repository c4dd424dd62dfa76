/* SPDX-License-Identifier: MIT */
#include "trace/tracer.h"

#include "heap/debug.h"
#include "heap/meta.h"
#include "trace/session.h"

void vv_tracer_settle(struct vv_tracer *tracer) {
    tracer->is_plain = tracer->suspended_count == 0 && !vv_debug_on &&
                       vv_session.depth_limit == 0 && vv_session.sample_bytes == 0;
}

static void begin(struct vv_tracer *tracer, uint64_t session) {
    tracer->session = session;
    vv_counters_begin(&tracer->counters);
    vv_tracer_settle(tracer);
}

struct vv_tracer *vv_tracer_new(uint64_t session) {
    struct vv_tracer *tracer = vv_meta_allocate(sizeof *tracer);
    if (tracer == NULL) return NULL;
    if (!vv_stack_open(&tracer->stack)) {
        vv_meta_free(tracer, sizeof *tracer);
        return NULL;
    }
    begin(tracer, session);
    return tracer;
}

void vv_tracer_restart(struct vv_tracer *tracer, uint64_t session) {
    vv_counters_forget(&tracer->counters);
    vv_stack_forget(&tracer->stack);
    tracer->stack.bounds = (struct vv_bounds){.low = 0};
    begin(tracer, session);
}

void vv_tracer_end(struct vv_tracer *tracer, uint64_t session) {
    if (tracer->session == session) {
        vv_counters_end(&tracer->counters);
    } else {
        vv_counters_forget(&tracer->counters);
    }
    vv_stack_close(&tracer->stack);
    vv_meta_free(tracer, sizeof *tracer);
}
