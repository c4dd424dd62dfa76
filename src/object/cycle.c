/* SPDX-License-Identifier: MIT */
#include "object/cycle.h"

#include "object/builtin.h"
#include "object/lanes.h"
#include "object/near_queue.h"
#include "object/traverse.h"
#include "object/weak.h"
#include "object/weak_table.h"
#include "os/clock.h"

#define CLOCK_INTERVAL 64u /* visits, some 4 us */

struct vv_budget vv_budget_of(uint64_t budget_ns, size_t visit_count) {
    uint64_t now_ns = vv_clock_ns();
    uint64_t end_ns = budget_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + budget_ns;
    return (struct vv_budget){end_ns, visit_count, CLOCK_INTERVAL};
}

bool vv_budget_is_spent(struct vv_budget *budget) {
    if (--budget->until_clock > 0) return false;
    budget->until_clock = CLOCK_INTERVAL;
    budget->visit_count -= vv_min(budget->visit_count, CLOCK_INTERVAL);
    return budget->visit_count == 0 || vv_clock_ns() >= budget->end_ns;
}

/* --- edges of large objects --- */

size_t vv_edge_count(const varve_object *object) {
    switch (object->type_index) {
    case VV_TYPE_LIST: return ((const struct vv_list *)object)->count;
    case VV_TYPE_TUPLE: return ((const struct vv_tuple *)object)->count;
    case VV_TYPE_DICT:
    case VV_TYPE_SET: return ((const struct vv_dict *)object)->table.entry_count * (size_t)2;
    case VV_TYPE_WEAK_VALUE_DICT:
    case VV_TYPE_WEAK_KEY_DICT:
    case VV_TYPE_WEAK_SET: return ((const struct vv_weak_table *)object)->entry_count * (size_t)2;
    default: return 0; /* not known to be large */
    }
}

struct edge_search {
    size_t left;
    varve_object *child;
};

static int take_edge(varve_object *child, void *argument) {
    struct edge_search *search = argument;
    search->child = child;
    return search->left-- == 0;
}

int vv_edge_at(varve_object *object, size_t edge, varve_object **out_child) {
    switch (object->type_index) {
    case VV_TYPE_LIST: {
        const struct vv_list *list = (const struct vv_list *)object;
        if (edge >= list->count) return 0;
        *out_child = list->items[edge];
        return 1;
    }
    case VV_TYPE_TUPLE: {
        const struct vv_tuple *tuple = (const struct vv_tuple *)object;
        if (edge >= tuple->count) return 0;
        *out_child = tuple->items[edge];
        return 1;
    }
    case VV_TYPE_DICT:
    case VV_TYPE_SET: {
        const struct vv_table *table = &((const struct vv_dict *)object)->table;
        if (edge / 2 >= table->entry_count) return 0;
        const struct vv_entry *entry = &table->entries[edge / 2];
        *out_child = edge % 2 == 0 ? entry->key : entry->value;
        return 1;
    }
    case VV_TYPE_WEAK_VALUE_DICT:
    case VV_TYPE_WEAK_KEY_DICT:
    case VV_TYPE_WEAK_SET:
    case VV_TYPE_EPHEMERONS: {
        const struct vv_weak_table *table = (const struct vv_weak_table *)object;
        if (edge / 2 >= table->entry_count) return 0;
        const struct vv_weak_entry *entry = &table->entries[edge / 2];
        *out_child = entry->member == NULL ? NULL
                     : edge % 2 == 0       ? &entry->member->head
                                           : entry->other;
        return 1;
    }
    default: {
        const struct varve_type *type = vv_type_of(object);
        if (type->cls != NULL) {
            if (edge >= type->value_count) return 0;
            *out_child = ((const struct vv_instance *)object)->values[edge];
            return 1;
        }
        struct edge_search search = {.left = edge};
        int found = vv_traverse(object, take_edge, &search);
        *out_child = search.child;
        return found;
    }
    }
}

/* --- suspects --- */

#define TRACKED_SUSPECT (VV_STATE_TRACKED | VV_STATE_SUSPECT)
#define GREY (TRACKED_SUSPECT | VV_STATE_REACHED)

static bool is_suspect_state(uint8_t state) {
    return (state & TRACKED_SUSPECT) == TRACKED_SUSPECT;
}

static bool is_grey(uint8_t state) {
    return (state & GREY) == GREY;
}

bool vv_cycle_is_suspect(const struct vv_gc_cycle *cycle, const varve_object *object) {
    const struct vv_pool *record = vv_pool_record(object);
    if (record->kind != VV_POOL_OBJECTS) return false;
    const struct vv_object_pool *pool = record->plane;
    if (pool->world != cycle->world || pool->cycle_place == 0) return false;
    uint32_t index = vv_object_index(pool, object);
    return index < pool->carved_count && vv_object_at(pool, index) == object &&
           is_suspect_state(pool->states[index]);
}

static void choose_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool) {
    const unsigned care = VV_STATE_TRACKED | VV_STATE_GENERATION;
    const unsigned oldest = VV_STATE_TRACKED | 2u << VV_STATE_GENERATION_SHIFT;
    const __m128i former = vv_lanes_all(VV_STATE_SUSPECT | VV_STATE_REACHED);
    for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
        __m128i states = vv_lanes_load(pool, index);
        __m128i chosen = vv_lanes_where(states, care, oldest);
        __m128i tracked = vv_lanes_where(states, VV_STATE_TRACKED, VV_STATE_TRACKED);
        states = _mm_andnot_si128(_mm_and_si128(tracked, former), states);
        states = _mm_or_si128(states, _mm_and_si128(chosen, vv_lanes_all(VV_STATE_SUSPECT)));
        vv_lanes_store(pool, index, states);
        unsigned mask = vv_lanes_mask(chosen);
        vv_lanes_zero_refs(pool, index, mask, cycle->world->dying != NULL);
        cycle->visited_count += vv_lanes_count(mask);
    }
}

static void find_roots_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool) {
    for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
        __m128i states = vv_lanes_load(pool, index);
        __m128i suspects = vv_lanes_where(states, TRACKED_SUSPECT, TRACKED_SUSPECT);
        if (vv_lanes_mask(suspects) == 0) continue;
        __m128i white = _mm_and_si128(suspects, vv_lanes_without_refs(pool, index));
        __m128i roots = _mm_andnot_si128(white, suspects);
        states = _mm_or_si128(states, _mm_and_si128(roots, vv_lanes_all(VV_STATE_REACHED)));
        vv_lanes_store(pool, index, states);
        cycle->white_count += vv_lanes_count(vv_lanes_mask(white));
    }
}

/* --- marking a target --- */

static inline void push_grey(struct vv_gc_cycle *cycle, varve_object *object) {
    if (cycle->stack_count < VV_MARK_STACK_COUNT) {
        cycle->stack[cycle->stack_count++] = object;
    } else {
        cycle->overflowed = true;
    }
}

static inline void reach_one(struct vv_gc_cycle *cycle, varve_object *target) {
    struct vv_object_pool *pool = vv_object_pool_of(target);
    uint32_t index = vv_object_index(pool, target);
    uint8_t *state = &pool->states[index];
    if (!is_suspect_state(*state) || is_grey(*state)) return;
    *state |= VV_STATE_REACHED;
    if (cycle->white_count > 0) cycle->white_count--;
    size_t place = pool->cycle_place - 1;
    bool ahead = place != cycle->place ? place > cycle->place : index >= cycle->block;
    if (!ahead) push_grey(cycle, target);
}

VV_INLINE int mark_edge(varve_object *child, void *argument) {
    struct vv_gc_cycle *cycle = argument;
    __builtin_prefetch(vv_object_state(child), 1);
    varve_object *oldest = vv_edge_ring_put(&cycle->ring, child);
    if (oldest != NULL) reach_one(cycle, oldest);
    return 0;
}

static void flush_ring(struct vv_gc_cycle *cycle) {
    varve_object *target;
    while ((target = vv_edge_ring_take(&cycle->ring)) != NULL) reach_one(cycle, target);
}

/* --- showing edges --- */

/* Shows the references of an object from cycle->edge on. False: the time is over before the end. */
static bool show_edges(struct vv_gc_cycle *cycle, varve_object *object, struct vv_budget *budget) {
    bool subtracts = cycle->phase == VV_CYCLE_SUBTRACT;
    varve_object *child;
    for (; vv_edge_at(object, cycle->edge, &child) != 0; cycle->edge++) {
        if (child != NULL && subtracts) vv_subtract_edge(child, &cycle->subtraction);
        if (child != NULL && !subtracts) mark_edge(child, cycle);
        if (cycle->edge % VV_EDGE_STRETCH != 0) continue;
        vv_budget_look(budget);
        if (vv_budget_is_spent(budget)) {
            cycle->edge++;
            return false;
        }
    }
    cycle->edge = 0;
    return true;
}

/* --- subtract --- */

static bool subtract_object(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                            struct vv_budget *budget) {
    varve_object *object = vv_object_at(pool, cycle->block);
    if (cycle->edge == 0) pool->refs[cycle->block] += object->refcount;
    if (vv_edge_count(object) > VV_EDGE_STRETCH) return show_edges(cycle, object, budget);
    cycle->edge = 0; /* it may have shrunk meanwhile */
    vv_traverse_inline(object, cycle->world->types, false, vv_subtract_edge, &cycle->subtraction);
    return true;
}

static bool subtract_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                             struct vv_budget *budget) {
    for (; cycle->block < pool->carved_count; cycle->block++) {
        if (!is_suspect_state(pool->states[cycle->block])) {
            cycle->edge = 0;
            continue;
        }
        if (!subtract_object(cycle, pool, budget)) return false;
        if (vv_budget_is_spent(budget)) {
            cycle->block++;
            return false;
        }
    }
    return true;
}

/* --- mark --- */

/* Not white. */
static bool is_marked(const varve_object *object) {
    uint8_t state = *vv_object_state(object);
    return !is_suspect_state(state) || is_grey(state);
}

static int mark_ephemeron(varve_object *child, void *argument) {
    return mark_edge(child, argument);
}

/* Shows what a grey object refers to and makes it black. False: the time is over before that. */
static bool blacken(struct vv_gc_cycle *cycle, varve_object *object, struct vv_budget *budget) {
    if (vv_edge_count(object) > VV_EDGE_STRETCH) {
        cycle->large = object;
        if (!show_edges(cycle, object, budget)) return false;
        cycle->large = NULL;
    } else if (!vv_ephemerons_exist(cycle->world) ||
               !vv_ephemerons_show(object, is_marked, mark_ephemeron, cycle)) {
        vv_traverse_inline(object, cycle->world->types, false, mark_edge, cycle);
    }
    *vv_object_state(object) &= (uint8_t) ~(VV_STATE_SUSPECT | VV_STATE_REACHED);
    return true;
}

/* Goes on with a large object, if it still lives. */
static bool finish_large(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    varve_object *large = cycle->large;
    if (large == NULL) return true;
    if (vv_cycle_is_suspect(cycle, large) && is_grey(*vv_object_state(large))) {
        return blacken(cycle, large, budget);
    }
    cycle->large = NULL;
    cycle->edge = 0;
    return true;
}

/* The next grey object of the stack; NULL: there is none. */
static varve_object *pop_grey(struct vv_gc_cycle *cycle) {
    while (cycle->stack_count > 0) {
        varve_object *object = cycle->stack[--cycle->stack_count];
        bool is_old = cycle->stack_count < cycle->old_count;
        if (is_old) cycle->old_count = cycle->stack_count;
        if (is_old && !vv_cycle_is_suspect(cycle, object)) continue; /* died meanwhile */
        if (is_grey(*vv_object_state(object))) return object;        /* else the scan has done it */
    }
    return NULL;
}

/* Empties the stack and the ring. False: the time is over before that. */
static bool drain(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    struct vv_near_queue near = {.count = 0};
    varve_object *object;
    bool in_time = true;
    while (in_time) {
        if (cycle->stack_count == 0) flush_ring(cycle);
        object = vv_near_queue_has_room(&near) ? pop_grey(cycle) : NULL;
        if (object != NULL) {
            vv_near_queue_put(&near, object);
            continue;
        }
        object = vv_near_queue_take(&near);
        if (object == NULL) return true;
        in_time = blacken(cycle, object, budget) && !vv_budget_is_spent(budget);
    }
    while ((object = vv_near_queue_take(&near)) != NULL) push_grey(cycle, object);
    return false;
}

/* Blackens the grey ones of 16. What becomes grey among them meanwhile goes on the stack, as if the
 * scan were past them; a slice that ends in between looks at the 16 again. */
static bool mark_lanes(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                       struct vv_budget *budget) {
    uint32_t first = cycle->block;
    __m128i grey = vv_lanes_where(vv_lanes_load(pool, first), GREY, GREY);
    cycle->block += VV_LANES;
    for (unsigned mask = vv_lanes_mask(grey); mask != 0; mask &= mask - 1) {
        varve_object *object = vv_object_at(pool, first + vv_lowest_bit(mask));
        if (!blacken(cycle, object, budget) || vv_budget_is_spent(budget)) {
            cycle->block = first;
            return false;
        }
    }
    return true;
}

static bool mark_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                         struct vv_budget *budget) {
    while (cycle->block < pool->carved_count) {
        if (!mark_lanes(cycle, pool, budget)) return false;
        if (cycle->stack_count > VV_EDGE_RING_COUNT && !drain(cycle, budget)) return false;
    }
    return true;
}

/* --- phases --- */

static void next_phase(struct vv_gc_cycle *cycle) {
    cycle->phase++;
    cycle->place = 0;
    cycle->block = 0;
    cycle->edge = 0;
}

/* All of one pool in the current phase. False: the time is over. */
static bool work_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                         struct vv_budget *budget) {
    switch (cycle->phase) {
    case VV_CYCLE_CHOOSE: choose_in_pool(cycle, pool); break;
    case VV_CYCLE_SUBTRACT: return subtract_in_pool(cycle, pool, budget);
    case VV_CYCLE_ROOTS: find_roots_in_pool(cycle, pool); break;
    default: return mark_in_pool(cycle, pool, budget);
    }
    vv_budget_look(budget);
    return true;
}

/* All pools are done: what is left on the stack. False: the time is over. Afterwards the phase is
 * the next one, or marking begins anew since the stack was full. */
static bool end_mark(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    if (!drain(cycle, budget)) return false;
    if (cycle->overflowed) {
        cycle->overflowed = false;
        cycle->place = 0;
        cycle->block = 0;
    } else {
        next_phase(cycle);
    }
    return true;
}

/* Objects may die between slices, so no target stays on its way. */
static void settle(struct vv_gc_cycle *cycle) {
    if (cycle->phase == VV_CYCLE_SUBTRACT) {
        vv_subtraction_settle(&cycle->subtraction);
    } else {
        flush_ring(cycle);
    }
}

void vv_cycle_mark_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    cycle->old_count = cycle->stack_count;
    while (cycle->phase < VV_CYCLE_GATHER) {
        if (cycle->phase == VV_CYCLE_MARK && !finish_large(cycle, budget)) break;
        if (cycle->place < cycle->pool_count) {
            struct vv_object_pool *pool = cycle->pools[cycle->place];
            if (pool != NULL && !work_in_pool(cycle, pool, budget)) break;
            cycle->place++;
            cycle->block = 0;
            cycle->edge = 0;
            if (cycle->phase == VV_CYCLE_MARK && cycle->white_count == 0) next_phase(cycle);
        } else if (cycle->phase == VV_CYCLE_MARK) {
            if (!end_mark(cycle, budget)) break;
        } else {
            settle(cycle);
            next_phase(cycle);
        }
        if (vv_budget_is_spent(budget)) break;
    }
    settle(cycle);
}

/* --- gather --- */

static int gather_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool) {
    for (uint32_t index = 0; index < pool->carved_count; index += VV_LANES) {
        __m128i white = vv_lanes_where(vv_lanes_load(pool, index), GREY, TRACKED_SUSPECT);
        for (unsigned mask = vv_lanes_mask(white); mask != 0; mask &= mask - 1) {
            if (cycle->suspect_count == cycle->white_count) return -ENOMEM; /* cannot be */
            uint32_t block = index + vv_lowest_bit(mask);
            cycle->suspects[cycle->suspect_count++] =
                (struct vv_suspect){vv_object_at(pool, block), 0};
            pool->refs[block] = (uint32_t)cycle->suspect_count;
        }
    }
    return 0;
}

int vv_cycle_gather_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    if (cycle->suspects == NULL) {
        if (cycle->white_count == 0 || cycle->white_count >= UINT32_MAX / 2) {
            cycle->phase = VV_CYCLE_DONE;
            return cycle->white_count == 0 ? 0 : -ENOMEM;
        }
        cycle->suspects =
            vv_world_allocate(cycle->world, cycle->white_count * sizeof cycle->suspects[0]);
        if (cycle->suspects == NULL) return -ENOMEM;
    }
    for (; cycle->place < cycle->pool_count; cycle->place++) {
        struct vv_object_pool *pool = cycle->pools[cycle->place];
        if (vv_budget_is_spent(budget)) return 0;
        if (pool == NULL) continue;
        vv_budget_look(budget);
        int error = gather_in_pool(cycle, pool);
        if (error != 0) return error;
    }
    next_phase(cycle);
    return 0;
}
