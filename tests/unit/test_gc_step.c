/* SPDX-License-Identifier: MIT
 * Collections in slices: a random program runs between the slices, with a model beside it. */
#include "array_type.h"
#include "base/check.h"
#include "harness.h"
#include "varve/gc.h"
#include "varve/weakref.h"

#include <errno.h>
#include <string.h>

static varve_world *new_world(void) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    varve_gc_disable(world);
    varve_gc_collect(world, 2);
    return world;
}

static size_t live_count(varve_world *world) {
    varve_world_counts counts;
    varve_world_count(world, &counts);
    return counts.live_objects;
}

/* Steps until a collection has ended; returns how many steps it took. */
static int finish(varve_world *world, uint64_t budget_ns, uint64_t *collected) {
    varve_gc_progress progress = {.done = false};
    int count = 0;
    while (!progress.done) {
        REQUIRE(varve_gc_step(world, budget_ns, &progress) == 0);
        *collected += progress.collected;
        REQUIRE(++count < 1000000);
    }
    return count;
}

TEST(steps_find_cycles_of_every_size) {
    varve_world *world = new_world();
    for (int size = 1; size < 400; size += size / 2 + 1) {
        varve_object *first = varve_list_new(world), *last = varve_incref(first);
        for (int index = 1; index < size; index++) {
            varve_object *next = varve_list_new(world);
            varve_list_append(last, next);
            varve_decref(last);
            last = next;
        }
        varve_list_append(last, first);
        varve_gc_collect(world, 1); /* a young collection must not find it */
        varve_decref(first);
        varve_decref(last);
        uint64_t collected = 0;
        finish(world, 1000, &collected);
        CHECK_EQ(collected, size);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_budget_of_nothing_still_ends) {
    varve_world *world = new_world();
    varve_object *keep = varve_list_new(world), *drop = varve_list_new(world);
    for (int index = 0; index < 5000; index++) {
        varve_object *list = varve_list_new(world);
        varve_list_append(list, list);
        varve_list_append(list, keep);
        varve_list_append(index % 2 == 0 ? keep : drop, list);
        varve_decref(list);
    }
    varve_gc_collect(world, 1);
    varve_decref(drop);
    uint64_t collected = 0;
    CHECK_GT(finish(world, 0, &collected), 20);
    CHECK_EQ(collected, 2500);
    CHECK_EQ(varve_list_length(keep), 2500);
    varve_decref(keep);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- a random program --- */

#define NODE_COUNT 3000
#define EDGE_COUNT 3

static varve_object *roots[NODE_COUNT]; /* strong, may be NULL */

static varve_object *node_new(varve_object *cls) {
    varve_object *node = varve_instance_new(cls);
    REQUIRE(node != NULL);
    return node;
}

static varve_object *some_root(uint64_t *seed) {
    for (;;) {
        varve_object *root = roots[test_random_below(seed, NODE_COUNT)];
        if (root != NULL) return root;
    }
}

/* Follows some references from a root: any object that the program can get at. */
static varve_object *some_node(uint64_t *seed) {
    varve_object *node = some_root(seed);
    for (uint64_t hops = test_random_below(seed, 6); hops > 0; hops--) {
        varve_object *next =
            varve_instance_get(node, (unsigned)test_random_below(seed, EDGE_COUNT));
        if (next != NULL) node = next;
    }
    return node;
}

static void mutate(varve_object *cls, uint64_t *seed) {
    size_t slot = test_random_below(seed, NODE_COUNT);
    switch (test_random_below(seed, 8)) {
    case 0:
        if (roots[slot] == NULL) roots[slot] = node_new(cls);
        break;
    case 1:
        if (slot != 0) varve_clear_reference(&roots[slot]);
        break;
    case 2:
        if (roots[slot] == NULL) roots[slot] = varve_incref(some_node(seed));
        break;
    case 3: varve_instance_set(some_node(seed), (unsigned)(slot % EDGE_COUNT), NULL); break;
    default: {
        varve_object *target = some_node(seed);
        varve_instance_set(some_node(seed), (unsigned)(slot % EDGE_COUNT), target);
        break;
    }
    }
}

/* Objects reachable from the roots, found by the test itself: the places of an instance beyond its
 * edges hold a mark. */
static size_t count_reachable(varve_world *world, int64_t mark) {
    static varve_object *stack[1 << 20];
    size_t stack_count = 0, count = 0;
    varve_object *value = varve_int_new(world, mark);
    for (int index = 0; index < NODE_COUNT; index++) {
        if (roots[index] != NULL) stack[stack_count++] = roots[index];
    }
    while (stack_count > 0) {
        varve_object *node = stack[--stack_count];
        varve_object *seen = varve_instance_get(node, EDGE_COUNT);
        if (seen != NULL && varve_int_value(seen) == mark) continue;
        varve_instance_set(node, EDGE_COUNT, value);
        count++;
        for (unsigned edge = 0; edge < EDGE_COUNT; edge++) {
            varve_object *next = varve_instance_get(node, edge);
            if (next != NULL) stack[stack_count++] = next;
        }
    }
    varve_decref(value);
    return count;
}

static size_t count_instances(varve_world *world) {
    varve_object *objects = varve_gc_get_objects(world, -1);
    size_t count = 0;
    for (size_t index = 0; index < varve_list_length(objects); index++) {
        count += varve_kind_of(varve_list_get(objects, index)) == VARVE_KIND_INSTANCE;
    }
    varve_decref(objects);
    return count;
}

static void run_program(uint64_t seed) {
    static const char *const names[] = {"a", "b", "c", "mark", NULL};
    varve_world *world = new_world();
    varve_class_spec spec = {.name = "Node", .attributes = names};
    varve_object *cls = varve_class_new(world, &spec);
    memset(roots, 0, sizeof roots);
    for (int index = 0; index < NODE_COUNT; index++) roots[index] = node_new(cls);
    for (int step = 0; step < 4 * NODE_COUNT; step++) mutate(cls, &seed);
    for (int round = 0; round < 12; round++) {
        size_t garbage = count_instances(world) - count_reachable(world, 1000 + round);
        uint64_t collected = 0;
        varve_gc_progress progress = {.done = false};
        while (!progress.done) {
            REQUIRE(varve_gc_step(world, test_random_below(&seed, 20000), &progress) == 0);
            collected += progress.collected;
            for (uint64_t step = test_random_below(&seed, 60); step > 0; step--) mutate(cls, &seed);
            if (test_random_below(&seed, 8) == 0) varve_gc_collect(world, 0);
        }
        (void)collected; /* young collections take some of it */
        size_t reachable = count_reachable(world, 2000 + round), left = count_instances(world);
        CHECK_GE(left, reachable);
        CHECK_LE(left - reachable, garbage + NODE_COUNT);
        /* with the program at rest one collection finds everything */
        finish(world, 5000, &collected);
        CHECK_EQ(count_instances(world), count_reachable(world, 3000 + round));
    }
    for (int index = 0; index < NODE_COUNT; index++) varve_clear_reference(&roots[index]);
    varve_decref(cls);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_program_that_runs_between_slices_loses_nothing_and_keeps_no_garbage) {
    uint64_t seed = test_seed(11);
    for (int round = 0; round < 12; round++) run_program(test_random(&seed));
}

/* --- large objects, dying ones, memory --- */

TEST(a_large_list_is_shown_in_several_slices) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    for (int index = 0; index < 300000; index++) {
        varve_object *item = varve_list_new(world);
        varve_list_append(list, item);
        varve_decref(item);
    }
    uint64_t collected = 0;
    CHECK_GT(finish(world, 100000, &collected), 20);
    CHECK_EQ(collected, 0);
    varve_list_append(list, list);
    varve_decref(list);
    finish(world, 1000000, &collected);
    CHECK_EQ(collected, 300001);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(objects_and_pools_may_vanish_between_slices) {
    varve_world *world = new_world();
    for (int round = 0; round < 30; round++) {
        varve_object *lists[40000];
        for (int index = 0; index < 40000; index++) {
            lists[index] = varve_list_new(world);
            if (index > 0) varve_list_append(lists[index], lists[index - 1]);
        }
        varve_gc_progress progress = {.done = false};
        for (int step = 0; step < round * 3 && !progress.done; step++) {
            REQUIRE(varve_gc_step(world, 30000, &progress) == 0);
        }
        for (int index = 0; index < 40000; index++) varve_decref(lists[index]);
        uint64_t collected = 0;
        if (!progress.done) finish(world, 100000, &collected);
        CHECK_EQ(collected, 0);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

static int finalized_count;
static void note_finalize(varve_object *self, void *argument) {
    (void)self, (void)argument;
    finalized_count++;
}

TEST(finalizers_run_once_at_the_end_of_the_steps) {
    varve_world *world = new_world();
    static const char *const names[] = {"self", NULL};
    varve_class_spec spec = {.name = "C", .attributes = names, .finalize = note_finalize};
    varve_object *cls = varve_class_new(world, &spec);
    for (int index = 0; index < 1000; index++) {
        varve_object *object = varve_instance_new(cls);
        varve_instance_set(object, 0, object);
        varve_decref(object);
    }
    varve_decref(cls);
    uint64_t collected = 0;
    finish(world, 10000, &collected);
    CHECK_EQ(finalized_count, 1000);
    CHECK_EQ(varve_world_free(world), 0);
    CHECK_EQ(finalized_count, 1000);
}

TEST(steps_without_memory_say_so_and_lose_nothing) {
    varve_world *world = new_world();
    for (int index = 0; index < 1000; index++) {
        varve_object *list = varve_list_new(world);
        varve_list_append(list, list);
        varve_gc_collect(world, 1);
        varve_decref(list);
    }
    size_t before = live_count(world);
    for (uint64_t fail = 0; fail < 8; fail++) {
        varve_gc_progress progress = {.done = false};
        varve_world_fail_after(world, fail);
        int error = 0;
        while (error == 0 && !progress.done) error = varve_gc_step(world, 100000, &progress);
        varve_world_fail_never(world);
        CHECK(error == 0 || error == -ENOMEM);
        if (error == 0) break;
        CHECK_EQ(live_count(world), before);
    }
    uint64_t collected = 0;
    finish(world, 100000, &collected);
    CHECK_EQ(before - live_count(world), 1000);
    CHECK_EQ(varve_world_free(world), 0);
}

/* Time enough for any machine: the pace comes from work. */
#define PAUSE_NS 10000000000

TEST(a_bounded_pause_setting_collects_old_garbage_on_its_own) {
    varve_world *world = new_world();
    varve_gc_set_pause(world, PAUSE_NS);
    varve_gc_enable(world);
    size_t peak = 0;
    if (VARVE_GC_STRESS) SKIP("collects at every allocation as it is");
    for (int index = 0; index < 600000; index++) {
        static varve_object *held[10000];
        varve_object *list = varve_list_new(world);
        varve_list_append(list, list);
        varve_xdecref(held[index % 10000]);
        held[index % 10000] = list;
        if (index % 10000 == 0 && live_count(world) > peak) peak = live_count(world);
    }
    /* Some 11 * 11 * 700 come between two collections, half as many while one is in progress. */
    CHECK_LT(peak, 160000);
    varve_gc_stats stats[3];
    varve_gc_get_stats(world, stats);
    CHECK_GT(stats[2].collections, 4);
    varve_world_free(world);
}

static void note_most_visited(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                              void *argument) {
    (void)world;
    uint64_t *most = argument;
    if (phase == VARVE_GC_STOP && info->visited > most[info->generation])
        most[info->generation] = info->visited;
}

/* For each object that is made, an old one dies: on balance there are no more. */
TEST(with_a_bounded_pause_young_collections_are_small_though_old_objects_die) {
    if (VARVE_GC_STRESS) SKIP("collects at every allocation as it is");
    enum { KEPT_COUNT = 50000, MADE_COUNT = 40000 };
    static varve_object *kept[KEPT_COUNT];
    varve_world *world = new_world();
    for (int index = 0; index < KEPT_COUNT; index++) kept[index] = varve_list_new(world);
    varve_gc_collect(world, 2);
    uint64_t most_visited[VARVE_GC_GENERATIONS] = {0};
    varve_gc_add_callback(world, note_most_visited, most_visited);
    varve_gc_set_pause(world, PAUSE_NS);
    varve_gc_enable(world);
    for (int index = 0; index < MADE_COUNT; index++) {
        varve_decref(kept[index]);
        kept[index] = varve_list_new(world);
    }
    varve_gc_stats stats[VARVE_GC_GENERATIONS];
    varve_gc_get_stats(world, stats);
    CHECK_EQ(stats[0].collections + stats[1].collections, MADE_COUNT / 701);
    CHECK_EQ(most_visited[0], 701);
    CHECK_EQ(most_visited[1], 12 * 701);
    for (int index = 0; index < KEPT_COUNT; index++) varve_decref(kept[index]);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(deaths_count_beyond_the_threshold_though_a_pause_is_set) {
    varve_world *world = new_world();
    varve_object *kept[20];
    int count[VARVE_GC_GENERATIONS];
    varve_gc_set_pause(world, PAUSE_NS);
    varve_gc_set_threshold(world, (const int[]){10, 10, 10});
    for (int index = 0; index < 20; index++) kept[index] = varve_list_new(world);
    for (int index = 0; index < 20; index++) varve_decref(kept[index]);
    varve_gc_get_count(world, count);
    CHECK_EQ(count[0], 10);
    varve_gc_set_pause(world, 0);
    varve_decref(varve_list_new(world));
    varve_gc_get_count(world, count);
    CHECK_EQ(count[0], 10);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- objects with many references --- */

#define MANY_COUNT (VARVE_GC_STRESS || VARVE_AUDIT ? 2000 : 300000)

/* Items that refer back; the array is the first and the last of them, too. */
static struct array *many(varve_world *world, varve_type *type, size_t count) {
    struct array *array = (struct array *)(void *)varve_object_new_var(type, count);
    REQUIRE(array != NULL);
    for (size_t index = 0; index < count; index++) {
        bool itself = index == 0 || index == count - 1;
        array->items[index] = itself ? varve_incref(&array->head.head) : varve_list_new(world);
        if (!itself) varve_list_append(array->items[index], &array->head.head);
    }
    return array;
}

/* Components are followed one reference at a time, which must not take the square of their number
 * where they can only be had all at once. */
TEST(steps_free_objects_with_many_references_in_linear_time) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "array",
                            .basic_bytes = sizeof(varve_var_object),
                            .item_bytes = sizeof(varve_object *),
                            .traverse = traverse_array,
                            .clear = clear_array};
    varve_type *type = varve_type_new(world, &spec);
    size_t before = live_count(world);
    struct array *outer = many(world, type, 100);
    struct array *inner = many(world, type, MANY_COUNT);
    varve_list_append(outer->items[50], &inner->head.head); /* many within many */
    varve_decref(&inner->head.head);
    varve_decref(&outer->head.head);
    uint64_t collected = 0;
    finish(world, 100000, &collected);
    CHECK_EQ(collected, MANY_COUNT - 2 + 1 + 98 + 1);
    CHECK_EQ(live_count(world), before);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(steps_free_large_weak_tables_in_linear_time) {
    varve_world *world = new_world();
    size_t before = live_count(world);
    varve_object *tables[] = {varve_weak_value_dict_new(world),
                              varve_weak_key_dict_new(world, true), varve_ephemerons_new(world)};
    varve_object *keys = varve_list_new(world);
    for (int index = 0; index < MANY_COUNT / 3; index++) {
        varve_object *item = varve_list_new(world), *number = varve_int_new(world, index);
        CHECK_EQ(varve_weak_value_dict_set(tables[0], number, item), 0);
        CHECK_EQ(varve_weak_key_dict_set(tables[1], item, keys), 0);
        CHECK_EQ(varve_ephemerons_set(tables[2], item, item), 0);
        varve_list_append(keys, item);
        varve_decref(item);
        varve_decref(number);
    }
    for (int index = 0; index < 3; index++) {
        varve_list_append(keys, tables[index]);
        varve_decref(tables[index]);
    }
    varve_decref(keys);
    uint64_t collected = 0;
    finish(world, 100000, &collected);
    CHECK_EQ(live_count(world), before);
    CHECK_EQ(varve_world_free(world), 0);
}
