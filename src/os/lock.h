/* SPDX-License-Identifier: MIT
 * os/lock.h - a mutex of four bytes that needs no initialisation, no allocation and no libpthread.
 *
 * Locks are taken in rising rank; an audit build checks it per thread. A signal handler never
 * takes one: a malloc that interrupts malloc goes to heap/emergency.h instead. */
#ifndef VV_OS_LOCK_H
#define VV_OS_LOCK_H

#include "base/bits.h"

#include <stdatomic.h>

/* The order in which locks nest, outermost first. */
enum vv_lock_rank {
    VV_RANK_NONE,
    VV_RANK_PROFILES, /* beginning and ending a profile, which starts and stops the trace */
    VV_RANK_SNAPSHOT, /* looking up names; outside of all below, since it calls malloc */
    VV_RANK_NAMES,    /* what was read to look up names; the same */
    VV_RANK_PROCESS,  /* one-time initialisation */
    VV_RANK_TRACE,    /* starting and stopping the trace */
    VV_RANK_REGISTRY, /* the list of threads, the orphaned heaps */
    VV_RANK_HEAP,     /* the slow paths of one heap; several only under REGISTRY */
    VV_RANK_MAPPED,   /* the program's own mappings, and their sums */
    VV_RANK_TRACERS,  /* the records of traced threads */
    VV_RANK_MODULES,  /* the table of loaded modules */
    VV_RANK_SITES,    /* inserting into the trie of frames */
    VV_RANK_HUGE,     /* the table and the cache of huge blocks */
    VV_RANK_ARENA,    /* granules of all arenas */
    VV_RANK_META,     /* the allocator's own memory */
    VV_RANK_STORE,    /* growing the trace store */
};

/* state: 0 free, 1 held, 2 held and somebody sleeps on it (after Drepper, "Futexes Are Tricky"). */
struct vv_lock {
    _Atomic uint32_t state;
    uint8_t rank; /* const */
};

#define VV_LOCK(lock_rank)                                                                         \
    { .state = 0, .rank = (lock_rank) }

void vv_lock(struct vv_lock *lock);
void vv_unlock(struct vv_lock *lock);
bool vv_try_lock(struct vv_lock *lock);

/* Whether somebody holds the lock at this moment. */
static inline bool vv_is_locked(const struct vv_lock *lock) {
    return atomic_load_explicit(&lock->state, memory_order_relaxed) != 0;
}

/* For a lock that an operation held which its thread will never finish: it stays taken for ever,
 * and the thread may take others again. */
void vv_lock_abandon(struct vv_lock *lock);

/* In a child made by fork(), for a lock that the forking thread held: makes it free. */
void vv_lock_reset(struct vv_lock *lock);

#endif
