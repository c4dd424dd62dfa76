/* SPDX-License-Identifier: MIT
 * gc_bench.h - what the programs of the gc area share: a clock, and numbers. */
#ifndef GC_BENCH_H
#define GC_BENCH_H

#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline uint64_t random_below(uint64_t limit) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

#endif
