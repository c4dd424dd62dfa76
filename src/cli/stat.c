/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct stat_settings {
    const char *output;
    bool json;
};

static char library[VV_PATH_BYTES];

/* Before anything runs. An existing file is appended to. */
static bool output_is_possible(const char *output) {
    if (output == NULL) return true;
    int descriptor = open(output, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        fprintf(stderr, "varve: cannot write the account to %s: %s\n", output, strerror(errno));
        return false;
    }
    close(descriptor);
    return true;
}

static void prepare(void *argument) {
    const struct stat_settings *settings = argument;
    vv_library_preload(library);
    setenv("VARVE_STATS", settings->json ? "json" : "1", 1);
    if (settings->output != NULL) setenv("VARVE_STATS_FILE", settings->output, 1);
}

int vv_command_stat(int argc, char **argv) {
    struct stat_settings settings = {.json = false};
    char path[VV_PATH_BYTES];
    const struct vv_option options[] = {
        {"output", 'o', VV_OPTION_TEXT, &settings.output, NULL, 0, "FILE",
         "append the account there; usual: stderr"},
        {"json", 'j', VV_OPTION_FLAG, &settings.json, NULL, 0, NULL, "for programs"},
        {NULL, 0, VV_OPTION_FLAG, NULL, NULL, 0, NULL, NULL},
    };
    const struct vv_command command = {
        "stat", "[OPTIONS] -- PROGRAM ARGUMENTS...",
        "Runs a program on varve's heap; every process of it prints an account of it at its end.",
        options, true};
    int program = vv_options_read(&command, argc, argv);
    if (program < 0) return program == -2 ? VV_EXIT_SUCCESS : VV_EXIT_USAGE;
    if (program == argc) {
        fprintf(stderr, "varve stat: which program? varve stat -- PROGRAM ARGUMENTS...\n");
        return VV_EXIT_USAGE;
    }
    int code = vv_program_find(argv[program], path);
    if (code != 0) return code;
    if (!vv_library_find(library)) return VV_EXIT_OWN;
    if (!output_is_possible(settings.output)) return VV_EXIT_USAGE;
    pid_t process = vv_program_start(path, argv + program, prepare, &settings);
    if (process < 0) return VV_EXIT_NO_EXEC;
    int status = vv_program_wait(process);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "varve: %s was ended by signal %d (%s), so it gave no account\n",
                argv[program], WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return vv_exit_code(status);
}
