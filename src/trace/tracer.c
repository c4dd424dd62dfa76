/* SPDX-License-Identifier: MIT */
#include "trace/tracer.h"

#include "heap/meta.h"

static void begin(struct vv_tracer *tracer, uint64_t session) {
    tracer->session = session;
    vv_counters_begin(&tracer->counters);
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
