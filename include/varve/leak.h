/* SPDX-License-Identifier: MIT
 * varve/leak.h - does this code leak, and what does that block of code allocate?
 *
 * Works for plain varve_malloc code (and malloc with -lvarve-malloc) and, when a world is given,
 * for its objects. Both start the trace (varve/trace.h) when it is off, and stop it again then; in
 * a library without the trace layer a leak check has totals and types only, and there is no
 * profile. */
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

#define VARVE_LEAK_ITERATIONS_MAX 1000u

typedef enum varve_leak_verdict {
    VARVE_LEAK_NONE,
    VARVE_LEAK_GROWS,  /* each iteration leaves more */
    VARVE_LEAK_UNSURE, /* it grew, but not steadily: more iterations may tell */
} varve_leak_verdict;

typedef struct varve_leak_row {
    const char *name; /* "file:line", or the name of a function, or "program+0x1234", as far as is
                         known; of a type */
    int64_t bytes_per_iteration;
    double blocks_per_iteration; /* of a site: of objects, too; of a type: objects */
} varve_leak_row;

typedef struct varve_leak_report {
    varve_leak_verdict verdict;
    double bytes_per_iteration;  /* the slope of live bytes over the iterations; all bytes here are
                                    as  requested, without a trace as the heap gives them */
    double blocks_per_iteration; /* without objects */
    double objects_per_iteration;
    unsigned iterations;
    size_t site_count, type_count;
    varve_leak_row *sites; /* that grew in both halves, most first; none without a trace */
    varve_leak_row *types; /* the same; none without a world */
} varve_leak_report;

/* Calls function(argument) warm_ups + iterations times and judges what stays live after each call.
 * The verdict comes from the slope between all pairs of measurements and from how steadily they
 * rise, not from one difference: caches that fill once, tables that double and what is made on
 * first use are no leaks. A cache that takes more calls to fill than there are iterations looks
 * like a leak: more warm-ups help. To be sure of a leak in every n-th call takes 8 n iterations.
 * `options` may be NULL. Returns 0 and the report, whose verdict is the answer; -ENOMEM; -EINVAL:
 * too many iterations; or the first nonzero result of `function`. Free the report with
 * varve_leak_report_free(), which accepts NULL. Other threads' allocations count, too. */
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
    uint64_t duration_ns; /* without what inner stretches of its thread took to begin and to end */
    int64_t net_bytes;    /* live at the end minus at the beginning */
    int64_t net_blocks;
    size_t peak_bytes; /* most above the beginning */
    bool peak_is_known;
    bool is_complete; /* there was memory for the sites */
    const varve_statistics
        *sites; /* that grew, most first; as text with varve_statistic_format() */
} varve_profile_result;

enum {
    VARVE_PROFILE_THREAD = 1, /* only what the calling thread does (no peak then) */
};

/* Begins / ends a stretch; stretches nest, and may overlap in several threads. `name` must stay.
 * The trace's peak (varve_trace_memory) begins anew with a stretch; but under `varve run`, whose
 * report needs it, it is left alone, and a stretch then knows its peak only when that was the
 * highest of the run. NULL with ENOMEM or ENOSYS. end: calls `report`, or without one writes the
 * result to stderr in some lines, and frees the profile; accepts NULL. Cost: some tenths
 * of a millisecond each, more with many sites, and what tracing costs; the first end with
 * something to name reads the debug information of the modules that it meets, the C library's among
 * them: 50 to 150 ms. */
VARVE_API varve_profile *varve_profile_begin(const char *name, unsigned top_count, unsigned flags);
VARVE_API void varve_profile_end(varve_profile *profile,
                                 void (*report)(const varve_profile_result *result, void *argument),
                                 void *argument);

/* The stretch is one call; returns what the function returns. */
VARVE_API int varve_profile_call(const char *name, unsigned top_count,
                                 int (*function)(void *argument), void *argument);

/* VARVE_PROFILE("data processing", 5) { ... } : ends also by break, return and goto (with gcc and
 * clang). A `continue` ends it, too. */
static inline void varve_profile_cleanup_(varve_profile **profile) {
    varve_profile_end(*profile, NULL, NULL);
}
#define VARVE_PROFILE_JOIN2_(left, right) left##right
#define VARVE_PROFILE_JOIN_(left, right) VARVE_PROFILE_JOIN2_(left, right)
#define VARVE_PROFILE(name, top_count) VARVE_PROFILE_NUMBERED_(name, top_count, __COUNTER__)
#define VARVE_PROFILE_NUMBERED_(name, top_count, number)                                           \
    VARVE_PROFILE_(name, top_count, VARVE_PROFILE_JOIN_(varve_profile_here_, number),              \
                   VARVE_PROFILE_JOIN_(varve_profile_once_, number))
#define VARVE_PROFILE_(name, top_count, here, once)                                                \
    for (varve_profile * here __attribute__((unused, cleanup(varve_profile_cleanup_))) =           \
             varve_profile_begin(name, top_count, 0),                                              \
                                                     *once = NULL;                                 \
         once == NULL; once = (varve_profile *)1)

#ifdef __cplusplus
}
#endif
#endif
