/* SPDX-License-Identifier: MIT */
#include "report/sizes.h"

#include "report/text.h"

#include <inttypes.h>

/* Bucket 0 is for 0 bytes, bucket i for 2^(i-1) .. 2^i - 1: see trace/layout.h. */
static struct vv_size_bucket empty_bucket(unsigned index) {
    if (index == 0) return (struct vv_size_bucket){.count = 0};
    uint64_t min_bytes = (uint64_t)1 << (index - 1);
    return (struct vv_size_bucket){.min_bytes = min_bytes, .max_bytes = min_bytes * 2 - 1};
}

unsigned vv_sizes_of(const struct vv_loaded *loaded,
                     struct vv_size_bucket buckets[VV_CAPTURE_HISTOGRAM_BUCKETS]) {
    unsigned used = 0;
    for (unsigned bucket = 0; bucket < VV_CAPTURE_HISTOGRAM_BUCKETS; bucket++) {
        buckets[bucket] = empty_bucket(bucket);
        for (unsigned index = 0; index < loaded->count; index++) {
            const struct vv_capture *capture = loaded->captures[index];
            for (uint32_t thread = 0; thread < capture->thread_count; thread++) {
                buckets[bucket].count += capture->threads[thread].histogram[bucket];
            }
        }
        if (buckets[bucket].count > 0) used = bucket + 1;
    }
    return used;
}

#define BAR_COLUMNS 40

void vv_print_sizes(FILE *out, const struct vv_loaded *loaded) {
    static const char bar[] = "########################################";
    _Static_assert(sizeof bar == BAR_COLUMNS + 1, "a full bar");
    struct vv_size_bucket buckets[VV_CAPTURE_HISTOGRAM_BUCKETS];
    unsigned used = vv_sizes_of(loaded, buckets);
    uint64_t total = 0, most = 1;
    for (unsigned index = 0; index < used; index++) {
        total += buckets[index].count;
        if (buckets[index].count > most) most = buckets[index].count;
    }
    fprintf(out, "\n%11s %6s %12s  what was asked for, in all\n", "from", "share", "allocations");
    for (unsigned index = 0; index < used; index++) {
        const struct vv_size_bucket *bucket = &buckets[index];
        char size[VV_SIZE_TEXT_BYTES];
        fprintf(out, "%11s %5.1f%% %12" PRIu64 "  %.*s\n",
                vv_size_text((int64_t)bucket->min_bytes, size),
                100.0 * (double)bucket->count / (double)total, bucket->count,
                (int)(bucket->count * BAR_COLUMNS / most), bar);
    }
}
