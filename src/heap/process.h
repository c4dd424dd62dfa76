/* SPDX-License-Identifier: MIT
 * heap/process.h - the beginning, the forks and the end of the process, seen from the heap. */
#ifndef VV_HEAP_PROCESS_H
#define VV_HEAP_PROCESS_H

#include "base/bits.h"

struct vv_thread;

/* Prepares the heap on the first call and reads the VARVE_ variables. False: no memory at all.
 * Any thread, at any time. */
bool vv_process_init(void);

/* Arranges that vv_thread_end() is called when the calling thread ends. May allocate. */
void vv_process_watch_thread_end(struct vv_thread *thread);

/* Tears a thread's state down (thread.c). */
void vv_thread_end(void *thread);

/* In a child made by fork(). */
void vv_process_after_fork_in_child(void);

/* The process is about to end by _exit(). */
void vv_process_exits(void);

/* heap/override.c, which is in libvarve-malloc only. */
extern bool vv_override_is_bypassed(void) __attribute__((weak, visibility("hidden")));

/* Whether libvarve-malloc is loaded in vain: the program has a malloc of its own, which comes
 * before that of any library. False until somebody looked, by asking the dynamic loader: the caller
 * of vv_process_look_for_bypass() holds no lock. */
void vv_process_look_for_bypass(void);
bool vv_process_is_bypassed(void);

#endif
