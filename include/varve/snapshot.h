/* SPDX-License-Identifier: MIT
 * varve/snapshot.h - what the trace knows at one moment: statistics, comparison, files.
 *
 * The counterpart of Python's tracemalloc.Snapshot. A snapshot holds sums per call stack, not
 * blocks, so it takes milliseconds and a few megabytes however many blocks are live. Snapshots live
 * in memory of their own and do not appear in each other. Functions return 0 or a negative errno,
 * unless stated otherwise; a snapshot may be read by several threads at a time.
 *
 * Names and lines come from libvarve-symbols.so: beside this library, where the dynamic loader
 * finds it, or where it was installed. Without it functions are named from the dynamic symbol
 * tables, or "program+0x1234". They are looked up with the first statistics of a snapshot; what was
 * read for that is kept, about 20 MiB, so that only the first look-up in a process takes its time
 * (50 to 150 ms, most of it for the C library's debug information). */
#ifndef VARVE_SNAPSHOT_H
#define VARVE_SNAPSHOT_H

#include <varve/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct varve_snapshot varve_snapshot;

/* What is live now. -ESRCH: nothing was ever traced; -ENOSYS: a library without the trace layer. */
VARVE_API int varve_snapshot_take(varve_snapshot **out_snapshot);
VARVE_API void varve_snapshot_free(varve_snapshot *snapshot);

/* Writes a capture file, for its owner only, which `varve report` and `varve diff` read; -EEXIST
 * when there is a file of that name. Loading accepts what `varve run` writes, too; -EINVAL: not a
 * capture. */
VARVE_API int varve_snapshot_dump(varve_snapshot *snapshot, const char *path);
VARVE_API int varve_snapshot_load(const char *path, varve_snapshot **out_snapshot);

/* Bytes and blocks of the whole snapshot. Either may be NULL. */
VARVE_API void varve_snapshot_totals(const varve_snapshot *snapshot, size_t *out_bytes,
                                     size_t *out_blocks);

/* --- filters --- */

/* Says which stacks to keep. A filter matches a frame by all of its parts that are given; one with
 * a thread matches what that thread did. */
typedef struct varve_filter {
    bool inclusive;       /* keep what matches, instead of leaving it out */
    bool all_frames;      /* any frame of the stack may match, instead of the innermost */
    const char *filename; /* a pattern with * and ?; NULL: any */
    const char *function; /* the same */
    unsigned line;        /* 0: any */
    uint64_t thread_id;   /* the kernel's number of the thread that did it; 0: any */
} varve_filter;

/* A new snapshot with the stacks that match one of the inclusive filters, if there are any, and
 * none of the others. */
VARVE_API int varve_snapshot_filter(varve_snapshot *snapshot, const varve_filter *filters,
                                    size_t filter_count, varve_snapshot **out_snapshot);

/* --- statistics --- */

typedef enum varve_key {
    VARVE_KEY_LINE,
    VARVE_KEY_FUNCTION,
    VARVE_KEY_FILENAME,
    VARVE_KEY_MODULE,
    VARVE_KEY_TRACEBACK,
    VARVE_KEY_THREAD,
    VARVE_KEY_TYPE, /* of world objects (varve/object.h); `function` is the type's name */
} varve_key;

/* Strings are never NULL; "" is "not known". */
typedef struct varve_frame {
    const char *filename;
    const char *function;
    const char *module;
    unsigned line;
} varve_frame;

typedef struct varve_statistic {
    size_t size;         /* bytes */
    size_t count;        /* blocks */
    long long size_diff; /* in a comparison */
    long long count_diff;
    varve_frame frame;         /* what was grouped by, as far as it is one frame */
    const varve_frame *frames; /* the stack of the largest part, innermost first */
    unsigned frame_count;
} varve_statistic;

typedef struct varve_statistics {
    size_t length;
    const varve_statistic *items; /* largest first; in a comparison, largest change first */
    bool is_comparison;
    varve_key key;
} varve_statistics;

/* Sums by line, function and so on. `cumulative` counts a stack for each of its frames. */
VARVE_API int varve_snapshot_statistics(varve_snapshot *snapshot, varve_key key, bool cumulative,
                                        varve_statistics **out_statistics);

/* What changed from `old` to `new`. */
VARVE_API int varve_snapshot_compare(varve_snapshot *new_snapshot, varve_snapshot *old_snapshot,
                                     varve_key key, bool cumulative,
                                     varve_statistics **out_statistics);
VARVE_API void varve_statistics_free(varve_statistics *statistics);

/* Writes an item as tracemalloc prints it, "file:line: size=3109 KiB, count=74501, average=43 B",
 * in a comparison with the differences in parentheses. Returns the length of the whole text, of
 * which at most capacity - 1 bytes are written. */
VARVE_API size_t varve_statistic_format(const varve_statistics *statistics, size_t index,
                                        char *buffer, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
