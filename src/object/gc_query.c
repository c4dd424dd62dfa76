/* SPDX-License-Identifier: MIT
 * Questions to the collector, settings, freezing. */
#include "object/builtin.h"
#include "object/gc_inner.h"
#include "object/traverse.h"

bool varve_gc_enable(varve_world *world) {
    bool before = world->gc.enabled;
    world->gc.enabled = true;
    return before;
}

bool varve_gc_disable(varve_world *world) {
    bool before = world->gc.enabled;
    world->gc.enabled = false;
    return before;
}

bool varve_gc_is_enabled(const varve_world *world) {
    return world->gc.enabled;
}

/* Old objects that die while young ones are made would put off young collections, whose time has no
 * other bound than the number of young objects. So with a pause what was made counts, whatever has
 * died: deaths count only where nothing is due, because collections are disabled. */
static void set_count_floor(struct vv_gc *gc) {
    gc->count_floor = gc->pause_ns > 0 && gc->threshold[0] > 0 ? gc->threshold[0] : 0;
}

void varve_gc_set_threshold(varve_world *world, const int threshold[3]) {
    memcpy(world->gc.threshold, threshold, sizeof world->gc.threshold);
    set_count_floor(&world->gc);
}

void varve_gc_get_threshold(const varve_world *world, int out_threshold[3]) {
    memcpy(out_threshold, world->gc.threshold, sizeof world->gc.threshold);
}

void varve_gc_get_count(const varve_world *world, int out_count[3]) {
    memcpy(out_count, world->gc.count, sizeof world->gc.count);
}

void varve_gc_get_stats(const varve_world *world, varve_gc_stats out_stats[VARVE_GC_GENERATIONS]) {
    memcpy(out_stats, world->gc.stats, sizeof world->gc.stats);
}

varve_object *varve_gc_garbage(varve_world *world) {
    return world->gc.garbage;
}

void varve_gc_set_debug(varve_world *world, int flags) {
    world->gc.debug = flags;
}

int varve_gc_get_debug(const varve_world *world) {
    return world->gc.debug;
}

void varve_gc_set_debug_output(varve_world *world, void (*write)(const char *line, void *argument),
                               void *argument) {
    world->gc.write = write;
    world->gc.write_argument = argument;
}

/* --- one object --- */

/* Of a live object: audit builds see to it. */
static uint8_t *state_of(const varve_object *object) {
    vv_object_assert_live(object);
    return vv_object_state(object);
}

bool varve_gc_is_tracked(const varve_object *object) {
    return (*state_of(object) & VV_STATE_TRACKED) != 0;
}

bool varve_gc_is_finalized(const varve_object *object) {
    return (*state_of(object) & VV_STATE_FINALIZED) != 0;
}

void varve_gc_track(varve_object *object) {
    vv_object_assert_live(object);
    vv_check(vv_object_is_cyclic(object), "varve: an object of an acyclic type was to be tracked");
    vv_object_track(object);
}

void varve_gc_untrack(varve_object *object) {
    vv_object_assert_live(object);
    vv_object_untrack(object);
}

int varve_gc_generation(const varve_object *object) {
    uint8_t state = *state_of(object);
    return (state & VV_STATE_TRACKED) != 0 ? (int)vv_state_generation(state) : -ENOENT;
}

/* --- all objects --- */

/* Calls `visit` for each tracked object; nonzero ends the walk and is returned. */
static int visit_tracked(varve_world *world,
                         int (*visit)(varve_object *object, unsigned generation, void *argument),
                         void *argument) {
    for (size_t place = 0; place < world->pools.count; place++) {
        const struct vv_object_pool *pool = world->pools.items[place];
        if (pool->kind != VV_SHELF_CYCLIC) continue;
        for (uint32_t block = 0; block < pool->carved_count; block++) {
            uint8_t state = pool->states[block];
            if ((state & VV_STATE_TRACKED) == 0 || !vv_object_is_visible(pool, block)) continue;
            int result = visit(vv_object_at(pool, block), vv_state_generation(state), argument);
            if (result != 0) return result;
        }
    }
    return 0;
}

static int count_one(varve_object *object, unsigned generation, void *argument) {
    (void)object;
    ((size_t *)argument)[generation]++;
    return 0;
}

void vv_gc_count_generations(const varve_world *world, size_t out_counts[4]) {
    memset(out_counts, 0, 4 * sizeof out_counts[0]);
    visit_tracked((varve_world *)(uintptr_t)world, count_one, out_counts);
}

struct gathering {
    varve_object *list;
    int generation;
};

static int gather(varve_object *object, unsigned generation, void *argument) {
    const struct gathering *gathering = argument;
    if (object == gathering->list || generation == VV_GENERATION_FROZEN) return 0;
    if (gathering->generation >= 0 && generation != (unsigned)gathering->generation) return 0;
    return varve_list_append(gathering->list, object);
}

/* The list, when it has all of the answer. */
static varve_object *finish(varve_object *list, int error) {
    if (error == 0) return list;
    varve_decref(list);
    errno = ENOMEM;
    return NULL;
}

varve_object *varve_gc_get_objects(varve_world *world, int generation) {
    if (generation < -1 || generation >= VARVE_GC_GENERATIONS) {
        errno = EINVAL;
        return NULL;
    }
    struct gathering gathering = {varve_list_new(world), generation};
    if (gathering.list == NULL) return NULL;
    return finish(gathering.list, visit_tracked(world, gather, &gathering));
}

struct wanted {
    varve_object *list;
    size_t count;
    varve_object *const *objects;
};

static int is_wanted(varve_object *child, void *argument) {
    const struct wanted *wanted = argument;
    for (size_t index = 0; index < wanted->count; index++) {
        if (wanted->objects[index] == child) return 1;
    }
    return 0;
}

static int add_referrer(varve_object *object, void *argument) {
    struct wanted *wanted = argument;
    if (object == wanted->list || vv_object_pool_of(object)->kind == VV_SHELF_LEAF) return 0;
    if (object == vv_world_of(object)->gc.garbage) return 0;
    if (vv_traverse(object, is_wanted, wanted) == 0) return 0;
    return varve_list_append(wanted->list, object);
}

varve_object *varve_gc_get_referrers(varve_world *world, size_t count,
                                     varve_object *const *objects) {
    for (size_t index = 0; index < count; index++) vv_world_check_own(world, objects[index]);
    struct wanted wanted = {varve_list_new(world), count, objects};
    if (wanted.list == NULL) return NULL;
    return finish(wanted.list, vv_world_visit_objects(world, add_referrer, &wanted));
}

static int add_referent(varve_object *child, void *argument) {
    return varve_list_append(argument, child);
}

varve_object *varve_gc_get_referents(varve_world *world, size_t count,
                                     varve_object *const *objects) {
    for (size_t index = 0; index < count; index++) vv_world_check_own(world, objects[index]);
    varve_object *list = varve_list_new(world);
    if (list == NULL) return NULL;
    int error = 0;
    for (size_t index = 0; index < count && error == 0; index++) {
        error = vv_traverse(objects[index], add_referent, list);
    }
    return finish(list, error);
}

/* --- freezing --- */

static void change_generations(varve_world *world, bool freeze) {
    for (size_t place = 0; place < world->pools.count; place++) {
        struct vv_object_pool *pool = world->pools.items[place];
        for (uint32_t block = 0; block < pool->carved_count; block++) {
            uint8_t *state = &pool->states[block];
            if ((*state & VV_STATE_TRACKED) == 0) continue;
            bool frozen = vv_state_generation(*state) == VV_GENERATION_FROZEN;
            if (frozen == freeze) continue;
            unsigned generation = freeze ? VV_GENERATION_FROZEN : 2;
            *state &= (uint8_t)~VV_STATE_GENERATION;
            *state |= (uint8_t)(generation << VV_STATE_GENERATION_SHIFT);
        }
    }
}

void varve_gc_freeze(varve_world *world) {
    if (!world->gc.collecting) vv_gc_cycle_abandon(world);
    change_generations(world, /* freeze */ true);
    memset(world->gc.count, 0, sizeof world->gc.count);
}

void varve_gc_unfreeze(varve_world *world) {
    change_generations(world, /* freeze */ false);
}

size_t varve_gc_get_freeze_count(const varve_world *world) {
    size_t counts[VV_GENERATION_FROZEN + 1];
    vv_gc_count_generations(world, counts);
    return counts[VV_GENERATION_FROZEN];
}

/* --- pacing --- */

/* External bytes that are worth a collection: an eighth of what there is, but not a trifle. */
#define EXTERNAL_LEAST_BYTES (1 << 20)

static int64_t add_saturated(int64_t sum, int64_t byte_count) {
    int64_t result;
    if (!__builtin_add_overflow(sum, byte_count, &result)) return result;
    return byte_count > 0 ? INT64_MAX : INT64_MIN;
}

void varve_gc_adjust_external(varve_world *world, int64_t byte_count) {
    struct vv_gc *gc = &world->gc;
    gc->external_bytes = add_saturated(gc->external_bytes, byte_count);
    gc->bytes_since = add_saturated(gc->bytes_since, byte_count);
    if (gc->bytes_since < 0) gc->bytes_since = 0;
    if (gc->bytes_since < EXTERNAL_LEAST_BYTES || gc->bytes_since < gc->external_bytes / 8) return;
    if (!gc->enabled || gc->collecting || gc->threshold[0] == 0) return;
    if (gc->pause_ns > 0) {
        vv_gc_cycle_automatic(world);
    } else {
        varve_gc_collect(world, 2);
    }
}

int64_t varve_gc_external_bytes(const varve_world *world) {
    return world->gc.external_bytes;
}

void varve_gc_set_pause(varve_world *world, uint64_t pause_ns) {
    world->gc.pause_ns = pause_ns;
    set_count_floor(&world->gc);
    if (pause_ns == 0 && !world->gc.collecting) vv_gc_cycle_abandon(world);
}
