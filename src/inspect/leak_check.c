/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "heap/debug.h"
#include "inspect/trend.h"
#include "inspect/types.h"
#include "varve/gc.h"
#include "varve/inspect.h"
#include "varve/leak.h"

#include <errno.h>
#include <string.h>

#define WARM_UPS 3
#define ITERATIONS 10
#define TOP_COUNT 5

/* What is measured after each iteration. Nothing of the check itself is in it: its memory comes
 * straight from the system. */
struct series {
    int64_t *heap_bytes;   /* blocks of varve_malloc(), and objects, as the heap gives them */
    int64_t *heap_blocks;  /* blocks alone */
    int64_t *traced_bytes; /* as requested; what was there before the trace and goes counts not */
    int64_t *objects;
};

/* What there was by site and by type at the beginning, in the middle and at the end: what a cache
 * took in the first half does not grow in the second. */
enum { BEGINNING, MIDDLE, END, MOMENT_COUNT };

struct moment {
    varve_snapshot *snapshot; /* NULL: no trace */
    varve_type_count *types;  /* in scratch memory; NULL: no world */
    size_t type_count;
};

struct check {
    varve_leak_options options;
    struct vv_scratch *scratch;
    struct series series;
    struct moment moments[MOMENT_COUNT];
    bool is_traced;
    bool started_trace;
};

/* --- measuring --- */

static void measure(struct check *check, unsigned index) {
    varve_heap_stats_data stats;
    varve_world_counts counts = {.live_objects = 0};
    size_t traced = 0, waiting_blocks, waiting_bytes;
    if (check->options.world != NULL) {
        varve_gc_collect(check->options.world, VARVE_GC_GENERATIONS - 1);
        varve_world_count(check->options.world, &counts);
    }
    varve_heap_stats(&stats);
    vv_debug_count_quarantine(&waiting_blocks, &waiting_bytes);
    if (check->is_traced) varve_trace_memory(&traced, NULL);
    size_t heap_bytes = stats.live_bytes - waiting_bytes;
    check->series.heap_bytes[index] = (int64_t)(heap_bytes + counts.object_bytes);
    check->series.heap_blocks[index] = (int64_t)(stats.live_blocks - waiting_blocks);
    check->series.traced_bytes[index] = (int64_t)traced;
    check->series.objects[index] = (int64_t)counts.live_objects;
}

/* A count of types, in bytes as the trace counts them if there is one, moved into scratch memory so
 * that it is not among what is measured. */
static int count_types(struct check *check, struct moment *moment) {
    varve_type_count *counts;
    int result = vv_count_by_type(check->options.world, /* requested */ check->is_traced, &counts,
                                  &moment->type_count);
    if (result < 0) return result;
    moment->types =
        vv_scratch_take_array(check->scratch, moment->type_count + 1, sizeof *moment->types);
    result = moment->types != NULL ? 0 : -ENOMEM;
    for (size_t index = 0; index < moment->type_count && result == 0; index++) {
        moment->types[index] = counts[index];
        moment->types[index].name =
            vv_scratch_copy_text(check->scratch, counts[index].name, strlen(counts[index].name));
        if (moment->types[index].name == NULL) result = -ENOMEM;
    }
    varve_free(counts);
    return result;
}

static int note_moment(struct check *check, struct moment *moment) {
    if (check->is_traced) {
        int result = varve_snapshot_take(&moment->snapshot);
        if (result < 0) return result;
    }
    return check->options.world != NULL ? count_types(check, moment) : 0;
}

static int run(struct check *check, int (*function)(void *argument), void *argument) {
    unsigned iterations = check->options.iterations;
    int result = 0;
    for (unsigned call = 0; call < check->options.warm_ups && result == 0; call++) {
        result = function(argument);
    }
    if (result == 0) measure(check, 0); /* collects, so that what follows counts what is left */
    if (result == 0) result = note_moment(check, &check->moments[BEGINNING]);
    if (result == 0) measure(check, 0);
    for (unsigned call = 1; call <= iterations && result == 0; call++) {
        result = function(argument);
        if (result == 0) measure(check, call);
        if (result == 0 && call == iterations / 2) {
            result = note_moment(check, &check->moments[MIDDLE]);
        }
    }
    return result == 0 ? note_moment(check, &check->moments[END]) : result;
}

/* --- the verdict --- */

static varve_leak_verdict verdict_of(enum vv_trend_kind kind) {
    switch (kind) {
    case VV_TREND_GROWS: return VARVE_LEAK_GROWS;
    case VV_TREND_UNSTEADY: return VARVE_LEAK_UNSURE;
    default: return VARVE_LEAK_NONE;
    }
}

/* A trace that began late sees new blocks and not the old ones that go for them, so it says how
 * much grows, but not whether. */
static int judge(struct check *check, varve_leak_report *report) {
    const struct series *series = &check->series;
    size_t iterations = check->options.iterations;
    double tolerance = (double)check->options.tolerance_bytes;
    struct vv_trend heap, traced, blocks, objects;
    if (vv_trend_of(series->heap_bytes, iterations, tolerance, check->scratch, &heap) < 0 ||
        vv_trend_of(series->traced_bytes, iterations, tolerance, check->scratch, &traced) < 0 ||
        vv_trend_of(series->heap_blocks, iterations, 0, check->scratch, &blocks) < 0 ||
        vv_trend_of(series->objects, iterations, 0, check->scratch, &objects) < 0) {
        return -ENOMEM;
    }
    report->verdict = verdict_of(heap.kind);
    if (check->is_traced && traced.kind < heap.kind) report->verdict = verdict_of(traced.kind);
    report->bytes_per_iteration = check->is_traced ? traced.slope : heap.slope;
    report->blocks_per_iteration = blocks.slope;
    report->objects_per_iteration = objects.slope;
    report->iterations = check->options.iterations;
    return 0;
}

/* --- rows --- */

struct rows {
    varve_leak_row *items;
    size_t count;
};

/* Room for `count` rows, or as many as are asked for. */
static int take_rows(struct check *check, size_t count, struct rows *rows) {
    count = vv_min(count, check->options.top_count);
    rows->items = vv_scratch_take_array(check->scratch, count + 1, sizeof *rows->items);
    return rows->items != NULL ? 0 : -ENOMEM;
}

static int add_row(struct check *check, struct rows *rows, const char *name, int64_t bytes,
                   int64_t blocks) {
    unsigned iterations = check->options.iterations;
    char *copy = vv_scratch_copy_text(check->scratch, name, strlen(name));
    if (copy == NULL) return -ENOMEM;
    rows->items[rows->count++] =
        (varve_leak_row){.name = copy,
                         .bytes_per_iteration = bytes / (int64_t)iterations,
                         .blocks_per_iteration = (double)blocks / iterations};
    return 0;
}

static bool is_same_site(const varve_frame *left, const varve_frame *right) {
    return left->line == right->line && strcmp(left->filename, right->filename) == 0 &&
           strcmp(left->function, right->function) == 0 && strcmp(left->module, right->module) == 0;
}

/* What a site grew by in the second half. */
static int64_t late_growth_of_site(const varve_statistics *late, const varve_frame *site) {
    for (size_t index = 0; index < late->length; index++) {
        if (is_same_site(&late->items[index].frame, site)) return late->items[index].size_diff;
    }
    return 0;
}

static void name_site(const varve_frame *frame, char *buffer, size_t capacity) {
    struct vv_text text = vv_text_in(buffer, capacity);
    if (frame->filename[0] != '\0') {
        vv_text_add(&text, frame->filename);
        vv_text_add(&text, ":");
        vv_text_add_decimal(&text, frame->line);
    } else {
        vv_text_add(&text, frame->function[0] != '\0' ? frame->function : frame->module);
    }
    vv_text_end(&text);
}

static int list_sites(struct check *check, struct rows *rows) {
    const struct moment *moments = check->moments;
    varve_statistics *all = NULL;
    varve_statistics *late = NULL;
    if (!check->is_traced) return 0;
    int result = varve_snapshot_compare(moments[END].snapshot, moments[BEGINNING].snapshot,
                                        VARVE_KEY_LINE, false, &all);
    if (result == 0) {
        result = varve_snapshot_compare(moments[END].snapshot, moments[MIDDLE].snapshot,
                                        VARVE_KEY_LINE, false, &late);
    }
    if (result == 0) result = take_rows(check, all->length, rows);
    for (size_t index = 0; result == 0 && index < all->length; index++) {
        const varve_statistic *site = &all->items[index];
        char name[512];
        if (rows->count == check->options.top_count) break;
        int64_t late_bytes = late_growth_of_site(late, &site->frame);
        if (late_bytes <= 0 || site->size_diff <= late_bytes) continue;
        name_site(&site->frame, name, sizeof name);
        result = add_row(check, rows, name, site->size_diff, site->count_diff);
    }
    varve_statistics_free(late);
    varve_statistics_free(all);
    return result;
}

static int64_t bytes_of_type(const struct moment *moment, const char *name) {
    int64_t bytes = 0;
    for (size_t index = 0; index < moment->type_count; index++) {
        if (strcmp(moment->types[index].name, name) == 0) {
            bytes += (int64_t)moment->types[index].bytes;
        }
    }
    return bytes;
}

static int64_t late_growth_of_type(const struct check *check, const char *name) {
    return bytes_of_type(&check->moments[END], name) - bytes_of_type(&check->moments[MIDDLE], name);
}

static int list_types(struct check *check, struct rows *rows) {
    const struct moment *moments = check->moments;
    varve_type_growth *growth;
    size_t count;
    if (check->options.world == NULL) return 0;
    int result = varve_growth_by_type(moments[BEGINNING].types, moments[BEGINNING].type_count,
                                      moments[END].types, moments[END].type_count, &growth, &count);
    if (result < 0) return result;
    result = take_rows(check, count, rows);
    for (size_t index = 0; result == 0 && index < count; index++) {
        if (rows->count == check->options.top_count) break;
        int64_t late_bytes = late_growth_of_type(check, growth[index].name);
        if (late_bytes <= 0 || growth[index].bytes <= late_bytes) continue;
        result =
            add_row(check, rows, growth[index].name, growth[index].bytes, growth[index].objects);
    }
    varve_free(growth);
    return result;
}

/* --- the report --- */

/* The rows in one block, names behind them. NULL with a count of 0, or no memory. */
static varve_leak_row *copy_rows(const struct rows *rows) {
    size_t name_bytes = 0;
    for (size_t index = 0; index < rows->count; index++) {
        name_bytes += strlen(rows->items[index].name) + 1;
    }
    varve_leak_row *copy =
        rows->count > 0 ? varve_malloc(rows->count * sizeof *copy + name_bytes) : NULL;
    if (copy == NULL) return NULL;
    char *names = (char *)(copy + rows->count);
    for (size_t index = 0; index < rows->count; index++) {
        size_t length = strlen(rows->items[index].name) + 1;
        copy[index] = rows->items[index];
        copy[index].name = memcpy(names, rows->items[index].name, length);
        names += length;
    }
    return copy;
}

static int fill_report(struct check *check, varve_leak_report *out_report) {
    varve_leak_report report = {.site_count = 0};
    struct rows sites = {.count = 0};
    struct rows types = {.count = 0};
    int result = judge(check, &report);
    if (result == 0 && report.verdict != VARVE_LEAK_NONE) {
        result = list_sites(check, &sites);
        if (result == 0) result = list_types(check, &types);
    }
    if (result < 0) return result;
    report.site_count = sites.count;
    report.type_count = types.count;
    report.sites = copy_rows(&sites);
    report.types = copy_rows(&types);
    if ((report.sites == NULL && sites.count > 0) || (report.types == NULL && types.count > 0)) {
        varve_leak_report_free(&report);
        return -ENOMEM;
    }
    *out_report = report;
    return 0;
}

void varve_leak_report_free(varve_leak_report *report) {
    if (report == NULL) return;
    varve_free(report->sites);
    varve_free(report->types);
    report->sites = report->types = NULL;
    report->site_count = report->type_count = 0;
}

/* --- all --- */

static bool take_series(struct check *check) {
    int64_t **all[] = {&check->series.heap_bytes, &check->series.heap_blocks,
                       &check->series.traced_bytes, &check->series.objects};
    for (size_t index = 0; index < VV_ARRAY_COUNT(all); index++) {
        *all[index] =
            vv_scratch_take_array(check->scratch, check->options.iterations + 1, sizeof(int64_t));
        if (*all[index] == NULL) return false;
    }
    return true;
}

static void begin_trace(struct check *check) {
    check->is_traced = varve_trace_is_tracing();
    if (check->is_traced) return;
    check->started_trace = check->is_traced = varve_trace_start(0) == 0;
}

static varve_leak_options complete(const varve_leak_options *options) {
    varve_leak_options complete = {.warm_ups = 0};
    if (options != NULL) complete = *options;
    if (complete.warm_ups == 0) complete.warm_ups = WARM_UPS;
    if (complete.iterations == 0) complete.iterations = ITERATIONS;
    if (complete.top_count == 0) complete.top_count = TOP_COUNT;
    return complete;
}

int varve_leak_check(int (*function)(void *argument), void *argument,
                     const varve_leak_options *options, varve_leak_report *out_report) {
    struct check check = {.options = complete(options), .scratch = vv_scratch_new()};
    if (check.scratch == NULL) return -ENOMEM;
    int result = 0;
    if (check.options.iterations > VARVE_LEAK_ITERATIONS_MAX) result = -EINVAL;
    if (result == 0 && !take_series(&check)) result = -ENOMEM;
    if (result == 0) {
        begin_trace(&check);
        result = run(&check, function, argument);
        if (result == 0) result = fill_report(&check, out_report);
        if (check.started_trace) varve_trace_stop();
    }
    for (unsigned index = 0; index < MOMENT_COUNT; index++) {
        varve_snapshot_free(check.moments[index].snapshot);
    }
    vv_scratch_free(check.scratch);
    return result;
}
