/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/options.h"
#include "report/json.h"
#include "report/processes.h"
#include "report/sizes.h"
#include "report/text.h"

#include <stdio.h>

struct settings {
    int domain;
    int view;
    int key;
    uint64_t top;
    bool cumulative;
    bool with_allocator_frames;
    bool with_sizes; /* report only */
    bool json;
};

#define REPORT_OPTIONS(settings)                                                                   \
    {"domain",         'd',                                                                        \
     VV_OPTION_CHOICE, &(settings).domain,                                                         \
     vv_domain_names,  0,                                                                          \
     "DOMAIN",         "malloc (usual), or mmap: what the program mapped itself"},                 \
        {"view",        'v', VV_OPTION_CHOICE, &(settings).view,                                   \
         vv_view_names, 0,   "VIEW",           "peak (usual), live, total, temporary or leaks"},   \
        {"by",                                                                                     \
         'b',                                                                                      \
         VV_OPTION_CHOICE,                                                                         \
         &(settings).key,                                                                          \
         vv_key_names,                                                                             \
         0,                                                                                        \
         "KEY",                                                                                    \
         "line (usual), function, file, module, traceback, thread or type (of objects)"},          \
        {"top", 'n', VV_OPTION_NUMBER, &(settings).top, NULL, 0, "N", "rows to show; usual: 20"},  \
        {"cumulative", 'c', VV_OPTION_FLAG, &(settings).cumulative,                                \
         NULL,         0,   NULL,           "count each function's callees as well"},              \
        {"allocator-frames",                                                                       \
         0,                                                                                        \
         VV_OPTION_FLAG,                                                                           \
         &(settings).with_allocator_frames,                                                        \
         NULL,                                                                                     \
         0,                                                                                        \
         NULL,                                                                                     \
         "show malloc, operator new and their wrappers"},                                          \
    {                                                                                              \
        "json", 'j', VV_OPTION_FLAG, &(settings).json, NULL, 0, NULL, "for programs"               \
    }

#define NO_MORE_OPTIONS                                                                            \
    { NULL, 0, VV_OPTION_FLAG, NULL, NULL, 0, NULL, NULL }

static struct vv_grouping grouping_of(const struct settings *settings) {
    return (struct vv_grouping){
        .domain = (enum vv_domain)settings->domain,
        .view = (enum vv_view)settings->view,
        .key = (enum vv_key)settings->key,
        .cumulative = settings->cumulative,
        .with_allocator_frames = settings->with_allocator_frames,
    };
}

/* Mappings are not watched for being freed at once. */
static bool view_exists(const struct settings *settings) {
    if (settings->domain != VV_DOMAIN_MMAP || settings->view != VV_VIEW_TEMPORARY) return true;
    fprintf(stderr, "varve: the domain mmap has no view temporary; it has peak, live, total and "
                    "leaks\n");
    return false;
}

static int no_memory(void) {
    fprintf(stderr, "varve: there is not enough memory for the report\n");
    return VV_EXIT_USAGE;
}

/* --- report --- */

/* What the view is of: at the peak of a process, only one of its programs was there. */
static unsigned take_captures(const struct settings *settings, const struct vv_loaded *loaded,
                              const struct vv_capture **taken) {
    unsigned count = 0;
    for (unsigned index = 0; index < loaded->count; index++) {
        if (settings->view == VV_VIEW_PEAK &&
            !vv_holds_peak(loaded, index, (enum vv_domain)settings->domain)) {
            continue;
        }
        taken[count++] = loaded->captures[index];
    }
    return count;
}

static int print_report(const struct settings *settings, const struct vv_loaded *loaded) {
    struct vv_grouping grouping = grouping_of(settings);
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_groups groups;
    const struct vv_capture **captures =
        scratch != NULL ? vv_scratch_take_array(scratch, loaded->count, sizeof *captures) : NULL;
    if (captures == NULL ||
        vv_group(&grouping, captures, take_captures(settings, loaded, captures), scratch, &groups) <
            0 ||
        vv_group_stacks(&grouping, &groups, settings->top, scratch) < 0) {
        vv_scratch_free(scratch);
        return no_memory();
    }
    int code = VV_EXIT_SUCCESS;
    if (settings->json) {
        if (!vv_write_report_json(stdout, loaded, &grouping, &groups, settings->top)) {
            code = VV_EXIT_USAGE;
        }
    } else {
        vv_print_header(stdout, loaded);
        fputc('\n', stdout);
        vv_print_rows(stdout, &grouping, &groups, settings->top);
        if (settings->with_sizes) vv_print_sizes(stdout, loaded);
        vv_print_losses(stdout, loaded);
    }
    vv_scratch_free(scratch);
    return code;
}

int vv_command_report(int argc, char **argv) {
    struct settings settings = {.top = 20};
    const struct vv_option options[] = {REPORT_OPTIONS(settings),
                                        {"sizes", 's', VV_OPTION_FLAG, &settings.with_sizes, NULL,
                                         0, NULL, "also show what sizes were asked for"},
                                        NO_MORE_OPTIONS};
    const struct vv_command command = {
        "report", "[OPTIONS] FILE...",
        "Says where the memory of a recorded program went. Several files of one run are summed.",
        options, false};
    int count = vv_options_read(&command, argc, argv);
    if (count < 0) return count == -2 ? VV_EXIT_SUCCESS : VV_EXIT_USAGE;
    if (count == 0) {
        fprintf(stderr, "varve report: which capture? Give a file that varve run has written.\n");
        return VV_EXIT_USAGE;
    }
    if (!view_exists(&settings)) return VV_EXIT_USAGE;
    struct vv_loaded loaded;
    if (!vv_load_run(argv, (unsigned)count, &loaded)) return VV_EXIT_USAGE;
    int code = print_report(&settings, &loaded);
    vv_loaded_free(&loaded);
    return code;
}

/* --- diff --- */

static int print_diff(const struct settings *settings, const struct vv_loaded *old,
                      const struct vv_loaded *new) {
    struct vv_grouping grouping = grouping_of(settings);
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_groups groups;
    if (scratch == NULL ||
        vv_group_compare(&grouping, (const struct vv_capture *const *)old->captures, old->count,
                         (const struct vv_capture *const *)new->captures, new->count, scratch,
                         &groups) < 0 ||
        vv_group_stacks(&grouping, &groups, settings->top, scratch) < 0) {
        vv_scratch_free(scratch);
        return no_memory();
    }
    int code = VV_EXIT_SUCCESS;
    if (settings->json) {
        if (!vv_write_diff_json(stdout, old, new, &grouping, &groups, settings->top)) {
            code = VV_EXIT_USAGE;
        }
    } else {
        fputs("old: ", stdout);
        vv_print_header(stdout, old);
        fputs("new: ", stdout);
        vv_print_header(stdout, new);
        fputc('\n', stdout);
        vv_print_changes(stdout, &grouping, &groups, settings->top);
        vv_print_losses(stdout, new);
    }
    vv_scratch_free(scratch);
    return code;
}

int vv_command_diff(int argc, char **argv) {
    struct settings settings = {.top = 20};
    const struct vv_option options[] = {REPORT_OPTIONS(settings), NO_MORE_OPTIONS};
    const struct vv_command command = {
        "diff", "[OPTIONS] OLD NEW",
        "Compares two recordings, by names and not by addresses, largest change first.", options,
        false};
    int count = vv_options_read(&command, argc, argv);
    if (count < 0) return count == -2 ? VV_EXIT_SUCCESS : VV_EXIT_USAGE;
    if (count != 2) {
        fprintf(stderr,
                "varve diff: it needs two captures, the old one and the new one; "
                "%d given.\n",
                count);
        return VV_EXIT_USAGE;
    }
    if (!view_exists(&settings)) return VV_EXIT_USAGE;
    struct vv_loaded old, new;
    if (!vv_load_run(argv, 1, &old)) return VV_EXIT_USAGE;
    if (!vv_load_run(argv + 1, 1, &new)) {
        vv_loaded_free(&old);
        return VV_EXIT_USAGE;
    }
    int code = print_diff(&settings, &old, &new);
    vv_loaded_free(&old);
    vv_loaded_free(&new);
    return code;
}
