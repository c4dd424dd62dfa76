/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include "base/check.h"
#include "os/system_call.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define NO_FAILURE UINT64_MAX
static _Atomic uint64_t calls_before_failure = NO_FAILURE;

void vv_pages_fail_after(uint64_t count) {
    atomic_store_explicit(&calls_before_failure, count, memory_order_relaxed);
}

void vv_pages_fail_never(void) {
    vv_pages_fail_after(NO_FAILURE);
}

static bool injected_failure(void) {
    uint64_t left = atomic_load_explicit(&calls_before_failure, memory_order_relaxed);
    if (vv_likely(left == NO_FAILURE)) return false;
    if (left == 0) return true;
    vv_pages_fail_after(left - 1);
    return false;
}

static void *map(void *address, size_t byte_count, int protection, int flags) {
    if (injected_failure()) return NULL;
    flags |= MAP_PRIVATE | MAP_ANONYMOUS;
    long result = vv_system_call(SYS_mmap, (uintptr_t)address, byte_count, (uintptr_t)protection,
                                 (uintptr_t)flags, (uintptr_t)-1, 0);
    if (vv_system_call_failed(result)) return NULL;
    return (void *)result;
}

/* Maps more than asked for and cuts off what lies outside an aligned piece. */
static void *map_aligned(size_t byte_count, size_t alignment, int protection, int flags) {
    char *exact = map(NULL, byte_count, protection, flags);
    if (exact == NULL || vv_is_aligned(exact, alignment)) return exact;
    vv_pages_unmap(exact, byte_count);

    size_t wide_bytes;
    if (__builtin_add_overflow(byte_count, alignment - VV_PAGE_BYTES, &wide_bytes)) return NULL;
    char *wide = map(NULL, wide_bytes, protection, flags);
    if (wide == NULL) return NULL;
    char *begin = (char *)vv_align_up((uintptr_t)wide, alignment);
    if (begin > wide) vv_pages_unmap(wide, (size_t)(begin - wide));
    size_t tail_bytes = (size_t)(wide + wide_bytes - (begin + byte_count));
    if (tail_bytes > 0) vv_pages_unmap(begin + byte_count, tail_bytes);
    return begin;
}

void *vv_pages_reserve(size_t byte_count, size_t alignment) {
    return map_aligned(byte_count, alignment, PROT_NONE, MAP_NORESERVE);
}

bool vv_pages_reserve_at(void *address, size_t byte_count) {
    void *result = map(address, byte_count, PROT_NONE, MAP_NORESERVE | MAP_FIXED_NOREPLACE);
    if (result == NULL) return false;
    if (result == address) return true;
    vv_pages_unmap(result, byte_count); /* a kernel before 4.17 takes the address as a hint */
    return false;
}

bool vv_pages_commit(void *address, size_t byte_count) {
    if (injected_failure()) return false;
    return vv_system_call(SYS_mprotect, (uintptr_t)address, byte_count, PROT_READ | PROT_WRITE, 0,
                          0, 0) == 0;
}

bool vv_pages_forbid(void *address, size_t byte_count) {
    vv_pages_purge(address, byte_count);
    return vv_system_call(SYS_mprotect, (uintptr_t)address, byte_count, PROT_NONE, 0, 0, 0) == 0;
}

void *vv_pages_map(size_t byte_count, size_t alignment) {
    return map_aligned(byte_count, alignment, PROT_READ | PROT_WRITE, 0);
}

void vv_pages_unmap(void *address, size_t byte_count) {
    vv_system_call(SYS_munmap, (uintptr_t)address, byte_count, 0, 0, 0, 0);
}

bool vv_pages_purge(void *address, size_t byte_count) {
    return vv_system_call(SYS_madvise, (uintptr_t)address, byte_count, MADV_DONTNEED, 0, 0, 0) == 0;
}

void *vv_pages_resize(void *address, size_t old_byte_count, size_t new_byte_count, bool may_move) {
    if (injected_failure()) return NULL;
    long result = vv_system_call(SYS_mremap, (uintptr_t)address, old_byte_count, new_byte_count,
                                 may_move ? MREMAP_MAYMOVE : 0, 0, 0);
    if (vv_system_call_failed(result)) return NULL;
    return (void *)result;
}

void vv_pages_advise_huge(void *address, size_t byte_count) {
    vv_system_call(SYS_madvise, (uintptr_t)address, byte_count, MADV_HUGEPAGE, 0, 0, 0);
}

bool vv_pages_wipe_on_fork(void *address, size_t byte_count) {
    return vv_system_call(SYS_madvise, (uintptr_t)address, byte_count, MADV_WIPEONFORK, 0, 0, 0) ==
           0;
}

size_t vv_pages_address_space_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    return limit.rlim_cur;
}
