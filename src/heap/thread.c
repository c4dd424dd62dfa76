/* SPDX-License-Identifier: MIT */
#include "heap/thread.h"

#include "heap/hooks.h"
#include "heap/meta.h"
#include "heap/process.h"
#include "os/clock.h"
#include "os/signals.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct vv_local vv_local
    __attribute__((tls_model("initial-exec"))) = {.front = &vv_heap_none};

static struct vv_lock registry_lock = VV_LOCK(VV_RANK_REGISTRY);
static sigset_t registry_mask; /* registry lock: signal mask to be restored after it */

static struct vv_thread *threads;                        /* registry lock */
static struct vv_thread *unused_threads;                 /* registry lock; linked by next */
static _Atomic(struct vv_heap *) orphans[VV_LANE_COUNT]; /* registry lock to change */
static _Atomic int current_lane;                         /* registry lock to change */

/* A thread's state is made anew when it allocates after its end (in the destructor of another
 * key), but not for ever: destructors are called four times, and whoever comes after the last
 * would never be torn down. */
#define MAX_END_COUNT 2

/* Signals wait while the registry is locked: it is locked seldom, and a handler that leaves by
 * longjmp() would lock it for ever. */
static void lock_registry(void) {
    sigset_t mask;
    vv_signals_block(&mask);
    vv_lock(&registry_lock);
    registry_mask = mask;
}

static void unlock_registry(void) {
    sigset_t mask = registry_mask;
    vv_unlock(&registry_lock);
    vv_signals_restore(&mask);
}

enum vv_lane vv_lane_get(void) {
    return (enum vv_lane)atomic_load_explicit(&current_lane, memory_order_relaxed);
}

static void set_front(struct vv_thread *thread) {
    struct vv_heap *heap = thread->heaps[VV_LANE_PLAIN];
    if (vv_lane_get() != VV_LANE_PLAIN || heap == NULL) heap = &vv_heap_none;
    atomic_store_explicit(&thread->local->front, heap, memory_order_relaxed);
}

void vv_lane_set(enum vv_lane lane) {
    lock_registry();
    atomic_store_explicit(&current_lane, lane, memory_order_relaxed);
    for (struct vv_thread *thread = threads; thread != NULL; thread = thread->next) {
        set_front(thread);
    }
    unlock_registry();
}

/* --- orphaned heaps --- */

static void orphan_locked(struct vv_heap *heap) {
    _Atomic(struct vv_heap *) *list = &orphans[heap->keeps_facts ? VV_LANE_FACTS : VV_LANE_PLAIN];
    heap->next_orphan = atomic_load_explicit(list, memory_order_relaxed);
    atomic_store_explicit(list, heap, memory_order_relaxed);
}

static struct vv_heap *take_orphan_locked(enum vv_lane lane) {
    struct vv_heap *heap = atomic_load_explicit(&orphans[lane], memory_order_relaxed);
    if (heap == NULL) return NULL;
    atomic_store_explicit(&orphans[lane], heap->next_orphan, memory_order_relaxed);
    heap->next_orphan = NULL;
    return heap;
}

bool vv_orphans_exist(void) {
    for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
        if (atomic_load_explicit(&orphans[lane], memory_order_relaxed) != NULL) return true;
    }
    return false;
}

static struct vv_heap *first_orphan_like(const struct vv_heap *heap) {
    enum vv_lane lane = heap->keeps_facts ? VV_LANE_FACTS : VV_LANE_PLAIN;
    return atomic_load_explicit(&orphans[lane], memory_order_relaxed);
}

struct vv_pool *vv_orphans_adopt_pool(struct vv_heap *heap, unsigned class_index) {
    struct vv_pool *pool = NULL;
    lock_registry();
    struct vv_heap *orphan = first_orphan_like(heap);
    for (; orphan != NULL && pool == NULL; orphan = orphan->next_orphan) {
        pool = vv_heap_yield_pool(orphan, class_index);
    }
    if (pool != NULL) vv_pool_set_owner(pool, heap);
    unlock_registry();
    return pool;
}

static void visit_orphans_locked(void (*visit)(struct vv_heap *heap, void *argument),
                                 void *argument) {
    for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
        struct vv_heap *heap = atomic_load_explicit(&orphans[lane], memory_order_relaxed);
        for (; heap != NULL; heap = heap->next_orphan) visit(heap, argument);
    }
}

void vv_orphans_visit(void (*visit)(struct vv_heap *heap, void *argument), void *argument) {
    lock_registry();
    visit_orphans_locked(visit, argument);
    unlock_registry();
}

static void flush_orphan(struct vv_heap *heap, void *argument) {
    (void)argument;
    vv_heap_flush(heap);
}

void vv_orphans_flush(void) {
    vv_orphans_visit(flush_orphan, NULL);
}

/* --- a thread's state --- */

static void link_thread_locked(struct vv_thread *thread) {
    thread->previous = NULL;
    thread->next = threads;
    if (threads != NULL) threads->previous = thread;
    threads = thread;
}

static void unlink_thread_locked(struct vv_thread *thread) {
    if (thread->previous != NULL) thread->previous->next = thread->next;
    if (thread->next != NULL) thread->next->previous = thread->previous;
    if (threads == thread) threads = thread->next;
}

static struct vv_thread *new_thread_locked(void) {
    struct vv_thread *thread = unused_threads;
    if (thread == NULL) return vv_meta_allocate(sizeof *thread);
    unused_threads = thread->next;
    *thread = (struct vv_thread){.id = 0};
    return thread;
}

static uint64_t kernel_thread_id(void) {
    return (uint64_t)syscall(SYS_gettid);
}

static struct vv_thread *attach(void) {
    if (!vv_process_init()) return NULL;
    lock_registry();
    struct vv_thread *thread = new_thread_locked();
    if (thread != NULL) {
        thread->local = &vv_local;
        thread->id = kernel_thread_id();
        link_thread_locked(thread);
        vv_local.thread = thread;
    }
    unlock_registry();
    /* pthread_setspecific() may itself allocate: the thread must be able to, by now. */
    vv_busy_end();
    if (thread != NULL) vv_process_watch_thread_end(thread);
    vv_busy_begin();
    return thread;
}

struct vv_heap *vv_thread_heap(struct vv_thread *thread, enum vv_lane lane) {
    struct vv_heap *heap = thread->heaps[lane];
    if (vv_likely(heap != NULL)) return heap;
    lock_registry();
    heap = take_orphan_locked(lane);
    if (heap == NULL) heap = vv_heap_new(/* keeps_facts */ lane == VV_LANE_FACTS);
    thread->heaps[lane] = heap;
    set_front(thread);
    unlock_registry();
    return heap;
}

/* The operation that set `busy` is gone when the stack has been cut back to its frame: the return
 * address of a new operation lies there now. On an alternate signal stack the addresses say
 * nothing: there it counts as interrupted. */
static VV_NOINLINE bool busy_is_stale(const void *frame) {
    stack_t alternate;
    uintptr_t return_address_slot = (uintptr_t)frame + sizeof(void *);
    if (return_address_slot < vv_local.busy) return false;
    return sigaltstack(NULL, &alternate) == 0 && (alternate.ss_flags & SS_ONSTACK) == 0;
}

/* After an operation that will never be finished: a heap whose lock it held is lost, with what
 * its pools hold; blocks that are freed into it later pile up in their pools. */
static void recover_from_lost_operation(struct vv_thread *thread) {
    for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
        struct vv_heap *heap = thread->heaps[lane];
        if (heap == NULL || !vv_is_locked(&heap->lock)) continue;
        vv_lock_abandon(&heap->lock);
        lock_registry();
        thread->heaps[lane] = NULL;
        set_front(thread);
        unlock_registry();
    }
    memset(&thread->remote, 0, sizeof thread->remote);
}

static inline struct vv_thread *enter(const void *frame, uint32_t max_end_count) {
    struct vv_thread *thread = vv_local.thread;
    if (vv_unlikely(vv_local.busy != 0)) {
        if (!busy_is_stale(frame)) return NULL;
        if (thread != NULL) recover_from_lost_operation(thread);
    }
    vv_busy_begin();
    if (vv_unlikely(thread == NULL)) {
        if (vv_local.end_count <= max_end_count) thread = attach();
        if (thread == NULL) vv_busy_end();
    }
    return thread;
}

struct vv_thread *vv_thread_enter(const void *frame) {
    return enter(frame, MAX_END_COUNT);
}

struct vv_thread *vv_thread_enter_to_free(const void *frame) {
    return enter(frame, 0);
}

void vv_thread_leave(void) {
    vv_busy_end();
}

void vv_thread_end(void *argument) {
    struct vv_thread *thread = argument;
    vv_busy_begin();
    if (vv_hooks != NULL) vv_hooks->thread_ended(thread);
    atomic_store_explicit(&vv_local.front, &vv_heap_none, memory_order_relaxed);
    vv_remote_flush(&thread->remote);
    for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
        if (thread->heaps[lane] != NULL) vv_heap_flush(thread->heaps[lane]);
    }
    lock_registry();
    for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
        if (thread->heaps[lane] != NULL) orphan_locked(thread->heaps[lane]);
    }
    unlink_thread_locked(thread);
    thread->next = unused_threads;
    unused_threads = thread;
    unlock_registry();
    vv_local.thread = NULL;
    vv_local.end_count++;
    vv_busy_end();
}

/* --- visiting --- */

void vv_threads_visit(void (*visit)(struct vv_thread *thread, void *argument), void *argument) {
    lock_registry();
    for (struct vv_thread *thread = threads; thread != NULL; thread = thread->next) {
        visit(thread, argument);
    }
    unlock_registry();
}

static void visit_heaps_locked(void (*visit)(struct vv_heap *heap, void *argument),
                               void *argument) {
    for (struct vv_thread *thread = threads; thread != NULL; thread = thread->next) {
        for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
            if (thread->heaps[lane] != NULL) visit(thread->heaps[lane], argument);
        }
    }
    visit_orphans_locked(visit, argument);
}

/* --- waiting --- */

#define WAIT_LIMIT_NS ((uint64_t)100 * 1000 * 1000)

static uint64_t last_wait; /* registry lock */

/* Whether each other thread has been outside since that wait began; not all need be at one time. */
static bool others_were_outside(uint64_t wait) {
    bool all = true;
    lock_registry();
    for (struct vv_thread *thread = threads; thread != NULL; thread = thread->next) {
        const struct vv_local *local = thread->local;
        if (local == &vv_local || thread->outside_at >= wait) continue;
        if (__atomic_load_n(&local->busy, __ATOMIC_ACQUIRE) == 0) {
            thread->outside_at = last_wait;
        } else {
            all = false;
        }
    }
    unlock_registry();
    return all;
}

/* The expedited command interrupts the other threads and takes microseconds; without it the kernel
 * waits until each has been scheduled, some ten milliseconds. */
static void barrier_in_all_threads(void) {
    int saved_errno = errno;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
            syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
        }
    }
    errno = saved_errno;
}

#define LOOKS_BETWEEN_YIELDS 64

/* After the barrier, whoever is outside will see what the caller has written, and whoever has not
 * seen it is known to be inside: `busy` is written before anything else is read. */
bool vv_threads_wait_for_others(void) {
    uint64_t limit_ns = vv_clock_ns() + WAIT_LIMIT_NS;
    barrier_in_all_threads();
    lock_registry();
    uint64_t wait = ++last_wait;
    unlock_registry();
    for (unsigned looks = 1; !others_were_outside(wait); looks++) {
        if (looks % LOOKS_BETWEEN_YIELDS != 0) {
            __builtin_ia32_pause();
        } else if (vv_clock_ns() < limit_ns) {
            sched_yield();
        } else {
            return false;
        }
    }
    return true;
}

/* --- fork --- */

static void lock_heap(struct vv_heap *heap, void *argument) {
    (void)argument;
    vv_lock(&heap->lock);
}

static void unlock_heap(struct vv_heap *heap, void *argument) {
    (void)argument;
    vv_unlock(&heap->lock);
}

static void reset_heap_lock(struct vv_heap *heap, void *argument) {
    (void)argument;
    vv_lock_reset(&heap->lock);
}

void vv_threads_before_fork(void) {
    lock_registry();
    visit_heaps_locked(lock_heap, NULL);
}

void vv_threads_after_fork_in_parent(void) {
    visit_heaps_locked(unlock_heap, NULL);
    unlock_registry();
}

/* The other threads do not exist here. Their heaps are orphans now; what was in their buffers on
 * its way to other heaps, and a block that an interrupted operation held, are lost. */
void vv_threads_after_fork_in_child(void) {
    visit_heaps_locked(reset_heap_lock, NULL);
    struct vv_thread *self = vv_local.thread;
    for (struct vv_thread *thread = threads; thread != NULL;) {
        struct vv_thread *next = thread->next;
        if (thread != self) {
            for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
                if (thread->heaps[lane] == NULL) continue;
                vv_heap_recover(thread->heaps[lane]);
                orphan_locked(thread->heaps[lane]);
            }
            unlink_thread_locked(thread);
            thread->next = unused_threads;
            unused_threads = thread;
        }
        thread = next;
    }
    if (self != NULL) self->id = kernel_thread_id();
    unlock_registry();
}
