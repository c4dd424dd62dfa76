/* SPDX-License-Identifier: MIT
 * cli/options.h - the options of a command, from one table: parsing, help, suggestions. */
#ifndef VV_CLI_OPTIONS_H
#define VV_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum vv_option_kind {
    VV_OPTION_FLAG,         /* bool */
    VV_OPTION_TEXT,         /* const char * */
    VV_OPTION_NUMBER,       /* uint64_t */
    VV_OPTION_CHOICE,       /* int: the index in `choices` */
    VV_OPTION_MAYBE_NUMBER, /* uint64_t: --name gives `otherwise`, --name=N gives N > 0 */
};

struct vv_option {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* 0: none */
    enum vv_option_kind kind;
    void *value;
    const char *const *choices; /* ended by NULL */
    uint64_t otherwise;
    const char *argument; /* how help calls it */
    const char *help;
};

struct vv_command {
    const char *name;
    const char *usage;       /* what follows "varve name" */
    const char *description; /* one line */
    const struct vv_option *options;
    bool runs_program; /* what follows the options is not looked at */
};

/* Reads options. For a command that runs a program, returns the index of the program's name. For
 * others, moves the arguments that are no options to the front of argv, ended by NULL, and returns
 * how many they are. -1 after a message on stderr; -2 after --help on stdout. */
int vv_options_read(const struct vv_command *command, int argc, char **argv);

/* The name among `names` (ended by NULL) that `wrong` may have meant; NULL: none is near. */
const char *vv_nearest_name(const char *wrong, const char *const *names);

#endif
