/* SPDX-License-Identifier: MIT */
#include "object/component.h"

#include "object/traverse.h"

#include <errno.h>

/* A suspect whose references are being followed. */
struct frame {
    uint32_t suspect;
    uint32_t edge : 30;
    uint32_t has_targets : 1; /* its references lie on search->targets */
    uint32_t is_root : 1;     /* so far: reaches back to nothing earlier */
};

#define EDGE_MAX_COUNT ((1u << 30) - 1)

/* References of a type of the program's can only be had all at once. Objects with more than a few
 * put the suspects that they refer to on a stack, since having all for each one would take the
 * square of their number: | targets of a frame | their count | targets of a later frame | ... */
#define EDGES_AT_ONCE 16u

struct vv_component_search {
    struct frame *frames; /* the way from the seed; own, as are the others */
    uint32_t frame_count;
    uint32_t *pending; /* visited, component not complete */
    uint32_t *targets; /* numbers of suspects */
    size_t target_count;
    size_t target_capacity;
    uint32_t pending_count;
    uint32_t next_seed;
    uint32_t next_rank;
    uint32_t component;
    uint32_t order_begin; /* order[] is filled from its end to here */
};

int vv_components_begin(struct vv_gc_cycle *cycle) {
    varve_world *world = cycle->world;
    size_t count = cycle->suspect_count;
    struct vv_component_search *search = vv_world_allocate(world, sizeof *search);
    if (search == NULL) return -ENOMEM;
    *search = (struct vv_component_search){
        .next_rank = 1,
        .component = (uint32_t)count,
        .order_begin = (uint32_t)count,
    };
    cycle->search = search;
    search->frames = vv_world_allocate(world, count * sizeof search->frames[0]);
    search->pending = vv_world_allocate(world, count * sizeof search->pending[0]);
    return search->frames != NULL && search->pending != NULL ? 0 : -ENOMEM;
}

void vv_components_end(struct vv_gc_cycle *cycle) {
    struct vv_component_search *search = cycle->search;
    if (search == NULL) return;
    vv_world_release(cycle->world, search->frames);
    vv_world_release(cycle->world, search->pending);
    vv_world_release(cycle->world, search->targets);
    vv_world_release(cycle->world, search);
    cycle->search = NULL;
}

/* The number of an object among the suspects, or UINT32_MAX. */
static uint32_t suspect_of(const struct vv_gc_cycle *cycle, const varve_object *object) {
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    uint32_t index = vv_object_index(pool, object);
    if ((pool->states[index] & VV_STATE_SUSPECT) == 0) return UINT32_MAX;
    uint32_t number = pool->refs[index] - 1;
    if (number >= cycle->suspect_count || cycle->suspects[number].object != object) {
        return UINT32_MAX;
    }
    return number;
}

static bool is_alive(const struct vv_gc_cycle *cycle, uint32_t number) {
    const varve_object *object = cycle->suspects[number].object;
    return vv_cycle_is_suspect(cycle, object) && suspect_of(cycle, object) == number;
}

/* --- the references of one suspect --- */

static int count_edge(varve_object *child, void *argument) {
    (void)child;
    return ++*(uint32_t *)argument > EDGES_AT_ONCE;
}

/* Whether there are many, of a type that shows them all at once. */
static bool has_many_edges(varve_object *object) {
    uint32_t count = 0;
    if (object->type_index < VV_TYPE_BUILT_IN_COUNT || vv_instance_class(object) != NULL)
        return false;
    return vv_traverse(object, count_edge, &count) != 0;
}

static int push_target(struct vv_gc_cycle *cycle, uint32_t target) {
    struct vv_component_search *search = cycle->search;
    if (search->target_count == search->target_capacity) {
        size_t capacity = search->target_capacity * 2 + 256;
        uint32_t *targets =
            vv_world_reallocate(cycle->world, search->targets, capacity * sizeof targets[0]);
        if (targets == NULL) return -ENOMEM;
        search->targets = targets;
        search->target_capacity = capacity;
    }
    search->targets[search->target_count++] = target;
    return 0;
}

static int push_edge(varve_object *child, void *argument) {
    struct vv_gc_cycle *cycle = argument;
    uint32_t target = suspect_of(cycle, child);
    return target != UINT32_MAX ? push_target(cycle, target) : 0;
}

/* False: no memory; the references are to be had one by one then. */
static bool push_targets(struct vv_gc_cycle *cycle, varve_object *object) {
    struct vv_component_search *search = cycle->search;
    size_t begin = search->target_count;
    if (vv_traverse(object, push_edge, cycle) == 0 && search->target_count - begin < UINT32_MAX &&
        push_target(cycle, (uint32_t)(search->target_count - begin)) == 0) {
        return true;
    }
    search->target_count = begin;
    return false;
}

/* The targets of the innermost frame that has some. */
static void pop_targets(struct vv_component_search *search) {
    search->target_count--;
    search->target_count -= search->targets[search->target_count];
}

/* The next reference of the innermost frame: 1 and the suspect that it leads to, or UINT32_MAX; 0:
 * the end. */
static int next_target(struct vv_gc_cycle *cycle, struct frame *frame, uint32_t *out_target) {
    const struct vv_component_search *search = cycle->search;
    if (frame->edge == EDGE_MAX_COUNT) return 0;
    if (frame->has_targets) {
        size_t end = search->target_count - 1;
        if (frame->edge == search->targets[end]) return 0;
        uint32_t target = search->targets[end - search->targets[end] + frame->edge++];
        *out_target = is_alive(cycle, target) ? target : UINT32_MAX; /* may have died meanwhile */
        return 1;
    }
    varve_object *object = cycle->suspects[frame->suspect].object, *child;
    if (vv_edge_at(object, frame->edge, &child) == 0) return 0;
    frame->edge++;
    *out_target = child != NULL ? suspect_of(cycle, child) : UINT32_MAX;
    return 1;
}

/* --- the search --- */

static void enter(struct vv_gc_cycle *cycle, uint32_t number) {
    struct vv_component_search *search = cycle->search;
    varve_object *object = cycle->suspects[number].object;
    cycle->suspects[number].rank = search->next_rank++;
    search->frames[search->frame_count++] = (struct frame){
        .suspect = number,
        .has_targets = has_many_edges(object) && push_targets(cycle, object),
        .is_root = 1,
    };
}

static void complete(struct vv_gc_cycle *cycle, uint32_t number) {
    struct vv_component_search *search = cycle->search;
    struct vv_suspect *suspects = cycle->suspects;
    while (search->pending_count > 0) {
        uint32_t member = search->pending[search->pending_count - 1];
        if (suspects[number].rank > suspects[member].rank) break;
        search->pending_count--;
        search->next_rank--;
        suspects[member].rank = search->component;
        cycle->order[--search->order_begin] = member;
    }
    search->next_rank--;
    suspects[number].rank = search->component--;
    cycle->order[--search->order_begin] = number;
}

/* Lowers the rank of a frame to that of what it refers to. */
static void reaches_back(struct vv_gc_cycle *cycle, struct frame *frame, uint32_t target) {
    struct vv_suspect *suspects = cycle->suspects;
    if (suspects[target].rank >= suspects[frame->suspect].rank) return;
    suspects[frame->suspect].rank = suspects[target].rank;
    frame->is_root = 0;
}

static void leave(struct vv_gc_cycle *cycle) {
    struct vv_component_search *search = cycle->search;
    struct frame frame = search->frames[--search->frame_count];
    if (frame.has_targets) pop_targets(search);
    if (frame.is_root) {
        complete(cycle, frame.suspect);
    } else {
        search->pending[search->pending_count++] = frame.suspect;
    }
    if (search->frame_count > 0) {
        reaches_back(cycle, &search->frames[search->frame_count - 1], frame.suspect);
    }
}

/* Follows the references of the innermost frame until one leads to a suspect not visited yet, or to
 * the end, or the time is over (false). */
static bool follow(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    struct vv_component_search *search = cycle->search;
    struct frame *frame = &search->frames[search->frame_count - 1];
    uint32_t target;
    while (next_target(cycle, frame, &target) != 0) {
        if (target != UINT32_MAX && cycle->suspects[target].rank == 0) {
            enter(cycle, target);
            return true;
        }
        if (target != UINT32_MAX) reaches_back(cycle, frame, target);
        if (frame->edge % VV_EDGE_STRETCH == 0 && vv_budget_is_spent(budget)) return false;
    }
    leave(cycle);
    return true;
}

bool vv_components_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    struct vv_component_search *search = cycle->search;
    bool resumed = true; /* what is on the way may have died since the last slice */
    while (!vv_budget_is_spent(budget)) {
        if (search->frame_count > 0) {
            uint32_t number = search->frames[search->frame_count - 1].suspect;
            if (resumed && !is_alive(cycle, number)) {
                leave(cycle);
                continue;
            }
            resumed = resumed && search->frame_count > 1;
            if (!follow(cycle, budget)) return false;
        } else if (search->next_seed < cycle->suspect_count) {
            uint32_t seed = search->next_seed++;
            if (cycle->suspects[seed].rank == 0 && is_alive(cycle, seed)) enter(cycle, seed);
        } else {
            /* those that died before their visit are in no component */
            cycle->order_at = search->order_begin;
            return true;
        }
    }
    return false;
}
