/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"run", vv_command_run, "run a program and record who allocates what"},
    {"report", vv_command_report, "say where the memory of a recorded program went"},
    {"diff", vv_command_diff, "compare two recordings"},
    {"stat", vv_command_stat, "run a program and print the allocator's account of its heap"},
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *out) {
    fprintf(out,
            "usage: varve COMMAND ...\n\nvarve says exactly where a program's memory went.\n\n");
    for (unsigned index = 0; index < COMMAND_COUNT; index++) {
        fprintf(out, "  %-8s %s\n", commands[index].name, commands[index].help);
    }
    fprintf(out, "\nStart with: varve run -- PROGRAM ARGUMENTS...\n"
                 "varve COMMAND --help tells the options; man varve tells the rest.\n");
}

static int complain(const char *name) {
    const char *names[COMMAND_COUNT + 1] = {NULL};
    for (unsigned index = 0; index < COMMAND_COUNT; index++) names[index] = commands[index].name;
    const char *nearest = vv_nearest_name(name, names);
    fprintf(stderr, "varve: there is no command \"%s\"", name);
    if (nearest != NULL) fprintf(stderr, "; did you mean \"%s\"?", nearest);
    fprintf(stderr, "%s See varve --help.\n", nearest != NULL ? "" : ".");
    return VV_EXIT_USAGE;
}

/* What was written to stdout arrived there, or the exit code says that it did not. */
static int flush_output(int code) {
    if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
    perror("varve: cannot write the output");
    return code == VV_EXIT_SUCCESS ? VV_EXIT_USAGE : code;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return VV_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return flush_output(VV_EXIT_SUCCESS);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("varve " VARVE_VERSION);
        return flush_output(VV_EXIT_SUCCESS);
    }
    for (unsigned index = 0; index < COMMAND_COUNT; index++) {
        if (strcmp(argv[1], commands[index].name) == 0) {
            return flush_output(commands[index].run(argc - 2, argv + 2));
        }
    }
    return complain(argv[1]);
}
