/* SPDX-License-Identifier: MIT
 * heap/thread.h - what a thread has: its heaps, and its state while it is inside the allocator.
 *
 * `front` is the heap that the fast paths use. It points to vv_heap_none, where every bin is empty
 * and which owns nothing, whenever the fast paths must not succeed: before the thread's first
 * allocation, while facts are kept (tracing, debugging), after the thread's end. That is the whole
 * switch: the fast paths have no test for any of it. Another thread may change it at any moment.
 *
 * `busy` is the stack pointer of the operation that this thread is executing, 0 outside. A signal
 * handler that interrupts an operation finds it set and takes the lock-free way round
 * (heap/emergency.h); so no instruction of the allocator must be atomic to its own thread. A
 * handler that leaves by longjmp() leaves `busy` behind: it is recognised by the stack having been
 * cut back to it or beyond. When the interrupted operation held its
 * heap's lock, that heap is given up and the thread gets another one. */
#ifndef VV_HEAP_THREAD_H
#define VV_HEAP_THREAD_H

#include "heap/heap.h"
#include "heap/remote.h"

struct vv_thread;

struct vv_local {
    _Atomic(struct vv_heap *) front; /* relaxed; own thread, or any under the registry lock */
    uintptr_t busy;                  /* own thread */
    struct vv_thread *thread;        /* own thread; NULL until attached */
    uint32_t end_count;              /* own thread: how often its state was torn down */
};

extern __thread struct vv_local vv_local __attribute__((tls_model("initial-exec")));

/* Where allocations go. */
enum vv_lane {
    VV_LANE_PLAIN, /* heaps without planes */
    VV_LANE_FACTS, /* heaps with planes */
    VV_LANE_COUNT,
};

struct vv_thread {
    struct vv_heap *heaps[VV_LANE_COUNT]; /* own thread; NULL until needed */
    struct vv_local *local;               /* const while attached */
    uint64_t id;                          /* const while attached: the kernel's thread number */
    struct vv_thread *next;               /* registry lock */
    struct vv_thread *previous;           /* registry lock */
    uint64_t outside_at;                  /* registry lock: the last wait that saw it outside */
    void *trace;                          /* the trace layer's; NULL until it wants one */
    struct vv_remote_buffer remote;       /* own thread */
};

/* The address of the current frame's stack, as `busy` has it. */
VV_INLINE uintptr_t vv_stack_pointer(void) {
    uintptr_t stack_pointer;
    __asm__ volatile("mov %%rsp, %0" : "=r"(stack_pointer));
    return stack_pointer;
}

/* Marks the beginning and the end of an operation. The fences order these stores against the
 * operation for a signal handler on the same thread; they cost no instruction. */
VV_INLINE void vv_busy_begin(void) {
    vv_local.busy = vv_stack_pointer();
    atomic_signal_fence(memory_order_seq_cst);
}

VV_INLINE void vv_busy_end(void) {
    atomic_signal_fence(memory_order_seq_cst);
    vv_local.busy = 0;
}

/* Begins a slow operation; initialises process and thread as needed. NULL: this thread must not
 * touch any state (it interrupts an operation of its own, or has ended, or there is no memory for
 * its state); nothing was begun then. A thread that has ended gets a new state for an allocation,
 * not for a free: libc frees blocks when no destructor will run any more.
 * `frame` is the frame pointer of the function that the program called. */
struct vv_thread *vv_thread_enter(const void *frame);
struct vv_thread *vv_thread_enter_to_free(const void *frame);
void vv_thread_leave(void);

/* The thread's heap of that lane, created or taken over from an ended thread. NULL: no memory. */
struct vv_heap *vv_thread_heap(struct vv_thread *thread, enum vv_lane lane);

/* The lane that all threads use from now on. A thread that is inside an operation finishes it on
 * the old lane. Takes the registry lock. */
void vv_lane_set(enum vv_lane lane);
enum vv_lane vv_lane_get(void);

/* Heaps of ended threads, until a new thread takes them over. */
bool vv_orphans_exist(void);

/* Takes one pool of the class from an orphan of the same lane and makes `heap` its owner; NULL:
 * there is none. The caller holds no lock. */
struct vv_pool *vv_orphans_adopt_pool(struct vv_heap *heap, unsigned class_index);

/* Gives back what orphaned heaps hold in empty pools. */
void vv_orphans_flush(void);

/* Calls `visit` for every orphan, with the registry lock held. */
void vv_orphans_visit(void (*visit)(struct vv_heap *heap, void *argument), void *argument);

/* Calls `visit` for every attached thread, with the registry lock held. */
void vv_threads_visit(void (*visit)(struct vv_thread *thread, void *argument), void *argument);

/* Waits until every other thread has left the operation that it is in, if any; at most 100 ms, for
 * one that sleeps inside of it; then it returns false. What the caller wrote before is seen by
 * their next operations. */
bool vv_threads_wait_for_others(void);

/* Around fork(): all heaps at rest / in the child only the calling thread is left. */
void vv_threads_before_fork(void);
void vv_threads_after_fork_in_parent(void);
void vv_threads_after_fork_in_child(void);

#endif
