/* SPDX-License-Identifier: MIT
 * Steps of an incremental collection: their budget, and what is freed at its end. */
#include "object/component.h"
#include "object/gc_inner.h"
#include "object/traverse.h"
#include "object/weak.h"
#include "os/clock.h"

#include <errno.h>
#include <string.h>

/* What is freed between two looks at the clock: 60 us, and ten times that in cold memory. */
#define FREE_BATCH_COUNT 256u
#define FREE_VISITS_PER_OBJECT 2u

/* Automatic steps finish a collection while about a quarter of the live objects is made anew:
 * for each new one they visit four twice (subtract, mark). They count work, not time, so a slow
 * machine does not fall behind; only the bound of a pause is time. */
#define STEP_VISITS_PER_NEW_OBJECT 8u

/* --- beginning and end --- */

static void cycle_free(struct vv_gc_cycle *cycle) {
    varve_world *world = cycle->world;
    for (size_t index = 0; index < cycle->pool_count; index++) {
        if (cycle->pools[index] != NULL) cycle->pools[index]->cycle_place = 0;
    }
    vv_components_end(cycle);
    vv_world_release(world, cycle->pools);
    vv_world_release(world, cycle->stack);
    vv_world_release(world, cycle->suspects);
    vv_world_release(world, cycle->order);
    vv_world_release(world, cycle);
}

void vv_gc_cycle_abandon(varve_world *world) {
    struct vv_gc_cycle *cycle = world->gc.cycle;
    if (cycle == NULL) return;
    world->gc.cycle = NULL;
    cycle_free(cycle);
}

void vv_gc_cycle_forget_pool(struct vv_object_pool *pool) {
    if (pool->cycle_place == 0) return;
    pool->world->gc.cycle->pools[pool->cycle_place - 1] = NULL;
}

static void list_pools(struct vv_gc_cycle *cycle) {
    const struct vv_pool_list *pools = &cycle->world->pools;
    for (size_t index = 0; index < pools->count; index++) {
        struct vv_object_pool *pool = pools->items[index];
        if (pool->kind != VV_SHELF_CYCLIC) continue;
        cycle->pools[cycle->pool_count++] = pool;
        pool->cycle_place = (uint32_t)cycle->pool_count;
    }
}

static struct vv_gc_cycle *cycle_new(varve_world *world) {
    struct vv_gc_cycle *cycle = vv_world_allocate(world, sizeof *cycle);
    if (cycle == NULL) return NULL;
    *cycle = (struct vv_gc_cycle){.world = world};
    vv_subtraction_begin(&cycle->subtraction);
    cycle->pools = vv_world_allocate(world, world->pools.count * sizeof cycle->pools[0]);
    cycle->stack = vv_world_allocate(world, VV_MARK_STACK_COUNT * sizeof cycle->stack[0]);
    if (cycle->pools == NULL || cycle->stack == NULL) {
        cycle_free(cycle);
        return NULL;
    }
    list_pools(cycle);
    return cycle;
}

/* All younger objects come to the oldest generation first, or what they hold would seem to live. */
static int begin(varve_world *world, uint64_t *out_collected) {
    *out_collected = (uint64_t)varve_gc_collect(world, 1);
    world->gc.cycle = cycle_new(world);
    if (world->gc.cycle == NULL) return -ENOMEM;
    world->gc.count[2] = 0;
    world->gc.long_lived_pending = 0;
    world->gc.collecting = true; /* or a callback could end the cycle before its first slice */
    vv_gc_tell(world, VARVE_GC_START, &(varve_gc_info){.generation = 2});
    world->gc.collecting = false;
    return 0;
}

static void end(varve_world *world) {
    struct vv_gc *gc = &world->gc;
    struct vv_gc_cycle *cycle = gc->cycle;
    varve_gc_info info = {
        .generation = 2,
        .collected = cycle->collected_count,
        .visited = cycle->visited_count,
        .duration_ns = cycle->duration_ns,
    };
    gc->cycle = NULL;
    gc->bytes_since = 0;
    gc->long_lived_total = cycle->visited_count > cycle->collected_count
                               ? cycle->visited_count - cycle->collected_count
                               : 0;
    cycle_free(cycle);
    gc->stats[2].collections++;
    gc->stats[2].collected += info.collected;
    gc->stats[2].candidates += info.visited;
    vv_gc_tell(world, VARVE_GC_STOP, &info);
}

/* --- freeing components: the exact check of some suspects --- */

struct batch {
    struct vv_gc_cycle *cycle;
    const uint32_t *numbers;
    size_t count;
    size_t stack_count;
    bool overflowed;
};

/* How far ahead a prefetch has time to come. */
#define FAR_COUNT 8u

static varve_object *batch_object(const struct batch *batch, size_t index) {
    if (index + FAR_COUNT < batch->count) {
        __builtin_prefetch(batch->cycle->suspects[batch->numbers[index + FAR_COUNT]].object);
    }
    return batch->cycle->suspects[batch->numbers[index]].object;
}

/* Makes the suspects that are left candidates; others are struck out: they went with what an
 * earlier batch freed (or were live and went otherwise), and count as collected. */
static void choose(struct batch *batch) {
    for (size_t index = 0; index < batch->count; index++) {
        struct vv_suspect *suspect = &batch->cycle->suspects[batch->numbers[index]];
        varve_object *object = suspect->object;
        if (!vv_cycle_is_suspect(batch->cycle, object)) {
            suspect->object = NULL;
            batch->cycle->collected_count++;
            continue;
        }
        struct vv_object_pool *pool = vv_object_pool_of(object);
        uint32_t block = vv_object_index(pool, object);
        pool->refs[block] = 0;
        pool->states[block] &= (uint8_t) ~(VV_STATE_SUSPECT | VV_STATE_REACHED);
        pool->states[block] |= VV_STATE_CANDIDATE;
    }
}

VV_INLINE int subtract_edge(varve_object *child, void *argument) {
    (void)argument;
    vv_object_assert_live(child);
    struct vv_object_pool *pool = vv_object_pool_of(child);
    uint32_t block = vv_object_index(pool, child);
    if ((pool->states[block] & VV_STATE_CANDIDATE) != 0) pool->refs[block]--;
    return 0;
}

static int subtract_ephemeron(varve_object *child, void *argument) {
    return subtract_edge(child, argument);
}

/* Also what tables outside of the batch hold for keys that are in it. */
static void subtract(const struct batch *batch) {
    struct varve_type *const *types = batch->cycle->world->types;
    bool has_ephemerons = vv_ephemerons_exist(batch->cycle->world);
    for (size_t index = 0; index < batch->count; index++) {
        varve_object *object = batch_object(batch, index);
        if (object == NULL) continue;
        struct vv_object_pool *pool = vv_object_pool_of(object);
        pool->refs[vv_object_index(pool, object)] += object->refcount;
        vv_traverse_inline(object, types, false, subtract_edge, NULL);
        if (has_ephemerons) {
            vv_ephemerons_show_values(object, vv_gc_is_reached, subtract_ephemeron, NULL);
        }
    }
}

static void reach(struct batch *batch, varve_object *object) {
    uint8_t *state = vv_object_state(object);
    const uint8_t both = VV_STATE_CANDIDATE | VV_STATE_REACHED;
    if ((*state & both) != VV_STATE_CANDIDATE) return;
    *state |= VV_STATE_REACHED;
    if (batch->stack_count < VV_MARK_STACK_COUNT) {
        batch->cycle->stack[batch->stack_count++] = object;
    } else {
        batch->overflowed = true;
    }
}

static int reach_edge(varve_object *child, void *argument) {
    reach(argument, child);
    return 0;
}

static void show_targets(struct batch *batch, varve_object *object) {
    const varve_world *world = batch->cycle->world;
    if (vv_ephemerons_exist(world) &&
        vv_ephemerons_show(object, vv_gc_is_reached, reach_edge, batch)) {
        return;
    }
    vv_traverse_inline(object, world->types, false, reach_edge, batch);
}

static void drain(struct batch *batch) {
    while (batch->stack_count > 0) {
        show_targets(batch, batch->cycle->stack[--batch->stack_count]);
    }
}

static void find_reached(struct batch *batch) {
    for (size_t index = 0; index < batch->count; index++) {
        varve_object *object = batch_object(batch, index);
        if (object == NULL) continue;
        struct vv_object_pool *pool = vv_object_pool_of(object);
        if (pool->refs[vv_object_index(pool, object)] != 0) reach(batch, object);
        drain(batch);
    }
    while (batch->overflowed) { /* show again what all reached objects refer to */
        batch->overflowed = false;
        for (size_t index = 0; index < batch->count; index++) {
            varve_object *object = batch_object(batch, index);
            if (object == NULL || (*vv_object_state(object) & VV_STATE_REACHED) == 0) continue;
            show_targets(batch, object);
            drain(batch);
        }
    }
}

static void list_trash_pool(varve_world *world, struct vv_object_pool *pool) {
    struct vv_pool_list *trash = &world->trash;
    if (pool->position < trash->count && trash->items[pool->position] == pool) return;
    pool->position = (uint32_t)trash->count;
    trash->items[trash->count++] = pool;
}

/* Returns how many are garbage; their pools are on world->trash, and they themselves in the place
 * of the mark stack, if there are not too many. */
static size_t keep_reached(const struct batch *batch) {
    varve_world *world = batch->cycle->world;
    size_t trash_count = 0;
    world->trash.count = 0;
    vv_assert(batch->stack_count == 0);
    for (size_t index = 0; index < batch->count; index++) {
        varve_object *object = batch_object(batch, index);
        if (object == NULL) continue;
        struct vv_object_pool *pool = vv_object_pool_of(object);
        uint8_t *state = &pool->states[vv_object_index(pool, object)];
        if ((*state & VV_STATE_REACHED) != 0) {
            *state &= (uint8_t) ~(VV_STATE_CANDIDATE | VV_STATE_REACHED);
        } else {
            list_trash_pool(world, pool);
            if (trash_count < VV_MARK_STACK_COUNT) batch->cycle->stack[trash_count] = object;
            trash_count++;
        }
    }
    return trash_count;
}

static void free_batch(struct batch *batch) {
    struct vv_gc_cycle *cycle = batch->cycle;
    varve_world *world = cycle->world;
    choose(batch);
    subtract(batch);
    find_reached(batch);
    size_t trash_count = keep_reached(batch);
    if (trash_count == 0) return;
    if (trash_count <= VV_MARK_STACK_COUNT) world->trash_objects = cycle->stack;
    world->trash_object_count = trash_count;
    cycle->collected_count += vv_gc_handle_trash(world, 2, trash_count);
    world->trash_objects = NULL;
}

/* Whole components, at least one, up to about FREE_BATCH_COUNT suspects. */
static size_t batch_count(const struct vv_gc_cycle *cycle) {
    size_t at = cycle->order_at, count = 0;
    while (at + count < cycle->suspect_count) {
        uint32_t component = cycle->suspects[cycle->order[at + count]].rank;
        if (count >= FREE_BATCH_COUNT &&
            component != cycle->suspects[cycle->order[at + count - 1]].rank)
            break;
        count++;
    }
    return count;
}

static void free_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    cycle->world->walk_count++;
    do {
        struct batch batch = {
            .cycle = cycle,
            .numbers = cycle->order + cycle->order_at,
            .count = batch_count(cycle),
        };
        cycle->order_at += batch.count;
        free_batch(&batch);
        budget->visit_count -= vv_min(budget->visit_count, batch.count * FREE_VISITS_PER_OBJECT);
        vv_budget_look(budget);
    } while (cycle->order_at < cycle->suspect_count && !vv_budget_is_spent(budget));
    cycle->world->walk_count--;
    vv_object_pools_trim(cycle->world);
    if (cycle->order_at >= cycle->suspect_count) cycle->phase = VV_CYCLE_DONE;
}

/* --- a slice --- */

static int begin_order(struct vv_gc_cycle *cycle) {
    if (cycle->suspect_count == 0) {
        cycle->phase = VV_CYCLE_DONE;
        return 0;
    }
    cycle->order = vv_world_allocate(cycle->world, cycle->suspect_count * sizeof cycle->order[0]);
    return cycle->order != NULL ? vv_components_begin(cycle) : -ENOMEM;
}

static int work(struct vv_gc_cycle *cycle, struct vv_budget *budget) {
    int error = 0;
    if (cycle->phase < VV_CYCLE_GATHER) {
        vv_cycle_mark_slice(cycle, budget);
        return 0;
    }
    if (cycle->phase == VV_CYCLE_GATHER) {
        error = vv_cycle_gather_slice(cycle, budget);
        if (error == 0 && cycle->phase == VV_CYCLE_ORDER) error = begin_order(cycle);
        return error;
    }
    if (cycle->phase == VV_CYCLE_ORDER && vv_components_slice(cycle, budget)) {
        vv_components_end(cycle);
        cycle->phase = cycle->order_at < cycle->suspect_count ? VV_CYCLE_FREE : VV_CYCLE_DONE;
        return 0;
    }
    if (cycle->phase == VV_CYCLE_FREE) free_slice(cycle, budget);
    return 0;
}

/* One slice. The caller has set gc->collecting. */
static int slice(varve_world *world, struct vv_budget *budget, varve_gc_progress *progress) {
    struct vv_gc_cycle *cycle = world->gc.cycle;
    uint64_t visited_before = cycle->visited_count, collected_before = cycle->collected_count;
    uint64_t begin_ns = vv_clock_ns();
    int error = 0;
    do {
        error = work(cycle, budget);
        vv_budget_look(budget);
    } while (error == 0 && cycle->phase != VV_CYCLE_DONE && !vv_budget_is_spent(budget));
    varve_gc_info info = {
        .generation = 2,
        .collected = cycle->collected_count - collected_before,
        .visited = cycle->visited_count - visited_before,
        .duration_ns = vv_clock_ns() - begin_ns,
    };
    cycle->duration_ns += info.duration_ns;
    vv_gc_account_pause(world, 2, info.duration_ns);
    vv_gc_tell(world, VARVE_GC_SLICE, &info);
    *progress = (varve_gc_progress){
        .done = cycle->phase == VV_CYCLE_DONE,
        .visited = info.visited,
        .collected = info.collected,
    };
    if (progress->done) end(world);
    return error;
}

static int step(varve_world *world, uint64_t budget_ns, size_t visit_count,
                varve_gc_progress *progress) {
    uint64_t young_collected = 0;
    int saved_errno = errno;
    int error = world->gc.cycle == NULL ? begin(world, &young_collected) : 0;
    if (error != 0) return error;
    world->gc.collecting = true;
    struct vv_budget budget = vv_budget_of(budget_ns, visit_count);
    error = slice(world, &budget, progress);
    progress->collected += young_collected;
    errno = saved_errno;
    world->gc.collecting = false;
    if (error != 0) vv_gc_cycle_abandon(world);
    return error;
}

int varve_gc_step(varve_world *world, uint64_t budget_ns, varve_gc_progress *out_progress) {
    varve_gc_progress progress = {.done = false};
    vv_world_check_thread(world);
    if (world->gc.collecting) return -EBUSY;
    int error = step(world, budget_ns, SIZE_MAX, &progress);
    if (error == 0 && out_progress != NULL) *out_progress = progress;
    return error;
}

/* Without memory for an incremental collection the whole one does the work. */
void vv_gc_cycle_automatic(varve_world *world) {
    struct vv_gc *gc = &world->gc;
    varve_gc_progress progress;
    size_t visit_count = vv_max((size_t)gc->threshold[0], 1) * STEP_VISITS_PER_NEW_OBJECT;
    if (gc->collecting) return;
    if (step(world, gc->pause_ns, visit_count, &progress) != 0) varve_gc_collect(world, 2);
}
