/* SPDX-License-Identifier: MIT
 * os/clock.h - time without a system call (the kernel's vdso). */
#ifndef VV_OS_CLOCK_H
#define VV_OS_CLOCK_H

#include <stdint.h>

/* Milliseconds since some fixed moment, never going back; resolution 1 - 4 ms, cost 5 ns. */
uint64_t vv_clock_coarse_ms(void);

/* Nanoseconds since some fixed moment, never going back; cost 20 - 40 ns. */
uint64_t vv_clock_ns(void);

/* The processor's time stamp counter: cheap (8 ns) and coarse in meaning. Two readings with their
 * vv_clock_ns() give its rate. */
static inline uint64_t vv_clock_ticks(void) {
    return __builtin_ia32_rdtsc();
}

/* Nanoseconds since 1970. */
uint64_t vv_clock_wall_ns(void);

#endif
