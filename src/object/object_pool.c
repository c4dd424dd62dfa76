/* SPDX-License-Identifier: MIT */
#include "object/object_pool.h"

#include "heap/arena.h"
#include "heap/meta.h"
#include "heap/purge.h"
#include "heap/request.h"
#include "heap/thread.h"
#include "object/plane_slab.h"
#include "object/traced.h"
#include "object/world.h"

#include <string.h>

#define NEVER UINT16_MAX /* as event_count: live_count is at most the capacity, which is below */

/* --- memory of pools --- */

static void describe_granules(struct vv_object_pool *pool, uint8_t kind, void *plane) {
    struct vv_pool *first = vv_pool_record(pool->base);
    uint32_t count = pool->shelf != NULL ? pool->granule_count : 1;
    for (uint32_t index = 0; index < count; index++) {
        struct vv_pool *record = first + index;
        record->first = vv_pool_index_of(first);
        record->plane = plane;
        atomic_store_explicit(&record->owner, NULL, memory_order_relaxed);
        record->kind = kind;
    }
}

static bool is_dense(const struct vv_object_pool *pool) {
    return pool->shelf != NULL && pool->block_bytes <= VV_OBJECT_DENSE_MAX_BYTES &&
           pool->kind != VV_SHELF_LEAF;
}

static void detach_planes(struct vv_object_pool *pool, varve_world *world) {
    if (pool->shelf == NULL) return;
    if (is_dense(pool)) {
        vv_plane_piece_give(world, pool->refs);
        return;
    }
    vv_meta_free(pool->states, pool->capacity);
    if (pool->kind != VV_SHELF_LEAF) {
        vv_meta_free(pool->refs, pool->capacity * sizeof pool->refs[0]);
    }
}

/* The planes of a pool, out of the allocator's own memory. The caller is inside the allocator. */
static bool attach_planes(struct vv_object_pool *pool, varve_world *world) {
    if (pool->shelf == NULL) {
        pool->states = pool->own_states;
        pool->refs = pool->own_refs;
        return true;
    }
    if (is_dense(pool)) {
        pool->refs = vv_plane_piece_take(world);
        if (pool->refs == NULL) return false;
        pool->states = (uint8_t *)pool->refs + VV_PLANE_REFS_BYTES;
        return true;
    }
    pool->states = vv_meta_allocate(pool->capacity);
    pool->refs = pool->kind == VV_SHELF_LEAF
                     ? world->no_refs
                     : vv_meta_allocate(pool->capacity * sizeof pool->refs[0]);
    if (pool->states != NULL && pool->refs != NULL) return true;
    detach_planes(pool, world); /* which has one of them, maybe */
    return false;
}

/* Takes granules, record and planes for a pool that `plan` describes. NULL: no memory. */
static struct vv_object_pool *pool_build(varve_world *world, const struct vv_object_pool *plan) {
    struct vv_granule_run run;
    struct vv_object_pool *pool = vv_meta_allocate(sizeof *pool);
    if (pool == NULL) return NULL;
    *pool = *plan;
    if (!attach_planes(pool, world)) goto no_planes;
    if (!vv_arena_take(pool->granule_count, 1, &run)) goto no_granules;
    pool->base = vv_pool_base(vv_pool_at(run.first));
    pool->fresh = run.fresh;
    describe_granules(pool, VV_POOL_OBJECTS, pool);
    return pool;

no_granules:
    detach_planes(pool, world);
no_planes:
    vv_meta_free(pool, sizeof *pool);
    return NULL;
}

/* A world that has become large asks for huge pages, an arena at a time: a first touch then costs
 * a five-hundredth for each page, and the passes of the collector miss fewer translations. */
#define HUGE_LEAST_GRANULES (((size_t)2 << 20) / VV_GRANULE_BYTES)

static void ask_for_huge_pages(varve_world *world, struct vv_object_pool *pool) {
    world->granule_count += pool->granule_count;
    if (world->granule_count < HUGE_LEAST_GRANULES || !pool->fresh) return;
    size_t arena = (size_t)(pool->base - vv_region.base) >> VV_ARENA_SHIFT;
    if (arena == world->advised_arena) return;
    world->advised_arena = arena;
    vv_pages_advise_huge(vv_region.base + (arena << VV_ARENA_SHIFT), VV_ARENA_BYTES);
}

static struct vv_object_pool *pool_new(varve_world *world, const struct vv_object_pool *plan) {
    vv_world_check_thread(world);
    size_t needed = world->pools.count + 1;
    if (!vv_pool_list_reserve(world, &world->pools, needed) ||
        !vv_pool_list_reserve(world, &world->young[0], needed) ||
        !vv_pool_list_reserve(world, &world->young[1], needed) ||
        !vv_pool_list_reserve(world, &world->work, needed) ||
        !vv_pool_list_reserve(world, &world->trash, needed)) {
        return NULL;
    }
    struct vv_thread *thread = vv_thread_enter(VV_FRAME());
    if (thread == NULL) return NULL;
    struct vv_object_pool *pool = pool_build(world, plan);
    vv_thread_leave();
    vv_purge_tick(&world->pool_tick);
    if (pool == NULL) return NULL;
    pool->world = world;
    ask_for_huge_pages(world, pool);
    pool->pool_index = (uint32_t)world->pools.count;
    world->pools.items[world->pools.count++] = pool;
    return pool;
}

static void unlist_young(struct vv_object_pool *pool, unsigned generation) {
    struct vv_pool_list *list = &pool->world->young[generation];
    if (!pool->is_listed[generation]) return;
    for (size_t index = 0; index < list->count; index++) {
        if (list->items[index] != pool) continue;
        list->items[index] = list->items[--list->count];
        return;
    }
}

/* Gives a pool back that is on no list of its shelf. */
static void pool_free(struct vv_object_pool *pool) {
    varve_world *world = pool->world;
    vv_gc_cycle_forget_pool(pool);
    unlist_young(pool, 0);
    unlist_young(pool, 1);
    struct vv_object_pool *last = world->pools.items[--world->pools.count];
    world->pools.items[pool->pool_index] = last;
    last->pool_index = pool->pool_index;

    struct vv_thread *thread = vv_thread_enter_to_free(VV_FRAME());
    vv_check(thread != NULL, "varve: a world was used inside of malloc or after its thread's end");
    size_t touched_bytes = pool->carved_count * vv_object_block_bytes(pool);
    uint32_t touched = (uint32_t)vv_divide_up(touched_bytes, VV_GRANULE_BYTES);
    if (!pool->fresh) touched = pool->granule_count;
    vv_pool_index first = vv_pool_index_of(vv_pool_record(pool->base));
    describe_granules(pool, VV_POOL_NONE, NULL);
    world->granule_count -= pool->granule_count;
    vv_arena_give(first, pool->granule_count, touched);
    vv_object_drop_facts(thread, pool);
    detach_planes(pool, world);
    vv_meta_free(pool, sizeof *pool);
    vv_thread_leave();
}

/* --- shelves --- */

static void list_insert(struct vv_object_pool *pool) {
    struct vv_shelf *shelf = pool->shelf;
    pool->place = VV_PLACE_USABLE;
    pool->event_count = 0;
    pool->previous = NULL;
    pool->next = shelf->usable;
    if (shelf->usable != NULL) shelf->usable->previous = pool;
    shelf->usable = pool;
}

static void list_remove(struct vv_object_pool *pool) {
    struct vv_shelf *shelf = pool->shelf;
    if (pool->previous != NULL) {
        pool->previous->next = pool->next;
    } else {
        shelf->usable = pool->next;
    }
    if (pool->next != NULL) pool->next->previous = pool->previous;
    pool->next = pool->previous = NULL;
}

static void make_current(struct vv_shelf *shelf, struct vv_object_pool *pool) {
    pool->place = VV_PLACE_CURRENT;
    pool->event_count = NEVER;
    shelf->current = pool;
}

/* Frees in a full pool after which it is worth taking from it again. */
static uint16_t wake_count(const struct vv_object_pool *pool) {
    return (uint16_t)(pool->capacity - vv_max(pool->capacity / 8u, 1));
}

static struct vv_object_pool *shelf_pool_new(struct vv_shelf *shelf, varve_world *world) {
    size_t block_bytes = shelf->block_bytes;
    size_t pool_bytes = block_bytes <= VV_OBJECT_DENSE_MAX_BYTES
                            ? block_bytes * VV_OBJECT_POOL_BLOCKS
                            : VV_OBJECT_POOL_MAX_BYTES;
    pool_bytes = pool_bytes / VV_GRANULE_BYTES * VV_GRANULE_BYTES;
    struct vv_object_pool plan = {
        .reciprocal = shelf->reciprocal,
        .shelf = shelf,
        .block_bytes = (uint32_t)block_bytes,
        .granule_count = (uint32_t)(pool_bytes / VV_GRANULE_BYTES),
        .capacity = (uint16_t)(pool_bytes / block_bytes),
        .kind = shelf->kind,
    };
    return pool_new(world, &plan);
}

/* Makes a pool with a free block the current one. False: no memory. */
static bool refill(struct vv_shelf *shelf, varve_world *world) {
    struct vv_object_pool *next = shelf->usable;
    if (next != NULL) {
        list_remove(next);
    } else {
        next = shelf_pool_new(shelf, world);
        if (next == NULL) return false;
    }
    struct vv_object_pool *full = shelf->current;
    if (full != NULL) {
        full->place = VV_PLACE_FULL;
        full->event_count = wake_count(full);
    }
    make_current(shelf, next);
    return true;
}

varve_object *vv_object_take_slow(struct vv_shelf *shelf, struct varve_world *world) {
    for (;;) {
        struct vv_object_pool *pool = shelf->current;
        if (vv_likely(pool != NULL)) {
            struct vv_free_object *block = pool->free;
            if (vv_likely(block != NULL)) {
                pool->free = block->next;
                pool->live_count++;
                return &block->head;
            }
            if (vv_likely(pool->carved_count < pool->capacity)) {
                pool->live_count++;
                return vv_object_at(pool, pool->carved_count++);
            }
        }
        if (!refill(shelf, world)) return NULL;
    }
}

varve_object *vv_object_take_large(struct varve_world *world, enum vv_shelf_kind kind,
                                   size_t byte_count) {
    if (byte_count > VV_REGION_MAX_BYTES / 2) return NULL;
    struct vv_object_pool plan = {
        .granule_count = (uint32_t)vv_divide_up(byte_count, VV_GRANULE_BYTES),
        .capacity = 1,
        .carved_count = 1,
        .live_count = 1,
        .place = VV_PLACE_FULL,
        .kind = (uint8_t)kind,
    };
    plan.block_bytes = (uint32_t)vv_min(plan.granule_count * VV_GRANULE_BYTES, UINT32_MAX);
    struct vv_object_pool *pool = pool_new(world, &plan);
    return pool != NULL ? vv_object_at(pool, 0) : NULL;
}

/* The last block of a pool that is not current was freed, or enough of a full one. */
static VV_NOINLINE void settle(struct vv_object_pool *pool) {
    if (pool->place == VV_PLACE_FULL && pool->shelf != NULL) {
        list_insert(pool);
        if (pool->live_count > 0) return;
    }
    if (pool->world->walk_count > 0) {
        pool->world->has_empty_pools = true;
        return;
    }
    if (pool->shelf != NULL) {
        bool alone = pool->next == NULL && pool->previous == NULL;
        if (alone) return; /* the next refill would need it */
        list_remove(pool);
    }
    pool_free(pool);
}

void vv_object_give(struct vv_object_pool *pool, uint32_t index, varve_object *object) {
    struct vv_free_object *block = (struct vv_free_object *)(void *)object;
    if (vv_unlikely(pool->facts != NULL)) vv_object_note_death(pool, object);
    pool->states[index] = 0;
    block->head.refcount = 0;
    block->head.type_index = 0;
    block->next = pool->free;
    pool->free = block;
    pool->live_count--;
    if (vv_unlikely(pool->live_count == pool->event_count)) settle(pool);
    vv_audit(VARVE_AUDIT && pool->live_count % 64 == 1 ? vv_object_pool_check(pool) : NULL);
}

void vv_object_give_all(struct vv_object_pool *pool) {
    vv_assert(pool->world->walk_count > 0);
    if (pool->shelf == NULL) {
        vv_object_give(pool, 0, vv_object_at(pool, 0));
        return;
    }
    memset(pool->states, 0, pool->carved_count);
    size_t carved_bytes = (size_t)pool->carved_count * pool->block_bytes;
    if (carved_bytes > 0) pool->fresh = false;
    pool->carved_count = 0;
    pool->live_count = 0;
    pool->free = NULL;
    pool->world->has_empty_pools = true;
    if (pool->place == VV_PLACE_FULL) list_insert(pool);
}

void vv_object_pools_trim(struct varve_world *world) {
    if (!world->has_empty_pools || world->walk_count > 0) return;
    world->has_empty_pools = false;
    for (size_t index = world->pools.count; index-- > 0;) {
        struct vv_object_pool *pool = world->pools.items[index];
        if (pool->live_count == 0 && pool->place != VV_PLACE_CURRENT) settle(pool);
    }
}

void vv_object_pools_free_all(struct varve_world *world) {
    while (world->pools.count > 0) {
        struct vv_object_pool *pool = world->pools.items[world->pools.count - 1];
        pool->is_listed[0] = pool->is_listed[1] = false;
        pool_free(pool);
    }
    if (world->plane_slabs == NULL) return; /* maybe there was no memory for the thread's state */
    struct vv_thread *thread = vv_thread_enter_to_free(VV_FRAME());
    vv_check(thread != NULL, "varve: a world was used inside of malloc or after its thread's end");
    vv_plane_slabs_free(world);
    vv_thread_leave();
}

const char *vv_object_pool_check(const struct vv_object_pool *pool) {
    uint32_t free_count = 0;
    vv_expect(pool->live_count <= pool->carved_count && pool->carved_count <= pool->capacity,
              "a pool of objects has more than fit");
    if (pool->shelf == NULL) return NULL;
    for (const struct vv_free_object *block = pool->free; block != NULL; block = block->next) {
        vv_expect(block->head.type_index == 0, "a freed object was written to");
        vv_expect(block->head.refcount == 0, "a reference was taken to a freed object");
        vv_expect(pool->states[vv_object_index(pool, block)] == 0, "a freed object has a state");
        vv_expect(++free_count <= pool->carved_count, "a list of free objects has a cycle");
    }
    vv_expect(pool->live_count + free_count == pool->carved_count,
              "a pool miscounts its live objects");
    return NULL;
}
