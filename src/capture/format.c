/* SPDX-License-Identifier: MIT */
#include "capture/format.h"

#include "capture/codec.h"

#include <errno.h>
#include <string.h>

enum chunk_type {
    CHUNK_PROCESS = 1,
    CHUNK_STRINGS,
    CHUNK_MODULES,
    CHUNK_THREADS,
    CHUNK_SYMBOLS,
    CHUNK_LOCATIONS,
    CHUNK_NODES,
    CHUNK_SITES,
    CHUNK_COUNTS,
    CHUNK_END,
};

/* --- the contents of chunks, for both directions --- */

static void transfer_sums(struct vv_codec *codec, struct vv_capture_sums *sums) {
    vv_codec_i64(codec, &sums->live_bytes);
    vv_codec_i64(codec, &sums->live_count);
    vv_codec_i64(codec, &sums->peak_bytes);
    vv_codec_i64(codec, &sums->peak_count);
    vv_codec_u64(codec, &sums->total_bytes);
    vv_codec_u64(codec, &sums->total_count);
    vv_codec_u64(codec, &sums->peak_ns);
}

static void transfer_process(struct vv_codec *codec, struct vv_capture *capture) {
    int64_t wait_status = capture->wait_status;
    vv_codec_u64(codec, &capture->process_id);
    vv_codec_u64(codec, &capture->parent_id);
    vv_codec_u64(codec, &capture->run_id);
    vv_codec_u32(codec, &capture->image);
    vv_codec_u32(codec, &capture->end);
    vv_codec_i64(codec, &wait_status);
    vv_codec_u64(codec, &capture->started_wall_ns);
    vv_codec_u64(codec, &capture->duration_ns);
    vv_codec_u64(codec, &capture->resident_bytes);
    vv_codec_u32(codec, &capture->program);
    vv_codec_bool(codec, &capture->command_is_cut);
    vv_codec_u64(codec, &capture->sample_bytes);
    vv_codec_u32(codec, &capture->depth_limit);
    transfer_sums(codec, &capture->sums[VV_DOMAIN_MALLOC]);
    vv_codec_u64(codec, &capture->peak_error_bytes);
    vv_codec_u64(codec, &capture->before_bytes);
    vv_codec_u64(codec, &capture->before_count);
    vv_codec_u64(codec, &capture->inherited_bytes);
    vv_codec_u64(codec, &capture->inherited_count);
    vv_codec_u64(codec, &capture->full_count);
    vv_codec_u64(codec, &capture->lost_count);
    vv_codec_u64(codec, &capture->threadless_count);
    vv_codec_u64(codec, &capture->incomplete_count);
    vv_codec_bool(codec, &capture->is_cut);
    capture->arguments = vv_codec_array(codec, capture->arguments, &capture->argument_count,
                                        sizeof *capture->arguments, 1);
    for (uint32_t index = 0; index < capture->argument_count; index++) {
        vv_codec_u32(codec, &capture->arguments[index]);
    }
    if (codec->version >= 3) {
        transfer_sums(codec, &capture->sums[VV_DOMAIN_MMAP]);
        vv_codec_u64(codec, &capture->unrecorded_count);
        vv_codec_bool(codec, &capture->malloc_is_bypassed);
    }
    capture->wait_status = (int32_t)wait_status;
}

/* Strings are written one after the other, each ended by a zero byte. */
static void transfer_strings(struct vv_codec *codec, struct vv_capture *capture) {
    capture->strings = vv_codec_array(codec, capture->strings, &capture->string_count,
                                      sizeof *capture->strings, 1);
    for (uint32_t index = 0; index < capture->string_count; index++) {
        if (codec->writing) {
            const char *text = capture->strings[index];
            char *copy = vv_scratch_copy_text(capture->scratch, text, strlen(text));
            if (copy == NULL) codec->failed = true;
            if (copy != NULL) vv_codec_bytes(codec, copy, strlen(text) + 1);
        } else {
            size_t left = vv_codec_left(codec);
            const uint8_t *end = left > 0 ? memchr(codec->at, 0, left) : NULL;
            if (end == NULL) codec->failed = true;
            size_t length = end == NULL ? 0 : (size_t)(end - codec->at);
            capture->strings[index] =
                vv_scratch_copy_text(capture->scratch, (const char *)codec->at, length);
            if (capture->strings[index] == NULL) codec->failed = true;
            codec->at += end == NULL ? 0 : length + 1;
        }
        if (codec->failed) break;
    }
    if (!codec->writing) capture->string_capacity = capture->string_count; /* no table yet */
}

static void transfer_modules(struct vv_codec *codec, struct vv_capture *capture) {
    capture->modules = vv_codec_array(codec, capture->modules, &capture->module_count,
                                      sizeof *capture->modules, 2);
    for (uint32_t index = 0; index < capture->module_count; index++) {
        struct vv_capture_module *module = &capture->modules[index];
        vv_codec_u32(codec, &module->path);
        vv_codec_u8(codec, &module->build_id_bytes);
        if (module->build_id_bytes > VV_CAPTURE_BUILD_ID_MAX_BYTES) {
            codec->failed = true;
            module->build_id_bytes = 0;
        }
        vv_codec_bytes(codec, module->build_id, module->build_id_bytes);
    }
}

static void transfer_threads(struct vv_codec *codec, struct vv_capture *capture) {
    capture->threads = vv_codec_array(codec, capture->threads, &capture->thread_count,
                                      sizeof *capture->threads, 4 + VV_CAPTURE_HISTOGRAM_BUCKETS);
    for (uint32_t index = 0; index < capture->thread_count; index++) {
        struct vv_capture_thread *thread = &capture->threads[index];
        vv_codec_u64(codec, &thread->id);
        vv_codec_u32(codec, &thread->name);
        vv_codec_u64(codec, &thread->started_ns);
        vv_codec_u64(codec, &thread->ended_ns);
        for (unsigned bucket = 0; bucket < VV_CAPTURE_HISTOGRAM_BUCKETS; bucket++) {
            vv_codec_u64(codec, &thread->histogram[bucket]);
        }
    }
}

static void transfer_symbols(struct vv_codec *codec, struct vv_capture *capture) {
    uint32_t function = 0, file = 0, line = 0;
    capture->symbols = vv_codec_array(codec, capture->symbols, &capture->symbol_count,
                                      sizeof *capture->symbols, 3);
    for (uint32_t index = 0; index < capture->symbol_count; index++) {
        struct vv_capture_symbol *symbol = &capture->symbols[index];
        vv_codec_delta(codec, &symbol->function, &function);
        vv_codec_delta(codec, &symbol->file, &file);
        vv_codec_delta(codec, &symbol->line, &line);
    }
}

static void transfer_locations(struct vv_codec *codec, struct vv_capture *capture) {
    uint32_t module = 0, first_symbol = 0;
    uint64_t previous = 0;
    capture->locations = vv_codec_array(codec, capture->locations, &capture->location_count,
                                        sizeof *capture->locations, 5);
    for (uint32_t index = 0; index < capture->location_count; index++) {
        struct vv_capture_location *location = &capture->locations[index];
        int64_t difference = (int64_t)(location->address - previous);
        vv_codec_u32(codec, &location->kind);
        vv_codec_delta(codec, &location->module, &module);
        vv_codec_i64(codec, &difference);
        if (!codec->writing) location->address = previous + (uint64_t)difference;
        previous = location->address;
        vv_codec_delta(codec, &location->first_symbol, &first_symbol);
        vv_codec_u32(codec, &location->symbol_count);
    }
}

static void transfer_nodes(struct vv_codec *codec, struct vv_capture *capture) {
    uint32_t parent = 0, location = 0;
    capture->nodes =
        vv_codec_array(codec, capture->nodes, &capture->node_count, sizeof *capture->nodes, 2);
    for (uint32_t index = 0; index < capture->node_count; index++) {
        vv_codec_delta(codec, &capture->nodes[index].parent, &parent);
        vv_codec_delta(codec, &capture->nodes[index].location, &location);
    }
}

static void transfer_sites(struct vv_codec *codec, struct vv_capture *capture) {
    uint32_t node = 0;
    capture->sites =
        vv_codec_array(codec, capture->sites, &capture->site_count, sizeof *capture->sites, 2);
    for (uint32_t index = 0; index < capture->site_count; index++) {
        vv_codec_delta(codec, &capture->sites[index].node, &node);
        vv_codec_u32(codec, &capture->sites[index].api);
    }
}

/* A count has a byte that says which of its numbers are not 0. */
static void transfer_count(struct vv_codec *codec, struct vv_capture_count *count,
                           uint32_t *previous_site) {
    int64_t *signed_numbers[] = {&count->live_bytes, &count->live_count, &count->peak_bytes,
                                 &count->peak_count};
    uint64_t *numbers[] = {&count->total_bytes, &count->total_count, &count->temporary_bytes,
                           &count->temporary_count};
    uint8_t present = 0;
    for (unsigned index = 0; index < 4; index++) {
        if (*signed_numbers[index] != 0) present |= (uint8_t)(1u << index);
        if (*numbers[index] != 0) present |= (uint8_t)(0x10u << index);
    }
    vv_codec_delta(codec, &count->site, previous_site);
    vv_codec_u8(codec, &present);
    for (unsigned index = 0; index < 4; index++) {
        if ((present >> index & 1) != 0) vv_codec_i64(codec, signed_numbers[index]);
        if ((present >> index & 0x10) != 0) vv_codec_u64(codec, numbers[index]);
    }
}

/* The counts of one chunk, all of one thread. */
static void transfer_counts(struct vv_codec *codec, struct vv_capture_count *counts, uint32_t count,
                            uint32_t thread) {
    uint32_t site = 0;
    for (uint32_t index = 0; index < count; index++) {
        counts[index].thread = thread;
        transfer_count(codec, &counts[index], &site);
    }
}

/* --- chunks --- */

struct chunk_head {
    uint32_t crc;
    uint32_t type;
    uint32_t version;
    uint32_t length;
};

static void put_u32(uint8_t *at, uint32_t value) {
    for (unsigned byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(value >> 8 * byte);
}

static uint32_t get_u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#define HEAD_BYTES 16

static size_t begin_chunk(struct vv_codec *codec) {
    uint8_t head[HEAD_BYTES] = {0};
    size_t at = (size_t)(codec->at - codec->begin);
    vv_codec_bytes(codec, head, HEAD_BYTES);
    return at;
}

static void end_chunk(struct vv_codec *codec, size_t at, enum chunk_type type) {
    if (codec->failed) return;
    uint8_t *head = codec->begin + at;
    uint32_t length = (uint32_t)(codec->at - head - HEAD_BYTES);
    put_u32(head + 4, type);
    put_u32(head + 8, VV_FORMAT_VERSION);
    put_u32(head + 12, length);
    put_u32(head, vv_crc32c(head + 4, HEAD_BYTES - 4 + length));
}

typedef void transfer_function(struct vv_codec *codec, struct vv_capture *capture);

static transfer_function *const transfers[] = {
    [CHUNK_PROCESS] = transfer_process, [CHUNK_STRINGS] = transfer_strings,
    [CHUNK_MODULES] = transfer_modules, [CHUNK_THREADS] = transfer_threads,
    [CHUNK_SYMBOLS] = transfer_symbols, [CHUNK_LOCATIONS] = transfer_locations,
    [CHUNK_NODES] = transfer_nodes,     [CHUNK_SITES] = transfer_sites,
};

/* --- writing --- */

#define COUNTS_PER_CHUNK 8192

static void write_counts(struct vv_codec *codec, struct vv_capture *capture) {
    for (uint32_t first = 0; first < capture->count_count;) {
        uint32_t thread = capture->counts[first].thread;
        uint32_t count = 0;
        while (first + count < capture->count_count && count < COUNTS_PER_CHUNK &&
               capture->counts[first + count].thread == thread) {
            count++;
        }
        size_t chunk = begin_chunk(codec);
        vv_codec_u32(codec, &thread);
        vv_codec_u32(codec, &count);
        transfer_counts(codec, &capture->counts[first], count, thread);
        end_chunk(codec, chunk, CHUNK_COUNTS);
        first += count;
    }
}

const void *vv_capture_encode(struct vv_capture *capture, size_t *out_byte_count) {
    char magic[VV_FORMAT_MAGIC_BYTES + 1] = VV_FORMAT_MAGIC;
    struct vv_codec codec = {
        .writing = true, .version = VV_FORMAT_VERSION, .scratch = capture->scratch};
    vv_codec_bytes(&codec, magic, VV_FORMAT_MAGIC_BYTES);
    for (enum chunk_type type = CHUNK_PROCESS; type < CHUNK_COUNTS; type++) {
        size_t chunk = begin_chunk(&codec);
        transfers[type](&codec, capture);
        end_chunk(&codec, chunk, type);
    }
    write_counts(&codec, capture);
    end_chunk(&codec, begin_chunk(&codec), CHUNK_END);
    *out_byte_count = (size_t)(codec.at - codec.begin);
    return codec.failed ? NULL : codec.begin;
}

/* --- reading --- */

struct reader {
    struct vv_codec file;
    struct vv_capture *capture;
    uint32_t count_capacity;
    uint32_t done; /* a bit for each chunk type that was read */
    bool ended;
};

/* The next chunk, whose contents are right after the call at `file.at`. False: there is no whole
 * one. */
static bool next_chunk(struct reader *reader, struct chunk_head *out) {
    struct vv_codec *file = &reader->file;
    if (vv_codec_left(file) < HEAD_BYTES) return false;
    const uint8_t *head = file->at;
    *out = (struct chunk_head){.crc = get_u32(head),
                               .type = get_u32(head + 4),
                               .version = get_u32(head + 8),
                               .length = get_u32(head + 12)};
    file->at += HEAD_BYTES;
    return out->length <= vv_codec_left(file) &&
           vv_crc32c(head + 4, HEAD_BYTES - 4 + out->length) == out->crc;
}

static void read_counts(struct reader *reader, struct vv_codec *codec) {
    struct vv_capture *capture = reader->capture;
    uint32_t thread, count;
    vv_codec_u32(codec, &thread);
    vv_codec_u32(codec, &count);
    if (codec->failed || count > vv_codec_left(codec) || thread >= capture->thread_count ||
        count > UINT32_MAX / 2 - capture->count_count) {
        codec->failed = true;
        return;
    }
    uint32_t needed = capture->count_count + count;
    if (needed > reader->count_capacity) {
        uint32_t capacity = (uint32_t)vv_max(needed, reader->count_capacity * 2u);
        struct vv_capture_count *counts =
            vv_scratch_grow(capture->scratch, capture->counts,
                            capture->count_count * sizeof *counts, capacity * sizeof *counts);
        if (counts == NULL) {
            codec->failed = true;
            return;
        }
        capture->counts = counts;
        reader->count_capacity = capacity;
    }
    struct vv_capture_count *first = &capture->counts[capture->count_count];
    memset(first, 0, count * sizeof *first);
    transfer_counts(codec, first, count, thread);
    if (!codec->failed) capture->count_count = needed;
}

/* False: the contents are not what they should be. */
static bool read_chunk(struct reader *reader, const struct chunk_head *head) {
    struct vv_codec codec = {.at = reader->file.at,
                             .limit = reader->file.at + head->length,
                             .version = head->version,
                             .scratch = reader->capture->scratch};
    reader->file.at += head->length;
    if (head->type == CHUNK_END) {
        reader->ended = true;
    } else if (head->type == CHUNK_COUNTS) {
        if (reader->done != (1u << CHUNK_COUNTS) - (1u << CHUNK_PROCESS)) return false;
        read_counts(reader, &codec);
    } else if (head->type >= CHUNK_PROCESS && head->type < CHUNK_COUNTS) {
        /* In order, each once. */
        if (reader->done != (1u << head->type) - (1u << CHUNK_PROCESS)) return false;
        transfers[head->type](&codec, reader->capture);
        if (!codec.failed) reader->done |= 1u << head->type;
    }
    return !codec.failed;
}

/* What a cut-off file did not bring is empty, and what refers to it is dropped. */
static void drop_what_is_incomplete(struct reader *reader) {
    struct vv_capture *capture = reader->capture;
    if (reader->done == (1u << CHUNK_COUNTS) - (1u << CHUNK_PROCESS)) return;
    capture->count_count = capture->site_count = capture->location_count = 0;
    capture->symbol_count = capture->module_count = capture->thread_count = 0;
    capture->node_count = 1;
    if ((reader->done >> CHUNK_STRINGS & 1) == 0) {
        static const char *empty[1] = {""};
        capture->strings = empty;
        capture->string_count = 1;
        capture->string_capacity = 1;
        capture->argument_count = 0;
        capture->program = 0;
    }
}

static const char *read_chunks(struct reader *reader) {
    struct chunk_head head;
    while (!reader->ended && next_chunk(reader, &head)) {
        if (head.version > VV_FORMAT_VERSION) {
            return "it was written by a newer varve; read it with that one";
        }
        if (!read_chunk(reader, &head)) break;
    }
    if ((reader->done >> CHUNK_PROCESS & 1) == 0) return "it is cut off before anything of use";
    if (!reader->ended) reader->capture->is_cut = true;
    drop_what_is_incomplete(reader);
    return vv_capture_check(reader->capture);
}

int vv_capture_decode(const void *bytes, size_t byte_count, struct vv_capture **out,
                      const char **out_sentence) {
    if (byte_count == 0) {
        *out_sentence = "it is empty";
        return -EINVAL;
    }
    if (memcmp(bytes, VV_FORMAT_MAGIC, vv_min(byte_count, (size_t)VV_FORMAT_MAGIC_BYTES)) != 0) {
        *out_sentence = "it is not a varve capture";
        return -EINVAL;
    }
    struct vv_capture *capture = vv_capture_begin();
    if (capture == NULL) return -ENOMEM;
    uintptr_t begin = (uintptr_t)bytes; /* the codec reads, so nothing is written there */
    struct reader reader = {
        .file = {.begin = (uint8_t *)begin,
                 .at = (uint8_t *)begin,
                 .limit = (uint8_t *)begin + byte_count},
        .capture = capture,
    };
    reader.file.at += vv_min(byte_count, (size_t)VV_FORMAT_MAGIC_BYTES);
    *out_sentence = read_chunks(&reader);
    if (*out_sentence != NULL) {
        vv_capture_free(capture);
        return -EINVAL;
    }
    *out = capture;
    return 0;
}
