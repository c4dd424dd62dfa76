/* SPDX-License-Identifier: MIT
 * os/pages.h - memory from the kernel, in pages.
 *
 * Contract of all functions: addresses and sizes are multiples of VV_PAGE_BYTES; nothing here
 * changes errno, allocates or locks; failure is NULL or false. Tests inject failures with
 * vv_pages_fail_after(). Costs measured on the reference machine (AMD EPYC VM, Linux 6.18):
 * first touch of a page 1.3 us, purge 0.3 us a page, a call 0.1 - 0.5 us. */
#ifndef VV_OS_PAGES_H
#define VV_OS_PAGES_H

#include "base/bits.h"

#define VV_PAGE_BYTES ((size_t)4096)

/* Address space that is neither readable nor counted against memory limits (except RLIMIT_AS). */
void *vv_pages_reserve(size_t byte_count, size_t alignment);

/* The same at exactly `address`, without replacing what is there. */
bool vv_pages_reserve_at(void *address, size_t byte_count);

/* Makes reserved pages readable and writable; they read as zero. */
bool vv_pages_commit(void *address, size_t byte_count);

/* The reverse: every access faults until vv_pages_commit(); what they hold is undefined then. */
bool vv_pages_forbid(void *address, size_t byte_count);

/* Zeroed readable and writable pages. */
void *vv_pages_map(size_t byte_count, size_t alignment);

void vv_pages_unmap(void *address, size_t byte_count);

/* Gives the memory back to the system and keeps the addresses; the pages then read as zero.
 * False when the kernel refuses (locked pages): their contents have not changed. */
bool vv_pages_purge(void *address, size_t byte_count);

/* Grows or shrinks a mapping made by vv_pages_map(); moves it only when `may_move`.
 * Returns the address now in force, or NULL with nothing changed. */
void *vv_pages_resize(void *address, size_t old_byte_count, size_t new_byte_count, bool may_move);

/* Asks for huge pages (2 MiB) in the range. Advice: nothing depends on it. */
void vv_pages_advise_huge(void *address, size_t byte_count);

/* The page reads as zero in a child made by fork(). Advice; returns whether it was taken. */
bool vv_pages_wipe_on_fork(void *address, size_t byte_count);

/* The limit on address space (RLIMIT_AS) in bytes, SIZE_MAX when there is none. */
size_t vv_pages_address_space_limit(void);

/* For tests: the next `count` calls that can fail succeed, all later ones fail until
 * vv_pages_fail_never(). */
void vv_pages_fail_after(uint64_t count);
void vv_pages_fail_never(void);

#endif
