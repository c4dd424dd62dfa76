/* SPDX-License-Identifier: MIT */
#include "report/text.h"

#include "report/processes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- sizes --- */

const char *vv_size_text(int64_t bytes, char text[VV_SIZE_TEXT_BYTES]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    double size = (double)(bytes < 0 ? -bytes : bytes);
    const char *sign = bytes < 0 ? "-" : "";
    if (size < 1024) {
        snprintf(text, VV_SIZE_TEXT_BYTES, "%s%d B", sign, (int)size);
        return text;
    }
    unsigned unit = 0;
    for (size /= 1024; size >= 1023.95 && unit < 3; unit++) size /= 1024;
    snprintf(text, VV_SIZE_TEXT_BYTES, "%s%.1f %s", sign, size, units[unit]);
    return text;
}

static const char *signed_size_text(int64_t bytes, char text[VV_SIZE_TEXT_BYTES]) {
    char plain[VV_SIZE_TEXT_BYTES];
    snprintf(text, VV_SIZE_TEXT_BYTES, "%s%s", bytes > 0 ? "+" : "", vv_size_text(bytes, plain));
    return text;
}

/* --- names --- */

/* What a terminal obeys: the control characters of ASCII, and 0x80 to 0x9f in UTF-8. */
static bool is_control(unsigned char byte, unsigned char previous) {
    return byte < ' ' || byte == 0x7f || (previous == 0xc2 && byte >= 0x80 && byte < 0xa0);
}

const char *vv_plain_text(const char *name, char *text, size_t capacity) {
    size_t length = 0;
    unsigned char previous = 0;
    for (; name[length] != '\0' && length + 1 < capacity; length++) {
        unsigned char byte = (unsigned char)name[length];
        text[length] = is_control(byte, previous) ? '?' : name[length];
        previous = byte;
    }
    text[length] = '\0';
    return text;
}

static bool is_safe_word(const char *word) {
    return word[0] != '\0' && strpbrk(word, " \t\n'\"\\$`*?[]{}|&;<>()#~!") == NULL;
}

void vv_print_word(FILE *out, const char *word) {
    bool is_safe = is_safe_word(word);
    unsigned char previous = 0;
    if (!is_safe) fputc('\'', out);
    for (; *word != '\0'; word++) {
        unsigned char byte = (unsigned char)*word;
        if (byte == '\'') {
            fputs("'\\''", out);
        } else {
            fputc(is_control(byte, previous) ? '?' : byte, out);
        }
        previous = byte;
    }
    if (!is_safe) fputc('\'', out);
}

/* --- the terminal --- */

static bool has_colours(FILE *out) {
    const char *terminal = getenv("TERM");
    return isatty(fileno(out)) && getenv("NO_COLOR") == NULL && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

#define USUAL_COLUMNS 100

static int columns(FILE *out) {
    struct winsize size;
    if (!isatty(fileno(out))) return 0; /* do not cut what goes into a file */
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col
                                                                          : USUAL_COLUMNS;
}

/* --- the header --- */

#define COMMAND_BYTES 160
#define NAME_BYTES 1024

static const char *program_name(const struct vv_capture *capture, char name[NAME_BYTES]) {
    return vv_plain_text(capture->strings[capture->program], name, NAME_BYTES);
}

/* As much of the command line as fits; `varve report --json` has all of it. */
static void print_command(FILE *out, const struct vv_capture *capture) {
    size_t length = 0;
    bool is_cut = capture->command_is_cut;
    fprintf(out, "  command    ");
    for (uint32_t index = 0; index < capture->argument_count; index++) {
        const char *argument = capture->strings[capture->arguments[index]];
        length += strlen(argument) + 1;
        if (index > 0 && length > COMMAND_BYTES) {
            is_cut = true;
            break;
        }
        if (index > 0) fputc(' ', out);
        vv_print_word(out, argument);
    }
    fprintf(out, "%s\n", is_cut ? " ..." : "");
}

static void print_end(FILE *out, const struct vv_capture *capture) {
    int status = capture->wait_status;
    if (status >= 0 && WIFSIGNALED(status)) {
        fprintf(out, ", killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        fprintf(out, ", exit code %d", WEXITSTATUS(status));
    } else if (capture->end == VV_CAPTURE_UNKNOWN && status < 0) {
        fprintf(out, ", ended by exec or a signal");
    }
}

/* What was held most at a time: "peak", and "mapped" of the program's own mappings. */
static void print_peak(FILE *out, const struct vv_capture *capture, enum vv_domain domain) {
    const struct vv_capture_sums *sums = &capture->sums[domain];
    bool is_mapped = domain == VV_DOMAIN_MMAP;
    char peak[VV_SIZE_TEXT_BYTES];
    fprintf(out, "  %-10s %s in %" PRId64 " %s", is_mapped ? "mapped" : "peak",
            vv_size_text(sums->peak_bytes, peak), sums->peak_count,
            is_mapped ? "mappings of its own" : "blocks");
    if (capture->duration_ns > 0) fprintf(out, ", at %.2f s", (double)sums->peak_ns / 1e9);
    fputc('\n', out);
}

static void print_process(FILE *out, const struct vv_capture *capture) {
    const struct vv_capture_sums *sums = &capture->sums[VV_DOMAIN_MALLOC];
    char size[VV_SIZE_TEXT_BYTES], name[NAME_BYTES];
    fprintf(out, "%s, process %" PRIu64 ", %.2f s", program_name(capture, name),
            capture->process_id, (double)capture->duration_ns / 1e9);
    print_end(out, capture);
    fprintf(out, "\n");
    print_command(out, capture);
    print_peak(out, capture, VV_DOMAIN_MALLOC);
    fprintf(out, "  at the end %s in %" PRId64 " blocks\n", vv_size_text(sums->live_bytes, size),
            sums->live_count);
    fprintf(out, "  in all     %s in %" PRIu64 " allocations\n",
            vv_size_text((int64_t)sums->total_bytes, size), sums->total_count);
    if (capture->sums[VV_DOMAIN_MMAP].total_count > 0) print_peak(out, capture, VV_DOMAIN_MMAP);
    if (capture->resident_bytes > 0) {
        fprintf(out, "  resident   %s at most, with code, stacks and mapped files\n",
                vv_size_text((int64_t)capture->resident_bytes, size));
    }
}

void vv_print_header(FILE *out, const struct vv_loaded *loaded) {
    if (loaded->count == 1) {
        print_process(out, loaded->captures[0]);
        return;
    }
    char text[VV_SIZE_TEXT_BYTES], name[NAME_BYTES];
    int64_t peak = 0;
    unsigned process_count = vv_process_count(loaded);
    fprintf(out, "%u process%s of one run\n", process_count, process_count == 1 ? "" : "es");
    for (unsigned index = 0; index < loaded->count; index++) {
        const struct vv_capture *capture = loaded->captures[index];
        const struct vv_capture_sums *blocks = &capture->sums[VV_DOMAIN_MALLOC];
        fprintf(out, "  %-24s process %-8" PRIu64 " peak %s\n", program_name(capture, name),
                capture->process_id, vv_size_text(blocks->peak_bytes, text));
        if (vv_holds_peak(loaded, index, VV_DOMAIN_MALLOC)) peak += blocks->peak_bytes;
    }
    fprintf(out, "  the sum of their peaks, which need not be at one time: %s\n",
            vv_size_text(peak, text));
}

/* --- losses --- */

static void print_loss(FILE *out, uint64_t count, const char *what) {
    if (count > 0) fprintf(out, "note: %" PRIu64 " %s\n", count, what);
}

static void print_losses_of(FILE *out, const struct vv_capture *capture) {
    char text[VV_SIZE_TEXT_BYTES];
    if (capture->is_cut) {
        fprintf(out, "note: the capture was cut off; what could be read of it is shown\n");
    }
    if (capture->malloc_is_bypassed) {
        fprintf(out, "note: the program has a malloc of its own, whose blocks are not in these "
                     "numbers\n");
    }
    if (capture->sample_bytes > 0) {
        fprintf(out, "note: sampled, one in %s on average: sizes are estimates\n",
                vv_size_text((int64_t)capture->sample_bytes, text));
    }
    if (capture->peak_error_bytes > 0) {
        fprintf(out, "note: with several threads the peak is exact to %s\n",
                vv_size_text((int64_t)capture->peak_error_bytes, text));
    }
    if (capture->before_bytes > 0) {
        fprintf(out,
                "note: %s in %" PRIu64 " blocks were there before the trace, and are not "
                "in these numbers\n",
                vv_size_text((int64_t)capture->before_bytes, text), capture->before_count);
    }
    if (capture->inherited_bytes > 0) {
        fprintf(out, "note: %s in %" PRIu64 " blocks were inherited by fork\n",
                vv_size_text((int64_t)capture->inherited_bytes, text), capture->inherited_count);
    }
    print_loss(out, capture->full_count,
               "allocations found the tables full, so their stacks are not told apart");
    print_loss(out, capture->lost_count,
               "allocations by signal handlers that interrupted the allocator are not counted");
    print_loss(out, capture->threadless_count, "events found the tables full and are not counted");
    print_loss(out, capture->unrecorded_count,
               "forked children were not recorded: the folder of the run was out of their reach");
    print_loss(out, capture->incomplete_count, "stacks could not be followed to their beginning");
}

void vv_print_losses(FILE *out, const struct vv_loaded *loaded) {
    for (unsigned index = 0; index < loaded->count; index++) {
        print_losses_of(out, loaded->captures[index]);
    }
}

/* --- rows --- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Paths below the current folder without it. */
static const char *short_path(const char *path) {
    static char folder[4096];
    if (folder[0] == '\0' && getcwd(folder, sizeof folder) == NULL) folder[0] = '/';
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' ? path + length + 1 : path;
}

/* What a row is about, and where that is; "": nowhere. */
struct name {
    char subject[NAME_BYTES];
    char place[NAME_BYTES];
};

static void name_function(const struct vv_frame *frame, struct name *name) {
    if (frame->function[0] != '\0') {
        snprintf(name->subject, NAME_BYTES, "%s", frame->function);
    } else if (frame->module[0] != '\0') {
        snprintf(name->subject, NAME_BYTES, "%s+0x%" PRIx64, base_name(frame->module),
                 frame->address);
    } else {
        snprintf(name->subject, NAME_BYTES, "0x%" PRIx64, frame->address);
    }
}

static void name_module(const struct vv_frame *frame, struct name *name) {
    if (frame->module[0] == '\0') return;
    snprintf(name->place, NAME_BYTES, "in %s", base_name(frame->module));
}

static void name_frame(const struct vv_frame *frame, struct name *name) {
    name_function(frame, name);
    if (frame->file[0] != '\0') {
        snprintf(name->place, NAME_BYTES, "%s:%" PRIu32, short_path(frame->file), frame->line);
    } else {
        name_module(frame, name);
    }
}

static void name_row(enum vv_key key, const struct vv_frame *frame, struct name *name) {
    switch (key) {
    case VV_KEY_FUNCTION:
        name_function(frame, name);
        name_module(frame, name);
        break;
    case VV_KEY_FILE:
        snprintf(name->subject, NAME_BYTES, "%s",
                 frame->file[0] != '\0' ? short_path(frame->file) : base_name(frame->module));
        break;
    case VV_KEY_MODULE:
        snprintf(name->subject, NAME_BYTES, "%s",
                 frame->module[0] != '\0' ? frame->module : "(no module)");
        break;
    case VV_KEY_THREAD:
        snprintf(name->subject, NAME_BYTES, "%s", frame->function);
        snprintf(name->place, NAME_BYTES, "thread %" PRIu64, frame->address);
        break;
    case VV_KEY_TYPE: snprintf(name->subject, NAME_BYTES, "%s", frame->function); break;
    default: name_frame(frame, name);
    }
}

static double percent(int64_t part, int64_t whole) {
    return 100 * vv_share_of(part, whole);
}

static const char *const mapped_headings[VV_VIEW_COUNT] = {
    [VV_VIEW_PEAK] = "at the peak of mappings",
    [VV_VIEW_LIVE] = "mapped at the end",
    [VV_VIEW_TOTAL] = "mapped in all",
    [VV_VIEW_LEAKS] = "never unmapped",
};

static const char *view_heading(const struct vv_grouping *grouping) {
    if (grouping->domain == VV_DOMAIN_MMAP) return mapped_headings[grouping->view];
    switch (grouping->view) {
    case VV_VIEW_PEAK: return "at the peak";
    case VV_VIEW_LIVE: return "live at the end";
    case VV_VIEW_TOTAL: return "allocated in all";
    case VV_VIEW_TEMPORARY: return "freed at once (before the thread allocated again)";
    default: return "never freed";
    }
}

/* A thread's frees may be of blocks that others allocated. */
static const char *heading_note(const struct vv_grouping *grouping) {
    bool is_net = grouping->key == VV_KEY_THREAD && grouping->view != VV_VIEW_TOTAL &&
                  grouping->view != VV_VIEW_TEMPORARY;
    if (is_net) return " (allocated less freed by it)";
    return grouping->cumulative ? ", with what it called" : "";
}

#define ROOM_MIN_COLUMNS 20
#define CUT "..."
#define CUT_COLUMNS 3

/* Where a terminal is too narrow: the beginning of the subject and the end of the place, which has
 * what the subject leaves, or half. */
static void print_cut_name(FILE *out, const struct name *name, const char *gap, int room) {
    int subject_columns = (int)strlen(name->subject);
    int place_columns = (int)(strlen(gap) + strlen(name->place));
    int place_room = room - subject_columns > room / 2 ? room - subject_columns : room / 2;
    const char *place = name->place;
    const char *place_cut = "";
    if (place_columns > place_room) {
        place += place_columns - place_room + CUT_COLUMNS;
        place_cut = CUT;
        place_columns = place_room;
    }
    int subject_room = room - place_columns;
    bool fits = subject_columns <= subject_room;
    fprintf(out, "%.*s%s%s%s%s\n", fits ? subject_columns : subject_room - CUT_COLUMNS,
            name->subject, fits ? "" : CUT, gap, place_cut, place);
}

static void print_name(FILE *out, struct name *name, int used_columns) {
    vv_plain_text(name->subject, name->subject, NAME_BYTES);
    vv_plain_text(name->place, name->place, NAME_BYTES);
    const char *gap = name->place[0] != '\0' ? "  " : "";
    size_t whole_columns = strlen(name->subject) + strlen(gap) + strlen(name->place);
    int room = columns(out) - used_columns;
    if (room <= ROOM_MIN_COLUMNS || (int)whole_columns <= room) {
        fprintf(out, "%s%s%s\n", name->subject, gap, name->place);
    } else {
        print_cut_name(out, name, gap, room);
    }
}

static void print_stack(FILE *out, const struct vv_group *row, int indent) {
    for (uint32_t index = 0; index < row->stack_depth; index++) {
        struct name name = {.place = ""};
        name_frame(&row->stack[index], &name);
        fprintf(out, "%*s", indent, "");
        print_name(out, &name, indent);
    }
}

void vv_print_rows(FILE *out, const struct vv_grouping *grouping, const struct vv_groups *groups,
                   size_t top) {
    char size[VV_SIZE_TEXT_BYTES];
    bool colours = has_colours(out);
    int64_t rest_bytes = groups->bytes;
    int64_t rest_blocks = groups->blocks;
    fprintf(out, "%11s %6s %10s  %s, by %s%s\n", "bytes", "share", "blocks", view_heading(grouping),
            vv_key_names[grouping->key], heading_note(grouping));
    size_t count = groups->count < top ? groups->count : top;
    for (size_t index = 0; index < count; index++) {
        const struct vv_group *row = &groups->rows[index];
        if (row->bytes == 0 && row->blocks == 0) break;
        struct name name = {.place = ""};
        name_row(grouping->key, &row->frame, &name);
        fprintf(out, "%s%11s%s %5.1f%% %10" PRId64 "  ", colours ? "\033[1m" : "",
                vv_size_text(row->bytes, size), colours ? "\033[0m" : "",
                percent(row->bytes, groups->bytes), row->blocks);
        print_name(out, &name, 31);
        if (grouping->key == VV_KEY_TRACEBACK && row->stack_depth > 1) {
            struct vv_group callers = *row;
            callers.stack++;
            callers.stack_depth--;
            print_stack(out, &callers, 33);
        }
        rest_bytes -= row->bytes;
        rest_blocks -= row->blocks;
    }
    if (!grouping->cumulative && groups->count > count) {
        fprintf(out, "%11s %5.1f%% %10" PRId64 "  in %zu more\n", vv_size_text(rest_bytes, size),
                percent(rest_bytes, groups->bytes), rest_blocks, groups->count - count);
    }
    fprintf(out, "%11s %6s %10" PRId64 "  in all\n", vv_size_text(groups->bytes, size), "",
            groups->blocks);
}

void vv_print_changes(FILE *out, const struct vv_grouping *grouping, const struct vv_groups *groups,
                      size_t top) {
    char size[VV_SIZE_TEXT_BYTES], change[VV_SIZE_TEXT_BYTES];
    bool colours = has_colours(out);
    fprintf(out, "%12s %12s %10s  %s, by %s\n", "change", "now", "blocks", view_heading(grouping),
            vv_key_names[grouping->key]);
    size_t shown = 0;
    size_t unchanged = 0;
    for (size_t index = 0; index < groups->count; index++) {
        const struct vv_group *row = &groups->rows[index];
        int64_t bytes = row->bytes - row->old_bytes;
        int64_t blocks = row->blocks - row->old_blocks;
        if (bytes == 0 && blocks == 0) {
            unchanged++;
            continue;
        }
        if (shown++ >= top) continue;
        struct name name = {.place = ""};
        name_row(grouping->key, &row->frame, &name);
        const char *colour = !colours || bytes == 0 ? "" : bytes > 0 ? "\033[31m" : "\033[32m";
        fprintf(out, "%s%12s%s %12s %+10" PRId64 "  ", colour, signed_size_text(bytes, change),
                colour[0] != '\0' ? "\033[0m" : "", vv_size_text(row->bytes, size), blocks);
        print_name(out, &name, 39);
    }
    if (shown > top) fprintf(out, "%12s %12s %10s  and %zu more\n", "", "", "", shown - top);
    if (unchanged > 0) fprintf(out, "%12s %12s %10s  %zu unchanged\n", "", "", "", unchanged);
    fprintf(out, "%12s %12s %+10" PRId64 "  in all\n",
            signed_size_text(groups->bytes - groups->old_bytes, change),
            vv_size_text(groups->bytes, size), groups->blocks - groups->old_blocks);
}
