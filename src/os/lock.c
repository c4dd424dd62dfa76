/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include "base/check.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FREE, HELD, CONTENDED };

/* Critical sections are short (a bitmap search, seldom a system call), so a thread looks again a
 * few times before it sleeps. Measured with two threads on two cores: 100 looks lose nothing when
 * the holder was preempted and save the sleep in most other cases. */
#define SPIN_COUNT 100

#if VARVE_AUDIT
/* Bit r is set while this thread holds a lock of rank r. */
static __thread uint32_t held_ranks __attribute__((tls_model("initial-exec")));

/* Several heap locks may be held at once, by whoever holds the registry lock (fork). */
static void note_taken(const struct vv_lock *lock) {
    uint32_t bit = 1u << lock->rank;
    if (lock->rank == VV_RANK_HEAP && (held_ranks & (1u << VV_RANK_REGISTRY)) != 0) {
        vv_assert(held_ranks < bit * 2);
    } else {
        vv_assert(held_ranks < bit);
    }
    held_ranks |= bit;
}

static void note_given(const struct vv_lock *lock) {
    held_ranks &= ~(1u << lock->rank);
}
#else
static void note_taken(const struct vv_lock *lock) {
    (void)lock;
}
static void note_given(const struct vv_lock *lock) {
    (void)lock;
}
#endif

static void futex(struct vv_lock *lock, int operation, uint32_t value) {
    int saved_errno = errno;
    syscall(SYS_futex, &lock->state, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
    errno = saved_errno;
}

static bool try_take(struct vv_lock *lock) {
    uint32_t expected = FREE;
    return atomic_compare_exchange_strong_explicit(&lock->state, &expected, HELD,
                                                   memory_order_acquire, memory_order_relaxed);
}

static VV_NOINLINE void lock_slow(struct vv_lock *lock) {
    for (unsigned look = 0; look < SPIN_COUNT; look++) {
        __builtin_ia32_pause();
        if (atomic_load_explicit(&lock->state, memory_order_relaxed) == FREE && try_take(lock)) {
            return;
        }
    }
    while (atomic_exchange_explicit(&lock->state, CONTENDED, memory_order_acquire) != FREE) {
        futex(lock, FUTEX_WAIT, CONTENDED);
    }
}

void vv_lock(struct vv_lock *lock) {
    if (vv_unlikely(!try_take(lock))) lock_slow(lock);
    note_taken(lock);
}

bool vv_try_lock(struct vv_lock *lock) {
    if (!try_take(lock)) return false;
    note_taken(lock);
    return true;
}

void vv_unlock(struct vv_lock *lock) {
    note_given(lock);
    if (atomic_exchange_explicit(&lock->state, FREE, memory_order_release) == CONTENDED) {
        futex(lock, FUTEX_WAKE, 1);
    }
}

void vv_lock_abandon(struct vv_lock *lock) {
    note_given(lock);
}

void vv_lock_reset(struct vv_lock *lock) {
    note_given(lock);
    atomic_store_explicit(&lock->state, FREE, memory_order_relaxed);
}
