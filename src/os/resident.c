/* SPDX-License-Identifier: MIT */
#include "os/resident.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* "VmHWM:     1234 kB" in proc(5)'s status */
static uint64_t read_peak(const char *status) {
    const char *line = strstr(status, "VmHWM:");
    uint64_t kibibytes = 0;
    if (line == NULL) return 0;
    for (line += sizeof "VmHWM:" - 1; *line == ' ' || *line == '\t'; line++) continue;
    for (; *line >= '0' && *line <= '9'; line++)
        kibibytes = kibibytes * 10 + (uint64_t)(*line - '0');
    return kibibytes * 1024;
}

uint64_t vv_peak_resident_bytes(void) {
    char status[4096];
    int saved_errno = errno;
    uint64_t peak_bytes = 0;
    int descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        ssize_t got = read(descriptor, status, sizeof status - 1);
        if (got > 0) {
            status[got] = '\0';
            peak_bytes = read_peak(status);
        }
        close(descriptor);
    }
    errno = saved_errno;
    return peak_bytes;
}
