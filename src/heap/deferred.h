/* SPDX-License-Identifier: MIT
 * heap/deferred.h - frees that must wait: of a thread that interrupts its own operation, or that
 * has ended. A lock-free stack through the blocks; the next slow free of any thread empties it. */
#ifndef VV_HEAP_DEFERRED_H
#define VV_HEAP_DEFERRED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

extern _Atomic(void *) vv_deferred_stack;

static inline bool vv_deferred_exist(void) {
    return atomic_load_explicit(&vv_deferred_stack, memory_order_relaxed) != NULL;
}

/* Async-signal-safe. */
void vv_deferred_put(void *block);

/* Takes all; walk them by vv_deferred_next() before freeing each. */
void *vv_deferred_take(void);
void *vv_deferred_next(void *block);

#endif
