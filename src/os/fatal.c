/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "base/text.h"
#include "os/environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void vv_fatal(const char *sentence) {
    char buffer[4096];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, sentence);
    vv_text_add(&text, "\n");
    vv_text_end(&text);
    vv_write_all(STDERR_FILENO, buffer, strlen(buffer));
    abort();
}

void vv_assert_failed(const char *condition, const char *file, unsigned line) {
    char buffer[512];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: ");
    vv_text_add(&text, file);
    vv_text_add(&text, ":");
    vv_text_add_decimal(&text, line);
    vv_text_add(&text, ": ");
    vv_text_add(&text, condition);
    vv_text_add(&text, " does not hold");
    vv_fatal(vv_text_end(&text));
}
