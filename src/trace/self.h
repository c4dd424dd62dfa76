/* SPDX-License-Identifier: MIT
 * trace/self.h - the trace of this process, for who reads it from within. */
#ifndef VV_TRACE_SELF_H
#define VV_TRACE_SELF_H

#include "base/bits.h"

/* Whether this library has the trace layer. */
bool vv_trace_exists(void);

/* The store, see trace/layout.h, and how much of it is in use; NULL when nothing was ever traced.
 * Its numbers go on changing. */
const void *vv_trace_store(size_t *out_byte_count);

/* Between the two, the calling thread's allocations do not count. They nest. */
void vv_trace_suspend(void);
void vv_trace_resume(void);

/* A place in the code. Strings are the store's. */
struct vv_trace_frame {
    const char *path; /* of the module; NULL: not known */
    const uint8_t *build_id;
    size_t build_id_bytes;
    uint64_t address; /* in the module's file, inside the instruction that was executing; without a
                         module, in the process */
};

/* Calls `visit` for each frame in the code of a site's stack, innermost first. */
void vv_trace_visit_stack(uint32_t site,
                          void (*visit)(const struct vv_trace_frame *frame, void *argument),
                          void *argument);

/* After dlclose(). */
void vv_trace_code_unloaded(void);

#endif
