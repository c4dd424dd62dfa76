/* SPDX-License-Identifier: MIT */
#include "object/cycle.h"

#include "object/builtin.h"
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

static bool is_suspect_state(uint8_t state) {
    const uint8_t both = VV_STATE_TRACKED | VV_STATE_SUSPECT;
    return (state & both) == both;
}

static bool is_grey(uint8_t state) {
    return is_suspect_state(state) && (state & VV_STATE_REACHED) != 0;
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
    for (uint32_t block = 0; block < pool->carved_count; block++) {
        uint8_t *state = &pool->states[block];
        if ((*state & VV_STATE_TRACKED) == 0) continue;
        *state &= (uint8_t) ~(VV_STATE_SUSPECT | VV_STATE_REACHED);
        if (vv_state_generation(*state) != 2) continue;
        *state |= VV_STATE_SUSPECT;
        pool->refs[block] = 0;
        cycle->visited_count++;
    }
}

static void find_roots_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool) {
    for (uint32_t block = 0; block < pool->carved_count; block++) {
        if (!is_suspect_state(pool->states[block])) continue;
        if (pool->refs[block] != 0) {
            pool->states[block] |= VV_STATE_REACHED;
        } else {
            cycle->white_count++;
        }
    }
}

/* --- subtract and mark: what is done with a target --- */

static inline void subtract_one(varve_object *target) {
    struct vv_object_pool *pool = vv_object_pool_of(target);
    uint32_t index = vv_object_index(pool, target);
    if (is_suspect_state(pool->states[index])) pool->refs[index]--;
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
    if (ahead) return;
    if (cycle->stack_count < VV_MARK_STACK_COUNT) {
        cycle->stack[cycle->stack_count++] = target;
    } else {
        cycle->overflowed = true;
    }
}

VV_INLINE varve_object *exchange_in_ring(struct vv_gc_cycle *cycle, varve_object *target) {
    struct vv_object_pool *pool = vv_object_pool_of(target);
    uint32_t index = vv_object_index(pool, target);
    __builtin_prefetch(&pool->states[index], 1);
    if (cycle->phase == VV_CYCLE_SUBTRACT) __builtin_prefetch(&pool->refs[index], 1);
    varve_object **place = &cycle->ring[cycle->ring_at++ % VV_EDGE_RING_COUNT];
    varve_object *oldest = *place;
    *place = target;
    return oldest;
}

VV_INLINE int subtract_edge(varve_object *child, void *argument) {
    varve_object *oldest = exchange_in_ring(argument, child);
    if (oldest != NULL) subtract_one(oldest);
    return 0;
}

VV_INLINE int mark_edge(varve_object *child, void *argument) {
    varve_object *oldest = exchange_in_ring(argument, child);
    if (oldest != NULL) reach_one(argument, oldest);
    return 0;
}

/* Objects may die between slices, so nothing stays in the ring. */
static void flush_ring(struct vv_gc_cycle *cycle) {
    for (uint32_t slot = 0; slot < VV_EDGE_RING_COUNT; slot++) {
        varve_object *target = cycle->ring[slot];
        cycle->ring[slot] = NULL;
        if (target == NULL) continue;
        if (cycle->phase == VV_CYCLE_SUBTRACT) {
            subtract_one(target);
        } else {
            reach_one(cycle, target);
        }
    }
}

/* Shows the references of an object from cycle->edge on. False: the time is over before the end. */
static bool show_edges(struct vv_gc_cycle *cycle, varve_object *object, struct vv_budget *budget) {
    varve_visit visit = cycle->phase == VV_CYCLE_SUBTRACT ? subtract_edge : mark_edge;
    varve_object *child;
    for (; vv_edge_at(object, cycle->edge, &child) != 0; cycle->edge++) {
        if (child != NULL) visit(child, cycle);
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

static bool subtract_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                             struct vv_budget *budget) {
    struct varve_type *const *types = cycle->world->types;
    for (; cycle->block < pool->carved_count; cycle->block++) {
        uint32_t block = cycle->block;
        if (!is_suspect_state(pool->states[block])) {
            cycle->edge = 0;
            continue;
        }
        varve_object *object = vv_object_at(pool, block);
        if (cycle->edge == 0) pool->refs[block] += object->refcount;
        if (vv_edge_count(object) > VV_EDGE_STRETCH) {
            if (!show_edges(cycle, object, budget)) return false;
        } else {
            cycle->edge = 0; /* it may have shrunk meanwhile */
            vv_traverse_inline(object, types, false, subtract_edge, cycle);
        }
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

/* Prefetching makes sense for objects that are some steps away. */
#define NEAR_COUNT 8u

static bool drain(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    for (;;) {
        if (cycle->stack_count == 0) flush_ring(cycle);
        if (cycle->stack_count == 0) return true;
        if (cycle->stack_count > NEAR_COUNT) {
            __builtin_prefetch(cycle->stack[cycle->stack_count - NEAR_COUNT]);
        }
        varve_object *object = cycle->stack[--cycle->stack_count];
        if (!vv_cycle_is_suspect(cycle, object)) continue; /* died, or done by the scan */
        if (!blacken(cycle, object, budget) || vv_budget_is_spent(budget)) return false;
    }
}

static bool mark_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool,
                         struct vv_budget *budget) {
    while (cycle->block < pool->carved_count) {
        uint32_t block = cycle->block++;
        if (!is_grey(pool->states[block])) continue;
        if (!blacken(cycle, vv_object_at(pool, block), budget)) return false;
        if (cycle->stack_count > VV_EDGE_RING_COUNT && !drain(cycle, budget)) return false;
        if (vv_budget_is_spent(budget)) return false;
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

void vv_cycle_mark_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
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
            flush_ring(cycle);
            next_phase(cycle);
        }
        if (vv_budget_is_spent(budget)) break;
    }
    flush_ring(cycle);
}

/* --- gather --- */

static int gather_in_pool(struct vv_gc_cycle *cycle, struct vv_object_pool *pool) {
    for (uint32_t block = 0; block < pool->carved_count; block++) {
        if (!is_suspect_state(pool->states[block]) || is_grey(pool->states[block])) continue;
        if (cycle->suspect_count == cycle->white_count) return -ENOMEM; /* cannot be */
        struct vv_suspect *suspect = &cycle->suspects[cycle->suspect_count++];
        *suspect = (struct vv_suspect){vv_object_at(pool, block), 0};
        pool->refs[block] = (uint32_t)cycle->suspect_count;
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
