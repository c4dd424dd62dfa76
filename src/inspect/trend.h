/* SPDX-License-Identifier: MIT
 * inspect/trend.h - whether a series of measurements grows, or has only grown.
 *
 * A leak adds something in every iteration. A cache that fills, a table that doubles or what is
 * made on first use adds something a few times, however much that is; and a buffer whose size
 * changes goes up and down. So no single difference decides:
 *
 *   slope   the median of the slopes between all pairs of measurements (Theil and Sen)
 *   order   how many pairs are in rising order, minus those in falling order, as a share of all
 *           pairs (Kendall's tau): 1 rises always, 0 has no direction, a single step has at most
 *           0.55
 *   rises   in how many iterations it rose, and whether it still does at the end; what leaks in few
 *           calls, but again and again, rises in each eighth of a series that is long enough */
#ifndef VV_INSPECT_TREND_H
#define VV_INSPECT_TREND_H

#include "os/scratch.h"

enum vv_trend_kind {
    VV_TREND_FLAT,
    VV_TREND_UNSTEADY, /* it ends above all of the first half, but did not grow steadily */
    VV_TREND_GROWS,
};

struct vv_trend {
    enum vv_trend_kind kind;
    double slope; /* for each iteration */
};

/* Judges iteration_count + 1 measurements; a slope up to `tolerance` is none. -ENOMEM. */
int vv_trend_of(const int64_t *series, size_t iteration_count, double tolerance,
                struct vv_scratch *scratch, struct vv_trend *out_trend);

#endif
