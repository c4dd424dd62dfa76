/* SPDX-License-Identifier: MIT */
#include "snapshot/grouping.h"

#include "base/hash.h"
#include "heap/request.h"
#include "snapshot/allocator_frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const vv_domain_names[VV_DOMAIN_COUNT + 1] = {"malloc", "mmap", NULL};
const char *const vv_view_names[VV_VIEW_COUNT + 1] = {"peak",      "live",  "total",
                                                      "temporary", "leaks", NULL};
const char *const vv_key_names[VV_KEY_COUNT + 1] = {"line",      "function", "file", "module",
                                                    "traceback", "thread",   "type", NULL};

static const char *const api_names[VV_API_COUNT] = {
    [VV_API_NONE] = "(allocation)",
    [VV_API_MALLOC] = "malloc",
    [VV_API_CALLOC] = "calloc",
    [VV_API_REALLOC] = "realloc",
    [VV_API_ALIGNED] = "aligned_alloc",
    [VV_API_FREE] = "free",
    [VV_API_NEW] = "operator new",
    [VV_API_NEW_ARRAY] = "operator new[]",
    [VV_API_NEW_ALIGNED] = "operator new (aligned)",
    [VV_API_NEW_ARRAY_ALIGNED] = "operator new[] (aligned)",
    [VV_API_OBJECT] = "(object)",
    [VV_API_MMAP] = "mmap",
};

static const char *const kind_names[VV_LOCATION_KIND_COUNT] = {
    [VV_LOCATION_NATIVE] = "",
    [VV_LOCATION_INCOMPLETE] = "(stack not known further)",
    [VV_LOCATION_CUT] = "(deeper frames cut)",
    [VV_LOCATION_HANDLER] = "(signal handler)",
    [VV_LOCATION_FULL] = "(trace tables full)",
    [VV_LOCATION_LABEL] = "",
};

/* --- frames --- */

struct frame_list {
    struct vv_frame *frames;
    uint32_t count;
    uint32_t capacity;
    struct vv_scratch *scratch;
    bool failed;
};

static void add_frame(struct frame_list *list, struct vv_frame frame) {
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
        struct vv_frame *frames = vv_scratch_grow(
            list->scratch, list->frames, list->count * sizeof frame, capacity * sizeof frame);
        if (frames == NULL) {
            list->failed = true;
            return;
        }
        list->frames = frames;
        list->capacity = capacity;
    }
    list->frames[list->count++] = frame;
}

/* The frames at one location: the functions that are inlined there, or one. */
static void add_location(struct frame_list *list, const struct vv_capture *capture,
                         const struct vv_capture_location *location) {
    struct vv_frame frame = {
        .function = kind_names[location->kind],
        .file = "",
        .module = location->module == VV_NO_MODULE
                      ? ""
                      : capture->strings[capture->modules[location->module].path],
        .location_kind = location->kind,
        .address = location->address,
    };
    for (uint32_t index = 0; index < location->symbol_count; index++) {
        const struct vv_capture_symbol *symbol = &capture->symbols[location->first_symbol + index];
        frame.function = capture->strings[symbol->function];
        frame.file = capture->strings[symbol->file];
        frame.line = symbol->line;
        add_frame(list, frame);
    }
    if (location->symbol_count == 0) add_frame(list, frame);
}

/* The last of the functions that are inlined in each other at one location. */
static uint32_t last_at_location(const struct frame_list *list, uint32_t index) {
    const struct vv_frame *frame = &list->frames[index];
    while (index + 1 < list->count && list->frames[index + 1].module == frame->module &&
           list->frames[index + 1].address == frame->address) {
        index++;
    }
    return index;
}

/* How many frames from this one on are an allocator's. */
static uint32_t count_of_allocator(const struct frame_list *list, uint32_t index) {
    const struct vv_frame *frame = &list->frames[index];
    uint32_t last = last_at_location(list, index);
    if (vv_is_varve_frame(list->frames[last].function, frame->module)) return last - index + 1;
    return vv_is_allocator_frame(frame->function, frame->module);
}

/* Leaves the allocator's frames out, but not all there are. */
static void hide_allocator(struct frame_list *list) {
    uint32_t hidden = 0;
    for (uint32_t more = 1; more > 0 && hidden < list->count; hidden += more) {
        more = count_of_allocator(list, hidden);
    }
    if (list->count > 0 && hidden == list->count) hidden--;
    if (hidden == 0) return;
    memmove(list->frames, list->frames + hidden, (list->count - hidden) * sizeof list->frames[0]);
    list->count -= hidden;
}

static void list_frames(struct frame_list *list, const struct vv_grouping *grouping,
                        const struct vv_capture *capture, uint32_t site) {
    const struct vv_capture_site *described = &capture->sites[site];
    list->count = 0;
    if (grouping->with_allocator_frames) {
        const char *name = described->api < VV_API_COUNT ? api_names[described->api] : "";
        add_frame(list, (struct vv_frame){.function = name, .file = "", .module = ""});
    }
    for (uint32_t node = described->node; node != 0; node = capture->nodes[node].parent) {
        const struct vv_capture_location *location =
            &capture->locations[capture->nodes[node].location];
        /* The type of an object is no place in the code. */
        if (location->kind != VV_LOCATION_LABEL) add_location(list, capture, location);
    }
    if (list->count == 0) {
        add_frame(list, (struct vv_frame){.function = "(no stack)", .file = "", .module = ""});
    }
    if (!grouping->with_allocator_frames) hide_allocator(list);
}

/* What a site's group is named after. */
static struct vv_frame group_frame(const struct frame_list *list,
                                   const struct vv_grouping *grouping,
                                   const struct vv_capture *capture, uint32_t site) {
    if (grouping->key != VV_KEY_TYPE) return list->frames[0];
    struct vv_frame frame = {.function = "(no object)", .file = "", .module = ""};
    uint32_t node = capture->sites[site].node;
    if (node == 0) return frame;
    const struct vv_capture_location *location = &capture->locations[capture->nodes[node].location];
    if (location->kind == VV_LOCATION_LABEL) {
        frame.function = capture->strings[capture->symbols[location->first_symbol].function];
        frame.location_kind = VV_LOCATION_LABEL;
    }
    return frame;
}

struct vv_frame *vv_frames_of_site(const struct vv_grouping *grouping,
                                   const struct vv_capture *capture, uint32_t site,
                                   struct vv_scratch *scratch, uint32_t *out_count) {
    struct frame_list list = {.scratch = scratch};
    list_frames(&list, grouping, capture, site);
    *out_count = list.count;
    return list.failed ? NULL : list.frames;
}

/* --- keys --- */

static uint64_t hash_text(uint64_t hash, const char *text) {
    size_t length = strlen(text);
    for (; length >= 8; length -= 8, text += 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        hash = vv_mix64(hash ^ word);
    }
    uint64_t rest = length;
    memcpy((char *)&rest + 1, text, length);
    return vv_mix64(hash ^ rest);
}

/* A function; without a name, the address. A rebuilt program has other addresses, so a name is
 * enough where there is one. */
static uint64_t hash_function(const struct vv_frame *frame) {
    const char *slash = strrchr(frame->module, '/');
    uint64_t hash = hash_text(1, slash != NULL ? slash + 1 : frame->module);
    if (frame->function[0] != '\0') return hash_text(hash, frame->function);
    return vv_mix64(hash ^ frame->address);
}

static uint64_t hash_line(const struct vv_frame *frame) {
    if (frame->file[0] == '\0') return hash_function(frame);
    return vv_mix64(hash_text(2, frame->file) ^ frame->line);
}

static uint64_t hash_frame(enum vv_key key, const struct vv_frame *frame) {
    switch (key) {
    case VV_KEY_FUNCTION: return hash_function(frame);
    case VV_KEY_FILE: return hash_text(3, frame->file[0] != '\0' ? frame->file : frame->module);
    case VV_KEY_MODULE: return hash_text(4, frame->module);
    case VV_KEY_TYPE: return hash_text(5 + frame->location_kind, frame->function);
    default: return hash_line(frame);
    }
}

static uint64_t hash_stack(const struct frame_list *list) {
    uint64_t hash = list->count;
    for (uint32_t index = 0; index < list->count; index++) {
        hash =
            vv_mix64(hash ^ hash_line(&list->frames[index]) ^ hash_function(&list->frames[index]));
    }
    return hash;
}

/* --- the table of groups --- */

struct table {
    const struct vv_grouping *grouping;
    struct vv_scratch *scratch;
    struct vv_group *groups;
    uint32_t *slots; /* index + 1 */
    uint32_t mask;
    uint32_t count;
    uint32_t capacity;
    bool failed;
};

static void grow_table(struct table *table) {
    uint32_t capacity = table->capacity == 0 ? 1024 : table->capacity * 2;
    uint32_t mask = capacity * 2 - 1;
    struct vv_group *groups =
        vv_scratch_take_array(table->scratch, capacity, sizeof *table->groups);
    uint32_t *slots = vv_scratch_take_array(table->scratch, (size_t)mask + 1, sizeof *slots);
    if (groups == NULL || slots == NULL) {
        table->failed = true;
        return;
    }
    if (table->count > 0) memcpy(groups, table->groups, table->count * sizeof *groups);
    for (uint32_t index = 0; index < table->count; index++) {
        uint32_t slot = (uint32_t)groups[index].key_hash & mask;
        while (slots[slot] != 0) slot = (slot + 1) & mask;
        slots[slot] = index + 1;
    }
    table->groups = groups;
    table->slots = slots;
    table->mask = mask;
    table->capacity = capacity;
}

/* The group with that key, made with `frame` when it is new. NULL: no memory. */
static struct vv_group *group_of(struct table *table, uint64_t hash, const struct vv_frame *frame) {
    if (table->count == table->capacity) grow_table(table);
    if (table->failed) return NULL;
    uint32_t slot = (uint32_t)hash & table->mask;
    for (; table->slots[slot] != 0; slot = (slot + 1) & table->mask) {
        struct vv_group *group = &table->groups[table->slots[slot] - 1];
        if (group->key_hash == hash) return group;
    }
    struct vv_group *group = &table->groups[table->count++];
    *group = (struct vv_group){.key_hash = hash, .frame = *frame, .biggest_bytes = INT64_MIN};
    table->slots[slot] = table->count;
    return group;
}

/* --- adding up --- */

struct amount {
    int64_t bytes;
    int64_t blocks;
};

static struct amount amount_of(const struct vv_grouping *grouping, const struct vv_capture *capture,
                               const struct vv_capture_count *count) {
    if (vv_capture_domain(capture, count) != grouping->domain) return (struct amount){0, 0};
    switch (grouping->view) {
    case VV_VIEW_PEAK: return (struct amount){count->peak_bytes, count->peak_count};
    case VV_VIEW_TOTAL:
        return (struct amount){(int64_t)count->total_bytes, (int64_t)count->total_count};
    case VV_VIEW_TEMPORARY:
        return (struct amount){(int64_t)count->temporary_bytes, (int64_t)count->temporary_count};
    default: return (struct amount){count->live_bytes, count->live_count};
    }
}

static void add_to_group(struct vv_group *group, struct amount amount,
                         const struct vv_capture *capture, uint32_t site) {
    group->bytes += amount.bytes;
    group->blocks += amount.blocks;
    if (amount.bytes > group->biggest_bytes) {
        group->biggest_bytes = amount.bytes;
        group->biggest_capture = capture;
        group->biggest_site = site;
    }
}

static void add_cumulative(struct table *table, struct frame_list *list, struct amount amount,
                           const struct vv_capture *capture, uint32_t site) {
    uint64_t mark = vv_mix64((uint64_t)(uintptr_t)capture) ^ ((uint64_t)site + 1);
    for (uint32_t index = 0; index < list->count; index++) {
        uint64_t hash = hash_frame(table->grouping->key, &list->frames[index]);
        struct vv_group *group = group_of(table, hash, &list->frames[index]);
        if (group == NULL || group->last_site == mark) continue;
        group->last_site = mark;
        add_to_group(group, amount, capture, site);
    }
}

static void add_site(struct table *table, struct frame_list *list, struct amount amount,
                     const struct vv_capture *capture, uint32_t site) {
    if (amount.bytes == 0 && amount.blocks == 0) return;
    list_frames(list, table->grouping, capture, site);
    if (list->failed) return;
    if (table->grouping->cumulative && table->grouping->key != VV_KEY_TRACEBACK &&
        table->grouping->key != VV_KEY_TYPE) {
        add_cumulative(table, list, amount, capture, site);
        return;
    }
    struct vv_frame frame = group_frame(list, table->grouping, capture, site);
    uint64_t hash = table->grouping->key == VV_KEY_TRACEBACK
                        ? hash_stack(list)
                        : hash_frame(table->grouping->key, &frame);
    struct vv_group *group = group_of(table, hash, &frame);
    if (group != NULL) add_to_group(group, amount, capture, site);
}

static void add_by_thread(struct table *table, const struct vv_capture *capture) {
    for (uint32_t index = 0; index < capture->count_count; index++) {
        const struct vv_capture_count *count = &capture->counts[index];
        const struct vv_capture_thread *thread = &capture->threads[count->thread];
        struct vv_frame frame = {.function = capture->strings[thread->name],
                                 .file = "",
                                 .module = capture->strings[capture->program],
                                 .address = thread->id};
        uint64_t hash = vv_mix64(thread->id ^ vv_mix64(capture->process_id)) ^ count->thread;
        struct amount amount = amount_of(table->grouping, capture, count);
        if (amount.bytes == 0 && amount.blocks == 0) continue;
        struct vv_group *group = group_of(table, hash, &frame);
        if (group != NULL) add_to_group(group, amount, capture, count->site);
    }
}

static void add_by_site(struct table *table, const struct vv_capture *capture) {
    struct amount *amounts =
        vv_scratch_take_array(table->scratch, (size_t)capture->site_count + 1, sizeof *amounts);
    struct frame_list list = {.scratch = vv_scratch_new()};
    if (amounts == NULL || list.scratch == NULL) {
        table->failed = true;
        return;
    }
    for (uint32_t index = 0; index < capture->count_count; index++) {
        const struct vv_capture_count *count = &capture->counts[index];
        struct amount amount = amount_of(table->grouping, capture, count);
        amounts[count->site].bytes += amount.bytes;
        amounts[count->site].blocks += amount.blocks;
    }
    for (uint32_t site = 0; site < capture->site_count; site++) {
        add_site(table, &list, amounts[site], capture, site);
    }
    if (list.failed) table->failed = true;
    vv_scratch_free(list.scratch);
}

static void add_totals(struct vv_groups *out, const struct vv_grouping *grouping,
                       const struct vv_capture *capture) {
    for (uint32_t index = 0; index < capture->count_count; index++) {
        struct amount amount = amount_of(grouping, capture, &capture->counts[index]);
        out->bytes += amount.bytes;
        out->blocks += amount.blocks;
    }
}

static int collect(struct table *table, const struct vv_capture *const *captures,
                   size_t capture_count, struct vv_groups *out) {
    for (size_t index = 0; index < capture_count && !table->failed; index++) {
        if (table->grouping->key == VV_KEY_THREAD) {
            add_by_thread(table, captures[index]);
        } else {
            add_by_site(table, captures[index]);
        }
        add_totals(out, table->grouping, captures[index]);
    }
    out->rows = table->groups;
    out->count = table->count;
    return table->failed ? -ENOMEM : 0;
}

/* --- order --- */

static int by_number(int64_t left, int64_t right) {
    return (left < right) - (left > right);
}

/* Largest first; equal ones by name, so that two runs print the same. */
static int by_size(const void *left_row, const void *right_row) {
    const struct vv_group *left = left_row;
    const struct vv_group *right = right_row;
    int order = by_number(left->bytes, right->bytes);
    if (order == 0) order = by_number(left->blocks, right->blocks);
    if (order == 0) order = strcmp(left->frame.file, right->frame.file);
    if (order == 0) order = by_number(right->frame.line, left->frame.line);
    if (order == 0) order = strcmp(left->frame.function, right->frame.function);
    return order != 0 ? order
                      : (left->key_hash > right->key_hash) - (left->key_hash < right->key_hash);
}

static int64_t change_of(const struct vv_group *group) {
    int64_t change = group->bytes - group->old_bytes;
    return change < 0 ? -change : change;
}

static int by_change(const void *left_row, const void *right_row) {
    const struct vv_group *left = left_row;
    const struct vv_group *right = right_row;
    int order = by_number(change_of(left), change_of(right));
    return order != 0 ? order : by_size(left_row, right_row);
}

/* --- the two functions --- */

int vv_group(const struct vv_grouping *grouping, const struct vv_capture *const *captures,
             size_t capture_count, struct vv_scratch *scratch, struct vv_groups *out) {
    struct table table = {.grouping = grouping, .scratch = scratch};
    *out = (struct vv_groups){.rows = NULL};
    int result = collect(&table, captures, capture_count, out);
    if (result == 0 && out->count > 0) qsort(out->rows, out->count, sizeof *out->rows, by_size);
    return result;
}

int vv_group_compare(const struct vv_grouping *grouping, const struct vv_capture *const *old,
                     size_t old_count, const struct vv_capture *const *new, size_t new_count,
                     struct vv_scratch *scratch, struct vv_groups *out) {
    struct vv_groups before;
    struct table table = {.grouping = grouping, .scratch = scratch};
    *out = (struct vv_groups){.rows = NULL};
    int result = vv_group(grouping, old, old_count, scratch, &before);
    if (result == 0) result = collect(&table, new, new_count, out);
    if (result < 0) return result;
    for (size_t index = 0; index < before.count; index++) {
        const struct vv_group *row = &before.rows[index];
        struct vv_group *group = group_of(&table, row->key_hash, &row->frame);
        if (group == NULL) return -ENOMEM;
        group->old_bytes += row->bytes;
        group->old_blocks += row->blocks;
        if (group->biggest_capture == NULL) {
            group->biggest_capture = row->biggest_capture;
            group->biggest_site = row->biggest_site;
        }
    }
    out->rows = table.groups;
    out->count = table.count;
    out->old_bytes = before.bytes;
    out->old_blocks = before.blocks;
    if (out->count > 0) qsort(out->rows, out->count, sizeof *out->rows, by_change);
    return 0;
}

int vv_group_stacks(const struct vv_grouping *grouping, struct vv_groups *groups, size_t row_count,
                    struct vv_scratch *scratch) {
    for (size_t index = 0; index < groups->count && index < row_count; index++) {
        struct vv_group *row = &groups->rows[index];
        if (row->biggest_capture == NULL) continue;
        row->stack = vv_frames_of_site(grouping, row->biggest_capture, row->biggest_site, scratch,
                                       &row->stack_depth);
        if (row->stack == NULL) return -ENOMEM;
    }
    return 0;
}
