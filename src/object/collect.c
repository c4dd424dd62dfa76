/* SPDX-License-Identifier: MIT */
#include "object/collect.h"

#include "object/builtin.h"
#include "object/edge_ring.h"
#include "object/lanes.h"
#include "object/near_queue.h"
#include "object/subtract.h"
#include "object/traverse.h"
#include "object/weak.h"

/* --- states --- */

static unsigned reached_of(__m128i states) {
    _Static_assert(VV_STATE_REACHED == 0x40, "one below the sign bit");
    return vv_lanes_mask(_mm_slli_epi16(states, 1));
}

/* Lanes where the object is tracked and of a generation up to that. */
static __m128i matches(__m128i states, int generation) {
    if (generation >= 2) {
        __m128i frozen = vv_lanes_where(states, VV_STATE_GENERATION, VV_STATE_GENERATION);
        return _mm_andnot_si128(frozen, vv_lanes_where(states, VV_STATE_TRACKED, VV_STATE_TRACKED));
    }
    unsigned relevant = generation == 0 ? VV_STATE_GENERATION : 2u << VV_STATE_GENERATION_SHIFT;
    return vv_lanes_where(states, VV_STATE_TRACKED | relevant, VV_STATE_TRACKED);
}

static void zero_refs(struct vv_object_pool *pool, uint32_t index, unsigned mask) {
    const varve_world *world = pool->world;
    vv_lanes_zero_refs(pool, index, mask, world->dying != NULL || world->gc.cycle != NULL);
}

/* --- choosing --- */

static void push_work(varve_world *world, struct vv_object_pool *pool) {
    pool->position = (uint32_t)world->work.count;
    world->work.items[world->work.count++] = pool;
}

void vv_collect_choose_pools(varve_world *world, int generation) {
    world->work.count = 0;
    if (generation >= 2) {
        for (size_t index = 0; index < world->pools.count; index++) {
            struct vv_object_pool *pool = world->pools.items[index];
            if (pool->kind == VV_SHELF_CYCLIC) push_work(world, pool);
        }
        return;
    }
    for (size_t index = 0; index < world->young[0].count; index++) {
        push_work(world, world->young[0].items[index]);
    }
    for (size_t index = 0; generation == 1 && index < world->young[1].count; index++) {
        struct vv_object_pool *pool = world->young[1].items[index];
        if (!pool->is_listed[0]) push_work(world, pool);
    }
}

static size_t choose_in_pool(struct vv_object_pool *pool, int generation) {
    size_t count = 0;
    for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
        __m128i states = vv_lanes_load(pool, index);
        __m128i chosen =
            _mm_and_si128(matches(states, generation), vv_lanes_all(VV_STATE_CANDIDATE));
        unsigned mask = vv_lanes_mask(chosen);
        if (mask == 0) continue;
        /* an abandoned incremental collection may have left its marks */
        states = _mm_andnot_si128(_mm_srli_epi16(chosen, 1), states);
        vv_lanes_store(pool, index, _mm_or_si128(states, chosen));
        zero_refs(pool, index, mask);
        count += vv_lanes_count(mask);
    }
    return count;
}

void vv_collect_choose(struct vv_collection *collection, int generation) {
    const struct vv_pool_list *work = &collection->world->work;
    collection->candidate_count = 0;
    for (size_t index = 0; index < work->count; index++) {
        collection->candidate_count += choose_in_pool(work->items[index], generation);
    }
}

void vv_collect_rechoose(struct vv_collection *collection) {
    const struct vv_pool_list *work = &collection->world->work;
    collection->candidate_count = 0;
    for (size_t place = 0; place < work->count; place++) {
        struct vv_object_pool *pool = work->items[place];
        for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
            unsigned mask = vv_lanes_mask(vv_lanes_load(pool, index));
            if (mask == 0) continue;
            zero_refs(pool, index, mask);
            collection->candidate_count += vv_lanes_count(mask);
        }
    }
}

/* --- subtract --- */

VV_INLINE int subtract_from_candidate(varve_object *child, void *argument) {
    (void)argument;
    vv_object_assert_live(child);
    const struct vv_object_pool *pool = vv_object_pool_of(child);
    uint32_t index = vv_object_index(pool, child);
    if ((pool->states[index] & VV_STATE_CANDIDATE) != 0) pool->refs[index]--;
    return 0;
}

/* Whether the collector may forget a tuple, since nothing in it can be in a cycle. */
static bool can_untrack_tuple(const struct vv_tuple *tuple) {
    for (size_t index = 0; index < tuple->count; index++) {
        if (tuple->items[index] == NULL) return false; /* not whole yet */
        if (vv_object_may_be_tracked(tuple->items[index])) return false;
    }
    return true;
}

/* A tuple that this collection untracks too, now or when it comes to it, does not keep the dict
 * tracked. */
static int visit_trackable(varve_object *child, void *argument) {
    (void)argument;
    if (!vv_object_may_be_tracked(child)) return 0;
    if (child->type_index != VV_TYPE_TUPLE) return 1;
    bool is_candidate = (*vv_object_state(child) & VV_STATE_CANDIDATE) != 0;
    return !is_candidate || !can_untrack_tuple((const struct vv_tuple *)child);
}

static bool can_untrack(varve_object *object, bool dicts) {
    if (object->type_index == VV_TYPE_TUPLE)
        return can_untrack_tuple((const struct vv_tuple *)object);
    if (!dicts || object->type_index != VV_TYPE_DICT) return false;
    return vv_traverse_table(&((struct vv_dict *)object)->table, visit_trackable, NULL) == 0;
}

static void subtract(struct vv_collection *collection, bool whole) {
    struct vv_subtraction subtraction = {.at = 0};
    const struct vv_pool_list *work = &collection->world->work;
    struct varve_type *const *types = collection->world->types;
    bool dicts = collection->untrack_dicts, untrack = !collection->keep_tracked;
    vv_subtraction_begin(&subtraction);
    for (size_t place = 0; place < work->count; place++) {
        struct vv_object_pool *pool = work->items[place];
        for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
            unsigned mask = vv_lanes_mask(vv_lanes_load(pool, index));
            for (; mask != 0; mask &= mask - 1) {
                uint32_t block = index + vv_lowest_bit(mask);
                varve_object *object = vv_object_at(pool, block);
                pool->refs[block] += object->refcount;
                if (whole) {
                    vv_traverse_inline(object, types, false, vv_subtract_edge, &subtraction);
                } else {
                    vv_traverse_inline(object, types, false, subtract_from_candidate, NULL);
                }
                if (untrack && can_untrack(object, dicts))
                    pool->states[block] &= (uint8_t)~VV_STATE_TRACKED;
            }
        }
    }
    vv_subtraction_settle(&subtraction);
}

/* --- roots --- */

static size_t find_roots_in_pool(struct vv_object_pool *pool) {
    size_t pending_count = 0;
    for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
        __m128i states = vv_lanes_load(pool, index);
        unsigned mask = vv_lanes_mask(states);
        if (mask == 0) continue;
        __m128i zero = vv_lanes_without_refs(pool, index);
        __m128i roots =
            _mm_andnot_si128(zero, _mm_and_si128(states, vv_lanes_all(VV_STATE_CANDIDATE)));
        __m128i reached = _mm_and_si128(_mm_srli_epi16(roots, 1), vv_lanes_all(VV_STATE_REACHED));
        vv_lanes_store(pool, index, _mm_or_si128(states, reached));
        pending_count += vv_lanes_count(mask & ~vv_lanes_mask(roots));
    }
    return pending_count;
}

/* --- propagate --- */

struct propagation {
    struct vv_edge_ring ring; /* targets whose state is on its way */
    size_t pending_count;
    varve_object **stack;
    size_t stack_count;
    uint32_t scan_position; /* pool and block up to which the scan has come */
    uint32_t scan_block;
    bool overflowed;
    bool has_ephemerons;
};

/* Marks a target as reached. The scan will come to it, or it goes on the stack. */
static inline void reach(struct propagation *propagation, varve_object *object) {
    struct vv_object_pool *pool = vv_object_pool_of(object);
    uint32_t index = vv_object_index(pool, object);
    uint8_t *state = &pool->states[index];
    if ((*state & (VV_STATE_CANDIDATE | VV_STATE_REACHED)) != VV_STATE_CANDIDATE) return;
    *state |= VV_STATE_REACHED;
    propagation->pending_count--;
    bool ahead = pool->position != propagation->scan_position
                     ? pool->position > propagation->scan_position
                     : index > propagation->scan_block;
    if (ahead) return;
    if (propagation->stack_count < VV_MARK_STACK_COUNT) {
        propagation->stack[propagation->stack_count++] = object;
    } else {
        propagation->overflowed = true;
    }
}

VV_INLINE int visit_reached(varve_object *child, void *argument) {
    struct propagation *propagation = argument;
    __builtin_prefetch(vv_object_state(child), 1);
    varve_object *oldest = vv_edge_ring_put(&propagation->ring, child);
    if (oldest != NULL) reach(propagation, oldest);
    return 0;
}

static void flush_ring(struct propagation *propagation) {
    varve_object *object;
    while ((object = vv_edge_ring_take(&propagation->ring)) != NULL) reach(propagation, object);
}

static int visit_ephemeron(varve_object *child, void *argument) {
    return visit_reached(child, argument);
}

static inline void show_targets(struct propagation *propagation, struct varve_type *const *types,
                                varve_object *object) {
    if (vv_unlikely(propagation->has_ephemerons) &&
        vv_ephemerons_show(object, vv_gc_is_reached, visit_ephemeron, propagation)) {
        return;
    }
    vv_traverse_inline(object, types, false, visit_reached, propagation);
}

/* How far ahead in an array a prefetch has time to come. */
#define FAR_COUNT 8u

/* Empties the stack, what is near, and the ring. In a chain there is never more than one object. */
static void drain(struct propagation *propagation, struct varve_type *const *types) {
    struct vv_near_queue near = {.count = 0};
    while (propagation->pending_count > 0) {
        if (propagation->stack_count == 0) flush_ring(propagation);
        if (propagation->stack_count > 0 && vv_near_queue_has_room(&near)) {
            vv_near_queue_put(&near, propagation->stack[--propagation->stack_count]);
            continue;
        }
        varve_object *object = vv_near_queue_take(&near);
        if (object == NULL) return;
        show_targets(propagation, types, object);
    }
}

/* Walks all pools once; what is reached behind the scan is done in between. */
static void scan(const varve_world *world, struct propagation *propagation) {
    struct varve_type *const *types = world->types;
    for (size_t place = 0; place < world->work.count; place++) {
        struct vv_object_pool *pool = world->work.items[place];
        propagation->scan_position = (uint32_t)place;
        for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
            __m128i states = vv_lanes_load(pool, index);
            unsigned mask = vv_lanes_mask(states) & reached_of(states);
            /* objects of these 16 that are reached from now on go on the stack */
            propagation->scan_block = index + VV_LANES - 1;
            for (; mask != 0; mask &= mask - 1) {
                varve_object *object = vv_object_at(pool, index + vv_lowest_bit(mask));
                show_targets(propagation, types, object);
            }
            if (propagation->stack_count >= VV_EDGE_RING_COUNT) drain(propagation, types);
            if (propagation->pending_count == 0) return;
        }
    }
    propagation->scan_position = UINT32_MAX; /* all is behind */
    drain(propagation, types);
}

static void propagate(struct vv_collection *collection) {
    const varve_world *world = collection->world;
    struct propagation propagation = {
        .pending_count = collection->pending_count,
        .stack = world->gc.stack,
        .has_ephemerons = vv_ephemerons_exist(world),
    };
    do {
        propagation.overflowed = false;
        scan(world, &propagation);
    } while (propagation.overflowed && propagation.pending_count > 0);
    collection->pending_count = propagation.pending_count;
}

void vv_collect_reach(struct vv_collection *collection) {
    const struct vv_pool_list *work = &collection->world->work;
    if (collection->whole) {
        subtract(collection, /* whole */ true);
    } else {
        subtract(collection, /* whole */ false);
    }
    collection->pending_count = 0;
    for (size_t index = 0; index < work->count; index++) {
        collection->pending_count += find_roots_in_pool(work->items[index]);
    }
    if (collection->pending_count > 0) propagate(collection);
}

/* --- afterwards --- */

struct kept {
    size_t reached_count;
    size_t trash_count;
};

static struct kept keep_in_pool(struct vv_object_pool *pool, unsigned generation) {
    struct kept kept = {0, 0};
    const unsigned both = VV_STATE_CANDIDATE | VV_STATE_REACHED;
    const __m128i new_generation = vv_lanes_all(generation << VV_STATE_GENERATION_SHIFT);
    const __m128i cleared = vv_lanes_all(VV_STATE_CANDIDATE | VV_STATE_REACHED |
                                         VV_STATE_GENERATION | VV_STATE_SUSPECT);
    for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
        __m128i states = vv_lanes_load(pool, index);
        unsigned mask = vv_lanes_mask(states);
        if (mask == 0) continue;
        __m128i is_kept = vv_lanes_where(states, both, both);
        __m128i changed = _mm_or_si128(_mm_andnot_si128(cleared, states), new_generation);
        vv_lanes_store(
            pool, index,
            _mm_or_si128(_mm_and_si128(is_kept, changed), _mm_andnot_si128(is_kept, states)));
        unsigned kept_mask = vv_lanes_mask(is_kept);
        unsigned tracked_mask = vv_lanes_mask(_mm_slli_epi16(states, 7));
        kept.reached_count += vv_lanes_count(kept_mask & tracked_mask);
        kept.trash_count += vv_lanes_count(mask & ~kept_mask);
    }
    return kept;
}

size_t vv_collect_keep_reached(struct vv_collection *collection, unsigned generation) {
    varve_world *world = collection->world;
    size_t reached_count = 0;
    world->trash.count = 0;
    for (size_t index = 0; index < world->work.count; index++) {
        struct vv_object_pool *pool = world->work.items[index];
        struct kept kept = keep_in_pool(pool, generation);
        reached_count += kept.reached_count;
        if (kept.reached_count > 0 && generation < 2) vv_world_list_young(pool, generation);
        if (kept.trash_count > 0) world->trash.items[world->trash.count++] = pool;
    }
    return reached_count;
}

/* The same from an array, which may hold what has died meanwhile: its block is no candidate then.
 */
static void each_listed(const varve_world *world,
                        void (*function)(varve_object *object, void *argument), void *argument) {
    for (size_t index = 0; index < world->trash_object_count; index++) {
        if (index + FAR_COUNT < world->trash_object_count) {
            __builtin_prefetch(world->trash_objects[index + FAR_COUNT]);
        }
        varve_object *object = world->trash_objects[index];
        if ((*vv_object_state(object) & VV_STATE_CANDIDATE) != 0) function(object, argument);
    }
}

void vv_collect_each_trash(varve_world *world,
                           void (*function)(varve_object *object, void *argument), void *argument) {
    if (world->trash_objects != NULL) {
        each_listed(world, function, argument);
        return;
    }
    for (size_t place = 0; place < world->trash.count; place++) {
        struct vv_object_pool *pool = world->trash.items[place];
        for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
            unsigned mask = vv_lanes_mask(vv_lanes_load(pool, index));
            for (; mask != 0; mask &= mask - 1) {
                uint32_t block = index + vv_lowest_bit(mask);
                if ((pool->states[block] & VV_STATE_CANDIDATE) == 0) continue; /* died meanwhile */
                function(vv_object_at(pool, block), argument);
            }
        }
    }
}
