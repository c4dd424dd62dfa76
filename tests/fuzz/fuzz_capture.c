/* SPDX-License-Identifier: MIT
 * tests/fuzz/fuzz_capture.c - the reader of captures and stores, and all that is done with what it
 * has read, on arbitrary bytes. Checksums are made right first, or nothing would get past them. */
#include "capture/codec.h"
#include "capture/format.h"
#include "capture/from_store.h"
#include "report/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t number_at(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Heads of chunks as capture/format.h describes them. */
static void mend_checksums(uint8_t *bytes, size_t byte_count) {
    size_t at = VV_FORMAT_MAGIC_BYTES;
    while (at + 16 <= byte_count) {
        size_t length = number_at(bytes + at + 12);
        if (length > byte_count - at - 16) return;
        uint32_t crc = vv_crc32c(bytes + at + 4, 12 + length);
        for (unsigned byte = 0; byte < 4; byte++) bytes[at + byte] = (uint8_t)(crc >> 8 * byte);
        at += 16 + length;
    }
}

static FILE *nowhere(void) {
    static FILE *file;
    if (file == NULL) file = fopen("/dev/null", "w");
    return file;
}

static void report_all(struct vv_capture *capture) {
    struct vv_capture *captures[] = {capture};
    struct vv_loaded loaded = {captures, 1};
    vv_print_header(nowhere(), &loaded);
    vv_print_losses(nowhere(), &loaded);
    for (unsigned key = 0; key < VV_KEY_COUNT; key++) {
        for (unsigned view = 0; view < VV_VIEW_COUNT; view++) {
            struct vv_grouping grouping = {.view = view, .key = key, .cumulative = (view & 1) != 0};
            struct vv_groups groups;
            struct vv_scratch *scratch = vv_scratch_new();
            if (vv_group(&grouping, (const struct vv_capture *const *)captures, 1, scratch,
                         &groups) == 0 &&
                vv_group_stacks(&grouping, &groups, groups.count, scratch) == 0) {
                vv_print_rows(nowhere(), &grouping, &groups, groups.count);
            }
            vv_scratch_free(scratch);
        }
    }
}

static void use(struct vv_capture *capture) {
    size_t byte_count;
    if (vv_capture_check(capture) != NULL) abort(); /* whoever reads must have checked it */
    report_all(capture);
    const void *encoded = vv_capture_encode(capture, &byte_count);
    struct vv_capture *again;
    const char *sentence;
    if (encoded == NULL || vv_capture_decode(encoded, byte_count, &again, &sentence) != 0) abort();
    if (again->count_count != capture->count_count) abort();
    vv_capture_free(again);
    vv_capture_free(capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct vv_capture *capture;
    const char *sentence;
    uint8_t *bytes = malloc(size + 1); /* exactly: reading behind it is found */
    if (bytes == NULL) return 0;
    memcpy(bytes, data, size);
    if (vv_is_store(bytes, size)) {
        if (vv_capture_from_store(bytes, size, &capture, &sentence) == 0) use(capture);
    } else {
        mend_checksums(bytes, size);
        if (vv_capture_decode(bytes, size, &capture, &sentence) == 0) use(capture);
    }
    free(bytes);
    return 0;
}
