/* SPDX-License-Identifier: MIT */
#include "trace/fast.h"

#include "heap/deferred.h"
#include "heap/operations.h"
#include "heap/plane.h"
#include "heap/thread.h"
#include "trace/session.h"

#include <string.h>

/* Every request that is not aligned specially fits a narrow fact of its class. */
_Static_assert(VV_QUANTUM_BYTES <= VV_FACT_SLACK_MAX &&
                   VV_FACT_NARROW_MAX_BYTES / VV_CLASSES_PER_DOUBLING <= VV_FACT_SLACK_MAX + 1,
               "classes are no coarser than what a narrow fact can say");

/* The calling thread, if it is outside of the allocator and its tracer can do without care. */
static inline struct vv_thread *plain_thread(void) {
    struct vv_thread *thread = vv_local.thread;
    if (vv_unlikely(thread == NULL || vv_local.busy != 0 || vv_deferred_exist())) return NULL;
    const struct vv_tracer *tracer = thread->trace;
    if (vv_unlikely(tracer == NULL || tracer->plain_session != vv_session_current())) return NULL;
    return thread;
}

static inline struct vv_amount one_block(size_t byte_count) {
    return (struct vv_amount){.byte_count = (int64_t)byte_count, .block_count = 1};
}

void *vv_trace_allocate_small(const struct vv_request *request) {
    size_t byte_count = request->byte_count;
    if (byte_count > VV_SMALL_MAX_BYTES || request->alignment > VV_QUANTUM_BYTES) return NULL;
    struct vv_thread *thread = plain_thread();
    struct vv_heap *heap = thread != NULL ? thread->heaps[VV_LANE_FACTS] : NULL;
    if (vv_unlikely(heap == NULL)) return NULL;
    vv_busy_begin();
    struct vv_bin *bin = &heap->bin[vv_class_of(byte_count)];
    struct vv_block *block = bin->head;
    if (vv_unlikely(block == NULL)) {
        vv_busy_end();
        return NULL;
    }
    struct vv_block *next = block->next;
    __builtin_prefetch(next, 1); /* the next request waits for its first word otherwise */
    bin->head = next;
    struct vv_tracer *tracer = thread->trace;
    uint32_t site = vv_stack_site(&tracer->stack, request, /* depth_limit */ 0);
    vv_counters_allocated(&tracer->counters, site, one_block(byte_count), block);
    struct vv_pool *pool = vv_pool_of_record(vv_pool_record(block));
    vv_plane_set(pool, vv_pool_block_index(pool, block), (struct vv_fact){site, byte_count});
    vv_busy_end();
    return request->zeroed ? memset(block, 0, byte_count) : block;
}

bool vv_trace_release_small(void *block) {
    if (vv_unlikely(!vv_region_contains(block) || !vv_is_aligned(block, VV_QUANTUM_BYTES))) {
        return false;
    }
    struct vv_thread *thread = plain_thread();
    struct vv_pool *record = vv_pool_record(block);
    if (vv_unlikely(thread == NULL || record->kind != VV_POOL_SMALL)) return false;
    struct vv_pool *pool = vv_pool_of_record(record);
    if (vv_unlikely(pool->plane == NULL)) return false;
    uint32_t index = vv_pool_block_index(pool, block);
    struct vv_fact fact = vv_plane_get(pool, index);
    if (vv_unlikely(fact.site < VV_SITE_FIRST)) return false;
    vv_busy_begin();
    struct vv_tracer *tracer = thread->trace;
    vv_counters_freed(&tracer->counters, fact.site, one_block(fact.requested_bytes), block);
    vv_plane_clear(pool, index);
    struct vv_heap *owner = atomic_load_explicit(&pool->owner, memory_order_relaxed);
    if (vv_likely(owner == thread->heaps[VV_LANE_FACTS])) {
        vv_heap_give(owner, record, block);
    } else {
        vv_remote_free(&thread->remote, pool, block);
    }
    vv_busy_end();
    return true;
}
