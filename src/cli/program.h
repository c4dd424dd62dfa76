/* SPDX-License-Identifier: MIT
 * cli/program.h - finding a program, checking that it can be traced, and running it. */
#ifndef VV_CLI_PROGRAM_H
#define VV_CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VV_PATH_BYTES 4096

/* Finds the program as execvp() would. 0, or an exit code after a sentence on stderr: it is not
 * there, cannot be executed, or varve's library cannot be loaded into it. */
int vv_program_find(const char *name, char path[VV_PATH_BYTES]);

/* The library that is preloaded. False after a sentence. */
bool vv_library_find(char path[VV_PATH_BYTES]);

/* Puts the library in front of LD_PRELOAD. */
void vv_library_preload(const char *library);

/* Starts the program; `prepare(argument)` is called in its process before. The child's number, or
 * -1 after a sentence. While it runs, signals of the terminal are left to it, and SIGTERM, SIGHUP,
 * SIGUSR1, SIGUSR2, SIGALRM, and SIGINT, SIGQUIT and SIGWINCH of other processes are passed on. */
pid_t vv_program_start(const char *path, char **argv, void (*prepare)(void *argument),
                       void *argument);

/* Waits for it; the status of waitpid(). */
int vv_program_wait(pid_t process);

/* The exit code that says the same as a status. */
int vv_exit_code(int status);

#endif
