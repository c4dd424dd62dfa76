/* SPDX-License-Identifier: MIT
 * report/text.h - reports for people. */
#ifndef VV_REPORT_TEXT_H
#define VV_REPORT_TEXT_H

#include "report/load.h"
#include "snapshot/grouping.h"

#include <stdio.h>

#define VV_SIZE_TEXT_BYTES 32

/* "512 B", "1.5 KiB", "-2.0 MiB". Returns `text`. */
const char *vv_size_text(int64_t bytes, char text[VV_SIZE_TEXT_BYTES]);

/* A name of a program's, as a terminal may have it: control characters become "?". Cut to fit;
 * `text` may be `name`. Returns `text`. */
const char *vv_plain_text(const char *name, char *text, size_t capacity);

/* A word as a shell would read it back, quoted where needed; control characters become "?". */
void vv_print_word(FILE *out, const char *word);

/* Who it was, and the sums. */
void vv_print_header(FILE *out, const struct vv_loaded *loaded);

/* What the numbers do not include, a line each; nothing when all is complete. */
void vv_print_losses(FILE *out, const struct vv_loaded *loaded);

/* The first `top` rows, and what is in the others. */
void vv_print_rows(FILE *out, const struct vv_grouping *grouping, const struct vv_groups *groups,
                   size_t top);
void vv_print_changes(FILE *out, const struct vv_grouping *grouping, const struct vv_groups *groups,
                      size_t top);

#endif
