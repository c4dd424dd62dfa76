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

/* The thread's first event in the neighbourhood of a site: makes its page of shards. NULL: there is
 * no room, and the event is counted as lost. */
struct vv_shard *vv_counters_add_page(struct vv_counters *counters, uint32_t site);

/* The thread's shard of a site, or NULL: there is no room. */
static inline struct vv_shard *vv_counters_shard(struct vv_counters *counters, uint32_t site) {
    uint32_t index = site / VV_SHARDS_PER_PAGE;
    struct vv_shard *page = index < counters->page_count ? counters->pages[index] : NULL;
    if (vv_unlikely(page == NULL)) {
        page = vv_counters_add_page(counters, site);
        if (page == NULL) return NULL;
    }
    return &page[site % VV_SHARDS_PER_PAGE];
}

static inline void vv_counter_raise(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static inline void vv_counters_request(struct vv_counters *counters, struct vv_shard *shard,
                                       struct vv_amount amount) {
    vv_counter_raise(&shard->total_bytes, (uint64_t)amount.byte_count);
    vv_counter_raise(&shard->total_count, (uint64_t)amount.block_count);
    uint64_t block_bytes = (uint64_t)amount.byte_count;
    if (vv_unlikely(amount.block_count > 1)) block_bytes /= (uint64_t)amount.block_count;
    unsigned bucket = block_bytes == 0 ? 0 : vv_log2(block_bytes) + 1;
    vv_counter_raise(&counters->record->histogram[bucket], (uint64_t)amount.block_count);
}

/* One allocation, one free, one realloc. A realloc counts as an allocation of the new size at its
 * site, and changes the live bytes once. */
static inline void vv_counters_allocated(struct vv_counters *counters, uint32_t site,
                                         struct vv_amount amount, const void *block) {
    struct vv_shard *shard = vv_counters_shard(counters, site);
    if (vv_unlikely(shard == NULL)) return;
    vv_shard_add(shard, VV_DOMAIN_MALLOC, amount.byte_count, amount.block_count);
    vv_counters_request(counters, shard, amount);
    vv_peak_changed(&counters->credit, amount.byte_count);
    counters->last_block = block;
}

static inline void vv_counters_freed(struct vv_counters *counters, uint32_t site,
                                     struct vv_amount amount, const void *block) {
    struct vv_shard *shard = vv_counters_shard(counters, site);
    if (vv_unlikely(shard == NULL)) return;
    vv_peak_falls();
    vv_shard_add(shard, VV_DOMAIN_MALLOC, -amount.byte_count, -amount.block_count);
    vv_peak_changed(&counters->credit, -amount.byte_count);
    if (counters->last_block == block) {
        vv_counter_raise(&shard->temporary_count, (uint64_t)amount.block_count);
        vv_counter_raise(&shard->temporary_bytes, (uint64_t)amount.byte_count);
        counters->last_block = NULL;
    }
}

void vv_counters_resized(struct vv_counters *counters, uint32_t old_site,
                         struct vv_amount old_amount, uint32_t site, struct vv_amount amount,
                         const void *block);

/* A block that was live before this store was opened. */
void vv_counters_found(struct vv_counters *counters, uint32_t site, struct vv_amount amount);

/* A mapping was made; and one that was known became more or less, was cut in two, or was found at
 * the beginning of a store. They appear in the sum of mappings only. Mapped lock. */
void vv_counters_mapped(struct vv_counters *counters, uint32_t site, size_t byte_count);
void vv_counters_mapped_changed(struct vv_counters *counters, uint32_t site, int64_t byte_count,
                                int32_t count);

/* A new store was opened: no thread counts yet. No thread does so meanwhile. */
void vv_counters_open(void);

/* Around fork(): keeps other threads from changing records. */
void vv_counters_before_fork(void);
void vv_counters_after_fork(bool in_child);

#endif
