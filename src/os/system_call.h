/* SPDX-License-Identifier: MIT
 * os/system_call.h - the kernel itself, past every wrapper that somebody may have interposed. */
#ifndef VV_OS_SYSTEM_CALL_H
#define VV_OS_SYSTEM_CALL_H

#include "base/bits.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel answers: -errno on failure; errno itself is untouched. */
static inline long vv_system_call(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d,
                                  uintptr_t e, uintptr_t f) {
    int saved_errno = errno;
    long result = syscall(number, a, b, c, d, e, f);
    if (result == -1) result = -errno;
    errno = saved_errno;
    return result;
}

/* Whether an answer that may be an address is an error. */
static inline bool vv_system_call_failed(long result) {
    return result < 0 && result > -4096;
}

#endif
