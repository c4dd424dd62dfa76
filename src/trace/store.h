/* SPDX-License-Identifier: MIT
 * trace/store.h - the pages of the trace store: see trace/layout.h for what is in them.
 *
 * One store per process. Pages are handed out for good and read as zero. */
#ifndef VV_TRACE_STORE_H
#define VV_TRACE_STORE_H

#include "os/lock.h"
#include "trace/layout.h"

/* Base of the mapping; NULL while there is no store. const while there is one. */
extern char *vv_store_base;

static inline struct vv_store_header *vv_store_header(void) {
    return (struct vv_store_header *)(void *)vv_store_base;
}

static inline void *vv_store_page(vv_page_number number) {
    return vv_store_base + (size_t)number * VV_STORE_PAGE_BYTES;
}

/* Opens a new store: a file in `directory`, named after process and image, or unnamed memory when
 * `directory` is NULL. Fills in the header's identity. Returns 0 or -errno. The caller sees to it
 * that no two threads open or close. */
int vv_store_open(const char *directory);

/* Unmaps the store; its file stays. */
void vv_store_close(void);

/* The same, and the file goes, too: nothing was recorded. */
void vv_store_discard(void);

/* Forgets the store and leaves its mapping: somebody may still be writing to it. */
void vv_store_leave(void);

/* In a child made by fork(): leaves the parent's store, which stays mapped at the address that is
 * returned until vv_store_release(). */
const char *vv_store_detach(void);
void vv_store_release(const char *parent_store);

/* `count` adjacent zeroed pages, or 0 when the file cannot grow. Any thread; takes the store
 * lock, which comes after all others. */
vv_page_number vv_store_take_pages(uint32_t count);

extern struct vv_lock vv_store_lock;

/* The file's name, empty for unnamed memory. */
const char *vv_store_path(void);

/* Bytes of the store that are in use. */
size_t vv_store_used_bytes(void);

#endif
