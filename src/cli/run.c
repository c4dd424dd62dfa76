/* SPDX-License-Identifier: MIT
 * cli/run.c - varve run: runs a program with the library preloaded, and makes captures of the
 * stores that its processes leave. */
#include "capture/format.h"
#include "cli/ahead.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/program.h"
#include "cli/stores.h"
#include "os/clock.h"
#include "report/text.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum follow { FOLLOW_NONE, FOLLOW_FORK, FOLLOW_EXEC };
static const char *const follow_names[] = {"none", "fork", "exec", NULL};

struct run {
    /* options */
    const char *output;
    bool overwrite;
    bool quiet;
    bool with_allocator_frames;
    uint64_t sample_bytes;
    uint64_t depth;
    uint64_t top;
    int follow;
    int key;

    char program[VV_PATH_BYTES];
    char library[VV_PATH_BYTES];
    char folder[VV_PATH_BYTES]; /* of the stores */
    uint64_t id;
    pid_t process;
    int status;
    uint64_t duration_ns;

    struct vv_symbols *symbols; /* own */
    unsigned written_count;
    unsigned process_count; /* whose captures these are */
    unsigned last_process;  /* the last of them */
    unsigned running_count;
    bool failed; /* a capture could not be written */
    char main_path[VV_PATH_BYTES];
    struct vv_capture *biggest;
    char biggest_path[VV_PATH_BYTES];
};

/* --- the folder of the stores --- */

#define ROOM_NEEDED_BYTES ((uint64_t)256 << 20)

static bool has_room(const char *folder) {
    struct statvfs status;
    return statvfs(folder, &status) == 0 && access(folder, W_OK | X_OK) == 0 &&
           (uint64_t)status.f_bavail * status.f_frsize >= ROOM_NEEDED_BYTES;
}

static bool make_folder(struct run *run) {
    const char *temporary = getenv("TMPDIR");
    const char *folders[] = {"/dev/shm", temporary != NULL ? temporary : "/tmp", "/tmp"};
    for (unsigned index = 0; index < 3; index++) {
        if (index < 2 && !has_room(folders[index])) continue;
        snprintf(run->folder, sizeof run->folder, "%s/varve-XXXXXX", folders[index]);
        if (mkdtemp(run->folder) != NULL) return true;
    }
    fprintf(stderr, "varve: cannot make a folder for the trace in /dev/shm, TMPDIR or /tmp: %s\n",
            strerror(errno));
    return false;
}

/* Removes the folder with what is left in it. */
static void remove_folder(const char *folder) {
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.') unlinkat(dirfd(directory), entry->d_name, 0);
    }
    if (directory != NULL) closedir(directory);
    rmdir(folder);
}

/* --- the program's environment --- */

static void set_number(const char *name, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    setenv(name, text, 1);
}

static void prepare(void *argument) {
    const struct run *run = argument;
    vv_library_preload(run->library);
    setenv("VARVE_TRACE", run->folder, 1);
    set_number("VARVE_RUN_ID", run->id);
    set_number("VARVE_TRACE_DEPTH", run->depth);
    set_number("VARVE_TRACE_SAMPLE", run->sample_bytes);
    setenv("VARVE_TRACE_FOLLOW", follow_names[run->follow], 1);
    set_number("VARVE_TRACE_ROOT", (uint64_t)getpid());
}

/* --- captures --- */

/* A program's name as part of a file name. */
static void safe_name(const char *program, char name[64]) {
    size_t length = 0;
    for (; program[length] != '\0' && length < 63; length++) {
        char letter = program[length];
        name[length] = letter == '/' || letter < ' ' || letter == 0x7f ? '_' : letter;
    }
    if (length == 0) name[length++] = '_';
    name[length] = '\0';
}

static bool is_main(const struct run *run, const struct vv_store_name *store) {
    return store->process == (unsigned)run->process && store->is_last;
}

/* program.pid.varve, or what -o says; others beside it: stem.program.pid.varve. */
static void name_capture(const struct run *run, const struct vv_store_name *store,
                         const struct vv_capture *capture, char path[VV_PATH_BYTES]) {
    char program[64], image[16] = "";
    char stem[VV_PATH_BYTES - 256] = "";
    if (run->output != NULL && is_main(run, store)) {
        snprintf(path, VV_PATH_BYTES, "%s", run->output);
        return;
    }
    safe_name(capture->strings[capture->program], program);
    if (!store->is_last) snprintf(image, sizeof image, ".%u", store->image);
    if (run->output != NULL) {
        size_t length = strlen(run->output);
        if (length > 6 && strcmp(run->output + length - 6, ".varve") == 0) length -= 6;
        snprintf(stem, sizeof stem, "%.*s.", (int)length, run->output);
    }
    snprintf(path, VV_PATH_BYTES, "%s%s.%u%s.varve", stem, program, store->process, image);
}

static void complain_write(struct run *run, const char *path, const char *store, int error) {
    run->failed = true;
    if (error == -EEXIST) {
        fprintf(stderr,
                "varve: %s exists already; give another name with -o, or -f to overwrite "
                "it. The trace is in %s\n",
                path, store);
    } else {
        fprintf(stderr,
                "varve: cannot write %s: %s. The trace is in %s, and varve report reads "
                "it there\n",
                path, strerror(-error), store);
    }
}

static int64_t held_at_most(const struct vv_capture *capture) {
    return capture->sums[VV_DOMAIN_MALLOC].peak_bytes + capture->sums[VV_DOMAIN_MMAP].peak_bytes;
}

static void keep_biggest(struct run *run, struct vv_capture *capture, const char *path) {
    if (run->biggest != NULL && held_at_most(run->biggest) >= held_at_most(capture)) {
        vv_capture_free(capture);
        return;
    }
    vv_capture_free(run->biggest);
    run->biggest = capture;
    snprintf(run->biggest_path, sizeof run->biggest_path, "%s", path);
}

/* Stores come in the order of processes. */
static void note_written(struct run *run, const struct vv_store_name *store) {
    if (run->written_count++ == 0 || store->process != run->last_process) run->process_count++;
    run->last_process = store->process;
}

/* Makes a capture of a store and removes the store. */
static void convert(struct run *run, const struct vv_store_name *store) {
    char store_path[VV_STORE_PATH_BYTES], path[VV_PATH_BYTES], sentence[256];
    struct vv_capture *capture;
    vv_store_path(run->folder, store, store_path);
    if (vv_capture_read_file(store_path, &capture, sentence, sizeof sentence) < 0) {
        fprintf(stderr, "varve: the trace of process %u cannot be read: %s\n", store->process,
                sentence);
        run->failed = true;
        return;
    }
    if (is_main(run, store)) {
        capture->wait_status = run->status;
        if (store->image == 0) capture->duration_ns = run->duration_ns;
    } else if (capture->count_count == 0) {
        vv_capture_free(capture);
        unlink(store_path);
        return;
    }
    size_t byte_count;
    vv_name_locations(capture, run->symbols);
    name_capture(run, store, capture, path);
    const void *bytes = vv_capture_encode(capture, &byte_count);
    int result =
        bytes != NULL ? vv_capture_write_file(path, bytes, byte_count, run->overwrite) : -ENOMEM;
    if (result < 0) {
        complain_write(run, path, store_path, result);
        vv_capture_free(capture);
        return;
    }
    unlink(store_path);
    note_written(run, store);
    if (is_main(run, store)) snprintf(run->main_path, sizeof run->main_path, "%s", path);
    keep_biggest(run, capture, path);
}

static bool is_running(const struct run *run, const struct vv_store_name *store) {
    return store->process != (unsigned)run->process && store->is_last &&
           kill((pid_t)store->process, 0) == 0;
}

static void convert_all(struct run *run, const struct vv_stores *stores) {
    for (unsigned index = 0; index < stores->count; index++) {
        if (is_running(run, &stores->names[index])) run->running_count++;
        convert(run, &stores->names[index]);
    }
}

/* --- the summary --- */

static void print_top(const struct run *run, enum vv_domain domain) {
    struct vv_grouping grouping = {.domain = domain,
                                   .view = VV_VIEW_PEAK,
                                   .key = (enum vv_key)run->key,
                                   .with_allocator_frames = run->with_allocator_frames};
    const struct vv_capture *captures[] = {run->biggest};
    struct vv_scratch *scratch = vv_scratch_new();
    struct vv_groups groups;
    if (scratch != NULL && vv_group(&grouping, captures, 1, scratch, &groups) == 0 &&
        vv_group_stacks(&grouping, &groups, run->top, scratch) == 0) {
        vv_print_rows(stderr, &grouping, &groups, run->top);
    }
    vv_scratch_free(scratch);
}

/* Whether a table of mappings belongs in the summary. */
static bool maps_much(const struct vv_capture *capture) {
    return capture->sums[VV_DOMAIN_MMAP].peak_bytes > held_at_most(capture) / 10;
}

static void print_summary(const struct run *run) {
    if (run->biggest == NULL) return;
    struct vv_capture *captures[] = {run->biggest};
    struct vv_loaded loaded = {captures, 1};
    fprintf(stderr, "\nvarve: ");
    vv_print_header(stderr, &loaded);
    fputc('\n', stderr);
    print_top(run, VV_DOMAIN_MALLOC);
    if (maps_much(run->biggest)) {
        fputc('\n', stderr);
        print_top(run, VV_DOMAIN_MMAP);
    }
    vv_print_losses(stderr, &loaded);
    if (run->written_count > 1) {
        fprintf(stderr, "\nvarve: %u process%s recorded, in %u captures; this is the biggest\n",
                run->process_count, run->process_count == 1 ? " was" : "es were",
                run->written_count);
    }
    fprintf(stderr, "\nvarve: more with: varve report %s", run->biggest_path[0] == '-' ? "./" : "");
    vv_print_word(stderr, run->biggest_path);
    fputc('\n', stderr);
}

static int finish(struct run *run) {
    struct vv_stores stores;
    int error = vv_stores_list(run->folder, &stores);
    if (error == 0 && run->symbols == NULL) error = -ENOMEM;
    if (error != 0) {
        vv_stores_free(&stores);
        fprintf(stderr,
                "varve: cannot make captures: %s. The traces are in the folder %s; varve report "
                "reads the files there\n",
                strerror(-error), run->folder);
        return VV_EXIT_OWN;
    }
    if (stores.count == 0) {
        fprintf(stderr, "varve: the program left no trace; unless it said why, it may have cleared "
                        "LD_PRELOAD from the environment, or not use the C library\n");
        remove_folder(run->folder);
        return VV_EXIT_OWN;
    }
    convert_all(run, &stores);
    vv_stores_free(&stores);
    if (!run->failed) remove_folder(run->folder);
    if (!run->quiet) print_summary(run);
    if (run->running_count > 0) {
        bool is_one = run->running_count == 1;
        fprintf(stderr, "varve: %u process%s of the run %s still running; %s end%s here\n",
                run->running_count, is_one ? "" : "es", is_one ? "is" : "are",
                is_one ? "its capture" : "their captures", is_one ? "s" : "");
    }
    vv_capture_free(run->biggest);
    return run->failed ? VV_EXIT_OWN : vv_exit_code(run->status);
}

/* --- the command --- */

/* Nobody else's file is in the way of the capture. */
static bool output_is_free(const struct run *run) {
    struct stat status;
    if (lstat(run->output, &status) != 0) return true;
    if (!S_ISREG(status.st_mode)) {
        fprintf(stderr, "varve: %s is not a regular file; give another name with -o\n",
                run->output);
        return false;
    }
    if (run->overwrite) return true;
    fprintf(stderr, "varve: %s exists already; give another name with -o, or -f to overwrite it\n",
            run->output);
    return false;
}

/* Before anything runs: a long run must not end with "the file exists". */
static bool output_is_possible(const struct run *run) {
    if (run->output != NULL && (run->output[0] == '\0' || strcmp(run->output, "-") == 0)) {
        fprintf(stderr, "varve: -o needs a file's name, not \"%s\"\n", run->output);
        return false;
    }
    if (run->output != NULL && !output_is_free(run)) return false;
    int error = vv_capture_try_file(run->output != NULL ? run->output : "capture.varve");
    if (error == 0) return true;
    fprintf(stderr, "varve: cannot write %s: %s\n",
            run->output != NULL ? run->output : "captures to the current folder", strerror(-error));
    return false;
}

static int run_program(struct run *run, char **argv) {
    int code = vv_program_find(argv[0], run->program);
    if (code != 0) return code;
    if (!vv_library_find(run->library)) return VV_EXIT_OWN;
    if (!output_is_possible(run)) return VV_EXIT_USAGE;
    if (getrandom(&run->id, sizeof run->id, 0) != sizeof run->id || !make_folder(run)) {
        return VV_EXIT_OWN;
    }
    run->id >>= 1;
    uint64_t started_ns = vv_clock_ns();
    run->process = vv_program_start(run->program, argv, prepare, run);
    if (run->process < 0) {
        remove_folder(run->folder);
        return VV_EXIT_NO_EXEC;
    }
    struct vv_ahead *ahead = vv_ahead_start(run->folder);
    run->status = vv_program_wait(run->process);
    run->duration_ns = vv_clock_ns() - started_ns;
    run->symbols = vv_ahead_finish(ahead);
    code = finish(run);
    if (run->symbols != NULL) vv_symbols_close(run->symbols);
    return code;
}

int vv_command_run(int argc, char **argv) {
    static struct run run = {.follow = FOLLOW_EXEC, .top = 10};
    const struct vv_option options[] = {
        {"output", 'o', VV_OPTION_TEXT, &run.output, NULL, 0, "FILE",
         "the capture; usual: PROGRAM.PID.varve"},
        {"force", 'f', VV_OPTION_FLAG, &run.overwrite, NULL, 0, NULL, "overwrite it"},
        {"sample", 0, VV_OPTION_MAYBE_NUMBER, &run.sample_bytes, NULL, 524288, "BYTES",
         "record one allocation in so many bytes; usual: all"},
        {"depth", 0, VV_OPTION_NUMBER, &run.depth, NULL, 0, "N",
         "frames to keep of each stack; usual: all"},
        {"follow", 0, VV_OPTION_CHOICE, &run.follow, follow_names, 0, "WHAT",
         "none, fork, or exec (usual): which child processes to record"},
        {"by", 'b', VV_OPTION_CHOICE, &run.key, vv_key_names, 0, "KEY",
         "of the summary: as report"},
        {"top", 'n', VV_OPTION_NUMBER, &run.top, NULL, 0, "N", "rows of the summary; usual: 10"},
        {"allocator-frames", 0, VV_OPTION_FLAG, &run.with_allocator_frames, NULL, 0, NULL,
         "show malloc, operator new and their wrappers"},
        {"quiet", 'q', VV_OPTION_FLAG, &run.quiet, NULL, 0, NULL, "no summary"},
        {NULL, 0, VV_OPTION_FLAG, NULL, NULL, 0, NULL, NULL},
    };
    const struct vv_command command = {
        "run", "[OPTIONS] -- PROGRAM ARGUMENTS...",
        "Runs a program and records who allocates what, exactly. The exit code is the program's.",
        options, true};
    int program = vv_options_read(&command, argc, argv);
    if (program < 0) return program == -2 ? VV_EXIT_SUCCESS : VV_EXIT_USAGE;
    if (program == argc) {
        fprintf(stderr, "varve run: which program? varve run -- PROGRAM ARGUMENTS...\n");
        return VV_EXIT_USAGE;
    }
    return run_program(&run, argv + program);
}
