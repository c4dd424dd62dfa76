/* SPDX-License-Identifier: MIT
 * report/sizes.h - what sizes were asked for: allocations by powers of two. */
#ifndef VV_REPORT_SIZES_H
#define VV_REPORT_SIZES_H

#include "report/load.h"

#include <stdio.h>

/* Allocations of min_bytes to max_bytes, both included. */
struct vv_size_bucket {
    uint64_t min_bytes;
    uint64_t max_bytes;
    uint64_t count;
};

/* Fills in the buckets, smallest sizes first, summed over threads and captures; returns how many
 * there are up to the last that is not empty. */
unsigned vv_sizes_of(const struct vv_loaded *loaded,
                     struct vv_size_bucket buckets[VV_CAPTURE_HISTOGRAM_BUCKETS]);

/* The same as a table. */
void vv_print_sizes(FILE *out, const struct vv_loaded *loaded);

#endif
