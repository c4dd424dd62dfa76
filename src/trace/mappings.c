/* SPDX-License-Identifier: MIT */
#include "trace/mappings.h"

#include "base/check.h"
#include "heap/hooks.h"
#include "heap/meta.h"
#include "os/pages.h"
#include "os/system_call.h"
#include "trace/nodes.h"
#include "trace/session.h"

#include <string.h>
#include <sys/mman.h>

struct range {
    uintptr_t begin;
    uintptr_t end;
    uint32_t site; /* 0: reserved, does not count */
};

/* mapped lock */
static struct range *ranges;
static size_t range_count;
static size_t range_capacity;

const char *vv_mappings_check(void) {
    int64_t live_bytes = 0;
    for (size_t index = 0; index < range_count; index++) {
        const struct range *range = &ranges[index];
        vv_expect(range->begin < range->end, "a mapping is empty");
        vv_expect(index == 0 || ranges[index - 1].end <= range->begin, "mappings overlap");
        if (range->site != 0) live_bytes += (int64_t)(range->end - range->begin);
    }
    vv_expect(live_bytes == atomic_load(&vv_store_header()->mapped.live_bytes),
              "the sum of mappings is not that of their table");
    return NULL;
}

/* --- the table --- */

/* The first range that ends behind the address. */
static size_t find(uintptr_t address) {
    size_t low = 0;
    for (size_t high = range_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].end > address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

#define FIRST_CAPACITY 128

static bool make_room(void) {
    if (range_count < range_capacity) return true;
    size_t capacity = range_capacity == 0 ? FIRST_CAPACITY : range_capacity * 2;
    struct range *grown = vv_meta_allocate(capacity * sizeof *grown);
    if (grown == NULL) return false;
    if (range_count > 0) memcpy(grown, ranges, range_count * sizeof *grown);
    vv_meta_free(ranges, range_capacity * sizeof *ranges);
    ranges = grown;
    range_capacity = capacity;
    return true;
}

static bool insert(size_t index, struct range range) {
    if (!make_room()) return false;
    memmove(&ranges[index + 1], &ranges[index], (range_count - index) * sizeof *ranges);
    ranges[index] = range;
    range_count++;
    return true;
}

static void erase(size_t first, size_t end) {
    memmove(&ranges[first], &ranges[end], (range_count - end) * sizeof *ranges);
    range_count -= end - first;
}

static int64_t bytes_of(const struct range *range) {
    return (int64_t)(range->end - range->begin);
}

/* Whether the pages hold a range that counts or, reserved, that does not. */
static bool has_range(uintptr_t begin, uintptr_t end, bool reserved) {
    for (size_t index = find(begin); index < range_count && ranges[index].begin < end; index++) {
        if ((ranges[index].site == 0) == reserved) return true;
    }
    return false;
}

/* What is known of the page at an address: 1 it counts, 0 it is reserved, -1 nothing. */
static int state_of(uintptr_t address) {
    size_t index = find(address);
    if (index == range_count || ranges[index].begin > address) return -1;
    return ranges[index].site != 0;
}

/* A range that the address lies within becomes two; if it counts, the count rises, so a peak must
 * have ended before. Without memory for that, it ends there, and
 * its rest is forgotten. */
static void split(struct vv_counters *counters, uintptr_t address) {
    size_t index = find(address);
    if (index == range_count || ranges[index].begin >= address) return;
    struct range upper = ranges[index];
    upper.begin = address;
    ranges[index].end = address;
    bool is_whole = insert(index + 1, upper);
    if (!is_whole) vv_session_lose();
    if (upper.site == 0) return;
    vv_counters_mapped_changed(counters, upper.site, is_whole ? 0 : -bytes_of(&upper), is_whole);
}

/* --- changes --- */

/* Nothing is mapped there any more. */
static void forget(struct vv_counters *counters, uintptr_t begin, uintptr_t end) {
    if (begin >= end) return;
    if (has_range(begin, end, /* reserved */ false)) vv_peak_mapped_falls();
    split(counters, begin);
    split(counters, end);
    size_t first = find(begin);
    size_t behind = first;
    for (; behind < range_count && ranges[behind].begin < end; behind++) {
        const struct range *range = &ranges[behind];
        if (range->site == 0) continue;
        vv_counters_mapped_changed(counters, range->site, -bytes_of(range), -1);
    }
    if (behind > first) erase(first, behind);
}

/* The site of an event; 0: it does not count, since the thread's memory does not for now, or since
 * the tables are full. */
static uint32_t site_of(struct vv_tracer *tracer, size_t byte_count, void *const *frame) {
    struct vv_request request = {
        .byte_count = byte_count, .alignment = VV_PAGE_BYTES, .api = VV_API_MMAP, .frame = frame};
    if (tracer->suspended_count != 0) return 0;
    uint32_t site = vv_stack_site(&tracer->stack, &request, vv_session.depth_limit);
    if (vv_nodes_domain(site) == VV_DOMAIN_MMAP) return site;
    vv_session_lose();
    return 0;
}

static void note(struct vv_counters *counters, uintptr_t begin, uintptr_t end, uint32_t site) {
    if (!insert(find(begin), (struct range){begin, end, site})) {
        vv_session_lose();
    } else if (site != 0) {
        vv_counters_mapped(counters, site, end - begin);
    }
}

static void open_reserved(struct vv_tracer *tracer, uintptr_t begin, uintptr_t end, uint32_t site) {
    if (site == 0) return;
    if (state_of(begin) == 0) split(&tracer->counters, begin);
    if (state_of(end) == 0) split(&tracer->counters, end);
    for (size_t index = find(begin); index < range_count && ranges[index].begin < end; index++) {
        struct range *range = &ranges[index];
        if (range->site != 0) continue;
        range->site = site;
        vv_counters_mapped(&tracer->counters, site, range->end - range->begin);
    }
}

static void close_again(struct vv_tracer *tracer, uintptr_t begin, uintptr_t end) {
    vv_peak_mapped_falls();
    split(&tracer->counters, begin);
    split(&tracer->counters, end);
    for (size_t index = find(begin); index < range_count && ranges[index].begin < end; index++) {
        struct range *range = &ranges[index];
        if (range->site == 0) continue;
        vv_counters_mapped_changed(&tracer->counters, range->site, -bytes_of(range), -1);
        range->site = 0;
    }
}

/* --- events --- */

static bool is_tracing(void) {
    return atomic_load_explicit(&vv_tracing, memory_order_relaxed);
}

/* Enters the allocator and takes the lock. NULL: this event cannot be recorded; nothing begun. */
static struct vv_tracer *begin_event(void *const *frame) {
    struct vv_thread *thread = vv_thread_enter(frame);
    if (thread == NULL) return NULL;
    struct vv_tracer *tracer = vv_session_tracer(thread);
    if (tracer == NULL) {
        vv_thread_leave();
        return NULL;
    }
    vv_lock(&vv_mapped_lock);
    return tracer;
}

static void end_event(struct vv_tracer *tracer) {
    if (tracer == NULL) return;
    vv_audit(vv_mappings_check());
    vv_unlock(&vv_mapped_lock);
    vv_thread_leave();
}

static uintptr_t end_of(uintptr_t address, size_t byte_count) {
    return address + vv_align_up(byte_count, VV_PAGE_BYTES);
}

static long map(const struct vv_map_call *call) {
    return vv_system_call(SYS_mmap, call->address, call->byte_count, (uintptr_t)call->protection,
                          (uintptr_t)call->flags, (uintptr_t)call->descriptor,
                          (uintptr_t)call->offset);
}

long vv_mappings_map(const struct vv_map_call *call, void *const *frame) {
    bool is_memory = (call->flags & MAP_ANONYMOUS) != 0;
    bool replaces = (call->flags & MAP_FIXED) != 0;
    if (!is_tracing() || (!is_memory && !replaces)) return map(call);
    struct vv_tracer *tracer = begin_event(frame);
    long result = map(call);
    if (!vv_system_call_failed(result) && tracer != NULL) {
        uintptr_t begin = (uintptr_t)result;
        uintptr_t end = end_of(begin, call->byte_count);
        bool counts = is_memory && (call->protection & PROT_WRITE) != 0;
        forget(&tracer->counters, begin, end);
        uint32_t site = counts ? site_of(tracer, end - begin, frame) : 0;
        if (is_memory && (site != 0 || !counts)) note(&tracer->counters, begin, end, site);
    } else if (!vv_system_call_failed(result) && is_memory) {
        vv_session_lose();
    }
    end_event(tracer);
    return result;
}

long vv_mappings_unmap(uintptr_t address, size_t byte_count, void *const *frame) {
    struct vv_tracer *tracer = is_tracing() ? begin_event(frame) : NULL;
    long result = vv_system_call(SYS_munmap, address, byte_count, 0, 0, 0, 0);
    if (result == 0 && tracer != NULL) {
        forget(&tracer->counters, address, end_of(address, byte_count));
    }
    end_event(tracer);
    return result;
}

long vv_mappings_protect(uintptr_t address, size_t byte_count, int protection, void *const *frame) {
    struct vv_tracer *tracer = is_tracing() ? begin_event(frame) : NULL;
    long result = vv_system_call(SYS_mprotect, address, byte_count, (uintptr_t)protection, 0, 0, 0);
    uintptr_t end = end_of(address, byte_count);
    if (result == 0 && tracer != NULL) {
        if ((protection & PROT_WRITE) != 0 && has_range(address, end, /* reserved */ true)) {
            open_reserved(tracer, address, end, site_of(tracer, byte_count, frame));
        } else if (protection == PROT_NONE && has_range(address, end, /* reserved */ false)) {
            close_again(tracer, address, end);
        }
    }
    end_event(tracer);
    return result;
}

long vv_mappings_remap(const struct vv_remap_call *call, void *const *frame) {
    struct vv_tracer *tracer = is_tracing() ? begin_event(frame) : NULL;
    long result =
        vv_system_call(SYS_mremap, call->address, call->old_byte_count, call->new_byte_count,
                       (uintptr_t)call->flags, call->new_address, 0);
    if (!vv_system_call_failed(result) && tracer != NULL) {
        uintptr_t begin = (uintptr_t)result;
        uintptr_t end = end_of(begin, call->new_byte_count);
        int state = state_of(call->address);
        if ((call->flags & MREMAP_DONTUNMAP) == 0) {
            forget(&tracer->counters, call->address, end_of(call->address, call->old_byte_count));
        }
        forget(&tracer->counters, begin, end);
        uint32_t site = state == 1 ? site_of(tracer, end - begin, frame) : 0;
        if (state == 0 || site != 0) note(&tracer->counters, begin, end, site);
    }
    end_event(tracer);
    return result;
}

/* --- stores --- */

void vv_mappings_open(void) {
    vv_lock(&vv_mapped_lock);
    range_count = 0;
    vv_unlock(&vv_mapped_lock);
}

void vv_mappings_inherit(struct vv_counters *counters) {
    vv_lock(&vv_mapped_lock);
    for (size_t index = 0; index < range_count; index++) {
        const struct range *range = &ranges[index];
        if (range->site == 0) continue;
        vv_counters_mapped_changed(counters, range->site, bytes_of(range), 1);
    }
    vv_unlock(&vv_mapped_lock);
}
