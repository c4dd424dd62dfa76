/* SPDX-License-Identifier: MIT
 * trace/bounds.h - which part of a stack may be read.
 *
 * Rules can be wrong (assembler without annotations) and stacks can be the program's own
 * (coroutines, signal stacks), so no address is read that is not known to be readable. What is
 * known is kept: the thread's own stack, whose end the C library tells, and the last other stack,
 * probed page by page with a system call that fails on unreadable memory. One thread uses its
 * bounds. */
#ifndef VV_TRACE_BOUNDS_H
#define VV_TRACE_BOUNDS_H

#include "base/bits.h"

struct vv_bounds {
    uintptr_t low; /* of the stack in use: low <= address < high may be read */
    uintptr_t high;
    uintptr_t home_low; /* the same of the thread's own stack; 0: not known yet */
    uintptr_t home_high;
};

/* Before a walk that begins at `stack_pointer`. */
void vv_bounds_enter_slow(struct vv_bounds *bounds, uintptr_t stack_pointer);

/* True: the bounds have changed. */
static inline bool vv_bounds_enter(struct vv_bounds *bounds, uintptr_t stack_pointer) {
    if (vv_likely(stack_pointer >= bounds->low && stack_pointer < bounds->high)) return false;
    vv_bounds_enter_slow(bounds, stack_pointer);
    return true;
}

/* Whether the page of `address` and everything down to the stack in use is readable; widens it. */
bool vv_bounds_widen(struct vv_bounds *bounds, uintptr_t address);

/* Whether the word at an address may be read. */
static inline bool vv_bounds_contain(struct vv_bounds *bounds, uintptr_t address) {
    if (vv_unlikely(address % 8 != 0)) return false;
    return vv_likely(address >= bounds->low && address < bounds->high) ||
           vv_bounds_widen(bounds, address);
}

static inline uintptr_t vv_word_at(uintptr_t address) {
    return *(const uintptr_t *)address;
}

#endif
