/* SPDX-License-Identifier: MIT
 * varve/leak.h - does this code leak, and what does that block of code allocate?
 *
 * Works for plain varve_malloc code (and malloc with -lvarve-malloc) and, when a world is given,
 * for its objects. Sites are known while the trace is on (varve/trace.h); otherwise reports have
 * totals and types only. */
#ifndef VARVE_LEAK_H
#define VARVE_LEAK_H

#include <varve/object.h>
#include <varve/snapshot.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- leak check --- */

typedef struct varve_leak_options {
    unsigned warm_ups;      /* calls before anything is measured; 0: 3 */
    unsigned iterations;    /* measured calls; 0: 10 */
    size_t tolerance_bytes; /* growth for each iteration that is no leak */
    unsigned top_count;     /* sites and types in the report; 0: 5 */
    varve_world *world;     /* collected before each measurement; NULL: none */
} varve_leak_options;

typedef enum varve_leak_verdict {
    VARVE_LEAK_NONE,
    VARVE_LEAK_GROWS,  /* each iteration leaves more */
    VARVE_LEAK_UNSURE, /* it grew, but not steadily: more iterations may tell */
} varve_leak_verdict;

typedef struct varve_leak_row {
    const char *name; /* "file:line" or the name of a type */
    int64_t bytes_per_iteration;
    double blocks_per_iteration;
} varve_leak_row;

typedef struct varve_leak_report {
    varve_leak_verdict verdict;
    double bytes_per_iteration; /* the slope of live bytes over the iterations */
    double blocks_per_iteration;
    double objects_per_iteration;
    unsigned iterations;
    size_t site_count, type_count;
    varve_leak_row *sites; /* that grew, most first; empty without a trace */
    varve_leak_row *types; /* that grew, most first; empty without a world */
} varve_leak_report;

/* Calls function(argument) warm_ups + iterations times and judges the slope of what stays live, so
 * that caches that fill once and other late initialisation are not called leaks. `options` may be
 * NULL. Returns 0 and the report, whose verdict is the answer; -ENOMEM; or the first nonzero
 * result of `function`. Free the report with varve_leak_report_free(). Other threads' allocations
 * count, too. */
VARVE_API int varve_leak_check(int (*function)(void *argument), void *argument,
                               const varve_leak_options *options, varve_leak_report *out_report);
VARVE_API void varve_leak_report_free(varve_leak_report *report);

/* The report in a few lines of text. */
VARVE_API void varve_leak_report_write(const varve_leak_report *report,
                                       void (*write)(const char *text, size_t length,
                                                     void *argument),
                                       void *argument);

/* --- profiles --- */

typedef struct varve_profile varve_profile;

/* What a stretch of code did with memory. */
typedef struct varve_profile_result {
    const char *name;
    uint64_t duration_ns;
    int64_t net_bytes; /* live at the end minus at the beginning */
    int64_t net_blocks;
    size_t peak_bytes; /* most above the beginning */
    size_t row_count;
    const varve_statistic *rows; /* sites that grew, most first */
} varve_profile_result;

enum {
    VARVE_PROFILE_THREAD = 1, /* only what the calling thread does (no peak then) */
};

/* Begins / ends a stretch; stretches nest. Starts the trace when it is off and stops it again.
 * NULL with ENOMEM or ENOSYS. end: calls `report`, or without one writes the result to stderr in
 * some lines, and frees the profile; accepts NULL. */
VARVE_API varve_profile *varve_profile_begin(const char *name, unsigned top_count, unsigned flags);
VARVE_API void varve_profile_end(varve_profile *profile,
                                 void (*report)(const varve_profile_result *result, void *argument),
                                 void *argument);

/* The stretch is one call; returns what the function returns. */
VARVE_API int varve_profile_call(const char *name, unsigned top_count,
                                 int (*function)(void *argument), void *argument);

/* VARVE_PROFILE("data processing", 5) { ... } : ends also by break, return and goto (with gcc and
 * clang, in C). */
static inline void varve_profile_cleanup_(varve_profile **profile) {
    varve_profile_end(*profile, NULL, NULL);
}
#define VARVE_PROFILE(name, top_count)                                                             \
    for (varve_profile * varve_profile_here_ __attribute__((cleanup(varve_profile_cleanup_))) =    \
             varve_profile_begin(name, top_count, 0),                                              \
                                             *varve_profile_once_ = NULL;                          \
         varve_profile_once_ == NULL; varve_profile_once_ = (varve_profile *)1)

#ifdef __cplusplus
}
#endif
#endif
