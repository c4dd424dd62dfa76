/* SPDX-License-Identifier: MIT */
#include "report/json.h"

#include "report/processes.h"
#include "report/sizes.h"

#include <jansson.h>
#include <string.h>

/* A string of bytes that need not be UTF-8, as paths and arguments are: what is not becomes "?". */
static json_t *text_of(const char *bytes) {
    json_t *text = json_string(bytes);
    if (text != NULL) return text;
    char *copy = strdup(bytes);
    if (copy == NULL) return NULL;
    for (char *at = copy; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80) *at = '?';
    }
    text = json_string(copy);
    free(copy);
    return text;
}

static void set_text(json_t *object, const char *name, const char *bytes) {
    json_object_set_new(object, name, text_of(bytes));
}

static void set_number(json_t *object, const char *name, int64_t number) {
    json_object_set_new(object, name, json_integer(number));
}

/* --- frames and rows --- */

static void set_frame(json_t *object, const struct vv_frame *frame) {
    char unnamed[32] = "";
    if (frame->function[0] == '\0' && frame->address != 0) {
        snprintf(unnamed, sizeof unnamed, "0x%llx", (unsigned long long)frame->address);
    }
    set_text(object, "function", frame->function[0] != '\0' ? frame->function : unnamed);
    set_text(object, "file", frame->file);
    set_number(object, "line", frame->line);
    set_text(object, "module", frame->module);
}

static json_t *stack_of(const struct vv_group *row) {
    json_t *stack = json_array();
    for (uint32_t index = 0; index < row->stack_depth; index++) {
        json_t *frame = json_object();
        set_frame(frame, &row->stack[index]);
        json_array_append_new(stack, frame);
    }
    return stack;
}

static json_t *row_of(enum vv_key key, const struct vv_group *row) {
    json_t *object = json_object();
    set_number(object, "bytes", row->bytes);
    set_number(object, "blocks", row->blocks);
    set_frame(object, &row->frame);
    if (key == VV_KEY_THREAD) set_number(object, "thread", (int64_t)row->frame.address);
    json_object_set_new(object, "stack", stack_of(row));
    return object;
}

static json_t *report_rows(enum vv_key key, const struct vv_groups *groups, size_t top) {
    json_t *rows = json_array();
    for (size_t index = 0; index < groups->count && index < top; index++) {
        const struct vv_group *row = &groups->rows[index];
        json_t *object = row_of(key, row);
        double share = vv_share_of(row->bytes, groups->bytes);
        json_object_set_new(object, "share", json_real(share));
        json_array_append_new(rows, object);
    }
    return rows;
}

static json_t *diff_rows(enum vv_key key, const struct vv_groups *groups, size_t top) {
    json_t *rows = json_array();
    size_t shown = 0;
    for (size_t index = 0; index < groups->count && shown < top; index++) {
        const struct vv_group *row = &groups->rows[index];
        if (row->bytes == row->old_bytes && row->blocks == row->old_blocks) continue;
        json_t *object = row_of(key, row);
        set_number(object, "bytes_diff", row->bytes - row->old_bytes);
        set_number(object, "blocks_diff", row->blocks - row->old_blocks);
        json_array_append_new(rows, object);
        shown++;
    }
    return rows;
}

/* --- captures --- */

static json_t *command_of(const struct vv_capture *capture) {
    json_t *command = json_array();
    for (uint32_t index = 0; index < capture->argument_count; index++) {
        json_array_append_new(command, text_of(capture->strings[capture->arguments[index]]));
    }
    return command;
}

/* Sums over all captures, and of the processes' peaks. */
static struct vv_capture_sums sums_of(const struct vv_loaded *loaded, enum vv_domain domain) {
    struct vv_capture_sums all = {0};
    for (unsigned index = 0; index < loaded->count; index++) {
        const struct vv_capture_sums *one = &loaded->captures[index]->sums[domain];
        if (vv_holds_peak(loaded, index, domain)) all.peak_bytes += one->peak_bytes;
        all.live_bytes += one->live_bytes;
        all.live_count += one->live_count;
        all.total_bytes += one->total_bytes;
        all.total_count += one->total_count;
    }
    return all;
}

/* The names are those of the sums with a prefix. */
static void set_sums(json_t *object, const struct vv_loaded *loaded, enum vv_domain domain) {
    const char *prefix = domain == VV_DOMAIN_MMAP ? "mapped_" : "";
    struct vv_capture_sums sums = sums_of(loaded, domain);
    const struct {
        const char *name;
        int64_t number;
    } fields[] = {
        {"peak_bytes", sums.peak_bytes},
        {"live_bytes", sums.live_bytes},
        {"total_bytes", (int64_t)sums.total_bytes},
        {"total_blocks", (int64_t)sums.total_count},
        {"live_blocks", sums.live_count},
    };
    for (size_t index = 0; index < VV_ARRAY_COUNT(fields); index++) {
        char name[40];
        snprintf(name, sizeof name, "%s%s", prefix, fields[index].name);
        set_number(object, name, fields[index].number);
    }
}

static void set_sizes(json_t *object, const struct vv_loaded *loaded) {
    struct vv_size_bucket buckets[VV_CAPTURE_HISTOGRAM_BUCKETS];
    unsigned used = vv_sizes_of(loaded, buckets);
    json_t *sizes = json_array();
    for (unsigned index = 0; index < used; index++) {
        json_t *bucket = json_object();
        set_number(bucket, "min_bytes", (int64_t)buckets[index].min_bytes);
        set_number(bucket, "max_bytes", (int64_t)buckets[index].max_bytes);
        set_number(bucket, "allocations", (int64_t)buckets[index].count);
        json_array_append_new(sizes, bucket);
    }
    json_object_set_new(object, "sizes", sizes);
}

/* What is missing in the numbers. */
static void set_losses(json_t *object, const struct vv_loaded *loaded) {
    bool is_cut = false, is_bypassed = false;
    int64_t lost = 0, full = 0, incomplete = 0, error = 0, before = 0, unrecorded = 0;
    for (unsigned index = 0; index < loaded->count; index++) {
        const struct vv_capture *capture = loaded->captures[index];
        is_cut |= capture->is_cut;
        is_bypassed |= capture->malloc_is_bypassed;
        lost += (int64_t)(capture->lost_count + capture->threadless_count);
        full += (int64_t)capture->full_count;
        unrecorded += (int64_t)capture->unrecorded_count;
        incomplete += (int64_t)capture->incomplete_count;
        error += (int64_t)capture->peak_error_bytes;
        before += (int64_t)capture->before_bytes;
    }
    json_object_set_new(object, "truncated", json_boolean(is_cut));
    json_object_set_new(object, "malloc_is_bypassed", json_boolean(is_bypassed));
    set_number(object, "lost_events", lost);
    set_number(object, "merged_stacks", full);
    set_number(object, "incomplete_stacks", incomplete);
    set_number(object, "unrecorded_children", unrecorded);
    set_number(object, "peak_error_bytes", error);
    set_number(object, "before_trace_bytes", before);
}

static void set_captures(json_t *object, const struct vv_loaded *loaded) {
    const struct vv_capture *root = vv_root_of(loaded);
    json_object_set_new(object, "command", command_of(root));
    set_number(object, "pid", (int64_t)root->process_id);
    json_object_set_new(object, "resident_bytes", json_integer((json_int_t)root->resident_bytes));
    json_object_set_new(object, "duration_s", json_real((double)root->duration_ns / 1e9));
    set_text(object, "mode", root->sample_bytes > 0 ? "sampled" : "exact");
    set_number(object, "processes", vv_process_count(loaded));
    set_sums(object, loaded, VV_DOMAIN_MALLOC);
    set_sums(object, loaded, VV_DOMAIN_MMAP);
    set_losses(object, loaded);
}

static void set_grouping(json_t *object, const struct vv_grouping *grouping) {
    set_text(object, "domain", vv_domain_names[grouping->domain]);
    set_text(object, "view", vv_view_names[grouping->view]);
    set_text(object, "by", vv_key_names[grouping->key]);
    json_object_set_new(object, "cumulative", json_boolean(grouping->cumulative));
}

static bool write_object(FILE *out, json_t *object) {
    bool written =
        object != NULL && json_dumpf(object, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF;
    json_decref(object);
    return written;
}

bool vv_write_report_json(FILE *out, const struct vv_loaded *loaded,
                          const struct vv_grouping *grouping, const struct vv_groups *groups,
                          size_t top) {
    json_t *object = json_object();
    set_text(object, "schema", "varve.report/1");
    set_captures(object, loaded);
    set_grouping(object, grouping);
    set_sizes(object, loaded);
    json_object_set_new(object, "rows", report_rows(grouping->key, groups, top));
    return write_object(out, object);
}

bool vv_write_diff_json(FILE *out, const struct vv_loaded *old, const struct vv_loaded *new,
                        const struct vv_grouping *grouping, const struct vv_groups *groups,
                        size_t top) {
    json_t *object = json_object();
    json_t *before = json_object();
    json_t *after = json_object();
    set_text(object, "schema", "varve.diff/1");
    set_captures(before, old);
    set_captures(after, new);
    json_object_set_new(object, "old", before);
    json_object_set_new(object, "new", after);
    set_grouping(object, grouping);
    set_number(object, "bytes", groups->bytes);
    set_number(object, "bytes_diff", groups->bytes - groups->old_bytes);
    set_number(object, "blocks", groups->blocks);
    set_number(object, "blocks_diff", groups->blocks - groups->old_blocks);
    json_object_set_new(object, "rows", diff_rows(grouping->key, groups, top));
    return write_object(out, object);
}
