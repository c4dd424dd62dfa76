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
    const void *last_block; /* allocated last by this thread, unless freed */
};

/* Begins to count for the calling thread. False: no room in the store, its events are lost. */
bool vv_counters_begin(struct vv_counters *counters);

/* Notes the end of the thread. Its record stays, or is merged into that of all ended threads when
 * there are many. */
void vv_counters_end(struct vv_counters *counters);

/* Forgets the store without touching it: after fork, or when tracing stopped. */
void vv_counters_forget(struct vv_counters *counters);

/* What an event counts for: a block of that size, or, in sampling, all those that it stands for. */
struct vv_amount {
    int64_t byte_count;
    int32_t block_count;
};

/* One allocation, one free, one realloc. A realloc counts as an allocation of the new size at its
 * site, and changes the live bytes once. */
void vv_counters_allocated(struct vv_counters *counters, uint32_t site, struct vv_amount amount,
                           const void *block);
void vv_counters_freed(struct vv_counters *counters, uint32_t site, struct vv_amount amount,
                       const void *block);
void vv_counters_resized(struct vv_counters *counters, uint32_t old_site,
                         struct vv_amount old_amount, uint32_t site, struct vv_amount amount,
                         const void *block);

/* A block that was live before this store was opened. */
void vv_counters_found(struct vv_counters *counters, uint32_t site, struct vv_amount amount);

/* A new store was opened: no thread counts yet. No thread does so meanwhile. */
void vv_counters_open(void);

/* Around fork(): keeps other threads from changing records. */
void vv_counters_before_fork(void);
void vv_counters_after_fork(bool in_child);

#endif
