/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <string.h>

struct vv_text vv_text_in(char *buffer, size_t capacity_bytes) {
    return (struct vv_text){buffer, buffer, buffer + capacity_bytes - 1};
}

void vv_text_add_bytes(struct vv_text *text, const char *bytes, size_t byte_count) {
    size_t room = (size_t)(text->limit - text->at);
    size_t count = vv_min(byte_count, room);
    memcpy(text->at, bytes, count);
    text->at += count;
}

void vv_text_add(struct vv_text *text, const char *string) {
    vv_text_add_bytes(text, string, strlen(string));
}

/* Writes the digits of `value` so that they end before `end`; returns their beginning. */
static char *digits_before(char *end, uint64_t value, unsigned base) {
    char *at = end;
    do {
        *--at = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    return at;
}

void vv_text_add_decimal(struct vv_text *text, uint64_t value) {
    vv_text_add_column(text, value, 0);
}

void vv_text_add_hex(struct vv_text *text, uint64_t value) {
    char digits[16];
    char *end = digits + sizeof digits;
    char *begin = digits_before(end, value, 16);
    vv_text_add(text, "0x");
    vv_text_add_bytes(text, begin, (size_t)(end - begin));
}

void vv_text_add_column(struct vv_text *text, uint64_t value, size_t width) {
    char digits[20];
    char *end = digits + sizeof digits;
    char *begin = digits_before(end, value, 10);
    size_t count = (size_t)(end - begin);
    for (; count < width; width--) vv_text_add_bytes(text, " ", 1);
    vv_text_add_bytes(text, begin, count);
}

/* The nearest, of two the even one, as printf() has it. */
static uint64_t divide_rounded(uint64_t number, uint64_t divisor) {
    uint64_t quotient = number / divisor;
    uint64_t twice = number % divisor * 2;
    return quotient + (twice > divisor || (twice == divisor && quotient % 2 == 1) ? 1 : 0);
}

void vv_text_add_size(struct vv_text *text, uint64_t byte_count) {
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    unsigned unit = 0;
    uint64_t scale = 1;
    while (unit + 1 < VV_ARRAY_COUNT(units) && byte_count / scale >= 10 * 1024) {
        scale *= 1024;
        unit++;
    }
    if (unit > 0 && byte_count / scale < 100) {
        /* Fewer than 2^7 units of at most 2^40 bytes: ten times that fits. */
        uint64_t tenths = divide_rounded(byte_count * 10, scale);
        vv_text_add_decimal(text, tenths / 10);
        vv_text_add(text, ".");
        vv_text_add_decimal(text, tenths % 10);
    } else {
        vv_text_add_decimal(text, divide_rounded(byte_count, scale));
    }
    vv_text_add(text, units[unit]);
}

void vv_text_pad(struct vv_text *text, const char *line_begin, size_t column) {
    while ((size_t)(text->at - line_begin) < column && text->at < text->limit) *text->at++ = ' ';
}

const char *vv_text_end(struct vv_text *text) {
    *text->at = '\0';
    return text->begin;
}
