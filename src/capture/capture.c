/* SPDX-License-Identifier: MIT */
#include "capture/capture.h"

#include "base/hash.h"
#include "symbols/symbols.h"

#include <errno.h>
#include <string.h>

/* --- strings --- */

#define FIRST_STRINGS 1024

static uint64_t hash_text(const char *text, size_t length) {
    uint64_t hash = length;
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t word;
        memcpy(&word, text + at, 8);
        hash = vv_mix64(hash ^ word);
    }
    uint64_t rest = 0;
    memcpy(&rest, text + at, length - at);
    return vv_mix64(hash ^ rest);
}

static bool grow_strings(struct vv_capture *capture) {
    uint32_t capacity = FIRST_STRINGS; /* a power of two, since the table's size is one */
    while (capacity <= capture->string_count) capacity *= 2;
    uint32_t mask = capacity * 2 - 1;
    const char **strings =
        vv_scratch_grow(capture->scratch, capture->strings, capture->string_count * sizeof *strings,
                        capacity * sizeof *strings);
    if (strings == NULL) return false;
    capture->strings = strings;
    uint32_t *table = vv_scratch_take_array(capture->scratch, mask + 1, sizeof *table);
    if (table == NULL) return false;
    for (uint32_t index = 0; index < capture->string_count; index++) {
        uint32_t slot = (uint32_t)hash_text(strings[index], strlen(strings[index])) & mask;
        while (table[slot] != 0) slot = (slot + 1) & mask;
        table[slot] = index + 1;
    }
    capture->string_table = table;
    capture->string_table_mask = mask;
    capture->string_capacity = capacity;
    return true;
}

vv_string_index vv_capture_string(struct vv_capture *capture, const char *text, size_t length) {
    if (capture->string_count == capture->string_capacity && !grow_strings(capture)) {
        return UINT32_MAX;
    }
    uint32_t slot = (uint32_t)hash_text(text, length) & capture->string_table_mask;
    for (; capture->string_table[slot] != 0; slot = (slot + 1) & capture->string_table_mask) {
        const char *candidate = capture->strings[capture->string_table[slot] - 1];
        if (strncmp(candidate, text, length) == 0 && candidate[length] == '\0') {
            return capture->string_table[slot] - 1;
        }
    }
    char *copy = vv_scratch_copy_text(capture->scratch, text, length);
    if (copy == NULL) return UINT32_MAX;
    capture->strings[capture->string_count] = copy;
    capture->string_table[slot] = capture->string_count + 1;
    return capture->string_count++;
}

/* --- beginning and end --- */

struct vv_capture *vv_capture_begin(void) {
    struct vv_scratch *scratch = vv_scratch_new();
    if (scratch == NULL) return NULL;
    struct vv_capture *capture = vv_scratch_take(scratch, sizeof *capture);
    if (capture != NULL) {
        capture->scratch = scratch;
        capture->wait_status = -1;
        capture->nodes = vv_scratch_take(scratch, sizeof *capture->nodes);
        capture->node_count = 1;
    }
    if (capture == NULL || capture->nodes == NULL ||
        vv_capture_string(capture, "", 0) == UINT32_MAX) {
        vv_scratch_free(scratch);
        return NULL;
    }
    return capture;
}

void vv_capture_free(struct vv_capture *capture) {
    if (capture != NULL) vv_scratch_free(capture->scratch);
}

/* --- symbols --- */

struct symbolising {
    struct vv_capture *capture;
    uint32_t capacity;
    bool failed;
};

static void add_symbol(const struct vv_symbols_frame *frame, void *argument) {
    struct symbolising *work = argument;
    struct vv_capture *capture = work->capture;
    if (capture->symbol_count == work->capacity) {
        uint32_t capacity = work->capacity == 0 ? 4096 : work->capacity * 2;
        struct vv_capture_symbol *symbols =
            vv_scratch_grow(capture->scratch, capture->symbols,
                            capture->symbol_count * sizeof *symbols, capacity * sizeof *symbols);
        if (symbols == NULL) {
            work->failed = true;
            return;
        }
        capture->symbols = symbols;
        work->capacity = capacity;
    }
    struct vv_capture_symbol symbol = {
        .function = vv_capture_string(capture, frame->function, strlen(frame->function)),
        .file = vv_capture_string(capture, frame->file, strlen(frame->file)),
        .line = frame->line,
    };
    if (symbol.function == UINT32_MAX || symbol.file == UINT32_MAX) {
        work->failed = true;
        return;
    }
    capture->symbols[capture->symbol_count++] = symbol;
}

int vv_capture_symbolise(struct vv_capture *capture, vv_look_up *look_up,
                         struct vv_symbols *symbols, uint32_t *out_unknown_modules) {
    struct symbolising work = {.capture = capture, .capacity = capture->symbol_count};
    bool *is_unknown = vv_scratch_take(capture->scratch, capture->module_count + 1);
    if (is_unknown == NULL) return -ENOMEM;
    for (uint32_t index = 0; index < capture->location_count && !work.failed; index++) {
        struct vv_capture_location *location = &capture->locations[index];
        if (location->kind != VV_LOCATION_NATIVE || location->module == VV_NO_MODULE ||
            location->symbol_count != 0) {
            continue;
        }
        const struct vv_capture_module *module = &capture->modules[location->module];
        struct vv_symbols_module described = {.path = capture->strings[module->path],
                                              .build_id = module->build_id,
                                              .build_id_bytes = module->build_id_bytes};
        location->first_symbol = capture->symbol_count;
        int result = look_up(symbols, &described, location->address, add_symbol, &work);
        location->symbol_count = capture->symbol_count - location->first_symbol;
        if (result == 1) is_unknown[location->module] = true;
    }
    for (uint32_t module = 0; module < capture->module_count; module++) {
        *out_unknown_modules += is_unknown[module];
    }
    return work.failed ? -ENOMEM : 0;
}

bool vv_capture_has_names(const struct vv_capture *capture) {
    for (uint32_t index = 0; index < capture->location_count; index++) {
        const struct vv_capture_location *location = &capture->locations[index];
        if (location->kind == VV_LOCATION_NATIVE && location->symbol_count > 0) return true;
    }
    return false;
}

/* --- checking --- */

static const char *check_tables(const struct vv_capture *capture) {
    for (uint32_t index = 1; index < capture->node_count; index++) {
        if (capture->nodes[index].parent >= index) return "a frame's caller comes after it";
        if (capture->nodes[index].location >= capture->location_count) {
            return "a frame has a location that does not exist";
        }
    }
    for (uint32_t index = 0; index < capture->site_count; index++) {
        if (capture->sites[index].node >= capture->node_count) {
            return "a site has a frame that does not exist";
        }
    }
    for (uint32_t index = 0; index < capture->count_count; index++) {
        if (capture->counts[index].site >= capture->site_count ||
            capture->counts[index].thread >= capture->thread_count) {
            return "a count has a site or a thread that does not exist";
        }
    }
    return NULL;
}

static const char *check_locations(const struct vv_capture *capture) {
    for (uint32_t index = 0; index < capture->location_count; index++) {
        const struct vv_capture_location *location = &capture->locations[index];
        if (location->kind >= VV_LOCATION_KIND_COUNT) return "a location is of an unknown kind";
        if (location->module != VV_NO_MODULE && location->module >= capture->module_count) {
            return "a location has a module that does not exist";
        }
        if (location->symbol_count > capture->symbol_count ||
            location->first_symbol > capture->symbol_count - location->symbol_count) {
            return "a location has symbols that do not exist";
        }
        if (location->kind == VV_LOCATION_LABEL && location->symbol_count != 1) {
            return "a label has no name";
        }
    }
    return NULL;
}

static const char *check_strings(const struct vv_capture *capture) {
    uint32_t count = capture->string_count;
    for (uint32_t index = 0; index < capture->symbol_count; index++) {
        if (capture->symbols[index].function >= count || capture->symbols[index].file >= count) {
            return "a symbol has a name that does not exist";
        }
    }
    for (uint32_t index = 0; index < capture->module_count; index++) {
        if (capture->modules[index].path >= count) return "a module has no path";
    }
    for (uint32_t index = 0; index < capture->thread_count; index++) {
        if (capture->threads[index].name >= count) return "a thread has no name";
    }
    for (uint32_t index = 0; index < capture->argument_count; index++) {
        if (capture->arguments[index] >= count) return "an argument does not exist";
    }
    return count == 0 || capture->program >= count ? "the program has no name" : NULL;
}

/* Readers may add up any of the counts, in any order, and differences of two captures. */
#define SUM_LIMIT ((uint64_t)1 << 61)

static bool add_magnitude(uint64_t *sum, int64_t number) {
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    return !__builtin_add_overflow(*sum, magnitude, sum) && *sum < SUM_LIMIT;
}

static const char *check_numbers(const struct vv_capture *capture) {
    static const char sentence[] = "its numbers are impossible: it is damaged";
    uint64_t sums[8] = {0};
    for (uint32_t index = 0; index < capture->count_count; index++) {
        const struct vv_capture_count *count = &capture->counts[index];
        if (!add_magnitude(&sums[0], count->live_bytes) ||
            !add_magnitude(&sums[1], count->live_count) ||
            !add_magnitude(&sums[2], count->peak_bytes) ||
            !add_magnitude(&sums[3], count->peak_count) ||
            !add_magnitude(&sums[4], (int64_t)count->total_bytes) ||
            !add_magnitude(&sums[5], (int64_t)count->total_count) ||
            !add_magnitude(&sums[6], (int64_t)count->temporary_bytes) ||
            !add_magnitude(&sums[7], (int64_t)count->temporary_count)) {
            return sentence;
        }
    }
    for (unsigned domain = 0; domain < VV_DOMAIN_COUNT; domain++) {
        const struct vv_capture_sums *whole = &capture->sums[domain];
        uint64_t sum = 0;
        if (!add_magnitude(&sum, whole->live_bytes) || !add_magnitude(&sum, whole->live_count) ||
            !add_magnitude(&sum, whole->peak_bytes) || !add_magnitude(&sum, whole->peak_count) ||
            whole->total_bytes >= SUM_LIMIT || whole->total_count >= SUM_LIMIT) {
            return sentence;
        }
    }
    return NULL;
}

const char *vv_capture_check(const struct vv_capture *capture) {
    const char *sentence = check_tables(capture);
    if (sentence == NULL) sentence = check_locations(capture);
    if (sentence == NULL) sentence = check_strings(capture);
    if (sentence == NULL) sentence = check_numbers(capture);
    return sentence;
}
