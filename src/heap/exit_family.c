/* SPDX-License-Identifier: MIT
 * _exit() under the C library's names, for libvarve-malloc: a process that ends past its exit
 * handlers, as shells do, gives its account, too. */
#include "heap/process.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static _Noreturn void end_process(int status) {
    vv_process_exits();
    for (;;) syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _exit(int status) {
    end_process(status);
}

EXPORT _Noreturn void _Exit(int status) {
    end_process(status);
}
