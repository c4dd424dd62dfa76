/* SPDX-License-Identifier: MIT
 * trace/fast.h - a traced malloc and a traced free in the common case, each in one piece.
 *
 * While the trace is on, every operation takes the heap's slow path (heap/thread.h). What that does
 * for a small block, when nothing unusual is going on, is written here once more as straight code:
 * the pop or push of heap/fast.h, the walk, the counters, the fact. Whatever is unusual (another
 * thread state, debug mode, sampling, a limit on depth, deferred frees, an empty bin) is left to
 * heap/operations.c, which gives the same result. */
#ifndef VV_TRACE_FAST_H
#define VV_TRACE_FAST_H

#include "heap/request.h"

/* See allocate_small and release_small in heap/hooks.h. */
void *vv_trace_allocate_small(const struct vv_request *request);
bool vv_trace_release_small(void *block);

#endif
