/* SPDX-License-Identifier: MIT */
#include "inspect/trend.h"

#include <errno.h>
#include <stdlib.h>

#define ORDER_OF_GROWTH 0.6 /* above the 0.55 of one step; by chance in 1 of 200 series of 10 */
#define ITERATIONS_MIN 3    /* less is no series */
#define PART_COUNT 8

static int by_value(const void *left, const void *right) {
    double left_slope = *(const double *)left;
    double right_slope = *(const double *)right;
    return (left_slope > right_slope) - (left_slope < right_slope);
}

struct pairs {
    double *slopes;
    size_t count;
    int64_t order; /* rising pairs minus falling ones */
};

static void compare_all(const int64_t *series, size_t iteration_count, struct pairs *pairs) {
    for (size_t first = 0; first < iteration_count; first++) {
        for (size_t second = first + 1; second <= iteration_count; second++) {
            int64_t difference = series[second] - series[first];
            pairs->slopes[pairs->count++] = (double)difference / (double)(second - first);
            pairs->order += (difference > 0) - (difference < 0);
        }
    }
}

static double median(const struct pairs *pairs) {
    size_t middle = pairs->count / 2;
    if (pairs->count % 2 != 0) return pairs->slopes[middle];
    return (pairs->slopes[middle - 1] + pairs->slopes[middle]) / 2;
}

/* Whether it rose in each of some equal parts. */
static bool rises_in_all_parts(const int64_t *series, size_t iteration_count) {
    for (size_t part = 0; part < PART_COUNT; part++) {
        size_t begin = iteration_count * part / PART_COUNT;
        size_t end = iteration_count * (part + 1) / PART_COUNT;
        if (series[end] <= series[begin]) return false;
    }
    return true;
}

/* Whether it rose in a third of all iterations, and in the last third of them. */
static bool rises_often(const int64_t *series, size_t iteration_count) {
    size_t rise_count = 0;
    size_t last_rise = 0;
    for (size_t index = 1; index <= iteration_count; index++) {
        if (series[index] <= series[index - 1]) continue;
        rise_count++;
        last_rise = index;
    }
    return rise_count * 3 >= iteration_count && last_rise * 3 > iteration_count * 2;
}

static int64_t highest(const int64_t *series, size_t count) {
    int64_t result = series[0];
    for (size_t index = 1; index < count; index++) {
        if (series[index] > result) result = series[index];
    }
    return result;
}

int vv_trend_of(const int64_t *series, size_t iteration_count, double tolerance,
                struct vv_scratch *scratch, struct vv_trend *out_trend) {
    size_t pair_count = iteration_count * (iteration_count + 1) / 2;
    struct pairs pairs = {.slopes =
                              vv_scratch_take_array(scratch, pair_count, sizeof *pairs.slopes)};
    if (pairs.slopes == NULL) return -ENOMEM;
    compare_all(series, iteration_count, &pairs);
    qsort(pairs.slopes, pairs.count, sizeof *pairs.slopes, by_value);
    out_trend->slope = pairs.count > 0 ? median(&pairs) : 0;
    double order = (double)pairs.order / (double)vv_max(pairs.count, 1);
    size_t half = iteration_count / 2;
    int64_t late_growth = series[iteration_count] - highest(series, half + 1);
    if (iteration_count >= ITERATIONS_MIN && out_trend->slope > tolerance &&
        order >= ORDER_OF_GROWTH &&
        (rises_often(series, iteration_count) || rises_in_all_parts(series, iteration_count))) {
        out_trend->kind = VV_TREND_GROWS;
    } else if ((double)late_growth > tolerance * (double)(iteration_count - half)) {
        out_trend->kind = VV_TREND_UNSTEADY;
    } else {
        out_trend->kind = VV_TREND_FLAT;
    }
    return 0;
}
