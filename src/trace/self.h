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

/* After dlclose(). */
void vv_trace_code_unloaded(void);

#endif
