/* SPDX-License-Identifier: MIT
 * Freeing garbage in bulk.
 *
 * When all garbage is of built-in types, nobody can see in which order it goes. So references from
 * garbage to garbage are not counted down one by one, which would touch every object at random:
 * first the references to what lives are ended and the memory outside of blocks is freed, in order
 * of address; then the blocks are given back, whole pools without looking at them. */
#include "object/builtin.h"
#include "object/edge_ring.h"
#include "object/gc_inner.h"
#include "object/traverse.h"

static inline void end_unless_trash(varve_object *object) {
    if ((*vv_object_state(object) & VV_STATE_CANDIDATE) != 0) return;
    varve_decref(object);
}

VV_INLINE int release_reference(varve_object *child, void *argument) {
    __builtin_prefetch(vv_object_state(child));
    varve_object *oldest = vv_edge_ring_put(argument, child);
    if (oldest != NULL) end_unless_trash(oldest);
    return 0;
}

/* The fields that lead to freed memory are reset, so that nothing in a block ever does. */
static void release_outer(varve_world *world, varve_object *object) {
    if (object->type_index == VV_TYPE_LIST) {
        struct vv_list *list = (struct vv_list *)object;
        void *items = list->items;
        list->count = list->capacity = 0;
        list->items = NULL;
        vv_world_release(world, items);
    } else if (object->type_index == VV_TYPE_DICT || object->type_index == VV_TYPE_SET) {
        struct vv_table *table = &((struct vv_dict *)object)->table;
        void *slots = table->slots;
        *table = (struct vv_table){.slots = NULL};
        vv_world_release(world, slots);
    }
}

struct release_pass {
    varve_world *world;
    struct vv_edge_ring ring; /* references that wait for the state of their target */
};

static void release_object(varve_object *object, void *argument) {
    struct release_pass *pass = argument;
    vv_traverse_inline(object, pass->world->types, /* with_classes */ true, release_reference,
                       &pass->ring);
    release_outer(pass->world, object);
}

static uint32_t count_in_pool(const struct vv_object_pool *pool) {
    uint32_t count = 0;
    for (uint32_t block = 0; block < pool->carved_count; block++) {
        count += pool->states[block] >> 7; /* VV_STATE_CANDIDATE */
    }
    return count;
}

static void give_object(varve_object *object, void *argument) {
    ++*(size_t *)argument;
    struct vv_object_pool *pool = vv_object_pool_of(object);
    vv_object_give(pool, vv_object_index(pool, object), object);
}

/* Pools in which nothing lives but garbage, unless the trace must hear of each object. Returns how
 * many objects they had. */
static size_t give_whole_pools(varve_world *world) {
    size_t freed_count = 0;
    for (size_t index = 0; index < world->trash.count; index++) {
        struct vv_object_pool *pool = world->trash.items[index];
        uint32_t count = count_in_pool(pool);
        if (count != pool->live_count || pool->facts != NULL) continue;
        freed_count += count;
        vv_object_give_all(pool);
    }
    return freed_count;
}

void vv_trash_free(varve_world *world) {
    struct release_pass pass = {.world = world};
    size_t freed_count = 0;
    world->frees_in_bulk = true; /* references that end may run code of the program */
    vv_collect_each_trash(world, release_object, &pass);
    varve_object *object;
    while ((object = vv_edge_ring_take(&pass.ring)) != NULL) end_unless_trash(object);
    if (world->trash_objects == NULL) freed_count = give_whole_pools(world);
    vv_collect_each_trash(world, give_object, &freed_count);
    world->frees_in_bulk = false;
    struct vv_gc *gc = &world->gc;
    int surplus = gc->count[0] - gc->count_floor;
    if (surplus > 0) gc->count[0] -= (int)vv_min((size_t)surplus, freed_count);
}
