/* SPDX-License-Identifier: MIT
 * The verdict of a leak check: leaks of many shapes are found, and what is none is not called one.
 */
#include "harness.h"

#include "inspect/trend.h"
#include "os/pages.h"
#include "varve/gc.h"
#include "varve/inspect.h"
#include "varve/leak.h"

#include <errno.h>
#include <string.h>

/* --- series --- */

static struct vv_trend judge(const int64_t *series, size_t count, double tolerance) {
    struct vv_trend trend = {.kind = VV_TREND_FLAT};
    struct vv_scratch *scratch = vv_scratch_new();
    REQUIRE(vv_trend_of(series, count - 1, tolerance, scratch, &trend) == 0);
    vv_scratch_free(scratch);
    return trend;
}

#define JUDGE(...)                                                                                 \
    judge((const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / 8, 0)

TEST(steady_growth_is_growth_and_its_slope_is_exact) {
    struct vv_trend trend = JUDGE(0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000);
    CHECK_EQ(trend.kind, VV_TREND_GROWS);
    CHECK_EQ(trend.slope, 100);
    CHECK_EQ(JUDGE(0, 0, 100, 100, 200, 200, 300, 300, 400, 400, 500).kind, VV_TREND_GROWS);
    CHECK_EQ(JUDGE(0, 90, 210, 290, 420, 480, 610, 690, 780, 920, 1000).kind, VV_TREND_GROWS);
    CHECK_EQ(JUDGE(5, 6, 7, 8).kind, VV_TREND_GROWS);
}

TEST(steps_and_noise_are_no_growth) {
    CHECK_EQ(JUDGE(7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7).kind, VV_TREND_FLAT);
    CHECK_EQ(JUDGE(0, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000).kind,
             VV_TREND_FLAT);
    CHECK_EQ(JUDGE(0, 0, 0, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000).kind, VV_TREND_FLAT);
    CHECK_EQ(JUDGE(0, 10, 20, 30, 40, 40, 40, 40, 40, 40, 40).kind, VV_TREND_FLAT);
    CHECK_EQ(JUDGE(0, 500, 100, 700, 200, 600, 50, 650, 150, 550, 0).kind, VV_TREND_FLAT);
    CHECK_EQ(JUDGE(100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0).kind, VV_TREND_FLAT);
}

/* 100 iterations of what adds 777 in every n-th. */
static struct vv_trend judge_every(unsigned period) {
    int64_t series[101];
    for (unsigned index = 0; index <= 100; index++) series[index] = 777 * (index / period);
    return judge(series, 101, 0);
}

TEST(growth_in_few_iterations_but_to_the_end_is_growth) {
    for (unsigned period = 1; period <= 12; period++) {
        struct vv_trend trend = judge_every(period);
        CHECK_EQ(trend.kind, VV_TREND_GROWS);
        CHECK_GT(trend.slope * period, 777 * 0.95);
        CHECK_LT(trend.slope * period, 777 * 1.05);
    }
    CHECK_EQ(judge_every(40).kind, VV_TREND_UNSTEADY);
}

TEST(a_table_that_doubles_and_a_cache_that_fills_are_not_growth) {
    int64_t table[101], cache[101];
    for (int index = 0; index <= 100; index++) {
        table[index] = index == 0 ? 0 : 64 << (31 - __builtin_clz((unsigned)index));
        cache[index] = index < 60 ? index * 100 : 6000;
    }
    CHECK_NE(judge(table, 101, 0).kind, VV_TREND_GROWS);
    CHECK_NE(judge(cache, 101, 0).kind, VV_TREND_GROWS);
}

TEST(a_late_step_and_too_few_measurements_are_undecided) {
    CHECK_EQ(JUDGE(0, 0, 0, 0, 0, 0, 0, 0, 9000, 9000, 9000).kind, VV_TREND_UNSTEADY);
    CHECK_EQ(JUDGE(0, 100).kind, VV_TREND_UNSTEADY);
    CHECK_EQ(JUDGE(0, 100, 200).kind, VV_TREND_UNSTEADY);
}

TEST(growth_within_the_tolerance_is_none) {
    const int64_t series[] = {0, 10, 20, 30, 40, 50};
    CHECK_EQ(judge(series, 6, 10).kind, VV_TREND_FLAT);
    CHECK_EQ(judge(series, 6, 9).kind, VV_TREND_GROWS);
}

/* --- functions --- */

struct keeper {
    void *blocks[200];
    unsigned count;
    unsigned calls;
    varve_world *world;
    varve_object *list;
};

static int leak_100(void *argument) {
    struct keeper *keeper = argument;
    keeper->calls++;
    keeper->blocks[keeper->count++] = varve_malloc(100);
    return 0;
}

static int leak_every_second(void *argument) {
    struct keeper *keeper = argument;
    if (keeper->calls++ % 2 == 0) keeper->blocks[keeper->count++] = varve_malloc(64);
    return 0;
}

static int fill_a_cache(void *argument) {
    struct keeper *keeper = argument;
    if (keeper->calls++ < 7) keeper->blocks[keeper->count++] = varve_malloc(5000);
    void *work = varve_malloc(100000);
    varve_free(work);
    return 0;
}

static int replace_a_buffer(void *argument) {
    struct keeper *keeper = argument;
    static const size_t sizes[] = {100, 9000, 300, 40, 7000, 2000, 60};
    varve_free(keeper->blocks[0]);
    keeper->blocks[0] = varve_malloc(sizes[keeper->calls++ % 7]);
    keeper->count = 1;
    return 0;
}

/* Takes the place of blocks that were there before the check, one by one. */
static int renew(void *argument) {
    struct keeper *keeper = argument;
    unsigned place = keeper->calls++ % 100;
    varve_free(keeper->blocks[place]);
    keeper->blocks[place] = varve_malloc(500);
    return 0;
}

static int fail_late(void *argument) {
    struct keeper *keeper = argument;
    return keeper->calls++ == 6 ? -EPIPE : 0;
}

static void drop(struct keeper *keeper) {
    for (unsigned index = 0; index < 200; index++) varve_free(keeper->blocks[index]);
    memset(keeper, 0, sizeof *keeper);
}

TEST(a_leak_is_found_with_its_size_and_the_calls_are_as_many_as_promised) {
    struct keeper keeper = {.count = 0};
    varve_leak_report report;
    REQUIRE(varve_leak_check(leak_100, &keeper, NULL, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_GROWS);
    CHECK_EQ(keeper.calls, 13);
    CHECK_EQ(report.blocks_per_iteration, 1);
    if (varve_trace_start(0) == 0) {
        varve_trace_stop();
        CHECK_EQ(report.bytes_per_iteration, 100); /* as requested */
        REQUIRE(report.site_count == 1);
        CHECK_EQ(report.sites[0].bytes_per_iteration, 100);
        CHECK_EQ(report.sites[0].blocks_per_iteration, 1);
    }
    CHECK(!varve_trace_is_tracing());
    varve_leak_report_free(&report);
    varve_leak_report_free(&report);
    drop(&keeper);
}

TEST(a_leak_in_every_second_call_is_found) {
    struct keeper keeper = {.count = 0};
    varve_leak_report report;
    REQUIRE(varve_leak_check(leak_every_second, &keeper, NULL, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_GROWS);
    CHECK_EQ(report.blocks_per_iteration, 0.5);
    varve_leak_report_free(&report);
    drop(&keeper);
}

static void check_clean(int (*function)(void *), struct keeper *keeper) {
    varve_leak_report report;
    REQUIRE(varve_leak_check(function, keeper, NULL, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_NONE);
    CHECK_EQ(report.site_count, 0);
    varve_leak_report_free(&report);
    drop(keeper);
}

static int leak_every_seventh(void *argument) {
    struct keeper *keeper = argument;
    if (keeper->calls++ % 7 == 0) keeper->blocks[keeper->count++] = varve_malloc(777);
    return 0;
}

TEST(a_leak_in_every_seventh_call_is_found_in_100_iterations) {
    struct keeper keeper = {.count = 0};
    varve_leak_report report;
    varve_leak_options options = {.iterations = 100};
    REQUIRE(varve_leak_check(leak_every_seventh, &keeper, &options, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_GROWS);
    varve_leak_report_free(&report);
    drop(&keeper);
}

TEST(caches_and_buffers_are_no_leaks) {
    struct keeper keeper = {.count = 0};
    check_clean(fill_a_cache, &keeper);
    check_clean(replace_a_buffer, &keeper);
}

TEST(new_blocks_in_the_place_of_old_ones_are_no_leak) {
    struct keeper keeper = {.count = 0};
    for (unsigned index = 0; index < 100; index++) keeper.blocks[index] = varve_malloc(500);
    check_clean(renew, &keeper);
}

TEST(the_functions_error_ends_the_check) {
    struct keeper keeper = {.count = 0};
    varve_leak_report report;
    CHECK_EQ(varve_leak_check(fail_late, &keeper, NULL, &report), -EPIPE);
    varve_leak_options many = {.iterations = VARVE_LEAK_ITERATIONS_MAX + 1};
    CHECK_EQ(varve_leak_check(fail_late, &keeper, &many, &report), -EINVAL);
    CHECK(!varve_trace_is_tracing());
}

TEST(tolerance_is_for_each_iteration) {
    struct keeper keeper = {.count = 0};
    varve_leak_report report;
    varve_leak_options options = {.tolerance_bytes = 112};
    REQUIRE(varve_leak_check(leak_100, &keeper, &options, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_NONE);
    varve_leak_report_free(&report);
    drop(&keeper);
}

/* --- worlds --- */

static int make_cycle(void *argument) {
    struct keeper *keeper = argument;
    varve_object *list = varve_list_new(keeper->world);
    if (list == NULL) return -ENOMEM;
    int result = varve_list_append(list, list);
    varve_decref(list);
    return result;
}

static int keep_object(void *argument) {
    struct keeper *keeper = argument;
    varve_object *dict = varve_dict_new(keeper->world);
    if (dict == NULL) return -ENOMEM;
    int result = varve_list_append(keeper->list, dict);
    varve_decref(dict);
    return result < 0 ? result : make_cycle(argument);
}

TEST(cycles_that_are_collected_are_no_leak_and_kept_objects_are) {
    struct keeper keeper = {.world = varve_world_new()};
    varve_leak_report report;
    varve_leak_options options = {.world = keeper.world};
    REQUIRE(varve_leak_check(make_cycle, &keeper, &options, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_NONE);
    varve_leak_report_free(&report);
    keeper.list = varve_list_new(keeper.world);
    REQUIRE(varve_leak_check(keep_object, &keeper, &options, &report) == 0);
    CHECK_EQ(report.verdict, VARVE_LEAK_GROWS);
    CHECK_EQ(report.objects_per_iteration, 1);
    REQUIRE(report.type_count >= 1);
    CHECK_EQ_STR(report.types[0].name, "dict");
    CHECK_EQ(report.types[0].blocks_per_iteration, 1);
    if (varve_trace_start(0) == 0) { /* the dict has one size, whoever counts it */
        varve_trace_stop();
        CHECK_EQ(report.types[0].bytes_per_iteration,
                 varve_sizeof(varve_list_get(keeper.list, 0), /* requested */ true));
        REQUIRE(report.site_count >= 1);
        CHECK_EQ(report.sites[0].bytes_per_iteration, report.types[0].bytes_per_iteration);
        CHECK_EQ(report.blocks_per_iteration, 0);
    }
    varve_leak_report_free(&report);
    varve_decref(keeper.list);
    CHECK_EQ(varve_world_free(keeper.world), 0);
}

/* --- text --- */

struct page {
    char text[2048];
    size_t length;
};

static void add_to_page(const char *text, size_t length, void *argument) {
    struct page *page = argument;
    REQUIRE(page->length + length < sizeof page->text);
    memcpy(page->text + page->length, text, length);
    page->length += length;
    page->text[page->length] = '\0';
}

TEST(the_report_reads_like_this) {
    char site[] = "app.c:12", type[] = "Node";
    varve_leak_row sites[] = {{site, 100, 1}}, types[] = {{type, 53, 0.5}};
    varve_leak_report report = {.verdict = VARVE_LEAK_GROWS,
                                .bytes_per_iteration = 153,
                                .blocks_per_iteration = 1,
                                .objects_per_iteration = 0.5,
                                .iterations = 10,
                                .site_count = 1,
                                .type_count = 1,
                                .sites = sites,
                                .types = types};
    struct page page = {.length = 0};
    varve_leak_report_write(&report, add_to_page, &page);
    CHECK_EQ_STR(page.text, "leak check, 10 iterations: LEAK: each leaves 153 B in 1.0 blocks and "
                            "0.5 objects\n  app.c:12: +100 B in 1.0 blocks or objects\n"
                            "  type Node: +53 B in 0.5 objects\n");
    report = (varve_leak_report){.verdict = VARVE_LEAK_NONE, .iterations = 4};
    page.length = 0;
    varve_leak_report_write(&report, add_to_page, &page);
    CHECK_EQ_STR(page.text, "leak check, 4 iterations: no leak\n");
}

/* --- memory that fails at every point --- */

TEST(without_memory_a_check_says_so_and_leaves_no_trace_on) {
    struct keeper keeper = {.world = varve_world_new()};
    varve_leak_options options = {.world = keeper.world, .warm_ups = 1, .iterations = 3};
    keeper.list = varve_list_new(keeper.world);
    int failures = 0;
    for (uint64_t fail_at = 0; fail_at < 40; fail_at++) {
        varve_leak_report report = {.sites = NULL};
        vv_pages_fail_after(fail_at);
        int result = varve_leak_check(keep_object, &keeper, &options, &report);
        vv_pages_fail_never();
        CHECK(result == 0 || result == -ENOMEM);
        CHECK(!varve_trace_is_tracing());
        failures += result != 0;
        varve_leak_report_free(&report);
    }
    CHECK_GE(failures, 1);
    failures = 0;
    for (uint64_t fail_at = 0; fail_at < 400; fail_at += 1 + fail_at / 8) {
        varve_leak_report report = {.sites = NULL};
        varve_world_fail_after(keeper.world, fail_at);
        int result = varve_leak_check(make_cycle, &keeper, &options, &report);
        varve_world_fail_never(keeper.world);
        failures += result != 0;
        varve_leak_report_free(&report);
    }
    CHECK_GE(failures, 1);
    CHECK_EQ(varve_world_check(keeper.world, NULL, NULL), 0);
    varve_decref(keeper.list);
    CHECK_EQ(varve_world_free(keeper.world), 0);
}

TEST(freeing_no_report_is_harmless) {
    varve_leak_report_free(NULL);
}
