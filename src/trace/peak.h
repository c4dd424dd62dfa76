/* SPDX-License-Identifier: MIT
 * trace/peak.h - knowing, when the process is at its peak, what every site holds: in constant time
 * per event, without copying anything.
 *
 * The process's live bytes rise to a new maximum and, sooner or later, fall again. The moment of
 * falling ends a peak: `epoch` is raised. A shard that is touched for the first time in an epoch
 * notes what it held before, which is what it held at the peak; a shard that is not touched holds
 * that still. So
 *
 *   held at the peak = rising || shard.epoch != epoch  ?  live_bytes  :  peak_bytes
 *
 * where `rising` says that the present is the peak. With one thread this is exact to the byte.
 * With several, each may hold back a credit of bytes from the process's sum, at most 1/4096 of the
 * maximum and 64 KiB, so as not to fight for its cache line; the header says how much that can be
 * together, and reports print it. */
#ifndef VV_TRACE_PEAK_H
#define VV_TRACE_PEAK_H

#include "os/lock.h"
#include "trace/store.h"

struct vv_peak_credit {
    int64_t pending_bytes; /* not yet in the process's sum */
};

/* A store was opened: nothing is live, and that is the peak. */
void vv_peak_open(void);

/* Before a thread's live bytes fall by an event, hence before its shard changes. */
void vv_peak_falls_slow(void);
static inline void vv_peak_falls(void) {
    uint32_t rising = atomic_load_explicit(&vv_store_header()->rising, memory_order_relaxed);
    if (vv_unlikely(rising != 0)) vv_peak_falls_slow();
}

/* After an event changed the thread's live bytes. With one thread the process's sum is its own. */
void vv_peak_changed_shared(struct vv_peak_credit *credit, int64_t pending_bytes);

static inline void vv_peak_changed(struct vv_peak_credit *credit, int64_t byte_count) {
    struct vv_store_header *header = vv_store_header();
    int64_t limit_bytes = atomic_load_explicit(&header->credit_bytes, memory_order_relaxed);
    if (limit_bytes != 0) {
        int64_t pending_bytes = credit->pending_bytes + byte_count;
        if (vv_likely(pending_bytes < limit_bytes && pending_bytes > -limit_bytes)) {
            credit->pending_bytes = pending_bytes;
        } else {
            vv_peak_changed_shared(credit, pending_bytes);
        }
        return;
    }
    int64_t live_bytes =
        atomic_load_explicit(&header->live_bytes, memory_order_relaxed) + byte_count;
    atomic_store_explicit(&header->live_bytes, live_bytes, memory_order_relaxed);
    if (vv_unlikely(live_bytes > atomic_load_explicit(&header->max_bytes, memory_order_relaxed))) {
        atomic_store_explicit(&header->max_bytes, live_bytes, memory_order_relaxed);
        atomic_store_explicit(&header->rising, 1, memory_order_relaxed);
    }
}

/* Adds what a thread held back to the process's sum. */
void vv_peak_flush(struct vv_peak_credit *credit);

/* Several threads count. True: until now one did, whose event under way, if any, must end before
 * another thread counts. */
bool vv_peak_share(uint32_t thread_count);

/* The current maximum becomes the present sum (varve_trace_reset_peak). */
void vv_peak_reset(void);

/* --- mappings: rare, so that all is done under one lock, and exact with any number of threads ---
 */

extern struct vv_lock vv_mapped_lock;

/* Before what is mapped falls by an event. */
void vv_peak_mapped_falls(void);

/* After an event changed what is mapped. */
void vv_peak_mapped_changed(int64_t byte_count);

/* --- shards --- */

/* The number of the present epoch, which blocks and mappings count apart. */
static inline uint32_t vv_peak_epoch(enum vv_domain domain) {
    struct vv_store_header *header = vv_store_header();
    return atomic_load_explicit(domain == VV_DOMAIN_MMAP ? &header->mapped.epoch : &header->epoch,
                                memory_order_relaxed);
}

/* Adds to a shard of a site of that domain. */
static inline void vv_shard_add(struct vv_shard *shard, enum vv_domain domain, int64_t byte_count,
                                int32_t count) {
    uint32_t epoch = vv_peak_epoch(domain);
    int64_t live_bytes = atomic_load_explicit(&shard->live_bytes, memory_order_relaxed);
    int32_t live_count = atomic_load_explicit(&shard->live_count, memory_order_relaxed);
    if (atomic_load_explicit(&shard->epoch, memory_order_relaxed) != epoch) {
        atomic_store_explicit(&shard->peak_bytes, live_bytes, memory_order_relaxed);
        atomic_store_explicit(&shard->peak_count, live_count, memory_order_relaxed);
        atomic_store_explicit(&shard->epoch, epoch, memory_order_relaxed);
    }
    atomic_store_explicit(&shard->live_bytes, live_bytes + byte_count, memory_order_relaxed);
    atomic_store_explicit(&shard->live_count, live_count + count, memory_order_relaxed);
}

#endif
