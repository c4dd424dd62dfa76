/* SPDX-License-Identifier: MIT
 * snapshot/untraced.c - the functions of varve/trace.h and trace/self.h in a library that was built
 * without the trace layer. */
#include "trace/self.h"
#include "varve/trace.h"

#include <errno.h>

bool vv_trace_exists(void) {
    return false;
}

const void *vv_trace_store(size_t *out_byte_count) {
    *out_byte_count = 0;
    return NULL;
}

void vv_trace_suspend(void) {
}

void vv_trace_resume(void) {
}

void vv_trace_visit_stack(uint32_t site,
                          void (*visit)(const struct vv_trace_frame *frame, void *argument),
                          void *argument) {
    (void)site;
    (void)visit;
    (void)argument;
}

int varve_trace_start(unsigned max_frames) {
    (void)max_frames;
    return -ENOSYS;
}

void varve_trace_stop(void) {
}

bool varve_trace_is_tracing(void) {
    return false;
}

int varve_trace_clear(void) {
    return -ENOSYS;
}

void varve_trace_memory(size_t *out_current, size_t *out_peak) {
    if (out_current != NULL) *out_current = 0;
    if (out_peak != NULL) *out_peak = 0;
}

void varve_trace_reset_peak(void) {
}

size_t varve_trace_overhead(void) {
    return 0;
}

unsigned varve_trace_limit(void) {
    return 0;
}

int varve_trace_of(const void *block, void **addresses, int capacity) {
    (void)block;
    (void)addresses;
    (void)capacity;
    return -ENOSYS;
}
