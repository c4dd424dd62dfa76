/* SPDX-License-Identifier: MIT */
#include "varve/snapshot.h"

#include "base/text.h"
#include "capture/format.h"
#include "capture/from_store.h"
#include "os/lock.h"
#include "snapshot/grouping.h"
#include "snapshot/names.h"
#include "trace/self.h"

#include <errno.h>
#include <string.h>

/* A snapshot is a capture; one that was filtered has counts of its own and shares all else. */
struct origin {
    struct vv_capture *capture;
    _Atomic unsigned user_count;
    _Atomic bool has_names;
    struct vv_lock lock; /* looking up names */
};

struct varve_snapshot {
    struct origin *origin;
    struct vv_scratch *scratch; /* of a filtered one's counts; else NULL */
    struct vv_capture_count *counts;
    uint32_t count_count;
};

static struct vv_capture view_of(const varve_snapshot *snapshot) {
    struct vv_capture capture = *snapshot->origin->capture;
    capture.counts = snapshot->counts;
    capture.count_count = snapshot->count_count;
    return capture;
}

/* --- making and ending --- */

static int wrap(struct vv_capture *capture, varve_snapshot **out_snapshot) {
    varve_snapshot *snapshot = vv_scratch_take(capture->scratch, sizeof *snapshot);
    struct origin *origin = vv_scratch_take(capture->scratch, sizeof *origin);
    if (snapshot == NULL || origin == NULL) {
        vv_capture_free(capture);
        return -ENOMEM;
    }
    *origin =
        (struct origin){.capture = capture, .user_count = 1, .lock = VV_LOCK(VV_RANK_SNAPSHOT)};
    origin->has_names = vv_capture_has_names(capture);
    *snapshot = (varve_snapshot){
        .origin = origin, .counts = capture->counts, .count_count = capture->count_count};
    *out_snapshot = snapshot;
    return 0;
}

int varve_snapshot_take(varve_snapshot **out_snapshot) {
    size_t byte_count;
    const void *store = vv_trace_store(&byte_count);
    const char *sentence;
    struct vv_capture *capture;
    if (!vv_trace_exists()) return -ENOSYS;
    if (store == NULL) return -ESRCH;
    int result = vv_capture_from_store(store, byte_count, &capture, &sentence);
    return result < 0 ? result : wrap(capture, out_snapshot);
}

int varve_snapshot_load(const char *path, varve_snapshot **out_snapshot) {
    char sentence[256];
    struct vv_capture *capture;
    int result = vv_capture_read_file(path, &capture, sentence, sizeof sentence);
    return result < 0 ? result : wrap(capture, out_snapshot);
}

void varve_snapshot_free(varve_snapshot *snapshot) {
    if (snapshot == NULL) return;
    struct origin *origin = snapshot->origin;
    vv_scratch_free(snapshot->scratch);
    if (atomic_fetch_sub(&origin->user_count, 1) == 1) vv_capture_free(origin->capture);
}

static int ensure_names(varve_snapshot *snapshot) {
    struct origin *origin = snapshot->origin;
    if (atomic_load(&origin->has_names)) return 0;
    int result = 0;
    vv_lock(&origin->lock);
    if (!atomic_load(&origin->has_names)) {
        result = vv_names_find(origin->capture);
        atomic_store(&origin->has_names, true);
    }
    vv_unlock(&origin->lock);
    return result;
}

int varve_snapshot_dump(varve_snapshot *snapshot, const char *path) {
    int result = ensure_names(snapshot);
    if (result < 0) return result;
    struct vv_capture capture = view_of(snapshot);
    capture.scratch = vv_scratch_new();
    if (capture.scratch == NULL) return -ENOMEM;
    size_t byte_count;
    const void *bytes = vv_capture_encode(&capture, &byte_count);
    result = bytes != NULL ? vv_capture_write_file(path, bytes, byte_count, false) : -ENOMEM;
    vv_scratch_free(capture.scratch);
    return result;
}

void varve_snapshot_totals(const varve_snapshot *snapshot, size_t *out_bytes, size_t *out_blocks) {
    int64_t bytes = 0;
    int64_t blocks = 0;
    for (uint32_t index = 0; index < snapshot->count_count; index++) {
        const struct vv_capture_count *count = &snapshot->counts[index];
        if (vv_capture_domain(snapshot->origin->capture, count) != VV_DOMAIN_MALLOC) continue;
        bytes += count->live_bytes;
        blocks += count->live_count;
    }
    if (out_bytes != NULL) *out_bytes = (size_t)bytes;
    if (out_blocks != NULL) *out_blocks = (size_t)blocks;
}

/* --- filters --- */

/* * stands for any characters, ? for one. */
static bool matches_pattern(const char *pattern, const char *text) {
    const char *star = NULL; /* the last one, and where its text ends so far */
    const char *star_text = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            star_text = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++star_text;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}

static bool matches_frame(const varve_filter *filter, const struct vv_frame *frame) {
    return (filter->filename == NULL || matches_pattern(filter->filename, frame->file)) &&
           (filter->function == NULL || matches_pattern(filter->function, frame->function)) &&
           (filter->line == 0 || filter->line == frame->line);
}

struct stack {
    const struct vv_frame *frames; /* NULL: not asked for yet */
    uint32_t frame_count;
};

static bool matches_stack(const varve_filter *filter, const struct stack *stack) {
    uint32_t count = filter->all_frames ? stack->frame_count : 1;
    for (uint32_t index = 0; index < count && index < stack->frame_count; index++) {
        if (matches_frame(filter, &stack->frames[index])) return true;
    }
    return false;
}

static bool is_kept(const varve_filter *filters, size_t filter_count, uint64_t thread_id,
                    const struct stack *stack) {
    bool any_inclusive = false;
    bool included = false;
    for (size_t index = 0; index < filter_count; index++) {
        bool is_thread = filters[index].thread_id == 0 || filters[index].thread_id == thread_id;
        bool matches = is_thread && matches_stack(&filters[index], stack);
        if (!filters[index].inclusive && matches) return false;
        any_inclusive |= filters[index].inclusive;
        included |= filters[index].inclusive && matches;
    }
    return included || !any_inclusive;
}

static int filter_counts(const varve_snapshot *snapshot, const varve_filter *filters,
                         size_t filter_count, varve_snapshot *out) {
    const struct vv_grouping grouping = {.view = VV_VIEW_LIVE};
    struct vv_capture capture = view_of(snapshot);
    struct vv_scratch *scratch = vv_scratch_new();
    if (scratch == NULL) return -ENOMEM;
    struct stack *stacks = vv_scratch_take_array(scratch, capture.site_count + 1, sizeof *stacks);
    int result = stacks != NULL ? 0 : -ENOMEM;
    for (uint32_t index = 0; index < snapshot->count_count && result == 0; index++) {
        const struct vv_capture_count *count = &snapshot->counts[index];
        struct stack *stack = &stacks[count->site];
        if (stack->frames == NULL) {
            stack->frames =
                vv_frames_of_site(&grouping, &capture, count->site, scratch, &stack->frame_count);
        }
        if (stack->frames == NULL) {
            result = -ENOMEM;
        } else if (is_kept(filters, filter_count, capture.threads[count->thread].id, stack)) {
            out->counts[out->count_count++] = *count;
        }
    }
    vv_scratch_free(scratch);
    return result;
}

int varve_snapshot_filter(varve_snapshot *snapshot, const varve_filter *filters,
                          size_t filter_count, varve_snapshot **out_snapshot) {
    int result = ensure_names(snapshot);
    if (result < 0) return result;
    struct vv_scratch *scratch = vv_scratch_new();
    if (scratch == NULL) return -ENOMEM;
    varve_snapshot *filtered = vv_scratch_take(scratch, sizeof *filtered);
    struct vv_capture_count *counts =
        vv_scratch_take_array(scratch, (size_t)snapshot->count_count + 1, sizeof *counts);
    result = filtered != NULL && counts != NULL ? 0 : -ENOMEM;
    if (result == 0) {
        *filtered =
            (varve_snapshot){.origin = snapshot->origin, .scratch = scratch, .counts = counts};
        result = filter_counts(snapshot, filters, filter_count, filtered);
    }
    if (result < 0) {
        vv_scratch_free(scratch);
        return result;
    }
    atomic_fetch_add(&snapshot->origin->user_count, 1);
    *out_snapshot = filtered;
    return 0;
}

/* --- statistics --- */

struct statistics {
    varve_statistics shown;
    struct vv_scratch *scratch;
};

static const enum vv_key keys[] = {
    [VARVE_KEY_LINE] = VV_KEY_LINE,           [VARVE_KEY_FUNCTION] = VV_KEY_FUNCTION,
    [VARVE_KEY_FILENAME] = VV_KEY_FILE,       [VARVE_KEY_MODULE] = VV_KEY_MODULE,
    [VARVE_KEY_TRACEBACK] = VV_KEY_TRACEBACK, [VARVE_KEY_THREAD] = VV_KEY_THREAD,
    [VARVE_KEY_TYPE] = VV_KEY_TYPE,
};

static varve_frame public_frame(const struct vv_frame *frame) {
    return (varve_frame){.filename = frame->file,
                         .function = frame->function,
                         .module = frame->module,
                         .line = frame->line};
}

static const varve_frame *public_stack(const struct vv_group *row, struct vv_scratch *scratch) {
    varve_frame *frames = vv_scratch_take_array(scratch, row->stack_depth, sizeof *frames);
    for (uint32_t index = 0; frames != NULL && index < row->stack_depth; index++) {
        frames[index] = public_frame(&row->stack[index]);
    }
    return frames;
}

/* Groups that have vanished, or are as they were, are shown in comparisons, as tracemalloc does. */
static int publish(struct statistics *statistics, const struct vv_groups *groups) {
    varve_statistic *items =
        vv_scratch_take_array(statistics->scratch, groups->count + 1, sizeof *items);
    if (items == NULL) return -ENOMEM;
    size_t length = 0;
    for (size_t index = 0; index < groups->count; index++) {
        const struct vv_group *row = &groups->rows[index];
        if (row->bytes == 0 && row->blocks == 0 && row->old_bytes == 0 && row->old_blocks == 0) {
            continue;
        }
        varve_statistic *item = &items[length++];
        *item = (varve_statistic){
            .size = row->bytes > 0 ? (size_t)row->bytes : 0,
            .count = row->blocks > 0 ? (size_t)row->blocks : 0,
            .size_diff = row->bytes - row->old_bytes,
            .count_diff = row->blocks - row->old_blocks,
            .frame = public_frame(&row->frame),
            .frames = public_stack(row, statistics->scratch),
            .frame_count = row->stack_depth,
        };
        if (item->frames == NULL) return -ENOMEM;
    }
    statistics->shown.items = items;
    statistics->shown.length = length;
    return 0;
}

static int make_statistics(varve_snapshot *snapshot, varve_snapshot *old, varve_key key,
                           bool cumulative, struct statistics *statistics) {
    struct vv_grouping grouping = {
        .view = VV_VIEW_LIVE, .key = keys[key], .cumulative = cumulative};
    struct vv_capture capture = view_of(snapshot);
    const struct vv_capture *captures[] = {&capture};
    struct vv_groups groups;
    int result;
    if (old != NULL) {
        struct vv_capture old_capture = view_of(old);
        const struct vv_capture *old_captures[] = {&old_capture};
        result =
            vv_group_compare(&grouping, old_captures, 1, captures, 1, statistics->scratch, &groups);
        if (result == 0) {
            result = vv_group_stacks(&grouping, &groups, groups.count, statistics->scratch);
        }
        return result < 0 ? result : publish(statistics, &groups);
    }
    result = vv_group(&grouping, captures, 1, statistics->scratch, &groups);
    if (result == 0) {
        result = vv_group_stacks(&grouping, &groups, groups.count, statistics->scratch);
    }
    return result < 0 ? result : publish(statistics, &groups);
}

static int statistics_of(varve_snapshot *snapshot, varve_snapshot *old, varve_key key,
                         bool cumulative, varve_statistics **out_statistics) {
    if ((unsigned)key > VARVE_KEY_TYPE) return -EINVAL;
    int result = ensure_names(snapshot);
    if (result == 0 && old != NULL) result = ensure_names(old);
    if (result < 0) return result;
    struct vv_scratch *scratch = vv_scratch_new();
    if (scratch == NULL) return -ENOMEM;
    struct statistics *statistics = vv_scratch_take(scratch, sizeof *statistics);
    result = statistics != NULL ? 0 : -ENOMEM;
    if (result == 0) {
        statistics->scratch = scratch;
        statistics->shown.is_comparison = old != NULL;
        statistics->shown.key = key;
        vv_trace_suspend(); /* sorting may allocate */
        result = make_statistics(snapshot, old, key, cumulative, statistics);
        vv_trace_resume();
    }
    if (result < 0) {
        vv_scratch_free(scratch);
        return result;
    }
    *out_statistics = &statistics->shown;
    return 0;
}

int varve_snapshot_statistics(varve_snapshot *snapshot, varve_key key, bool cumulative,
                              varve_statistics **out_statistics) {
    return statistics_of(snapshot, NULL, key, cumulative, out_statistics);
}

int varve_snapshot_compare(varve_snapshot *new_snapshot, varve_snapshot *old_snapshot,
                           varve_key key, bool cumulative, varve_statistics **out_statistics) {
    return statistics_of(new_snapshot, old_snapshot, key, cumulative, out_statistics);
}

void varve_statistics_free(varve_statistics *statistics) {
    if (statistics != NULL) vv_scratch_free(((struct statistics *)statistics)->scratch);
}

/* --- text --- */

static void add_name(struct vv_text *text, varve_key key, const varve_frame *frame) {
    const char *name = frame->filename;
    if (key == VARVE_KEY_FUNCTION || key == VARVE_KEY_THREAD || key == VARVE_KEY_TYPE) {
        name = frame->function;
    }
    if (key == VARVE_KEY_MODULE) name = frame->module;
    if (name[0] == '\0') name = frame->function;
    vv_text_add(text, name[0] != '\0' ? name : frame->module);
    bool has_line = key == VARVE_KEY_LINE || key == VARVE_KEY_TRACEBACK;
    if (has_line && frame->filename[0] != '\0') {
        vv_text_add(text, ":");
        vv_text_add_decimal(text, frame->line);
    }
}

static void add_signed(struct vv_text *text, long long number, bool is_size) {
    unsigned long long magnitude =
        number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
    vv_text_add(text, number < 0 ? " (-" : " (+");
    if (is_size) {
        vv_text_add_size(text, magnitude);
    } else {
        vv_text_add_decimal(text, magnitude);
    }
    vv_text_add(text, ")");
}

size_t varve_statistic_format(const varve_statistics *statistics, size_t index, char *buffer,
                              size_t capacity) {
    char line[8192];
    const varve_statistic *item = &statistics->items[index];
    struct vv_text text = vv_text_in(line, sizeof line);
    add_name(&text, statistics->key, &item->frame);
    vv_text_add(&text, ": size=");
    vv_text_add_size(&text, item->size);
    if (statistics->is_comparison) add_signed(&text, item->size_diff, true);
    vv_text_add(&text, ", count=");
    vv_text_add_decimal(&text, item->count);
    if (statistics->is_comparison) add_signed(&text, item->count_diff, false);
    if (item->count > 0) {
        vv_text_add(&text, ", average=");
        vv_text_add_size(&text, item->size / item->count);
    }
    vv_text_end(&text);
    size_t length = (size_t)(text.at - text.begin);
    if (capacity > 0) {
        size_t copied = vv_min(length, capacity - 1);
        memcpy(buffer, line, copied);
        buffer[copied] = '\0';
    }
    return length;
}
