/* SPDX-License-Identifier: MIT
 * trace/sampling.h - recording some allocations instead of all: Poisson sampling over bytes.
 *
 * Every byte that is allocated begins a sample with probability 1 / T, independently. A block of s
 * bytes is recorded with probability p = 1 - exp(-s / T), and then counts as 1 / p blocks of s
 * bytes: sums over recorded blocks are unbiased. */
#ifndef VV_TRACE_SAMPLING_H
#define VV_TRACE_SAMPLING_H

#include "trace/counters.h"

struct vv_sampler {
    int64_t left_bytes; /* until the next sample */
    uint64_t random;    /* state of the generator; 0: not begun */
};

/* Whether a block of that size is recorded. `mean_bytes` is T. */
bool vv_sampler_takes(struct vv_sampler *sampler, uint64_t mean_bytes, size_t byte_count);

/* What a recorded block of that size stands for. */
struct vv_amount vv_sampling_amount(uint64_t mean_bytes, size_t byte_count);

#endif
