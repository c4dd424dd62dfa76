/* SPDX-License-Identifier: MIT
 * snapshot/grouping.h - sums of a capture's counts by line, function, file, module, stack or
 * thread: what `varve report` prints and what varve_snapshot_statistics() returns.
 *
 *   frames of a stack    locations x symbols (inlined functions are frames), innermost first;
 *                        the allocator's own frames (snapshot/allocator_frames.h) are left out
 *                        unless asked for
 *   group of a count     by its innermost frame; when cumulative, by each different frame */
#ifndef VV_SNAPSHOT_GROUPING_H
#define VV_SNAPSHOT_GROUPING_H

#include "capture/capture.h"

enum vv_view {
    VV_VIEW_PEAK,      /* live when the process held most */
    VV_VIEW_LIVE,      /* live at the end, or when the snapshot was taken */
    VV_VIEW_TOTAL,     /* allocated altogether */
    VV_VIEW_TEMPORARY, /* freed before the thread allocated anything else */
    VV_VIEW_LEAKS,     /* live at the end of the process, without what was there before the trace */
    VV_VIEW_COUNT,
};

enum vv_key {
    VV_KEY_LINE,
    VV_KEY_FUNCTION,
    VV_KEY_FILE,
    VV_KEY_MODULE,
    VV_KEY_TRACEBACK,
    VV_KEY_THREAD,
    VV_KEY_TYPE, /* of objects; all else is one group */
    VV_KEY_COUNT,
};

/* A frame as a reader sees it. Strings are the capture's. Never NULL; "" is "not known". */
struct vv_frame {
    const char *function;
    const char *file;
    const char *module;
    uint32_t line;
    uint32_t location_kind; /* enum vv_location_kind */
    uint64_t address;       /* in the module */
};

struct vv_group {
    uint64_t key_hash;
    int64_t bytes;
    int64_t blocks;
    int64_t old_bytes; /* of the older capture, in a comparison */
    int64_t old_blocks;
    struct vv_frame frame;  /* what the group is named after; a thread: `function` is its name */
    struct vv_frame *stack; /* of the biggest count in the group, innermost first */
    uint32_t stack_depth;
    uint32_t biggest_site; /* where that count is, and in which capture */
    const struct vv_capture *biggest_capture;
    int64_t biggest_bytes;
    uint64_t last_site; /* the last site that was added, when cumulative */
};

struct vv_groups {
    struct vv_group *rows; /* largest first (comparison: by size of the change) */
    size_t count;
    int64_t bytes; /* of the whole view, whatever is in rows */
    int64_t blocks;
    int64_t old_bytes;
    int64_t old_blocks;
};

struct vv_grouping {
    enum vv_domain domain; /* what else there is does not appear */
    enum vv_view view;
    enum vv_key key;
    bool cumulative;
    bool with_allocator_frames;
};

/* "peak", "line" and so on, by number; NULL behind the last. */
extern const char *const vv_domain_names[VV_DOMAIN_COUNT + 1];
extern const char *const vv_view_names[VV_VIEW_COUNT + 1];
extern const char *const vv_key_names[VV_KEY_COUNT + 1];

/* The frames of a site as a reader sees them, in `scratch`; NULL: no memory. */
struct vv_frame *vv_frames_of_site(const struct vv_grouping *grouping,
                                   const struct vv_capture *capture, uint32_t site,
                                   struct vv_scratch *scratch, uint32_t *out_count);

/* Groups the sum of several captures (the processes of a run). Rows live in `scratch`; their stacks
 * are filled in by vv_group_stacks(). Returns 0 or -ENOMEM. */
int vv_group(const struct vv_grouping *grouping, const struct vv_capture *const *captures,
             size_t capture_count, struct vv_scratch *scratch, struct vv_groups *out);

/* The same for two, matched by name and not by address, so that a rebuilt program compares: `new`
 * minus `old`, groups that changed first by the size of the change. */
int vv_group_compare(const struct vv_grouping *grouping, const struct vv_capture *const *old,
                     size_t old_count, const struct vv_capture *const *new, size_t new_count,
                     struct vv_scratch *scratch, struct vv_groups *out);

/* What part of the whole that is, from 0 to 1: a thread that frees what others allocated may have
 * less than nothing, and others more than all. */
static inline double vv_share_of(int64_t part, int64_t whole) {
    if (whole <= 0 || part <= 0) return 0;
    return part < whole ? (double)part / (double)whole : 1;
}

/* Fills in the stacks of the first `row_count` rows. Returns 0 or -ENOMEM. */
int vv_group_stacks(const struct vv_grouping *grouping, struct vv_groups *groups, size_t row_count,
                    struct vv_scratch *scratch);

#endif
