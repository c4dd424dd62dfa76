/* SPDX-License-Identifier: MIT
 * base/text.h - building a sentence in a fixed buffer, without malloc, stdio or locale.
 *
 *   char buffer[160];
 *   struct vv_text text = vv_text_in(buffer, sizeof buffer);
 *   vv_text_add(&text, "varve: double free of block ");
 *   vv_text_add_hex(&text, address);
 *   vv_fatal(vv_text_end(&text));
 *
 * Text that does not fit is cut; the buffer is always terminated by vv_text_end(). */
#ifndef VV_BASE_TEXT_H
#define VV_BASE_TEXT_H

#include "base/bits.h"

/* Invariant: begin <= at <= limit; limit is the place of the last terminator. */
struct vv_text {
    char *begin;
    char *at;
    char *limit;
};

/* `capacity_bytes` >= 1 counts the terminator. */
struct vv_text vv_text_in(char *buffer, size_t capacity_bytes);

void vv_text_add(struct vv_text *text, const char *string);
void vv_text_add_bytes(struct vv_text *text, const char *bytes, size_t byte_count);
void vv_text_add_decimal(struct vv_text *text, uint64_t value);
void vv_text_add_hex(struct vv_text *text, uint64_t value);

/* Right-aligned in `width` columns. */
void vv_text_add_column(struct vv_text *text, uint64_t value, size_t width);

/* "816 B", "12.4 KiB", "3109 KiB", "10.0 MiB": the unit grows at 10 * 1024, one decimal below
 * 100 except for bytes. The same rule as CPython's tracemalloc, so that tables compare. */
void vv_text_add_size(struct vv_text *text, uint64_t byte_count);

/* Appends spaces until `column` characters follow `line_begin` (an earlier `text->at`). */
void vv_text_pad(struct vv_text *text, const char *line_begin, size_t column);

/* Terminates the text and returns its beginning. More may be added afterwards. */
const char *vv_text_end(struct vv_text *text);

#endif
