/* SPDX-License-Identifier: MIT
 * trace/trace.c - the heap's hooks: what happens when a block is allocated, freed or resized. */
#include "varve/trace.h"
#include "heap/hooks.h"
#include "heap/place.h"
#include "trace/fast.h"
#include "trace/label.h"
#include "trace/modules.h"
#include "trace/self.h"
#include "trace/session.h"

#include <dlfcn.h>
#include <errno.h>

/* --- events --- */

static inline struct vv_amount amount_of(size_t byte_count) {
    if (vv_unlikely(vv_session.sample_bytes != 0)) {
        return vv_sampling_amount(vv_session.sample_bytes, byte_count);
    }
    return (struct vv_amount){.byte_count = (int64_t)byte_count, .block_count = 1};
}

static uint32_t lose(void) {
    vv_session_lose();
    return VV_SITE_UNKNOWN;
}

/* Whether an allocation of that size is to be recorded; false in most cases when sampling. */
static inline bool is_wanted(struct vv_tracer *tracer, size_t byte_count) {
    if (vv_unlikely(tracer->suspended_count != 0)) return false;
    return vv_likely(vv_session.sample_bytes == 0) ||
           vv_sampler_takes(&tracer->sampler, vv_session.sample_bytes, byte_count);
}

static uint32_t allocated(struct vv_thread *thread, const void *block,
                          const struct vv_request *request) {
    if (vv_unlikely(thread == NULL)) return lose();
    struct vv_tracer *tracer = vv_session_tracer(thread);
    if (vv_unlikely(tracer == NULL)) return lose();
    if (vv_unlikely(!is_wanted(tracer, request->byte_count))) return VV_SITE_UNKNOWN;
    uint32_t site = vv_stack_site(&tracer->stack, request, vv_session.depth_limit);
    vv_counters_allocated(&tracer->counters, site, amount_of(request->byte_count), block);
    return site;
}

static uint32_t object_allocated(struct vv_thread *thread, const void *block,
                                 const struct vv_request *request, uint32_t label) {
    struct vv_tracer *tracer = thread != NULL ? vv_session_tracer(thread) : NULL;
    if (vv_unlikely(tracer == NULL)) return lose();
    if (vv_unlikely(!is_wanted(tracer, request->byte_count))) return VV_SITE_UNKNOWN;
    uint32_t site = vv_stack_site(&tracer->stack, request, vv_session.depth_limit);
    site = vv_label_site(site, label);
    vv_counters_allocated(&tracer->counters, site, amount_of(request->byte_count), block);
    return site;
}

static uint64_t session(void) {
    return atomic_load_explicit(&vv_tracing, memory_order_relaxed) ? vv_session_current() : 0;
}

static void freed(struct vv_thread *thread, const void *block, struct vv_fact fact) {
    if (vv_unlikely(fact.site < VV_SITE_FIRST)) return;
    struct vv_tracer *tracer = thread != NULL ? vv_session_tracer(thread) : NULL;
    if (vv_unlikely(tracer == NULL)) {
        lose();
        return;
    }
    vv_counters_freed(&tracer->counters, fact.site, amount_of(fact.requested_bytes), block);
}

static uint32_t resized(struct vv_thread *thread, const void *new_block, struct vv_fact old_fact,
                        const struct vv_request *request) {
    struct vv_tracer *tracer = thread != NULL ? vv_session_tracer(thread) : NULL;
    if (vv_unlikely(tracer == NULL)) return lose();
    if (old_fact.site < VV_SITE_FIRST) return allocated(thread, new_block, request);
    struct vv_amount old_amount = amount_of(old_fact.requested_bytes);
    if (vv_unlikely(!is_wanted(tracer, request->byte_count))) {
        vv_counters_freed(&tracer->counters, old_fact.site, old_amount, new_block);
        return VV_SITE_UNKNOWN;
    }
    uint32_t site = vv_stack_site(&tracer->stack, request, vv_session.depth_limit);
    vv_counters_resized(&tracer->counters, old_fact.site, old_amount, site,
                        amount_of(request->byte_count), new_block);
    return site;
}

static void thread_ended(struct vv_thread *thread) {
    if (thread->trace == NULL) return;
    /* In a child that has no store yet, the thread's counters are the parent's. */
    vv_tracer_end(thread->trace, vv_session_current());
    thread->trace = NULL;
}

/* --- showing a site --- */

static void describe_address(uintptr_t address, struct vv_text *text) {
    Dl_info info;
    vv_text_add(text, "\nvarve:   ");
    if (dladdr((void *)(address - 1), &info) == 0) {
        vv_text_add_hex(text, address);
        return;
    }
    if (info.dli_sname != NULL) {
        vv_text_add(text, info.dli_sname);
        vv_text_add(text, " in ");
    }
    vv_text_add(text, info.dli_fname);
    vv_text_add(text, "+");
    vv_text_add_hex(text, address - (uintptr_t)info.dli_fbase);
}

static void describe_site(uint32_t site, struct vv_text *text) {
    for (vv_node_number node = vv_nodes_of_site(site); node != VV_NODE_ROOT;
         node = vv_nodes_get(node)->parent) {
        uint64_t frame = vv_nodes_get(node)->frame;
        if (vv_frame_kind(frame) == VV_FRAME_NATIVE) {
            describe_address(vv_frame_value(frame), text);
        }
    }
}

const struct vv_hooks vv_trace_hooks = {
    .wants_process = vv_session_is_wanted,
    .process_started = vv_session_begin,
    .process_ended = vv_session_end,
    .thread_ended = thread_ended,
    .allocate_small = vv_trace_allocate_small,
    .release_small = vv_trace_release_small,
    .allocated = allocated,
    .freed = freed,
    .resized = resized,
    .label = vv_label_of,
    .object_allocated = object_allocated,
    .session = session,
    .describe_site = describe_site,
    .before_fork = vv_session_before_fork,
    .after_fork_in_parent = vv_session_after_fork_in_parent,
    .after_fork_in_child = vv_session_after_fork_in_child,
};

/* --- from within --- */

bool vv_trace_exists(void) {
    return true;
}

const void *vv_trace_store(size_t *out_byte_count) {
    *out_byte_count = vv_store_used_bytes();
    return vv_store_base;
}

void vv_trace_visit_stack(uint32_t site,
                          void (*visit)(const struct vv_trace_frame *frame, void *argument),
                          void *argument) {
    if (vv_store_base == NULL) return;
    for (vv_node_number node = vv_nodes_of_site(site); node != VV_NODE_ROOT;
         node = vv_nodes_get(node)->parent) {
        uint64_t packed = vv_nodes_get(node)->frame;
        if (vv_frame_kind(packed) != VV_FRAME_NATIVE) continue;
        struct vv_trace_frame frame = {.address = vv_frame_value(packed) - 1};
        const struct vv_store_module *module =
            vv_modules_find(frame.address, vv_frame_generation(packed));
        if (module != NULL) {
            frame.path = module->path;
            frame.build_id = module->build_id;
            frame.build_id_bytes = module->build_id_bytes;
            frame.address -= module->bias;
        }
        visit(&frame, argument);
    }
}

/* The calling thread's tracer, made if need be; NULL when nothing is traced. */
static struct vv_tracer *enter_own_tracer(void) {
    if (!varve_trace_is_tracing()) return NULL;
    struct vv_thread *thread = vv_thread_enter(VV_FRAME());
    return thread != NULL ? vv_session_tracer(thread) : NULL;
}

void vv_trace_suspend(void) {
    struct vv_tracer *tracer = enter_own_tracer();
    if (tracer == NULL) return;
    tracer->suspended_count++;
    vv_tracer_settle(tracer);
    vv_thread_leave();
}

void vv_trace_resume(void) {
    struct vv_tracer *tracer = enter_own_tracer();
    if (tracer == NULL) return;
    if (tracer->suspended_count > 0) tracer->suspended_count--;
    vv_tracer_settle(tracer);
    vv_thread_leave();
}

void vv_trace_code_unloaded(void) {
    if (enter_own_tracer() == NULL) return;
    vv_modules_check();
    vv_thread_leave();
}

/* --- the public functions --- */

int varve_trace_start(unsigned max_frames) {
    return vv_session_start(max_frames);
}

void varve_trace_stop(void) {
    vv_session_stop();
}

bool varve_trace_is_tracing(void) {
    return atomic_load_explicit(&vv_tracing, memory_order_relaxed);
}

int varve_trace_clear(void) {
    unsigned limit = varve_trace_limit();
    if (!varve_trace_is_tracing()) return -ESRCH;
    vv_session_stop();
    return vv_session_start(limit);
}

/* In a child, what is mapped is its parent's store until the first event. */
static bool has_own_store(void) {
    if (vv_store_base != NULL && vv_session_current() == 0 && enter_own_tracer() != NULL) {
        vv_thread_leave();
    }
    return vv_store_base != NULL && vv_session_current() != 0;
}

void varve_trace_memory(size_t *out_current, size_t *out_peak) {
    int64_t current = 0;
    int64_t peak = 0;
    if (has_own_store()) {
        const struct vv_store_header *header = vv_store_header();
        current = atomic_load_explicit(&header->live_bytes, memory_order_relaxed);
        peak = atomic_load_explicit(&header->max_bytes, memory_order_relaxed);
    }
    if (out_current != NULL) *out_current = current > 0 ? (size_t)current : 0;
    if (out_peak != NULL) *out_peak = peak > 0 ? (size_t)peak : 0;
}

void varve_trace_reset_peak(void) {
    if (has_own_store()) vv_peak_reset();
}

size_t varve_trace_overhead(void) {
    return vv_store_used_bytes();
}

unsigned varve_trace_limit(void) {
    return vv_session.depth_limit;
}

int varve_trace_of(const void *block, void **addresses, int capacity) {
    struct vv_place place;
    if (block == NULL || vv_store_base == NULL || !vv_place_find(block, &place)) return -ENOENT;
    uint32_t site = vv_place_get_fact(&place).site;
    if (site < VV_SITE_FIRST) return -ENOENT;
    int count = 0;
    for (vv_node_number node = vv_nodes_of_site(site); node != VV_NODE_ROOT;
         node = vv_nodes_get(node)->parent) {
        uint64_t frame = vv_nodes_get(node)->frame;
        if (vv_frame_kind(frame) != VV_FRAME_NATIVE) continue;
        if (count < capacity) addresses[count] = (void *)vv_frame_value(frame);
        count++;
    }
    return count;
}
