/* SPDX-License-Identifier: MIT
 * os/environment.h - what the process was started with, readable before libc is initialised. */
#ifndef VV_OS_ENVIRONMENT_H
#define VV_OS_ENVIRONMENT_H

#include "base/bits.h"

/* The value of a variable, or NULL. Always NULL in a process that gained privileges at exec
 * (setuid, setgid, file capabilities): such a process ignores every VARVE_ variable. The string
 * lives as long as the environment. Takes no lock; allocates nothing. */
const char *vv_environment(const char *name);

/* Writes `byte_count` bytes to a file descriptor, past interruptions. False when it could not. */
bool vv_write_all(int descriptor, const char *bytes, size_t byte_count);

#endif
