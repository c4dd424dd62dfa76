/* SPDX-License-Identifier: MIT */
#include "os/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

/* The loader allocates before libc has set `environ`; the kernel's copy is readable then. */
#define EARLY_BYTES 32768
static char early_environment[EARLY_BYTES];
static size_t early_bytes;

static void read_early_environment(void) {
    int saved_errno = errno;
    int descriptor = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        ssize_t got;
        while (early_bytes < EARLY_BYTES - 1 &&
               (got = read(descriptor, early_environment + early_bytes,
                           EARLY_BYTES - 1 - early_bytes)) > 0) {
            early_bytes += (size_t)got;
        }
        close(descriptor);
    }
    errno = saved_errno;
}

static const char *value_of(const char *entry, const char *name, size_t name_bytes) {
    if (strncmp(entry, name, name_bytes) != 0 || entry[name_bytes] != '=') return NULL;
    return entry + name_bytes + 1;
}

static const char *early_value(const char *name, size_t name_bytes) {
    if (early_bytes == 0) read_early_environment();
    for (size_t at = 0; at < early_bytes; at += strlen(early_environment + at) + 1) {
        const char *value = value_of(early_environment + at, name, name_bytes);
        if (value != NULL) return value;
    }
    return NULL;
}

const char *vv_environment(const char *name) {
    if (getauxval(AT_SECURE) != 0) return NULL;
    size_t name_bytes = strlen(name);
    if (environ == NULL) return early_value(name, name_bytes);
    for (char **entry = environ; *entry != NULL; entry++) {
        const char *value = value_of(*entry, name, name_bytes);
        if (value != NULL) return value;
    }
    return NULL;
}

bool vv_write_all(int descriptor, const char *bytes, size_t byte_count) {
    int saved_errno = errno;
    while (byte_count > 0) {
        ssize_t written = write(descriptor, bytes, byte_count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        bytes += written;
        byte_count -= (size_t)written;
    }
    errno = saved_errno;
    return byte_count == 0;
}
