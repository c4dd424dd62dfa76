/* SPDX-License-Identifier: MIT
 * The collector: what happens around the search for garbage (collect.h), in CPython's order.
 *
 *   start callbacks; search; survivors to the next generation;
 *   weak references to garbage cleared, their callbacks; finalizers; search again in the garbage
 *   for what finalizers saved; clear; statistics; stop callbacks
 *
 * While garbage is handled it is known by VV_STATE_CANDIDATE alone: nothing else has that bit. */
#include "object/gc_inner.h"

#include "base/text.h"
#include "object/builtin.h"
#include "object/weak.h"
#include "os/clock.h"
#include "os/environment.h"

struct vv_gc_observer {
    varve_gc_callback callback;
    void *argument;
};

int vv_gc_init(varve_world *world) {
    struct vv_gc *gc = &world->gc;
    gc->threshold[0] = 700;
    gc->threshold[1] = gc->threshold[2] = 10;
    gc->stack = varve_malloc(VV_MARK_STACK_COUNT * sizeof gc->stack[0]);
    return gc->stack != NULL ? 0 : -ENOMEM;
}

void vv_gc_done(varve_world *world) {
    varve_free(world->gc.stack);
    varve_free(world->gc.observers);
}

/* --- callbacks and debug lines --- */

void vv_gc_tell(varve_world *world, varve_gc_phase phase, const varve_gc_info *info) {
    struct vv_gc *gc = &world->gc;
    for (size_t index = 0; index < gc->observer_count; index++) {
        struct vv_gc_observer observer = gc->observers[index];
        observer.callback(world, phase, info, observer.argument);
    }
}

int varve_gc_add_callback(varve_world *world, varve_gc_callback callback, void *argument) {
    struct vv_gc *gc = &world->gc;
    if (gc->observer_count == gc->observer_capacity) {
        size_t capacity = gc->observer_capacity * 2 + 4;
        void *observers =
            vv_world_reallocate(world, gc->observers, capacity * sizeof gc->observers[0]);
        if (observers == NULL) return -ENOMEM;
        gc->observers = observers;
        gc->observer_capacity = capacity;
    }
    gc->observers[gc->observer_count++] = (struct vv_gc_observer){callback, argument};
    return 0;
}

int varve_gc_remove_callback(varve_world *world, varve_gc_callback callback, void *argument) {
    struct vv_gc *gc = &world->gc;
    for (size_t index = 0; index < gc->observer_count; index++) {
        struct vv_gc_observer *observer = &gc->observers[index];
        if (observer->callback != callback || observer->argument != argument) continue;
        gc->observer_count--;
        memmove(observer, observer + 1, (gc->observer_count - index) * sizeof *observer);
        return 0;
    }
    return -ENOENT;
}

static void write_line(const struct vv_gc *gc, struct vv_text *text, char *buffer) {
    if (gc->write != NULL) {
        gc->write(vv_text_end(text), gc->write_argument);
        return;
    }
    vv_text_add(text, "\n");
    vv_text_end(text);
    vv_write_all(2, buffer, (size_t)(text->at - buffer));
}

static void say_begin(varve_world *world, int generation) {
    char buffer[120];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    size_t counts[VV_GENERATION_FROZEN + 1];
    vv_text_add(&text, "gc: collecting generation ");
    vv_text_add_decimal(&text, (uint64_t)generation);
    vv_text_add(&text, "...");
    write_line(&world->gc, &text, buffer);

    vv_gc_count_generations(world, counts);
    text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "gc: objects in each generation:");
    for (int index = 0; index < VARVE_GC_GENERATIONS; index++) {
        vv_text_add(&text, " ");
        vv_text_add_decimal(&text, counts[index]);
    }
    write_line(&world->gc, &text, buffer);

    text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "gc: objects in permanent generation: ");
    vv_text_add_decimal(&text, counts[VV_GENERATION_FROZEN]);
    write_line(&world->gc, &text, buffer);
}

static void say_end(varve_world *world, uint64_t unreachable_count, uint64_t duration_ns) {
    char buffer[120];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    uint64_t tenths_ms = (duration_ns + 50000) / 100000;
    vv_text_add(&text, "gc: done, ");
    vv_text_add_decimal(&text, unreachable_count);
    vv_text_add(&text, " unreachable, 0 uncollectable, ");
    vv_text_add_decimal(&text, tenths_ms / 10000);
    vv_text_add(&text, ".");
    for (uint64_t digit = 1000; digit > 0; digit /= 10) {
        vv_text_add_decimal(&text, tenths_ms / digit % 10);
    }
    vv_text_add(&text, "s elapsed");
    write_line(&world->gc, &text, buffer);
}

static void say_collectable(varve_object *object, void *argument) {
    const varve_world *world = argument;
    char buffer[160];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "gc: collectable <");
    vv_text_add(&text, vv_type_of(object)->spec.name);
    vv_text_add(&text, " ");
    vv_text_add_hex(&text, (uintptr_t)object);
    vv_text_add(&text, ">");
    write_line(&world->gc, &text, buffer);
}

/* --- garbage --- */

bool vv_gc_is_trash(const varve_object *object) {
    return (*vv_object_state(object) & (VV_STATE_CANDIDATE | VV_STATE_REACHED)) ==
           VV_STATE_CANDIDATE;
}

bool vv_gc_is_reached(const varve_object *object) {
    return !vv_gc_is_trash(object);
}

static void weak_trash(varve_object *object, void *argument) {
    const varve_world *world = argument;
    bool is_referenced = (*vv_object_state(object) & VV_STATE_WEAKREF) != 0;
    bool is_weakref = object->type_index >= VV_TYPE_WEAKREF &&
                      (world->types[object->type_index]->spec.flags &
                       (VV_TYPE_IS_WEAKREF | VV_TYPE_IS_EPHEMERONS)) != 0;
    if (is_referenced || is_weakref) vv_weak_trash(object);
}

static void finalize_trash(varve_object *object, void *argument) {
    bool *ran = argument;
    if (!vv_type_wants_finalize(vv_type_of(object), *vv_object_state(object))) return;
    *ran = true;
    varve_incref(object);
    vv_object_finalize(object);
    varve_decref(object);
}

static void count_trash(varve_object *object, void *argument) {
    (void)object;
    ++*(uint64_t *)argument;
}

/* Searches again in the garbage alone. Returns how much is left of it. */
static uint64_t search_trash(varve_world *world, unsigned generation) {
    struct vv_collection collection = {.world = world, .keep_tracked = true};
    world->work.count = 0;
    for (size_t index = 0; index < world->trash.count; index++) {
        struct vv_object_pool *pool = world->trash.items[index];
        pool->position = (uint32_t)index;
        world->work.items[world->work.count++] = pool;
    }
    vv_collect_rechoose(&collection);
    vv_collect_reach(&collection);
    vv_collect_keep_reached(&collection, generation);
    return collection.pending_count;
}

static void clear_trash(varve_object *object, void *argument) {
    const varve_world *world = argument;
    void (*clear)(varve_object *) = world->types[object->type_index]->spec.clear;
    if (clear == NULL) return;
    varve_incref(object);
    clear(object);
    varve_decref(object);
}

static void clear_tuple(varve_object *object, void *argument) {
    (void)argument;
    if (object->type_index != VV_TYPE_TUPLE) return;
    varve_incref(object);
    vv_tuple_clear(object);
    varve_decref(object);
}

/* Under VARVE_GC_DEBUG_SAVEALL. What there is no memory for is kept anyway, but not listed. */
static void save_trash(varve_object *object, void *argument) {
    varve_world *world = argument;
    if (varve_list_append(world->gc.garbage, object) != 0) {
        varve_unraisable(object, "the collector's list of garbage", -ENOMEM);
    }
}

static void keep_trash(varve_object *object, void *argument) {
    unsigned generation = *(unsigned *)argument;
    struct vv_object_pool *pool = vv_object_pool_of(object);
    uint8_t *state = &pool->states[vv_object_index(pool, object)];
    *state &= (uint8_t) ~(VV_STATE_CANDIDATE | VV_STATE_GENERATION);
    *state |= (uint8_t)(generation << VV_STATE_GENERATION_SHIFT);
    if (generation < 2) vv_world_list_young(pool, generation);
}

static void clear_all_trash(varve_world *world, unsigned generation) {
    uint64_t left_count = 0;
    vv_collect_each_trash(world, clear_trash, world);
    vv_collect_each_trash(world, count_trash, &left_count);
    if (left_count == 0) return;
    /* A cycle of tuples alone, or what a clear function of the program saved. */
    if (search_trash(world, generation) > 0) vv_collect_each_trash(world, clear_tuple, NULL);
    vv_collect_each_trash(world, keep_trash, &generation);
}

/* What is among the garbage: passes that have nothing to do are not made. */
struct survey {
    const varve_world *world;
    bool has_weak; /* weak references, or objects with some */
    bool has_finalizer;
    bool has_foreign; /* types of the program */
};

static void survey_trash(varve_object *object, void *argument) {
    struct survey *survey = argument;
    uint8_t *place = vv_object_state(object), state = *place;
    *place |= VV_STATE_TRACKED; /* only what is reached is no longer tracked: this may be saved */
    if (object->type_index > VV_TYPE_CLASS && vv_instance_class(object) == NULL)
        survey->has_weak = survey->has_foreign = true;
    if ((state & VV_STATE_WEAKREF) != 0) survey->has_weak = true;
    if (vv_type_wants_finalize(vv_type_of(object), state)) survey->has_finalizer = true;
}

static struct survey look_at_trash(varve_world *world) {
    struct survey survey = {.world = world};
    vv_collect_each_trash(world, survey_trash, &survey);
    return survey;
}

/* Returns how much went by callbacks: weak references, and garbage that ephemeron tables which live
 * held for keys that are garbage. Nothing else that lives leads to garbage. */
static uint64_t run_weak_callbacks(varve_world *world, uint64_t trash_count) {
    bool has_ephemerons = vv_ephemerons_exist(world);
    uint64_t freed_count = vv_weak_run_callbacks(world), left_count = 0;
    if (!has_ephemerons) return freed_count;
    vv_collect_each_trash(world, count_trash, &left_count);
    return freed_count + (trash_count - left_count);
}

uint64_t vv_gc_handle_trash(varve_world *world, unsigned generation, uint64_t trash_count) {
    struct vv_gc *gc = &world->gc;
    uint64_t freed_count = 0;
    if ((gc->debug & VARVE_GC_DEBUG_COLLECTABLE) != 0) {
        vv_collect_each_trash(world, say_collectable, world);
    }
    struct survey survey = look_at_trash(world);
    if (survey.has_weak) {
        vv_collect_each_trash(world, weak_trash, world);
        freed_count = run_weak_callbacks(world, trash_count);
    }
    if (survey.has_finalizer) {
        bool ran = false;
        vv_collect_each_trash(world, finalize_trash, &ran);
    }
    if (survey.has_finalizer || survey.has_weak) {
        trash_count = search_trash(world, generation);
        survey = look_at_trash(world);
    }
    if ((gc->debug & VARVE_GC_DEBUG_SAVEALL) != 0) {
        vv_collect_each_trash(world, save_trash, world);
        vv_collect_each_trash(world, keep_trash, &generation);
    } else if (survey.has_weak || survey.has_foreign || survey.has_finalizer) {
        clear_all_trash(world, generation);
    } else {
        vv_trash_free(world);
    }
    return trash_count + freed_count;
}

/* --- a collection --- */

/* The young generations that are examined have no objects left; survivors were or will be listed
 * again. Before those are marked as such. */
static void unlist_young(varve_world *world, int generation) {
    for (int index = 0; index <= generation && index < 2; index++) {
        struct vv_pool_list *list = &world->young[index];
        for (size_t pool = 0; pool < list->count; pool++)
            list->items[pool]->is_listed[index] = false;
        list->count = 0;
    }
}

static void advance_counts(struct vv_gc *gc, int generation) {
    if (generation + 1 < VARVE_GC_GENERATIONS) gc->count[generation + 1]++;
    for (int index = 0; index <= generation; index++) gc->count[index] = 0;
}

static void note_survivors(struct vv_gc *gc, int generation, size_t count) {
    if (generation == 1) gc->long_lived_pending += count;
    if (generation < 2) return;
    gc->long_lived_pending = 0;
    gc->long_lived_total = count;
}

static varve_gc_info run(varve_world *world, int generation) {
    struct vv_collection collection = {
        .world = world,
        .whole = generation == 2,
        .untrack_dicts = generation == 2,
    };
    unsigned next_generation = generation < 2 ? (unsigned)generation + 1 : 2;
    advance_counts(&world->gc, generation);
    vv_collect_choose_pools(world, generation);
    vv_collect_choose(&collection, generation);
    unlist_young(world, generation);
    vv_collect_reach(&collection);
    size_t kept_count = vv_collect_keep_reached(&collection, next_generation);
    note_survivors(&world->gc, generation, kept_count);
    varve_gc_info info = {.generation = generation, .visited = collection.candidate_count};
    if (collection.pending_count > 0) {
        info.collected = vv_gc_handle_trash(world, next_generation, collection.pending_count);
    }
    return info;
}

void vv_gc_account(varve_world *world, const varve_gc_info *info) {
    varve_gc_stats *stats = &world->gc.stats[info->generation];
    stats->collections++;
    stats->collected += info->collected;
    stats->candidates += info->visited;
    vv_gc_account_pause(world, info->generation, info->duration_ns);
}

void vv_gc_account_pause(varve_world *world, int generation, uint64_t duration_ns) {
    varve_gc_stats *stats = &world->gc.stats[generation];
    stats->duration_ns += duration_ns;
    if (duration_ns > stats->longest_ns) stats->longest_ns = duration_ns;
}

/* The caller has set gc->collecting, which keeps others out. */
static long collect(varve_world *world, int generation) {
    struct vv_gc *gc = &world->gc;
    varve_gc_info start = {.generation = generation};
    int saved_errno = errno;
    if (generation == 2) vv_gc_cycle_abandon(world);
    vv_gc_tell(world, VARVE_GC_START, &start);
    if ((gc->debug & VARVE_GC_DEBUG_STATS) != 0) say_begin(world, generation);
    world->walk_count++;
    uint64_t begin_ns = vv_clock_ns();
    varve_gc_info info = run(world, generation);
    info.duration_ns = vv_clock_ns() - begin_ns;
    world->walk_count--;
    vv_object_pools_trim(world);
    if (generation == 2) gc->bytes_since = 0;
    if ((gc->debug & VARVE_GC_DEBUG_STATS) != 0) say_end(world, info.collected, info.duration_ns);
    vv_gc_account(world, &info);
    vv_gc_tell(world, VARVE_GC_STOP, &info);
    errno = saved_errno;
    return (long)info.collected;
}

long varve_gc_collect(varve_world *world, int generation) {
    vv_world_check_thread(world);
    if (generation < 0 || generation >= VARVE_GC_GENERATIONS) return -EINVAL;
    if (world->gc.collecting) return 0;
    world->gc.collecting = true;
    long result = collect(world, generation);
    world->gc.collecting = false;
    return result;
}

/* The oldest generation that is due; the oldest of all waits until a quarter of it is new. */
static int due_generation(const struct vv_gc *gc) {
    bool worth = gc->long_lived_pending >= gc->long_lived_total / 4;
    if (gc->count[2] > gc->threshold[2] && worth) return 2;
    return gc->count[1] > gc->threshold[1] ? 1 : 0;
}

void vv_gc_automatic(varve_world *world) {
    struct vv_gc *gc = &world->gc;
    int generation = due_generation(gc);
    bool begins = generation == 2 && gc->pause_ns > 0;
    if (!begins && gc->cycle == NULL) {
        varve_gc_collect(world, generation);
        return;
    }
    if (gc->cycle != NULL) varve_gc_collect(world, gc->count[1] > gc->threshold[1] ? 1 : 0);
    vv_gc_cycle_automatic(world);
}
