/* SPDX-License-Identifier: MIT
 * trace/stepper.h - the slow way up a stack: all registers, all rules of DWARF, expressions.
 *
 * For what trace/rule.h calls odd: signal frames, the dynamic linker's trampolines, functions that
 * realign their stack in unusual ways. A microsecond a frame. Allocates nothing, locks nothing. */
#ifndef VV_TRACE_STEPPER_H
#define VV_TRACE_STEPPER_H

#include "trace/bounds.h"
#include "trace/cfi.h"

struct vv_stepper {
    uint64_t registers[VV_REGISTER_COUNT]; /* DWARF numbers; [16] is the address */
    uint32_t known;                        /* a bit for each register whose value is known */
    bool address_is_exact; /* of an interrupted instruction, not one behind a call */
    struct vv_bounds *bounds;
};

enum vv_step { VV_STEP_CALLER, VV_STEP_OUTERMOST, VV_STEP_LOST };

/* The registers of the function in which it stands. */
#define VV_STEPPER_HERE(stepper)                                                                   \
    do {                                                                                           \
        (stepper)->address_is_exact = true;                                                        \
        (stepper)->known = 1u << 3 | 1u << 6 | 1u << 7 | 0xfu << 12 | 1u << 16;                    \
        __asm__ volatile("mov %%rbx, 24(%0)\n\tmov %%rbp, 48(%0)\n\tmov %%rsp, 56(%0)\n\t"         \
                         "mov %%r12, 96(%0)\n\tmov %%r13, 104(%0)\n\tmov %%r14, 112(%0)\n\t"       \
                         "mov %%r15, 120(%0)\n\tlea 0(%%rip), %%rax\n\tmov %%rax, 128(%0)"         \
                         :                                                                         \
                         : "r"((stepper)->registers)                                               \
                         : "rax", "memory");                                                       \
    } while (0)

/* From a frame to its caller's. */
enum vv_step vv_stepper_step(struct vv_stepper *stepper);

static inline uintptr_t vv_stepper_address(const struct vv_stepper *stepper) {
    return stepper->registers[VV_REGISTER_RETURN_ADDRESS];
}

static inline uintptr_t vv_stepper_stack_pointer(const struct vv_stepper *stepper) {
    return stepper->registers[VV_REGISTER_RSP];
}

#endif
