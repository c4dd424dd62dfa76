/* SPDX-License-Identifier: MIT */
#include "heap/deferred.h"

_Atomic(void *) vv_deferred_stack;

void vv_deferred_put(void *block) {
    void *top = atomic_load_explicit(&vv_deferred_stack, memory_order_relaxed);
    do {
        *(void **)block = top;
    } while (!atomic_compare_exchange_weak_explicit(&vv_deferred_stack, &top, block,
                                                    memory_order_release, memory_order_relaxed));
}

void *vv_deferred_take(void) {
    return atomic_exchange_explicit(&vv_deferred_stack, NULL, memory_order_acquire);
}

void *vv_deferred_next(void *block) {
    return *(void **)block;
}
