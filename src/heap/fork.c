/* SPDX-License-Identifier: MIT */
#include "heap/fork.h"

#include "heap/arena.h"
#include "heap/hooks.h"
#include "heap/huge.h"
#include "heap/meta.h"
#include "heap/process.h"
#include "heap/thread.h"

#include <pthread.h>

/* Signals wait from here on (see heap/thread.c): no handler meets the locks. */
static void before(void) {
    vv_threads_before_fork();
    if (vv_hooks != NULL) vv_hooks->before_fork();
    vv_lock(&vv_huge_lock);
    vv_lock(&vv_arena_lock);
    vv_lock(&vv_meta_lock);
}

static void after_in_parent(void) {
    vv_unlock(&vv_meta_lock);
    vv_unlock(&vv_arena_lock);
    vv_unlock(&vv_huge_lock);
    if (vv_hooks != NULL) vv_hooks->after_fork_in_parent();
    vv_threads_after_fork_in_parent();
}

static void after_in_child(void) {
    vv_lock_reset(&vv_meta_lock);
    vv_lock_reset(&vv_arena_lock);
    vv_lock_reset(&vv_huge_lock);
    if (vv_hooks != NULL) vv_hooks->after_fork_in_child();
    vv_threads_after_fork_in_child();
    vv_process_after_fork_in_child();
}

void vv_fork_watch(void) {
    pthread_atfork(before, after_in_parent, after_in_child);
}
