/* SPDX-License-Identifier: MIT
 * The capture in memory, its file format and the grouping of its counts, on a capture made here by
 * hand, so that every sum is known. */
#include "harness.h"

#include "capture/codec.h"
#include "capture/format.h"
#include "snapshot/grouping.h"
#include "symbols/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- numbers --- */

TEST(numbers_survive_the_codec) {
    uint64_t unsigned_numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    int64_t signed_numbers[] = {0, -1, 1, 63, 64, -64, -65, INT64_MAX, INT64_MIN};
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_codec writer = {.writing = true, .scratch = scratch};
    for (size_t index = 0; index < 8; index++) vv_codec_u64(&writer, &unsigned_numbers[index]);
    for (size_t index = 0; index < 9; index++) vv_codec_i64(&writer, &signed_numbers[index]);
    REQUIRE(!writer.failed);
    struct vv_codec reader = {.at = writer.begin, .limit = writer.at, .scratch = scratch};
    for (size_t index = 0; index < 8; index++) {
        uint64_t number = 99;
        vv_codec_u64(&reader, &number);
        CHECK(number == unsigned_numbers[index]);
    }
    for (size_t index = 0; index < 9; index++) {
        int64_t number = 99;
        vv_codec_i64(&reader, &number);
        CHECK_EQ(number, signed_numbers[index]);
    }
    CHECK(!reader.failed);
    CHECK_EQ(vv_codec_left(&reader), 0);
    uint64_t behind = 5;
    vv_codec_u64(&reader, &behind);
    CHECK(reader.failed);
    CHECK_EQ(behind, 0);
    vv_scratch_free(scratch);
}

TEST(too_long_and_too_large_numbers_are_refused) {
    uint8_t eleven[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    uint8_t wide[] = {0x80, 0x80, 0x80, 0x80, 0x10}; /* 2^32 */
    struct vv_codec reader = {.at = eleven, .limit = eleven + sizeof eleven};
    uint64_t number;
    vv_codec_u64(&reader, &number);
    CHECK(reader.failed);
    reader = (struct vv_codec){.at = wide, .limit = wide + sizeof wide};
    uint32_t narrow;
    vv_codec_u32(&reader, &narrow);
    CHECK(reader.failed);
}

TEST(a_count_beyond_the_data_allocates_nothing) {
    uint8_t data[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3};
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_codec reader = {.at = data, .limit = data + sizeof data, .scratch = scratch};
    uint32_t count = 7;
    vv_codec_array(&reader, NULL, &count, 1000, 1);
    CHECK(reader.failed);
    CHECK_EQ(count, 0);
    vv_scratch_free(scratch);
}

/* RFC 3720, appendix B.4 */
TEST(the_checksum_is_crc32c) {
    uint8_t zeros[32] = {0}, ones[32];
    memset(ones, 0xff, sizeof ones);
    CHECK_EQ(vv_crc32c(zeros, 32), 0x8a9136aa);
    CHECK_EQ(vv_crc32c(ones, 32), 0x62a8ab43);
    CHECK_EQ(vv_crc32c("123456789", 9), 0xe3069283);
}

/* --- a capture made by hand ---
 *
 *   main (app.c:10) -> load (app.c:20) -> malloc     site 1: 3 blocks, 300 bytes live
 *   main (app.c:11) -> save (app.c:30)               site 2: 1 block, 50 bytes live; peak 5000
 *   main (app.c:10) -> load -> load (app.c:21)       site 3: recursion: 2 blocks, 20 bytes live */

struct names {
    vv_string_index main, load, save, malloc, file, module;
};

static vv_string_index name(struct vv_capture *capture, const char *text) {
    return vv_capture_string(capture, text, strlen(text));
}

static void *array(struct vv_capture *capture, size_t count, size_t element_bytes) {
    void *elements = vv_scratch_take_array(capture->scratch, count, element_bytes);
    REQUIRE(elements != NULL);
    return elements;
}

static struct vv_capture *make_capture(void) {
    struct vv_capture *capture = vv_capture_begin();
    REQUIRE(capture != NULL);
    struct names names = {name(capture, "main"),  name(capture, "load"),
                          name(capture, "save"),  name(capture, "malloc"),
                          name(capture, "app.c"), name(capture, "/bin/app")};
    capture->program = name(capture, "app");
    capture->process_id = 4711;
    capture->wait_status = 0;
    capture->modules = array(capture, 1, sizeof *capture->modules);
    capture->modules[0] = (struct vv_capture_module){names.module, 2, {0xab, 0xcd}};
    capture->module_count = 1;
    capture->threads = array(capture, 2, sizeof *capture->threads);
    capture->threads[0] = (struct vv_capture_thread){.id = 1, .name = names.main};
    capture->threads[1] = (struct vv_capture_thread){.id = 2, .name = names.load};
    capture->thread_count = 2;

    const struct vv_capture_symbol symbols[] = {
        {names.main, names.file, 10}, {names.main, names.file, 11}, {names.load, names.file, 20},
        {names.save, names.file, 30}, {names.malloc, 0, 0},         {names.load, names.file, 21}};
    capture->symbols = array(capture, 6, sizeof *capture->symbols);
    memcpy(capture->symbols, symbols, sizeof symbols);
    capture->symbol_count = 6;
    capture->locations = array(capture, 6, sizeof *capture->locations);
    for (uint32_t index = 0; index < 6; index++) {
        capture->locations[index] =
            (struct vv_capture_location){VV_LOCATION_NATIVE, 0, 0x1000 + index, index, 1};
    }
    capture->location_count = 6;
    const struct vv_capture_node nodes[] = {{0, 0}, {0, 0}, {0, 1}, {1, 2}, {3, 4}, {2, 3}, {3, 5}};
    capture->nodes = array(capture, 7, sizeof *capture->nodes);
    memcpy(capture->nodes, nodes, sizeof nodes);
    capture->node_count = 7;
    const struct vv_capture_site sites[] = {{0, 0}, {4, 1}, {5, 1}, {6, 1}};
    capture->sites = array(capture, 4, sizeof *capture->sites);
    memcpy(capture->sites, sites, sizeof sites);
    capture->site_count = 4;
    const struct vv_capture_count counts[] = {
        {.thread = 0,
         .site = 1,
         .live_bytes = 300,
         .live_count = 3,
         .total_bytes = 300,
         .total_count = 3},
        {.thread = 0,
         .site = 2,
         .live_bytes = 100,
         .live_count = 2,
         .peak_bytes = 5000,
         .peak_count = 1,
         .total_bytes = 6000,
         .total_count = 9,
         .temporary_bytes = 40,
         .temporary_count = 4},
        {.thread = 1, .site = 2, .live_bytes = -50, .live_count = -1},
        {.thread = 1,
         .site = 3,
         .live_bytes = 20,
         .live_count = 2,
         .total_bytes = 20,
         .total_count = 2},
    };
    capture->counts = array(capture, 4, sizeof *capture->counts);
    memcpy(capture->counts, counts, sizeof counts);
    capture->count_count = 4;
    capture->sums[VV_DOMAIN_MALLOC].live_bytes = 370;
    capture->sums[VV_DOMAIN_MALLOC].live_count = 6;
    capture->sums[VV_DOMAIN_MALLOC].peak_bytes = 5000;
    capture->sums[VV_DOMAIN_MALLOC].peak_count = 1;
    CHECK(vv_capture_check(capture) == NULL);
    return capture;
}

static struct vv_capture *decoded(const void *bytes, size_t byte_count) {
    struct vv_capture *capture = NULL;
    const char *sentence = NULL;
    int result = vv_capture_decode(bytes, byte_count, &capture, &sentence);
    CHECK((result == 0) == (sentence == NULL));
    return result == 0 ? capture : NULL;
}

TEST(a_capture_survives_its_file_format) {
    struct vv_capture *capture = make_capture();
    size_t byte_count;
    const void *bytes = vv_capture_encode(capture, &byte_count);
    REQUIRE(bytes != NULL);
    struct vv_capture *again = decoded(bytes, byte_count);
    REQUIRE(again != NULL);
    CHECK(!again->is_cut);
    CHECK_EQ(again->process_id, 4711);
    CHECK_EQ(again->count_count, 4);
    CHECK(memcmp(again->counts, capture->counts, 4 * sizeof *capture->counts) == 0);
    CHECK(memcmp(again->nodes, capture->nodes, 7 * sizeof *capture->nodes) == 0);
    CHECK(memcmp(again->locations, capture->locations, 6 * sizeof *capture->locations) == 0);
    CHECK_EQ_STR(again->strings[again->program], "app");
    CHECK_EQ(again->modules[0].build_id[1], 0xcd);
    vv_capture_free(again);
    vv_capture_free(capture);
}

static void put_u32(uint8_t *at, uint32_t value) {
    for (unsigned byte = 0; byte < 4; byte++) at[byte] = (uint8_t)(value >> 8 * byte);
}

/* Version 2 knew no mappings: its first chunk ends before their seven sums and a count, which are 0
 * here. */
TEST(a_file_of_version_2_is_read) {
    enum { ADDED_BYTES = 8, HEAD_BYTES = 16 };
    struct vv_capture *capture = make_capture();
    size_t byte_count;
    const uint8_t *bytes = vv_capture_encode(capture, &byte_count);
    const uint8_t *chunk = bytes + VV_FORMAT_MAGIC_BYTES;
    size_t length = chunk[12] | (size_t)chunk[13] << 8;
    uint8_t *copy = malloc(byte_count);
    uint8_t *copied_chunk = copy + VV_FORMAT_MAGIC_BYTES;
    size_t kept_bytes = VV_FORMAT_MAGIC_BYTES + HEAD_BYTES + length - ADDED_BYTES;
    memcpy(copy, bytes, kept_bytes);
    memcpy(copy + kept_bytes, bytes + kept_bytes + ADDED_BYTES,
           byte_count - kept_bytes - ADDED_BYTES);
    put_u32(copied_chunk + 8, 2);
    put_u32(copied_chunk + 12, (uint32_t)(length - ADDED_BYTES));
    put_u32(copied_chunk, vv_crc32c(copied_chunk + 4, HEAD_BYTES - 4 + length - ADDED_BYTES));
    struct vv_capture *again = decoded(copy, byte_count - ADDED_BYTES);
    REQUIRE(again != NULL);
    CHECK(!again->is_cut);
    CHECK_EQ(again->sums[VV_DOMAIN_MALLOC].live_bytes, 370);
    CHECK_EQ(again->sums[VV_DOMAIN_MMAP].live_bytes, 0);
    CHECK_EQ(again->count_count, 4);
    vv_capture_free(again);
    vv_capture_free(capture);
    free(copy);
}

TEST(a_file_cut_at_any_byte_is_refused_or_read_as_far_as_it_goes) {
    struct vv_capture *capture = make_capture();
    size_t byte_count;
    const char *bytes = vv_capture_encode(capture, &byte_count);
    size_t readable = 0;
    for (size_t length = 0; length < byte_count; length++) {
        char *copy = malloc(length + 1); /* nothing behind it: sanitizers watch */
        memcpy(copy, bytes, length);
        struct vv_capture *again = decoded(copy, length);
        if (again != NULL) {
            CHECK(again->is_cut);
            CHECK(vv_capture_check(again) == NULL);
            readable++;
            vv_capture_free(again);
        }
        free(copy);
    }
    CHECK_GT(readable, 50);
    vv_capture_free(capture);
}

TEST(every_changed_bit_is_noticed) {
    struct vv_capture *capture = make_capture();
    size_t byte_count;
    const void *bytes = vv_capture_encode(capture, &byte_count);
    uint8_t *copy = malloc(byte_count);
    memcpy(copy, bytes, byte_count);
    for (size_t bit = 0; bit < byte_count * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct vv_capture *again = decoded(copy, byte_count);
        if (again != NULL) CHECK(again->is_cut);
        vv_capture_free(again);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(copy);
    vv_capture_free(capture);
}

TEST(references_out_of_range_are_refused) {
    struct vv_capture *capture = make_capture();
    capture->nodes[3].parent = 5; /* not before the node itself */
    CHECK(vv_capture_check(capture) != NULL);
    capture->nodes[3].parent = 1;
    capture->sites[2].node = 7;
    CHECK(vv_capture_check(capture) != NULL);
    capture->sites[2].node = 5;
    capture->counts[1].site = 4;
    CHECK(vv_capture_check(capture) != NULL);
    capture->counts[1].site = 2;
    capture->locations[2].symbol_count = 100;
    CHECK(vv_capture_check(capture) != NULL);
    capture->locations[2].symbol_count = 1;
    capture->symbols[2].function = 10000;
    CHECK(vv_capture_check(capture) != NULL);
    vv_capture_free(capture);
}

/* --- files --- */

TEST(a_file_is_written_whole_for_its_owner_only) {
    char path[64], sentence[256];
    snprintf(path, sizeof path, "/tmp/varve-test-%d.varve", (int)getpid());
    unlink(path);
    struct vv_capture *capture = make_capture(), *again;
    size_t byte_count;
    const void *bytes = vv_capture_encode(capture, &byte_count);
    CHECK_EQ(vv_capture_write_file(path, bytes, byte_count, false), 0);
    CHECK_EQ(vv_capture_write_file(path, bytes, byte_count, false), -EEXIST);
    CHECK_EQ(vv_capture_write_file(path, bytes, byte_count, true), 0);
    struct stat status;
    REQUIRE(stat(path, &status) == 0);
    CHECK_EQ(status.st_mode & 07777, 0600);
    CHECK_EQ(vv_capture_read_file(path, &again, sentence, sizeof sentence), 0);
    vv_capture_free(again);
    CHECK_EQ(vv_capture_write_file("/no/such/folder/x", bytes, byte_count, false), -ENOENT);
    unlink(path);
    vv_capture_free(capture);
}

/* --- grouping --- */

static struct vv_groups group(struct vv_grouping grouping, const struct vv_capture *capture,
                              struct vv_scratch *scratch) {
    struct vv_groups groups;
    REQUIRE(vv_group(&grouping, &capture, 1, scratch, &groups) == 0);
    REQUIRE(vv_group_stacks(&grouping, &groups, groups.count, scratch) == 0);
    return groups;
}

static void check_row(const struct vv_groups *groups, size_t index, const char *function,
                      int64_t bytes, int64_t blocks) {
    REQUIRE(index < groups->count);
    CHECK_EQ_STR(groups->rows[index].frame.function, function);
    CHECK_EQ(groups->rows[index].bytes, bytes);
    CHECK_EQ(groups->rows[index].blocks, blocks);
}

TEST(groups_are_sums_largest_first) {
    struct vv_capture *capture = make_capture();
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_grouping live = {.view = VV_VIEW_LIVE, .key = VV_KEY_FUNCTION};
    struct vv_groups groups = group(live, capture, scratch);
    check_row(&groups, 0, "load", 320, 5); /* malloc's frame is left out */
    check_row(&groups, 1, "save", 50, 1);
    CHECK_EQ(groups.bytes, 370);
    live.with_allocator_frames = true;
    groups = group(live, capture, scratch);
    check_row(&groups, 0, "malloc", 370, 6); /* the function that was called is a frame */
    struct vv_grouping by_line = {.view = VV_VIEW_LIVE, .key = VV_KEY_LINE};
    groups = group(by_line, capture, scratch);
    CHECK_EQ(groups.count, 3);
    CHECK_EQ(groups.rows[0].frame.line, 20);
    struct vv_grouping peak = {.view = VV_VIEW_PEAK, .key = VV_KEY_FUNCTION};
    groups = group(peak, capture, scratch);
    check_row(&groups, 0, "save", 5000, 1);
    struct vv_grouping temporary = {.view = VV_VIEW_TEMPORARY, .key = VV_KEY_FUNCTION};
    groups = group(temporary, capture, scratch);
    check_row(&groups, 0, "save", 40, 4);
    vv_scratch_free(scratch);
    vv_capture_free(capture);
}

TEST(domains_do_not_mix) {
    struct vv_capture *capture = make_capture();
    struct vv_scratch *scratch = vv_scratch_new();
    capture->sites[1].api = VV_API_MMAP; /* 300 of the 320 bytes of load() */
    struct vv_grouping live = {.view = VV_VIEW_LIVE, .key = VV_KEY_FUNCTION};
    struct vv_groups groups = group(live, capture, scratch);
    CHECK_EQ(groups.bytes, 70);
    live.domain = VV_DOMAIN_MMAP;
    groups = group(live, capture, scratch);
    CHECK_EQ(groups.bytes, 300);
    CHECK_EQ(groups.count, 1);
    check_row(&groups, 0, "load", 300, 3);
    live.key = VV_KEY_THREAD;
    groups = group(live, capture, scratch);
    CHECK_EQ(groups.count, 1);
    CHECK_EQ(groups.rows[0].bytes, 300);
    vv_scratch_free(scratch);
    vv_capture_free(capture);
}

TEST(a_cumulative_sum_counts_a_recursive_function_once) {
    struct vv_capture *capture = make_capture();
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_grouping live = {.view = VV_VIEW_LIVE, .key = VV_KEY_FUNCTION, .cumulative = true};
    struct vv_groups groups = group(live, capture, scratch);
    check_row(&groups, 0, "main", 370, 6);
    check_row(&groups, 1, "load", 320, 5);
    check_row(&groups, 2, "save", 50, 1);
    vv_scratch_free(scratch);
    vv_capture_free(capture);
}

TEST(threads_are_groups) {
    struct vv_capture *capture = make_capture();
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_grouping total = {.view = VV_VIEW_TOTAL, .key = VV_KEY_THREAD};
    struct vv_groups groups = group(total, capture, scratch);
    CHECK_EQ(groups.count, 2);
    CHECK_EQ(groups.rows[0].bytes, 6300);
    CHECK_EQ(groups.rows[1].bytes, 20);
    vv_scratch_free(scratch);
    vv_capture_free(capture);
}

TEST(stacks_are_innermost_first) {
    struct vv_capture *capture = make_capture();
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_grouping grouping = {.view = VV_VIEW_LIVE, .key = VV_KEY_TRACEBACK};
    struct vv_groups groups = group(grouping, capture, scratch);
    REQUIRE(groups.rows[0].stack_depth == 2);
    CHECK_EQ_STR(groups.rows[0].stack[0].function, "load");
    CHECK_EQ_STR(groups.rows[0].stack[1].function, "main");
    CHECK_EQ(groups.rows[0].stack[1].line, 10);
    vv_scratch_free(scratch);
    vv_capture_free(capture);
}

TEST(changes_are_sorted_by_size_whatever_their_sign) {
    struct vv_capture *old = make_capture(), *new = make_capture();
    struct vv_scratch *scratch = vv_scratch_new();
    new->counts[0].live_bytes = 100; /* load: - 200 */
    new->counts[0].live_count = 1;
    new->counts[1].live_bytes = 110; /* save: + 10 */
    const struct vv_capture *olds[] = {old}, *news[] = {new};
    struct vv_grouping grouping = {.view = VV_VIEW_LIVE, .key = VV_KEY_FUNCTION};
    struct vv_groups groups;
    REQUIRE(vv_group_compare(&grouping, olds, 1, news, 1, scratch, &groups) == 0);
    check_row(&groups, 0, "load", 120, 3);
    CHECK_EQ(groups.rows[0].old_bytes, 320);
    check_row(&groups, 1, "save", 60, 1);
    CHECK_EQ(groups.rows[1].old_bytes, 50);
    vv_scratch_free(scratch);
    vv_capture_free(old);
    vv_capture_free(new);
}
