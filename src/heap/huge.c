/* SPDX-License-Identifier: MIT */
#include "heap/huge.h"

#include "base/hash.h"
#include "heap/arena.h"
#include "heap/meta.h"
#include "os/clock.h"

struct vv_lock vv_huge_lock = VV_LOCK(VV_RANK_HUGE);

/* The kernel allows 65530 mappings, so a chain has 64 at worst. */
#define BUCKET_COUNT 1024
static struct vv_huge *buckets[BUCKET_COUNT]; /* huge lock */
static struct vv_huge_totals totals;          /* huge lock */

/* The cache: newest first. A mapping serves a request of at least 4/5 of its size. */
#if VARVE_AUDIT
#define CACHE_MAX_COUNT 2
#else
#define CACHE_MAX_COUNT 16
#endif
#define CACHE_MAX_BYTES ((size_t)64 << 20)
static struct vv_huge *cache; /* huge lock */
static unsigned cache_count;  /* huge lock */
static _Atomic uint64_t next_purge_ms = UINT64_MAX;

static struct vv_huge **bucket_of(const void *address) {
    return &buckets[vv_mix64((uintptr_t)address >> 12) % BUCKET_COUNT];
}

static void insert_locked(struct vv_huge *huge) {
    struct vv_huge **bucket = bucket_of(huge->address);
    huge->next = *bucket;
    *bucket = huge;
    totals.live_count++;
    totals.live_bytes += huge->mapped_bytes;
}

static void remove_locked(struct vv_huge *huge) {
    struct vv_huge **link = bucket_of(huge->address);
    while (*link != huge) link = &(*link)->next;
    *link = huge->next;
    totals.live_count--;
    totals.live_bytes -= huge->mapped_bytes;
}

/* --- the cache --- */

static bool serves(const struct vv_huge *cached, size_t byte_count, size_t alignment) {
    return cached->mapped_bytes >= byte_count &&
           cached->mapped_bytes - byte_count <= cached->mapped_bytes / 5 &&
           vv_is_aligned(cached->address, alignment);
}

static struct vv_huge *unlink_cached_locked(struct vv_huge **link) {
    struct vv_huge *huge = *link;
    *link = huge->next;
    cache_count--;
    totals.cached_bytes -= huge->mapped_bytes;
    return huge;
}

/* The mapping that fits best; else one that mremap can make fit. NULL: none. */
static struct vv_huge *take_cached_locked(size_t byte_count, size_t alignment) {
    struct vv_huge **best = NULL, **any = NULL;
    for (struct vv_huge **link = &cache; *link != NULL; link = &(*link)->next) {
        struct vv_huge *huge = *link;
        if (serves(huge, byte_count, alignment)) {
            if (best == NULL || huge->mapped_bytes < (*best)->mapped_bytes) best = link;
        } else if (alignment <= VV_PAGE_BYTES && huge->mapped_bytes < byte_count) {
            if (any == NULL || huge->mapped_bytes > (*any)->mapped_bytes) any = link;
        }
    }
    if (best == NULL) best = any;
    return best != NULL ? unlink_cached_locked(best) : NULL;
}

static void unmap(struct vv_huge *huge) {
    vv_pages_unmap(huge->address, huge->mapped_bytes);
    vv_meta_free(huge, sizeof *huge);
}

/* Takes the oldest mappings out of the cache until it holds little enough. */
static struct vv_huge *trim_cache_locked(unsigned max_count, size_t max_bytes) {
    struct vv_huge *removed = NULL;
    while (cache_count > max_count || totals.cached_bytes > max_bytes) {
        struct vv_huge **link = &cache;
        while ((*link)->next != NULL) link = &(*link)->next;
        struct vv_huge *huge = unlink_cached_locked(link);
        huge->next = removed;
        removed = huge;
    }
    return removed;
}

static size_t unmap_list(struct vv_huge *huge) {
    size_t byte_count = 0;
    while (huge != NULL) {
        struct vv_huge *next = huge->next;
        byte_count += huge->mapped_bytes;
        unmap(huge);
        huge = next;
    }
    return byte_count;
}

static void schedule_purge(uint64_t at_ms) {
    if (at_ms < vv_huge_next_purge_ms()) {
        atomic_store_explicit(&next_purge_ms, at_ms, memory_order_relaxed);
    }
}

uint64_t vv_huge_next_purge_ms(void) {
    return atomic_load_explicit(&next_purge_ms, memory_order_relaxed);
}

size_t vv_huge_purge(uint64_t now_ms) {
    struct vv_huge *removed = NULL;
    vv_lock(&vv_huge_lock);
    atomic_store_explicit(&next_purge_ms, UINT64_MAX, memory_order_relaxed);
    for (struct vv_huge **link = &cache; *link != NULL;) {
        uint64_t at_ms = (*link)->freed_at_ms + vv_purge_delay_ms;
        if (at_ms > now_ms) {
            schedule_purge(at_ms);
            link = &(*link)->next;
        } else {
            struct vv_huge *huge = unlink_cached_locked(link);
            huge->next = removed;
            removed = huge;
        }
    }
    vv_unlock(&vv_huge_lock);
    size_t byte_count = unmap_list(removed);
    vv_lock(&vv_huge_lock);
    totals.purged_bytes += byte_count;
    vv_unlock(&vv_huge_lock);
    return byte_count;
}

/* --- blocks --- */

static bool resize_mapping(struct vv_huge *huge, size_t byte_count, bool may_move) {
    char *address = vv_pages_resize(huge->address, huge->mapped_bytes, byte_count, may_move);
    if (address == NULL) return false;
    huge->address = address;
    huge->mapped_bytes = byte_count;
    return true;
}

static struct vv_huge *from_cache(size_t byte_count, size_t alignment) {
    vv_lock(&vv_huge_lock);
    struct vv_huge *huge = take_cached_locked(byte_count, alignment);
    vv_unlock(&vv_huge_lock);
    if (huge == NULL || serves(huge, byte_count, alignment)) return huge;
    if (resize_mapping(huge, byte_count, /* may_move */ true)) return huge;
    unmap(huge);
    return NULL;
}

static struct vv_huge *from_system(size_t byte_count, size_t alignment) {
    struct vv_huge *huge = vv_meta_allocate(sizeof *huge);
    if (huge == NULL) return NULL;
    huge->address = vv_pages_map(byte_count, alignment);
    if (huge->address == NULL && vv_huge_purge(UINT64_MAX) > 0) {
        huge->address = vv_pages_map(byte_count, alignment);
    }
    if (huge->address == NULL) {
        vv_meta_free(huge, sizeof *huge);
        return NULL;
    }
    huge->mapped_bytes = byte_count;
    return huge;
}

struct vv_huge *vv_huge_new(size_t byte_count, size_t alignment, bool prefer_untouched,
                            bool *out_untouched) {
    byte_count = vv_align_up(byte_count, VV_PAGE_BYTES);
    alignment = vv_max(alignment, VV_PAGE_BYTES);
    struct vv_huge *huge = prefer_untouched ? NULL : from_cache(byte_count, alignment);
    *out_untouched = huge == NULL;
    if (huge == NULL) huge = from_system(byte_count, alignment);
    if (huge == NULL) return NULL;
    huge->alignment = alignment;
    huge->requested_bytes = 0;
    huge->mark = 0;
    atomic_store_explicit(&huge->site, 0, memory_order_relaxed);
    vv_lock(&vv_huge_lock);
    insert_locked(huge);
    vv_unlock(&vv_huge_lock);
    return huge;
}

struct vv_huge *vv_huge_find(const void *address) {
    vv_lock(&vv_huge_lock);
    struct vv_huge *huge = *bucket_of(address);
    while (huge != NULL && huge->address != address) huge = huge->next;
    vv_unlock(&vv_huge_lock);
    return huge;
}

void vv_huge_free(struct vv_huge *huge) {
    vv_lock(&vv_huge_lock);
    remove_locked(huge);
    huge->freed_at_ms = vv_clock_coarse_ms();
    huge->next = cache;
    cache = huge;
    cache_count++;
    totals.cached_bytes += huge->mapped_bytes;
    struct vv_huge *removed = trim_cache_locked(CACHE_MAX_COUNT, CACHE_MAX_BYTES);
    schedule_purge(huge->freed_at_ms + vv_purge_delay_ms);
    vv_unlock(&vv_huge_lock);
    unmap_list(removed);
}

bool vv_huge_resize(struct vv_huge *huge, size_t new_byte_count) {
    size_t byte_count = vv_align_up(new_byte_count, VV_PAGE_BYTES);
    if (byte_count == huge->mapped_bytes) return true;
    vv_lock(&vv_huge_lock);
    remove_locked(huge);
    bool resized = resize_mapping(huge, byte_count, huge->alignment <= VV_PAGE_BYTES);
    insert_locked(huge);
    vv_unlock(&vv_huge_lock);
    return resized;
}

void vv_huge_visit(void (*visit)(struct vv_huge *huge, void *argument), void *argument) {
    vv_lock(&vv_huge_lock);
    for (unsigned bucket = 0; bucket < BUCKET_COUNT; bucket++) {
        for (struct vv_huge *huge = buckets[bucket]; huge != NULL; huge = huge->next) {
            visit(huge, argument);
        }
    }
    vv_unlock(&vv_huge_lock);
}

void vv_huge_get_totals(struct vv_huge_totals *out_totals) {
    vv_lock(&vv_huge_lock);
    *out_totals = totals;
    vv_unlock(&vv_huge_lock);
}
