/* SPDX-License-Identifier: MIT */
#include "heap/operations.h"

#include "heap/debug.h"
#include "heap/deferred.h"
#include "heap/emergency.h"
#include "heap/fast.h"
#include "heap/hooks.h"
#include "heap/medium.h"
#include "heap/misuse.h"
#include "heap/place.h"
#include "heap/process.h"

#include <errno.h>
#include <string.h>

/* --- facts --- */

static bool traced(void) {
    return atomic_load_explicit(&vv_tracing, memory_order_acquire);
}

/* The site of a new block: the trace layer's, or "unknown" when facts are for debug mode only. */
static uint32_t new_site(struct vv_thread *thread, const void *block,
                         const struct vv_request *request) {
    return traced() ? vv_hooks->allocated(thread, block, request) : VV_SITE_UNKNOWN;
}

static void keep_facts(struct vv_thread *thread, struct vv_place *place,
                       const struct vv_request *request) {
    uint32_t site = new_site(thread, place->block, request);
    vv_place_set_fact(place, (struct vv_fact){site, request->byte_count});
    if (vv_debug_on) vv_debug_allocated(place, request);
}

static void drop_facts(struct vv_thread *thread, struct vv_place *place) {
    struct vv_fact fact = vv_place_get_fact(place);
    if (fact.site == VV_SITE_NONE) return;
    if (traced()) vv_hooks->freed(thread, place->block, fact);
    if (!vv_debug_on) vv_place_clear_fact(place);
}

/* Gives back a block whose facts were dropped. In debug mode a block that was freed earlier leaves
 * the quarantine in its place; until then its facts tell of it. */
static void give_back(struct vv_thread *thread, struct vv_place *place) {
    if (vv_unlikely(vv_debug_on)) {
        if (!vv_debug_quarantine(place)) return;
        vv_place_clear_fact(place);
    }
    vv_place_give(thread, place);
}

/* The facts of a block that realloc has moved. `lane` is what the new place was taken in: tracing
 * may begin meanwhile, and a place of the plain lane has no room for facts. */
static void move_facts(struct vv_thread *thread, enum vv_lane lane, struct vv_place *old,
                       struct vv_place *new, const struct vv_request *request) {
    if (lane == VV_LANE_PLAIN) {
        drop_facts(thread, old);
        return;
    }
    struct vv_fact old_fact = vv_place_get_fact(old);
    uint32_t site = VV_SITE_UNKNOWN;
    if (traced()) site = vv_hooks->resized(thread, new->block, old_fact, request);
    vv_place_set_fact(new, (struct vv_fact){site, request->byte_count});
    if (old_fact.site != VV_SITE_NONE && !vv_debug_on) vv_place_clear_fact(old);
    if (vv_debug_on) vv_debug_allocated(new, request);
}

/* --- freeing --- */

static void release_entered(struct vv_thread *thread, void *block, enum vv_api api,
                            struct vv_stated stated) {
    struct vv_place place;
    if (vv_unlikely(!vv_place_find(block, &place))) vv_misuse_invalid_free(block);
    if (vv_unlikely(vv_debug_on)) vv_debug_check_free(&place, api, stated);
    drop_facts(thread, &place);
    give_back(thread, &place);
}

/* Frees what operations that could not do it themselves have left behind. */
static void release_deferred(struct vv_thread *thread) {
    void *block = vv_deferred_take();
    while (block != NULL) {
        void *next = vv_deferred_next(block);
        release_entered(thread, block, VV_API_NONE, VV_NOTHING_STATED);
        block = next;
    }
}

/* --- allocation --- */

static void *no_memory(void) {
    errno = ENOMEM;
    return NULL;
}

/* For a thread that must not touch its state: see vv_thread_enter(). An interrupted operation has
 * either initialised the process or not begun to, since no signal arrives meanwhile. */
static void *allocate_in_emergency(const struct vv_request *request) {
    if (request->alignment > VV_GRANULE_BYTES || !vv_process_init()) return NULL;
    struct vv_pool *pool = vv_emergency_take(vv_debug_padded_bytes(request->byte_count));
    if (pool == NULL) return NULL;
    struct vv_place place = {.block = vv_pool_base(pool), .pool = pool, .untouched = true};
    if (vv_lane_get() == VV_LANE_FACTS) keep_facts(NULL, &place, request);
    return place.block;
}

/* What waits in debug mode is given back before an allocation fails. */
static bool take(struct vv_thread *thread, enum vv_lane lane, const struct vv_need *need,
                 struct vv_place *out_place) {
    if (vv_likely(vv_place_take(thread, lane, need, out_place))) return true;
    return vv_debug_on && vv_debug_release_big(thread) &&
           vv_place_take(thread, lane, need, out_place);
}

/* The block of a request whose size is known to be reasonable, or NULL. */
static void *allocate_entered(struct vv_thread *thread, const struct vv_request *request) {
    enum vv_lane lane = vv_lane_get();
    struct vv_need need = {.byte_count = vv_debug_padded_bytes(request->byte_count),
                           .alignment = request->alignment,
                           .untouched = request->zeroed};
    struct vv_place place;
    if (!take(thread, lane, &need, &place)) return NULL;
    if (lane == VV_LANE_FACTS) keep_facts(thread, &place, request);
    if (request->zeroed && !place.untouched) memset(place.block, 0, request->byte_count);
    return place.block;
}

static VV_NOINLINE void *allocate_in_full(const struct vv_request *request) {
    size_t widest;
    if (__builtin_add_overflow(request->byte_count, request->alignment, &widest))
        return no_memory();
    if (widest > PTRDIFF_MAX) return no_memory();
    struct vv_thread *thread = vv_thread_enter(request->frame);
    if (vv_unlikely(thread == NULL)) {
        void *block = allocate_in_emergency(request);
        return block != NULL ? block : no_memory();
    }
    if (vv_unlikely(vv_deferred_exist())) release_deferred(thread);
    void *block = allocate_entered(thread, request);
    vv_thread_leave();
    return vv_likely(block != NULL) ? block : no_memory();
}

static inline void *allocate(const struct vv_request *request) {
    void *block = traced() ? vv_hooks->allocate_small(request) : NULL;
    return vv_likely(block != NULL) ? block : allocate_in_full(request);
}

void *vv_allocate(const struct vv_request *request) {
    return allocate(request);
}

void *vv_malloc_slow(size_t byte_count) {
    struct vv_request request = {.byte_count = byte_count,
                                 .alignment = VV_QUANTUM_BYTES,
                                 .api = VV_API_MALLOC,
                                 .frame = VV_FRAME()};
    return allocate(&request);
}

/* For a thread that must not touch its state: a block of the reserve goes back to it, any other
 * waits for somebody's next slow operation. */
static void release_in_emergency(void *block) {
    struct vv_place place;
    if (vv_region_contains(block) && vv_place_find(block, &place) &&
        vv_emergency_owns(place.pool)) {
        drop_facts(NULL, &place);
        vv_emergency_give(place.pool);
    } else {
        vv_deferred_put(block);
    }
}

static VV_NOINLINE void release_in_full(void *block, enum vv_api api, struct vv_stated stated,
                                        const void *frame) {
    if (block == NULL) return;
    struct vv_thread *thread = vv_thread_enter_to_free(frame);
    if (vv_unlikely(thread == NULL)) {
        release_in_emergency(block);
        return;
    }
    if (vv_unlikely(vv_deferred_exist())) release_deferred(thread);
    release_entered(thread, block, api, stated);
    vv_thread_leave();
}

void vv_release(void *block, enum vv_api api, struct vv_stated stated, const void *frame) {
    if (!traced() || !vv_hooks->release_small(block)) {
        release_in_full(block, api, stated, frame);
    }
}

void vv_settle_slow(struct vv_heap *heap, struct vv_pool *pool) {
    vv_heap_settle(heap, pool);
    vv_busy_end();
}

void vv_free_slow(void *block) {
    if (!traced() || !vv_hooks->release_small(block)) {
        release_in_full(block, VV_API_FREE, VV_NOTHING_STATED, VV_FRAME());
    }
}

/* --- realloc --- */

/* What to take for a block that realloc moves. A medium block that grows gets room for a quarter
 * more: addresses, not memory. */
static struct vv_need need_to_move(size_t old_bytes, size_t byte_count) {
    struct vv_need need = {
        .byte_count = byte_count, .alignment = VV_QUANTUM_BYTES, .growing = byte_count > old_bytes};
    size_t with_room = byte_count + byte_count / 4;
    if (need.growing && byte_count > VV_SMALL_MAX_BYTES && with_room <= VV_MEDIUM_GROWN_MAX_BYTES) {
        need.byte_count = with_room;
    }
    return need;
}

/* What a program may use of a block: all of it, but for the guard bytes of debug mode. */
static size_t usable_bytes(const struct vv_place *place) {
    if (vv_likely(!vv_debug_on)) return vv_place_usable_bytes(place);
    struct vv_fact fact = vv_place_get_fact(place);
    return fact.site != VV_SITE_NONE ? fact.requested_bytes : vv_place_usable_bytes(place);
}

static void *move_entered(struct vv_thread *thread, struct vv_place *old,
                          const struct vv_request *request) {
    enum vv_lane lane = vv_lane_get();
    struct vv_need need =
        need_to_move(vv_place_usable_bytes(old), vv_debug_padded_bytes(request->byte_count));
    struct vv_place new;
    if (!take(thread, lane, &need, &new)) return NULL;
    size_t copied_bytes = vv_min(usable_bytes(old), request->byte_count);
    move_facts(thread, lane, old, &new, request);
    memcpy(new.block, old->block, copied_bytes);
    give_back(thread, old);
    return new.block;
}

static void *resize_in_place(struct vv_thread *thread, struct vv_place *place,
                             const struct vv_request *request) {
    if (vv_debug_on || !vv_place_resize(place, request->byte_count)) return NULL;
    struct vv_fact old_fact = vv_place_get_fact(place);
    if (old_fact.site == VV_SITE_NONE) return place->block;
    uint32_t site = old_fact.site;
    if (traced()) site = vv_hooks->resized(thread, place->block, old_fact, request);
    vv_place_set_fact(place, (struct vv_fact){site, request->byte_count});
    return place->block;
}

/* A block that realloc must move while its thread's state must not be touched. */
static void *reallocate_in_emergency(void *block, const struct vv_request *request) {
    void *new_block = allocate_in_emergency(request);
    if (new_block == NULL) return no_memory();
    memcpy(new_block, block, vv_min(vv_usable_bytes(block), request->byte_count));
    release_in_emergency(block);
    return new_block;
}

void *vv_reallocate(void *block, const struct vv_request *request) {
    if (block == NULL) return vv_allocate(request);
    if (request->byte_count == 0) {
        vv_release(block, request->api, VV_NOTHING_STATED, request->frame);
        return NULL;
    }
    if (request->byte_count > PTRDIFF_MAX) return no_memory();
    struct vv_thread *thread = vv_thread_enter(request->frame);
    if (vv_unlikely(thread == NULL)) return reallocate_in_emergency(block, request);
    struct vv_place place;
    if (vv_unlikely(!vv_place_find(block, &place))) vv_misuse_invalid_free(block);
    if (vv_unlikely(vv_debug_on)) vv_debug_check_free(&place, VV_API_REALLOC, VV_NOTHING_STATED);
    void *result = resize_in_place(thread, &place, request);
    if (result == NULL) result = move_entered(thread, &place, request);
    vv_thread_leave();
    return result != NULL ? result : no_memory();
}

size_t vv_usable_bytes(const void *block) {
    if (block == NULL) return 0;
    struct vv_place place;
    if (!vv_place_find(block, &place)) vv_misuse_foreign_pointer(block);
    if (vv_unlikely(vv_debug_on)) vv_debug_check_usable(&place);
    return usable_bytes(&place);
}
