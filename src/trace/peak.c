/* SPDX-License-Identifier: MIT */
#include "trace/peak.h"

#include "os/clock.h"

#define CREDIT_MAX_BYTES 65536
#define CREDIT_DIVISOR 4096

void vv_peak_falls_slow(void) {
    struct vv_store_header *header = vv_store_header();
    if (atomic_exchange_explicit(&header->rising, 0, memory_order_relaxed) == 0) return;
    uint64_t now = vv_clock_ticks();
    atomic_store_explicit(&header->peak_ticks, now, memory_order_relaxed);
    atomic_store_explicit(&header->last_seen_ticks, now, memory_order_relaxed);
    atomic_fetch_add_explicit(&header->epoch, 1, memory_order_relaxed);
}

static int64_t credit_for(int64_t max_bytes) {
    int64_t credit = max_bytes / CREDIT_DIVISOR;
    if (credit > CREDIT_MAX_BYTES) return CREDIT_MAX_BYTES;
    return credit > 0 ? credit : 1;
}

static void note_maximum(struct vv_store_header *header, int64_t live_bytes) {
    int64_t max_bytes = atomic_load_explicit(&header->max_bytes, memory_order_relaxed);
    while (live_bytes > max_bytes) {
        if (!atomic_compare_exchange_weak_explicit(&header->max_bytes, &max_bytes, live_bytes,
                                                   memory_order_relaxed, memory_order_relaxed)) {
            continue;
        }
        atomic_store_explicit(&header->rising, 1, memory_order_relaxed);
        if (atomic_load_explicit(&header->credit_bytes, memory_order_relaxed) != 0) {
            atomic_store_explicit(&header->credit_bytes, credit_for(live_bytes),
                                  memory_order_relaxed);
        }
        return;
    }
}

static void add_shared(struct vv_store_header *header, int64_t byte_count) {
    int64_t live_bytes =
        atomic_fetch_add_explicit(&header->live_bytes, byte_count, memory_order_relaxed) +
        byte_count;
    note_maximum(header, live_bytes);
}

VV_NOINLINE void vv_peak_changed_shared(struct vv_peak_credit *credit, int64_t pending_bytes) {
    credit->pending_bytes = 0;
    add_shared(vv_store_header(), pending_bytes);
}

void vv_peak_flush(struct vv_peak_credit *credit) {
    int64_t pending = credit->pending_bytes;
    credit->pending_bytes = 0;
    if (pending != 0) add_shared(vv_store_header(), pending);
}

bool vv_peak_share(uint32_t thread_count) {
    struct vv_store_header *header = vv_store_header();
    if (thread_count > atomic_load_explicit(&header->credit_threads, memory_order_relaxed)) {
        atomic_store_explicit(&header->credit_threads, thread_count, memory_order_relaxed);
    }
    if (thread_count < 2 ||
        atomic_load_explicit(&header->credit_bytes, memory_order_relaxed) != 0) {
        return false;
    }
    int64_t max_bytes = atomic_load_explicit(&header->max_bytes, memory_order_relaxed);
    atomic_store_explicit(&header->credit_bytes, credit_for(max_bytes), memory_order_relaxed);
    return true;
}

void vv_peak_reset(void) {
    struct vv_store_header *header = vv_store_header();
    int64_t live_bytes = atomic_load_explicit(&header->live_bytes, memory_order_relaxed);
    atomic_store_explicit(&header->max_bytes, live_bytes, memory_order_relaxed);
    atomic_store_explicit(&header->rising, 1, memory_order_relaxed);
}

/* --- mappings --- */

struct vv_lock vv_mapped_lock = VV_LOCK(VV_RANK_MAPPED);

void vv_peak_mapped_falls(void) {
    struct vv_store_mapped *mapped = &vv_store_header()->mapped;
    if (atomic_load_explicit(&mapped->rising, memory_order_relaxed) == 0) return;
    atomic_store_explicit(&mapped->rising, 0, memory_order_relaxed);
    uint64_t now = vv_clock_ticks();
    atomic_store_explicit(&mapped->peak_ticks, now, memory_order_relaxed);
    atomic_store_explicit(&vv_store_header()->last_seen_ticks, now, memory_order_relaxed);
    atomic_fetch_add_explicit(&mapped->epoch, 1, memory_order_relaxed);
}

void vv_peak_mapped_changed(int64_t byte_count) {
    struct vv_store_mapped *mapped = &vv_store_header()->mapped;
    int64_t live_bytes =
        atomic_load_explicit(&mapped->live_bytes, memory_order_relaxed) + byte_count;
    atomic_store_explicit(&mapped->live_bytes, live_bytes, memory_order_relaxed);
    if (live_bytes <= atomic_load_explicit(&mapped->max_bytes, memory_order_relaxed)) return;
    atomic_store_explicit(&mapped->max_bytes, live_bytes, memory_order_relaxed);
    atomic_store_explicit(&mapped->rising, 1, memory_order_relaxed);
}

/* --- both --- */

void vv_peak_open(void) {
    struct vv_store_header *header = vv_store_header();
    atomic_store_explicit(&header->epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&header->rising, 1, memory_order_relaxed);
    atomic_store_explicit(&header->mapped.epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&header->mapped.rising, 1, memory_order_relaxed);
}
