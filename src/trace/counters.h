/* SPDX-License-Identifier: MIT
 * trace/counters.h - what a thread allocates and frees, by site.
 *
 * Each thread writes its own shards, one cache line a site: no thread waits for another, and a
 * free costs the line of its site. A free of another thread's block makes this thread's shard
 * negative; only sums over threads mean something. */
#ifndef VV_TRACE_COUNTERS_H
#define VV_TRACE_COUNTERS_H

#include "trace/peak.h"
#include "trace/store.h"

/* The counters of one thread; part of struct vv_tracer. Owner thread only, except where it is
 * merged into another after its end. */
struct vv_counters {
    struct vv_store_thread *record; /* in the store; NULL: no room for this thread's */
    struct vv_shard **pages;        /* by site / VV_SHARDS_PER_PAGE; grows */
    uint32_t page_count;            /* of `pages` */
    struct vv_peak_credit credit;
    const void *last_block;         /* allocated last by this thread, unless freed */
};

/* Begins to count for the calling thread. False: no room in the store, its events are lost. */
bool vv_counters_begin(struct vv_counters *counters);

/* Notes the end of the thread. Its record stays, or is merged into that of all ended threads when
 * there are many. */
void vv_counters_end(struct vv_counters *counters);

/* Forgets the store without touching it: after fork, or when tracing stopped. */
void vv_counters_forget(struct vv_counters *counters);

/* One allocation, one free, one realloc. A realloc counts as an allocation of the new size at its
 * site, and changes the live bytes once. */
void vv_counters_allocated(struct vv_counters *counters, uint32_t site, size_t byte_count,
                           const void *block);
void vv_counters_freed(struct vv_counters *counters, uint32_t site, size_t byte_count,
                       const void *block);
void vv_counters_resized(struct vv_counters *counters, uint32_t old_site, size_t old_byte_count,
                         uint32_t site, size_t byte_count, const void *block);

/* A block that was live when counting began (a fork's inheritance): live, not allocated. */
void vv_counters_found(struct vv_counters *counters, uint32_t site, size_t byte_count);

#endif
