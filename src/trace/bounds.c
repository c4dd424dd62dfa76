/* SPDX-License-Identifier: MIT */
#include "trace/bounds.h"

#include "os/pages.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How far beyond what is known a stack is searched for its next readable page. */
#define REACH_BYTES ((uintptr_t)64 << 20)

extern void *__libc_stack_end __attribute__((weak));

/* The kernel reads the mask before it looks at the command, which is none: EFAULT or EINVAL. */
static bool is_readable(uintptr_t page) {
    int saved_errno = errno;
    long result = syscall(SYS_rt_sigprocmask, ~0L, page, NULL, 8);
    bool readable = result != 0 && errno != EFAULT;
    errno = saved_errno;
    return readable;
}

/* The thread's own descriptor lies at the end of its stack, except for the first thread. */
static uintptr_t thread_stack_end(void) {
    uintptr_t descriptor;
    __asm__("mov %%fs:0x10, %0" : "=r"(descriptor));
    if (getpid() == (pid_t)syscall(SYS_gettid) && &__libc_stack_end != NULL) {
        return vv_align_up((uintptr_t)__libc_stack_end, VV_PAGE_BYTES);
    }
    return vv_align_down(descriptor, VV_PAGE_BYTES) + VV_PAGE_BYTES;
}

static bool all_readable(uintptr_t from, uintptr_t to) {
    for (uintptr_t page = from; page < to; page += VV_PAGE_BYTES) {
        if (!is_readable(page)) return false;
    }
    return true;
}

/* Whether the stack pointer is on the thread's own stack, by looking at every page up to its end;
 * done again only when the stack grows below what was seen. */
static bool enter_home(struct vv_bounds *bounds, uintptr_t page) {
    if (bounds->home_high == 0) {
        bounds->home_high = thread_stack_end();
        bounds->home_low = bounds->home_high;
    }
    if (page >= bounds->home_high || bounds->home_high - page > REACH_BYTES) return false;
    if (page < bounds->home_low) {
        if (!all_readable(page, bounds->home_low)) return false;
        bounds->home_low = page;
    }
    bounds->low = bounds->home_low;
    bounds->high = bounds->home_high;
    return true;
}

void vv_bounds_enter_slow(struct vv_bounds *bounds, uintptr_t stack_pointer) {
    uintptr_t page = vv_align_down(stack_pointer, VV_PAGE_BYTES);
    if (enter_home(bounds, page)) return;
    bounds->low = page;
    bounds->high = page + VV_PAGE_BYTES;
}

bool vv_bounds_widen(struct vv_bounds *bounds, uintptr_t address) {
    if (address < bounds->high || bounds->high == bounds->home_high) return false;
    uintptr_t end = vv_align_down(address, VV_PAGE_BYTES) + VV_PAGE_BYTES;
    if (end - bounds->high > REACH_BYTES || !all_readable(bounds->high, end)) return false;
    bounds->high = end;
    return true;
}
