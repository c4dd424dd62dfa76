/* SPDX-License-Identifier: MIT
 * varve/trace.h - recording who allocates what, exactly, from within the program.
 *
 * The counterpart of Python's tracemalloc. While the trace is on, every block that varve's heap
 * gives out remembers the stack that asked for it and the size that was asked for. `varve run` does
 * the same for a whole program without its help; these functions then see that trace.
 *
 * Link with -lvarve-malloc (or preload libvarve-malloc.so) to trace malloc and operator new; with
 * -lvarve only varve_malloc and its kind are traced. Memory that the program maps itself is recorded
 * by libvarve-malloc, too, but counts apart: in captures, as the domain mmap. Sizes are in bytes, as
 * requested. Functions return 0 or a negative errno, unless stated otherwise, and may be called from
 * any thread. */
#ifndef VARVE_TRACE_H
#define VARVE_TRACE_H

#include <varve/heap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begins to record; nothing happens when a trace is already on. `max_frames` is how many frames of
 * each stack are kept, innermost first; 0 keeps whole stacks. -ENOMEM: no memory for the tables;
 * -ENOSYS: this library was built without the trace layer. Costs about a millisecond; a traced
 * allocation and its free cost 50 to 150 ns more than others. */
VARVE_API int varve_trace_start(unsigned max_frames);

/* Ends the trace. What was recorded stays readable until the next start. */
VARVE_API void varve_trace_stop(void);

VARVE_API bool varve_trace_is_tracing(void);

/* Forgets what was recorded and begins anew, with blocks that are live now counted as "before". */
VARVE_API int varve_trace_clear(void);

/* Bytes of traced blocks that are live now, and the most that were live at a time since the start
 * or the last reset. 0 and 0 when nothing was traced. Either may be NULL. With several threads both
 * may be off by what threads hold back, at most 1/4096 of the peak and 64 KiB for each thread. */
VARVE_API void varve_trace_memory(size_t *out_current, size_t *out_peak);

/* The peak becomes what is live now. */
VARVE_API void varve_trace_reset_peak(void);

/* Bytes that the trace's own tables take. */
VARVE_API size_t varve_trace_overhead(void);

/* How many frames are kept of each stack; 0: all. */
VARVE_API unsigned varve_trace_limit(void);

/* Writes up to `capacity` return addresses of the stack that allocated a live block, innermost
 * first, and returns how many there are in all; -ENOENT when the block was not traced. */
VARVE_API int varve_trace_of(const void *block, void **addresses, int capacity);

#ifdef __cplusplus
}
#endif
#endif
