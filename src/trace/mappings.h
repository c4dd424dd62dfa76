/* SPDX-License-Identifier: MIT
 * trace/mappings.h - memory that a program takes from the kernel itself, beside the heap: who
 * mapped it, and how much of it there is. trace/map_family.c is where programs come in.
 *
 * Known is anonymous memory (MAP_ANONYMOUS). It counts, by whole pages, while it is or once was
 * writable: address space that is only reserved (PROT_NONE) counts from the mprotect() that opens
 * it, at that call's site, and until one that closes it again. Files that are mapped do not count.
 * What the C library maps for itself (stacks of threads) does not pass by here.
 *
 *   table   ranges of addresses, sorted, disjoint: | begin | end | site; 0: reserved |
 *           live bytes of mappings = sum of (end - begin) of ranges with a site
 *           live count             = number of ranges with a site
 *
 * The lock is held across the system call, or another thread could get addresses that are still in
 * the table. */
#ifndef VV_TRACE_MAPPINGS_H
#define VV_TRACE_MAPPINGS_H

#include "trace/counters.h"

/* The four calls: each makes the system call, accounts for it when tracing, and returns what the
 * kernel answered, -errno for an error. `frame` is the frame of the function that was called. */
struct vv_map_call {
    uintptr_t address;
    size_t byte_count;
    int protection;
    int flags;
    int descriptor;
    long offset;
};
long vv_mappings_map(const struct vv_map_call *call, void *const *frame);
long vv_mappings_unmap(uintptr_t address, size_t byte_count, void *const *frame);
long vv_mappings_protect(uintptr_t address, size_t byte_count, int protection, void *const *frame);

struct vv_remap_call {
    uintptr_t address;
    size_t old_byte_count;
    size_t new_byte_count;
    int flags;
    uintptr_t new_address;
};
long vv_mappings_remap(const struct vv_remap_call *call, void *const *frame);

/* A store was opened: nothing is known. No thread is in an event of an earlier one. */
void vv_mappings_open(void);

/* In a child made by fork(), whose store was just opened: counts what it has from its parent. */
void vv_mappings_inherit(struct vv_counters *counters);

/* NULL, or what is wrong with the table. Mapped lock. */
const char *vv_mappings_check(void);

#endif
