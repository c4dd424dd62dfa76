/* SPDX-License-Identifier: MIT
 * The report of a leak check in words. */
#include "base/text.h"
#include "varve/leak.h"

struct out {
    void (*write)(const char *text, size_t length, void *argument);
    void *argument;
};

static void send(const struct out *out, struct vv_text *text) {
    vv_text_end(text);
    out->write(text->begin, (size_t)(text->at - text->begin), out->argument);
}

/* With one decimal. */
static void add_tenths(struct vv_text *text, double number) {
    if (number < 0) vv_text_add(text, "-");
    double magnitude = number < 0 ? -number : number;
    uint64_t tenths = (uint64_t)(magnitude * 10 + 0.5);
    vv_text_add_decimal(text, tenths / 10);
    vv_text_add(text, ".");
    vv_text_add_decimal(text, tenths % 10);
}

static void add_bytes(struct vv_text *text, double bytes) {
    if (bytes < 0) vv_text_add(text, "-");
    vv_text_add_size(text, (uint64_t)((bytes < 0 ? -bytes : bytes) + 0.5));
}

static void send_verdict(const struct out *out, const varve_leak_report *report) {
    char line[320];
    struct vv_text text = vv_text_in(line, sizeof line);
    vv_text_add(&text, "leak check, ");
    vv_text_add_decimal(&text, report->iterations);
    vv_text_add(&text, " iterations: ");
    if (report->verdict == VARVE_LEAK_NONE) {
        vv_text_add(&text, "no leak\n");
        send(out, &text);
        return;
    }
    vv_text_add(&text, report->verdict == VARVE_LEAK_GROWS
                           ? "LEAK: each leaves "
                           : "unsure: it grew, but not steadily, by ");
    add_bytes(&text, report->bytes_per_iteration);
    vv_text_add(&text, " in ");
    add_tenths(&text, report->blocks_per_iteration);
    vv_text_add(&text, " blocks and ");
    add_tenths(&text, report->objects_per_iteration);
    vv_text_add(&text, " objects");
    if (report->verdict == VARVE_LEAK_UNSURE) {
        vv_text_add(&text, " an iteration; more iterations may tell");
    }
    vv_text_add(&text, "\n");
    send(out, &text);
}

static void send_rows(const struct out *out, const char *what, const char *unit,
                      const varve_leak_row *rows, size_t count) {
    for (size_t index = 0; index < count; index++) {
        char line[768];
        struct vv_text text = vv_text_in(line, sizeof line);
        vv_text_add(&text, "  ");
        vv_text_add(&text, what);
        vv_text_add(&text, rows[index].name);
        vv_text_add(&text, ": +");
        add_bytes(&text, (double)rows[index].bytes_per_iteration);
        vv_text_add(&text, " in ");
        add_tenths(&text, rows[index].blocks_per_iteration);
        vv_text_add(&text, unit);
        send(out, &text);
    }
}

void varve_leak_report_write(const varve_leak_report *report,
                             void (*write)(const char *text, size_t length, void *argument),
                             void *argument) {
    struct out out = {.write = write, .argument = argument};
    send_verdict(&out, report);
    const char *unit = report->objects_per_iteration != 0 ? " blocks or objects\n" : " blocks\n";
    send_rows(&out, "", unit, report->sites, report->site_count);
    send_rows(&out, "type ", " objects\n", report->types, report->type_count);
}
