/* SPDX-License-Identifier: MIT */
#include "object/traced.h"

#include "heap/meta.h"
#include "heap/thread.h"

#include <string.h>

static uint64_t session(void) {
    return vv_hooks != NULL ? vv_hooks->session() : 0;
}

/* --- facts --- */

static size_t facts_bytes(const struct vv_object_pool *pool) {
    return pool->capacity * sizeof pool->facts[0];
}

static void set_fact(struct vv_object_pool *pool, uint32_t index, struct vv_fact fact) {
    if (pool->shelf == NULL) {
        pool->own_site = fact.site;
        pool->own_requested_bytes = fact.requested_bytes;
        return;
    }
    size_t slack = pool->block_bytes - fact.requested_bytes;
    vv_assert(slack <= VV_FACT_SLACK_MAX);
    pool->facts[index] = fact.site << VV_FACT_SLACK_BITS | (uint32_t)slack;
}

static struct vv_fact get_fact(const struct vv_object_pool *pool, uint32_t index) {
    if (pool->shelf == NULL) return (struct vv_fact){pool->own_site, pool->own_requested_bytes};
    uint32_t fact = pool->facts[index];
    return (struct vv_fact){fact >> VV_FACT_SLACK_BITS,
                            pool->block_bytes - (fact & VV_FACT_SLACK_MAX)};
}

/* Makes the plane ready for facts of the session. Inside an operation. False: no memory. */
static bool prepare(struct vv_object_pool *pool, uint64_t current) {
    if (pool->facts == NULL) {
        pool->facts = pool->shelf == NULL ? &pool->own_site : vv_meta_allocate(facts_bytes(pool));
        if (pool->facts == NULL) return false;
    } else if (pool->fact_session != current) {
        memset(pool->facts, 0, facts_bytes(pool));
    }
    pool->fact_session = current;
    return true;
}

/* --- events --- */

VV_NOINLINE void vv_object_note_birth(varve_object *object, size_t byte_count, uint32_t *label,
                                      const char *name) {
    struct vv_object_pool *pool = vv_object_pool_of(object);
    struct vv_request request = {.byte_count = byte_count,
                                 .alignment = VV_QUANTUM_BYTES,
                                 .api = VV_API_OBJECT,
                                 .frame = VV_FRAME()};
    struct vv_thread *thread = vv_thread_enter(VV_FRAME());
    if (thread == NULL) return;
    if (*label == 0) *label = vv_hooks->label(name);
    uint32_t site = vv_hooks->object_allocated(thread, object, &request, *label);
    if (site >= VV_SITE_UNKNOWN + 1) {
        struct vv_fact fact = {site, byte_count};
        if (prepare(pool, session())) {
            set_fact(pool, vv_object_index(pool, object), fact);
        } else {
            vv_hooks->freed(thread, object, fact); /* it cannot be known when it goes */
        }
    }
    vv_thread_leave();
}

void vv_object_note_death(struct vv_object_pool *pool, const varve_object *object) {
    uint32_t index = vv_object_index(pool, object);
    struct vv_fact fact = get_fact(pool, index);
    if (fact.site == VV_SITE_NONE) return;
    set_fact(pool, index, (struct vv_fact){VV_SITE_NONE, pool->block_bytes});
    if (pool->fact_session != session()) return;
    struct vv_thread *thread = vv_thread_enter_to_free(VV_FRAME());
    if (thread == NULL) return;
    vv_hooks->freed(thread, object, fact);
    vv_thread_leave();
}

uint32_t vv_object_site(const varve_object *object) {
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    if (pool->facts == NULL || pool->fact_session != session()) return VV_SITE_NONE;
    return get_fact(pool, vv_object_index(pool, object)).site;
}

void vv_object_drop_facts(struct vv_thread *thread, struct vv_object_pool *pool) {
    if (pool->facts == NULL) return;
    bool counts = pool->fact_session == session();
    for (uint32_t index = 0; counts && index < pool->carved_count; index++) {
        struct vv_fact fact = get_fact(pool, index);
        if (fact.site != VV_SITE_NONE) vv_hooks->freed(thread, vv_object_at(pool, index), fact);
    }
    if (pool->shelf != NULL) vv_meta_free(pool->facts, facts_bytes(pool));
    pool->facts = NULL;
}
