/* SPDX-License-Identifier: MIT */
#include "trace/sampling.h"

#include "base/hash.h"
#include "os/clock.h"

/* log and exp are of libm, which the runtime libraries do not need; six digits are enough here. */

#define LN_2 0.6931471805599453

/* exp(-x) for x >= 0: 2^-n times the series for the rest, which is below ln 2. */
static double exp_of_minus(double x) {
    if (x > 40) return 0;
    unsigned halvings = (unsigned)(x / LN_2);
    double rest = x - halvings * LN_2;
    double term = 1;
    double sum = 1;
    for (int n = 1; n <= 12; n++) {
        term *= -rest / n;
        sum += term;
    }
    return sum / (double)((uint64_t)1 << halvings);
}

/* The natural logarithm of a number in (0, 1]: by atanh's series, ln m = 2 atanh((m-1)/(m+1)). */
static double log_of(double x) {
    int doublings = 0;
    while (x < 0.7) {
        x *= 2;
        doublings++;
    }
    double ratio = (x - 1) / (x + 1);
    double square = ratio * ratio;
    double power = ratio;
    double sum = 0;
    for (int n = 1; n <= 11; n += 2) {
        sum += power / n;
        power *= square;
    }
    return 2 * sum - doublings * LN_2;
}

static double random_unit(struct vv_sampler *sampler) {
    sampler->random = vv_mix64(sampler->random + UINT64_C(0x9e3779b97f4a7c15));
    return (double)((sampler->random >> 12) + 1) / (double)((uint64_t)1 << 52);
}

static int64_t next_distance(struct vv_sampler *sampler, uint64_t mean_bytes) {
    return (int64_t)(-log_of(random_unit(sampler)) * (double)mean_bytes) + 1;
}

static void begin(struct vv_sampler *sampler, uint64_t mean_bytes) {
    sampler->random = vv_mix64(vv_clock_ticks() ^ (uint64_t)(uintptr_t)sampler) | 1;
    sampler->left_bytes = next_distance(sampler, mean_bytes);
}

bool vv_sampler_takes(struct vv_sampler *sampler, uint64_t mean_bytes, size_t byte_count) {
    if (vv_unlikely(sampler->random == 0)) begin(sampler, mean_bytes);
    sampler->left_bytes -= (int64_t)byte_count;
    if (vv_likely(sampler->left_bytes > 0)) return false;
    /* Memoryless: what is left after a sample does not depend on how much was beyond it. */
    sampler->left_bytes = next_distance(sampler, mean_bytes);
    return true;
}

struct vv_amount vv_sampling_amount(uint64_t mean_bytes, size_t byte_count) {
    double probability = 1 - exp_of_minus((double)byte_count / (double)mean_bytes);
    if (!(probability > 0)) return (struct vv_amount){.byte_count = 0, .block_count = 0};
    double blocks = 1 / probability;
    return (struct vv_amount){.byte_count = (int64_t)(blocks * (double)byte_count + 0.5),
                              .block_count = (int32_t)(blocks + 0.5)};
}
