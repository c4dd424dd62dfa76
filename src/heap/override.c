/* SPDX-License-Identifier: MIT
 * The malloc family under the C library's names, for libvarve-malloc. The set is the one that the
 * glibc manual ("Replacing malloc") requires, and what else programs are known to call.
 *
 * None of the names has a symbol version: a versioned definition would not be found in place of
 * the C library's (docs: ARCHITECTURE.md, "symbols"). */
#include "heap/entry.h"
#include "heap/process.h"
#include "os/environment.h"

#include "varve/heap.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t size) {
    return vv_entry_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size) {
    return vv_entry_calloc(count, size);
}

EXPORT void *realloc(void *block, size_t size) {
    return vv_entry_realloc(block, size);
}

EXPORT void free(void *block) {
    vv_entry_free(block);
}

/* Gone from glibc 2.26; old programs carry a reference. */
void cfree(void *block);
EXPORT void cfree(void *block) {
    vv_entry_free(block);
}

EXPORT void *reallocarray(void *block, size_t count, size_t size) {
    size_t byte_count;
    if (vv_unlikely(__builtin_mul_overflow(count, size, &byte_count))) {
        errno = ENOMEM;
        return NULL;
    }
    return vv_entry_realloc(block, byte_count);
}

EXPORT size_t malloc_usable_size(void *block) {
    return vv_usable_bytes(block);
}

/* --- aligned --- */

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return vv_entry_aligned(alignment, size);
}

/* glibc rounds an alignment that is no power of two up to the next one. */
EXPORT void *memalign(size_t alignment, size_t size) {
    if (alignment > (size_t)1 << 62) {
        errno = EINVAL;
        return NULL;
    }
    size_t rounded = 1;
    while (rounded < alignment) rounded *= 2;
    return vv_aligned_slow(rounded, size);
}

/* The result is by value; errno does not change. */
EXPORT int posix_memalign(void **out_block, size_t alignment, size_t size) {
    if (!vv_is_power_of_two(alignment) || alignment % sizeof(void *) != 0) return EINVAL;
    int saved_errno = errno;
    void *block = vv_aligned_slow(alignment, size);
    errno = saved_errno;
    if (block == NULL) return ENOMEM;
    *out_block = block;
    return 0;
}

EXPORT void *valloc(size_t size) {
    return vv_aligned_slow(VV_PAGE_BYTES, size);
}

EXPORT void *pvalloc(size_t size) {
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    return vv_aligned_slow(VV_PAGE_BYTES, vv_align_up(vv_max(size, 1), VV_PAGE_BYTES));
}

/* --- asking and tuning --- */

EXPORT int malloc_trim(size_t pad) {
    (void)pad;
    return varve_trim() > 0;
}

/* No parameter of glibc's malloc means anything here; 1 is its word for success. */
EXPORT int mallopt(int parameter, int value) {
    (void)parameter;
    (void)value;
    return 1;
}

static void write_to_stderr(const char *text, size_t length, void *argument) {
    (void)argument;
    vv_write_all(STDERR_FILENO, text, length);
}

EXPORT void malloc_stats(void) {
    varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    varve_heap_stats_write(&stats, write_to_stderr, NULL);
}

EXPORT struct mallinfo2 mallinfo2(void) {
    varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    size_t free_bytes = stats.medium.free_bytes;
    size_t free_blocks = 0;
    for (unsigned index = 0; index < stats.class_count; index++) {
        const varve_class_stats *class = &stats.classes[index];
        free_bytes += class->free_bytes;
        free_blocks += class->free_bytes / class->block_bytes;
    }
    size_t arena_live = stats.live_bytes - stats.huge.live_bytes;
    return (struct mallinfo2){
        .arena = arena_live + free_bytes + stats.resting_bytes,
        .ordblks = free_blocks,
        .hblks = stats.huge.live_blocks,
        .hblkhd = stats.huge.live_bytes,
        .uordblks = arena_live,
        .fordblks = free_bytes + stats.resting_bytes,
        .keepcost = stats.resting_bytes,
    };
}

static int saturated(size_t value) {
    return value > INT_MAX ? INT_MAX : (int)value;
}

/* The older form, whose fields overflow: here they stop at INT_MAX. */
EXPORT struct mallinfo mallinfo(void) {
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = saturated(info.arena),
        .ordblks = saturated(info.ordblks),
        .hblks = saturated(info.hblks),
        .hblkhd = saturated(info.hblkhd),
        .uordblks = saturated(info.uordblks),
        .fordblks = saturated(info.fordblks),
        .keepcost = saturated(info.keepcost),
    };
}

/* The XML that glibc writes, as far as its elements have a meaning here: one heap, the free blocks
 * by size, and the totals. */
EXPORT int malloc_info(int options, FILE *stream) {
    if (options != 0) return EINVAL;
    varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    size_t free_blocks = 0, free_bytes = 0;
    fprintf(stream, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
    for (unsigned index = 0; index < stats.class_count; index++) {
        const varve_class_stats *class = &stats.classes[index];
        size_t count = class->free_bytes / class->block_bytes;
        if (count == 0) continue;
        fprintf(stream, "<size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
                class->block_bytes, class->block_bytes, class->free_bytes, count);
        free_blocks += count;
        free_bytes += class->free_bytes;
    }
    fprintf(stream, "</sizes>\n<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", free_blocks,
            free_bytes);
    fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n</heap>\n", stats.arena_bytes);
    fprintf(stream, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", free_blocks, free_bytes);
    fprintf(stream, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", stats.huge.live_blocks,
            stats.huge.live_bytes);
    fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n</malloc>\n",
            stats.arena_bytes + stats.huge.live_bytes);
    return 0;
}

/* --- whether these are used --- */

/* Whether it is the address of a jump to a function that is defined elsewhere: where the code of a
 * program at a fixed address takes a function's address, it gets that of the jump in its procedure
 * linkage table, and the symbol has this value but no section (System V ABI, AMD64 supplement,
 * "Function Addresses"). */
static bool is_jump(const void *address) {
    Dl_info info;
    void *symbol = NULL;
    return dladdr1(address, &info, &symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL &&
           ((const ElfW(Sym) *)symbol)->st_shndx == SHN_UNDEF;
}

/* The library is linked such that its own references mean its own functions. A program without a
 * malloc of its own is followed by the libraries that are preloaded. */
bool vv_override_is_bypassed(void) {
    void *used = dlsym(RTLD_DEFAULT, "malloc");
    return used != NULL && used != (void *)(uintptr_t)malloc && !is_jump(used);
}
