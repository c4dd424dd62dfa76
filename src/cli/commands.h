/* SPDX-License-Identifier: MIT
 * cli/commands.h - the commands: each is given the arguments behind its name, and returns the exit
 * code. */
#ifndef VV_CLI_COMMANDS_H
#define VV_CLI_COMMANDS_H

enum {
    VV_EXIT_SUCCESS = 0,
    VV_EXIT_USAGE = 2,     /* bad arguments, bad input */
    VV_EXIT_OWN = 125,     /* `run` itself failed */
    VV_EXIT_NO_EXEC = 126, /* the program cannot be executed */
    VV_EXIT_NOT_FOUND = 127,
    VV_EXIT_SIGNAL = 128, /* plus the signal that ended the program */
};

int vv_command_run(int argc, char **argv);
int vv_command_report(int argc, char **argv);
int vv_command_diff(int argc, char **argv);
int vv_command_stat(int argc, char **argv);

#endif
