/* SPDX-License-Identifier: MIT
 * mmap() and its kind under the C library's names, for libvarve-malloc, so that a trace knows the
 * memory that a program takes from the kernel itself. Without a trace each is its system call. */
#include "trace/mappings.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))
#define FRAME() ((void *const *)__builtin_frame_address(0))

static int number_of(long result) {
    if (result >= 0) return (int)result;
    errno = (int)-result;
    return -1;
}

static void *address_of(long result) {
    if (result >= 0 || result <= -4096) return (void *)result;
    errno = (int)-result;
    return MAP_FAILED;
}

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int descriptor,
                  off_t offset) {
    struct vv_map_call call = {(uintptr_t)address, length, protection, flags, descriptor, offset};
    return address_of(vv_mappings_map(&call, FRAME()));
}

/* Offsets have 64 bits in either. */
EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int descriptor,
                    off_t offset) __attribute__((alias("mmap")));

EXPORT int munmap(void *address, size_t length) {
    return number_of(vv_mappings_unmap((uintptr_t)address, length, FRAME()));
}

EXPORT int mprotect(void *address, size_t length, int protection) {
    return number_of(vv_mappings_protect((uintptr_t)address, length, protection, FRAME()));
}

EXPORT void *mremap(void *address, size_t old_length, size_t new_length, int flags, ...) {
    struct vv_remap_call call = {(uintptr_t)address, old_length, new_length, flags, 0};
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        call.new_address = (uintptr_t)va_arg(arguments, void *);
        va_end(arguments);
    }
    return address_of(vv_mappings_remap(&call, FRAME()));
}
