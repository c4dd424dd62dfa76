/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

static const char *size_text(uint64_t byte_count) {
    static char buffer[64];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add_size(&text, byte_count);
    return vv_text_end(&text);
}

TEST(numbers_are_written_in_decimal_and_hex) {
    char buffer[100];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add_decimal(&text, 0);
    vv_text_add(&text, " ");
    vv_text_add_decimal(&text, UINT64_MAX);
    vv_text_add(&text, " ");
    vv_text_add_hex(&text, 0xdeadbeef00u);
    vv_text_add_column(&text, 42, 5);
    CHECK_EQ_STR(vv_text_end(&text), "0 18446744073709551615 0xdeadbeef00   42");
}

TEST(sizes_read_as_in_tracemalloc) {
    CHECK_EQ_STR(size_text(0), "0 B");
    CHECK_EQ_STR(size_text(816), "816 B");
    CHECK_EQ_STR(size_text(10239), "10239 B");
    CHECK_EQ_STR(size_text(10240), "10.0 KiB");
    CHECK_EQ_STR(size_text(32000), "31.2 KiB"); /* 31.25, to the even digit */
    CHECK_EQ_STR(size_text(102348), "99.9 KiB");
    CHECK_EQ_STR(size_text(102400), "100 KiB");
    CHECK_EQ_STR(size_text(3109 * 1024), "3109 KiB");
    CHECK_EQ_STR(size_text(10u << 20), "10.0 MiB");
    CHECK_EQ_STR(size_text(UINT64_MAX), "16777216 TiB");
}

TEST(long_text_is_cut_and_terminated) {
    char buffer[8];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "abcdefghijklmnop");
    vv_text_add_decimal(&text, 123456);
    CHECK_EQ_STR(vv_text_end(&text), "abcdefg");
}

TEST(padding_reaches_the_column_once) {
    char buffer[20];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "ab");
    vv_text_pad(&text, buffer, 5);
    vv_text_pad(&text, buffer, 3);
    vv_text_add(&text, "|");
    CHECK_EQ_STR(vv_text_end(&text), "ab   |");
}
