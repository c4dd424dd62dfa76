/* SPDX-License-Identifier: MIT */
#include "trace/counters.h"

#include "heap/meta.h"
#include "heap/thread.h"
#include "os/clock.h"
#include "trace/nodes.h"

#include <string.h>
#include <sys/prctl.h>

static struct vv_lock tracers_lock = VV_LOCK(VV_RANK_TRACERS);

/* Ended threads whose records are kept as they are; the records of further ones are merged into
 * one, and used again. */
#define KEPT_RECORD_COUNT 64
#define NAME_BYTES (VV_THREAD_NAME_WORDS * sizeof(uint64_t)) /* the kernel's TASK_COMM_LEN */

/* tracers lock */
static struct vv_store_thread *merged_record; /* of ended threads; NULL until there is one */
static uint32_t ended_count;
static uint32_t live_count;
static struct vv_store_thread *unused_records[VV_STORE_THREAD_LIMIT];
static uint32_t unused_count;

static uint64_t trace_ns(void) {
    return vv_clock_ns() - vv_store_header()->started_clock_ns;
}

/* A reader may look at any time, so the words are whole; it may find the beginning of one name and
 * the end of another. */
static void set_name(struct vv_store_thread *record, const char name[NAME_BYTES]) {
    for (size_t index = 0; index < VV_THREAD_NAME_WORDS; index++) {
        uint64_t word;
        memcpy(&word, name + index * sizeof word, sizeof word);
        atomic_store_explicit(&record->name[index], word, memory_order_relaxed);
    }
}

static void take_name(struct vv_store_thread *record) {
    char name[NAME_BYTES] = "";
    prctl(PR_GET_NAME, name);
    set_name(record, name);
}

/* --- records --- */

static struct vv_store_thread *new_record_locked(void) {
    struct vv_store_header *header = vv_store_header();
    uint32_t number = atomic_load_explicit(&header->thread_count, memory_order_relaxed);
    if (number >= VV_STORE_THREAD_LIMIT) return NULL;
    _Atomic vv_page_number *directory = &header->thread_directories[number / VV_NUMBERS_PER_PAGE];
    if (atomic_load_explicit(directory, memory_order_relaxed) == 0) {
        vv_page_number numbers = vv_store_take_pages(1);
        if (numbers == 0) return NULL;
        atomic_store_explicit(directory, numbers, memory_order_release);
    }
    vv_page_number page = vv_store_take_pages(1);
    if (page == 0) return NULL;
    _Atomic vv_page_number *numbers =
        vv_store_page(atomic_load_explicit(directory, memory_order_relaxed));
    atomic_store_explicit(&numbers[number % VV_NUMBERS_PER_PAGE], page, memory_order_release);
    atomic_store_explicit(&header->thread_count, number + 1, memory_order_release);
    return vv_store_page(page);
}

static void begin_record(struct vv_store_thread *record, enum vv_thread_state state) {
    atomic_store_explicit(&record->started_ns, trace_ns(), memory_order_relaxed);
    atomic_store_explicit(&record->ended_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&record->state, state, memory_order_release);
}

bool vv_counters_begin(struct vv_counters *counters) {
    *counters = (struct vv_counters){.record = NULL};
    bool was_alone = false;
    vv_lock(&tracers_lock);
    struct vv_store_thread *record =
        unused_count > 0 ? unused_records[--unused_count] : new_record_locked();
    if (record != NULL) {
        atomic_store_explicit(&record->id, vv_local.thread->id, memory_order_relaxed);
        take_name(record);
        begin_record(record, VV_THREAD_LIVE);
        live_count++;
        was_alone = vv_peak_share(live_count);
        counters->record = record;
    }
    vv_unlock(&tracers_lock);
    if (was_alone) vv_threads_wait_for_others();
    return record != NULL;
}

/* --- shards --- */

#define FIRST_PAGE_COUNT 64

static bool grow_pages(struct vv_counters *counters, uint32_t index) {
    uint32_t count = counters->page_count > 0 ? counters->page_count : FIRST_PAGE_COUNT;
    while (count <= index) count *= 2;
    struct vv_shard **pages = vv_meta_allocate(count * sizeof *pages);
    if (pages == NULL) return false;
    if (counters->page_count > 0) {
        memcpy(pages, counters->pages, counters->page_count * sizeof *pages);
        vv_meta_free(counters->pages, counters->page_count * sizeof *pages);
    }
    counters->pages = pages;
    counters->page_count = count;
    return true;
}

/* The page of shards with that index in the record, made when `create`; NULL: none. */
static struct vv_shard *shard_page(struct vv_store_thread *record, uint32_t index, bool create) {
    _Atomic vv_page_number *directory = &record->directories[index / VV_NUMBERS_PER_PAGE];
    vv_page_number numbers = atomic_load_explicit(directory, memory_order_relaxed);
    if (numbers == 0) {
        numbers = create ? vv_store_take_pages(1) : 0;
        if (numbers == 0) return NULL;
        atomic_store_explicit(directory, numbers, memory_order_release);
    }
    _Atomic vv_page_number *entry =
        (_Atomic vv_page_number *)vv_store_page(numbers) + index % VV_NUMBERS_PER_PAGE;
    vv_page_number page = atomic_load_explicit(entry, memory_order_relaxed);
    if (page == 0) {
        page = create ? vv_store_take_pages(1) : 0;
        if (page == 0) return NULL;
        atomic_store_explicit(entry, page, memory_order_release);
    }
    return vv_store_page(page);
}

static struct vv_shard *add_page(struct vv_counters *counters, uint32_t site) {
    uint32_t index = site / VV_SHARDS_PER_PAGE;
    if (counters->record == NULL) return NULL;
    if (index >= counters->page_count && !grow_pages(counters, index)) return NULL;
    counters->pages[index] = shard_page(counters->record, index, /* create */ true);
    return counters->pages[index];
}

VV_NOINLINE struct vv_shard *vv_counters_add_page(struct vv_counters *counters, uint32_t site) {
    struct vv_shard *page = add_page(counters, site);
    if (page == NULL) {
        atomic_fetch_add_explicit(&vv_store_header()->threadless_count, 1, memory_order_relaxed);
    }
    return page;
}

/* --- events --- */

void vv_counters_resized(struct vv_counters *counters, uint32_t old_site,
                         struct vv_amount old_amount, uint32_t site, struct vv_amount amount,
                         const void *block) {
    struct vv_shard *old_shard = vv_counters_shard(counters, old_site);
    struct vv_shard *shard = vv_counters_shard(counters, site);
    if (vv_unlikely(old_shard == NULL || shard == NULL)) return;
    int64_t change = amount.byte_count - old_amount.byte_count;
    if (change < 0) vv_peak_falls();
    vv_shard_add(old_shard, VV_DOMAIN_MALLOC, -old_amount.byte_count, -old_amount.block_count);
    vv_shard_add(shard, VV_DOMAIN_MALLOC, amount.byte_count, amount.block_count);
    vv_counters_request(counters, shard, amount);
    vv_peak_changed(&counters->credit, change);
    counters->last_block = block;
}

void vv_counters_found(struct vv_counters *counters, uint32_t site, struct vv_amount amount) {
    struct vv_shard *shard = vv_counters_shard(counters, site);
    if (vv_unlikely(shard == NULL)) return;
    vv_shard_add(shard, VV_DOMAIN_MALLOC, amount.byte_count, amount.block_count);
    vv_peak_changed(&counters->credit, amount.byte_count);
}

static bool change_mapped(struct vv_counters *counters, uint32_t site, int64_t byte_count,
                          int32_t count, struct vv_shard **out_shard) {
    *out_shard = vv_counters_shard(counters, site);
    if (*out_shard == NULL) return false;
    if (byte_count < 0) vv_peak_mapped_falls();
    vv_shard_add(*out_shard, VV_DOMAIN_MMAP, byte_count, count);
    vv_peak_mapped_changed(byte_count);
    return true;
}

void vv_counters_mapped(struct vv_counters *counters, uint32_t site, size_t byte_count) {
    struct vv_shard *shard;
    if (!change_mapped(counters, site, (int64_t)byte_count, 1, &shard)) return;
    vv_counter_raise(&shard->total_bytes, byte_count);
    vv_counter_raise(&shard->total_count, 1);
}

void vv_counters_mapped_changed(struct vv_counters *counters, uint32_t site, int64_t byte_count,
                                int32_t count) {
    struct vv_shard *shard;
    change_mapped(counters, site, byte_count, count, &shard);
}

/* --- the end of a thread --- */

static int64_t peak_of(const struct vv_shard *shard, uint32_t epoch, int64_t live, int64_t peak) {
    return atomic_load_explicit(&shard->epoch, memory_order_relaxed) != epoch ? live : peak;
}

/* Adds a shard of an ended thread to another one and clears it. */
static void merge_shard(struct vv_shard *into, struct vv_shard *from, enum vv_domain domain) {
    uint32_t epoch = vv_peak_epoch(domain);
    int64_t from_peak = peak_of(from, epoch, from->live_bytes, from->peak_bytes);
    int32_t from_count = (int32_t)peak_of(from, epoch, from->live_count, from->peak_count);
    vv_shard_add(into, domain, from->live_bytes, from->live_count); /* also notes into's peak */
    into->peak_bytes += from_peak;
    into->peak_count += from_count;
    vv_counter_raise(&into->total_bytes, from->total_bytes);
    vv_counter_raise(&into->total_count, from->total_count);
    vv_counter_raise(&into->temporary_count, from->temporary_count);
    vv_counter_raise(&into->temporary_bytes, from->temporary_bytes);
    memset(from, 0, sizeof *from);
}

static bool is_used(const struct vv_shard *shard) {
    return shard->total_count != 0 || shard->live_count != 0 || shard->live_bytes != 0 ||
           shard->epoch != 0;
}

static void merge_page(struct vv_store_thread *into, uint32_t index, struct vv_shard *page) {
    struct vv_shard *into_page = NULL;
    for (uint32_t slot = 0; slot < VV_SHARDS_PER_PAGE; slot++) {
        if (!is_used(&page[slot])) continue;
        if (into_page == NULL) into_page = shard_page(into, index, /* create */ true);
        if (into_page == NULL) return;
        uint32_t site = index * (uint32_t)VV_SHARDS_PER_PAGE + slot;
        merge_shard(&into_page[slot], &page[slot], vv_nodes_domain(site));
    }
}

static void merge_locked(struct vv_counters *counters) {
    struct vv_store_thread *record = counters->record;
    if (merged_record == NULL) {
        merged_record = new_record_locked();
        if (merged_record == NULL) return;
        set_name(merged_record, (const char[NAME_BYTES]){"(ended threads)"});
        begin_record(merged_record, VV_THREAD_ENDED);
    }
    atomic_store_explicit(&record->state, VV_THREAD_MERGED, memory_order_release);
    for (uint32_t index = 0; index < counters->page_count; index++) {
        if (counters->pages[index] != NULL) {
            merge_page(merged_record, index, counters->pages[index]);
        }
    }
    for (unsigned bucket = 0; bucket < VV_HISTOGRAM_BUCKETS; bucket++) {
        vv_counter_raise(&merged_record->histogram[bucket], record->histogram[bucket]);
        record->histogram[bucket] = 0;
    }
    unused_records[unused_count++] = record;
}

void vv_counters_end(struct vv_counters *counters) {
    struct vv_store_thread *record = counters->record;
    if (record != NULL) {
        vv_lock(&vv_mapped_lock); /* merging looks at the shards of mappings */
        vv_lock(&tracers_lock);
        vv_peak_flush(&counters->credit);
        take_name(record);
        atomic_store_explicit(&record->ended_ns, trace_ns(), memory_order_relaxed);
        atomic_store_explicit(&record->state, VV_THREAD_ENDED, memory_order_release);
        live_count--;
        if (++ended_count > KEPT_RECORD_COUNT) merge_locked(counters);
        vv_unlock(&tracers_lock);
        vv_unlock(&vv_mapped_lock);
    }
    vv_counters_forget(counters);
}

void vv_counters_forget(struct vv_counters *counters) {
    vv_meta_free(counters->pages, counters->page_count * sizeof counters->pages[0]);
    *counters = (struct vv_counters){.record = NULL};
}

void vv_counters_open(void) {
    merged_record = NULL;
    ended_count = live_count = unused_count = 0;
}

void vv_counters_before_fork(void) {
    vv_lock(&tracers_lock);
}

void vv_counters_after_fork(bool in_child) {
    if (in_child) {
        vv_lock_reset(&tracers_lock);
    } else {
        vv_unlock(&tracers_lock);
    }
}
