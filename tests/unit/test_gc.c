/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "varve/gc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static varve_world *new_world(void) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    varve_gc_disable(world);
    varve_gc_collect(world, 2);
    return world;
}

static varve_object *list_of(varve_world *world, varve_object *item) {
    varve_object *list = varve_list_new(world);
    REQUIRE(list != NULL);
    if (item != NULL) REQUIRE(varve_list_append(list, item) == 0);
    return list;
}

static void make_cycle(varve_world *world) {
    varve_object *first = list_of(world, NULL), *second = list_of(world, first);
    varve_list_append(first, second);
    varve_decref(first);
    varve_decref(second);
}

/* --- finding garbage --- */

TEST(a_list_that_holds_itself_is_collected) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_dict_a_set_and_a_tuple_in_a_cycle_are_collected) {
    varve_world *world = new_world();
    varve_object *dict = varve_dict_new(world);
    varve_dict_set_text(dict, "self", dict);
    varve_decref(dict);
    CHECK_EQ(varve_gc_collect(world, 2), 1);

    varve_object *list = varve_list_new(world);
    varve_object *tuple = varve_tuple_new(world, 1, &list);
    varve_list_append(list, tuple);
    varve_decref(list);
    varve_decref(tuple);
    CHECK_EQ(varve_gc_collect(world, 2), 2);

    varve_object *own = varve_tuple_new(world, 1, NULL);
    CHECK_EQ(varve_tuple_init(own, 0, own), 0);
    varve_decref(own);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(what_is_referred_to_from_outside_lives_with_all_that_it_reaches) {
    varve_world *world = new_world();
    varve_object *inner = list_of(world, NULL), *outer = list_of(world, inner);
    varve_list_append(inner, outer);
    varve_decref(inner);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    CHECK_EQ(varve_list_length(varve_list_get(outer, 0)), 1);
    varve_decref(outer);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(varve_world_free(world), 0);
}

struct node {
    varve_object head;
    varve_object *next;
};

static int node_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct node *node = (struct node *)self;
    return node->next != NULL ? visit(node->next, argument) : 0;
}

/* As in CPython, where tp_clear may be NULL, too. */
TEST(a_cycle_that_nobody_can_clear_is_found_by_every_collection_and_stays) {
    varve_world *world = new_world();
    varve_type_spec spec = {
        .name = "node", .basic_bytes = sizeof(struct node), .traverse = node_traverse};
    struct node *node = (struct node *)varve_object_new(varve_type_new(world, &spec));
    node->next = &node->head;
    for (int round = 0; round < 3; round++) CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_gc_progress progress = {.done = false};
    while (!progress.done) REQUIRE(varve_gc_step(world, 1000000, &progress) == 0);
    CHECK_EQ_PTR(node->next, &node->head);
    CHECK_EQ(varve_world_free(world), 1);
}

/* A random graph that is compared with a plain search from its roots. */
#define GRAPH_COUNT 3000
static void check_random_graph(uint64_t seed) {
    static varve_object *nodes[GRAPH_COUNT];
    static int edges[GRAPH_COUNT][3];
    static bool held[GRAPH_COUNT], alive[GRAPH_COUNT];
    varve_world *world = new_world();
    for (int index = 0; index < GRAPH_COUNT; index++) nodes[index] = varve_list_new(world);
    for (int index = 0; index < GRAPH_COUNT; index++) {
        for (int edge = 0; edge < 3; edge++) {
            int target = edges[index][edge] = (int)test_random_below(&seed, GRAPH_COUNT);
            varve_list_append(nodes[index], nodes[target]);
        }
        held[index] = alive[index] = test_random_below(&seed, GRAPH_COUNT) < 2;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int index = 0; index < GRAPH_COUNT; index++) {
            if (!alive[index]) continue;
            for (int edge = 0; edge < 3; edge++) {
                int target = edges[index][edge];
                changed |= !alive[target];
                alive[target] = true;
            }
        }
    }
    /* Frees by reference count may run before the collection: hold all until then. */
    int generation = (int)test_random_below(&seed, 3);
    size_t dead_count = 0;
    for (int index = 0; index < GRAPH_COUNT; index++) dead_count += !alive[index];
    size_t live_before, live_after;
    varve_world_counts counts;
    varve_world_count(world, &counts);
    live_before = counts.live_objects;
    for (int index = 0; index < GRAPH_COUNT; index++) {
        if (!held[index]) varve_decref(nodes[index]);
    }
    varve_gc_collect(world, generation);
    varve_world_count(world, &counts);
    live_after = counts.live_objects;
    CHECK_EQ(live_before - live_after, dead_count);
    for (int index = 0; index < GRAPH_COUNT; index++) {
        if (alive[index]) CHECK_EQ(varve_list_length(nodes[index]), 3);
    }
    for (int index = 0; index < GRAPH_COUNT; index++) {
        if (held[index]) varve_decref(nodes[index]);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(exactly_what_no_root_reaches_dies_in_random_graphs) {
    uint64_t seed = test_seed(7);
    for (int round = 0; round < 40; round++) check_random_graph(test_random(&seed));
}

/* --- generations and counts --- */

TEST(survivors_trickle_through_the_generations) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    CHECK_EQ(varve_gc_generation(list), 0);
    varve_gc_collect(world, 0);
    CHECK_EQ(varve_gc_generation(list), 1);
    varve_gc_collect(world, 0);
    CHECK_EQ(varve_gc_generation(list), 1);
    varve_gc_collect(world, 1);
    CHECK_EQ(varve_gc_generation(list), 2);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_gc_generation(list), 2);
    varve_decref(list);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_young_collection_leaves_old_garbage) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    varve_gc_collect(world, 0);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 0), 0);
    CHECK_EQ(varve_gc_collect(world, 1), 1);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(counts_and_thresholds_advance_as_in_cpython) {
    varve_world *world = new_world();
    int count[3], threshold[3];
    varve_gc_get_threshold(world, threshold);
    CHECK_EQ(threshold[0], 700);
    CHECK_EQ(threshold[1], 10);
    CHECK_EQ(threshold[2], 10);
    varve_object *list = varve_list_new(world);
    varve_gc_get_count(world, count);
    CHECK_EQ(count[0], 1);
    varve_gc_collect(world, 0);
    varve_gc_get_count(world, count);
    CHECK_EQ(count[0], 0);
    CHECK_EQ(count[1], 1);
    varve_gc_collect(world, 1);
    varve_gc_get_count(world, count);
    CHECK_EQ(count[1], 0);
    CHECK_EQ(count[2], 1);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 3), -EINVAL);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(automatic_collections_begin_above_the_threshold) {
    if (VARVE_GC_STRESS) SKIP("collects at every allocation");
    varve_world *world = new_world();
    varve_gc_enable(world);
    varve_gc_stats stats[3];
    for (int index = 0; index < 701 * 12 + 1; index++) varve_list_new(world); /* leaked: roots */
    varve_gc_get_stats(world, stats);
    CHECK_EQ(stats[0].collections, 11);
    CHECK_EQ(stats[1].collections, 1);
    CHECK_EQ(varve_world_free(world), 701 * 12 + 1);
}

/* How many lists there were as each of the first collections of the oldest generation began. */
struct old_begins {
    int list_count;
    int count;
    int at[8];
};

static void note_old_begin(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                           void *argument) {
    (void)world;
    struct old_begins *begins = argument;
    if (phase != VARVE_GC_START || info->generation != 2 || begins->count == 8) return;
    begins->at[begins->count++] = begins->list_count;
}

/* A young collection is due with each 701st list, every 12th of them is of generation 1, and the
 * one after 11 such may be of the oldest: the 133rd. When four times as much is old, 132 * 701 are
 * less than a quarter of it, so it waits for the next of generation 1, and so on. CPython 3.11 has
 * 93231, 186463, 279695, 372927, 474571, 601451, 753567, 947743 lists: one less for each before. */
TEST(the_oldest_generation_waits_until_a_quarter_of_it_is_new) {
    if (VARVE_GC_STRESS) SKIP("collects at every allocation");
    varve_world *world = new_world();
    varve_object *kept = list_of(world, NULL);
    struct old_begins begins = {0};
    varve_gc_collect(world, 2);
    varve_gc_add_callback(world, note_old_begin, &begins);
    varve_gc_enable(world);
    for (; begins.list_count < 1000000; begins.list_count++) {
        varve_object *list = varve_list_new(world);
        varve_list_append(kept, list);
        varve_decref(list);
    }
    static const int expected[8] = {133, 266, 399, 532, 677, 858, 1075, 1352};
    for (int index = 0; index < 8; index++) CHECK_EQ(begins.at[index], expected[index] * 701 - 1);
    varve_decref(kept);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(disabled_collection_leaves_garbage_until_asked) {
    varve_world *world = new_world();
    for (int index = 0; index < 2000; index++) make_cycle(world);
    CHECK_EQ(varve_gc_collect(world, 2), 4000);
    CHECK(!varve_gc_enable(world));
    CHECK(varve_gc_is_enabled(world));
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(get_objects_shows_an_object_in_its_generation_only) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    for (int generation = 0; generation < 3; generation++) {
        for (int asked = -1; asked < 3; asked++) {
            varve_object *objects = varve_gc_get_objects(world, asked);
            bool found = false;
            for (size_t index = 0; index < varve_list_length(objects); index++) {
                found |= varve_list_get(objects, index) == list;
            }
            CHECK_EQ(found, asked == -1 || asked == generation);
            varve_decref(objects);
        }
        varve_gc_collect(world, generation);
    }
    CHECK(varve_gc_get_objects(world, 3) == NULL);
    varve_decref(list);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(frozen_objects_are_not_examined) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    varve_gc_freeze(world);
    CHECK_EQ(varve_gc_get_freeze_count(world), 1);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    varve_gc_unfreeze(world);
    CHECK_EQ(varve_gc_get_freeze_count(world), 0);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- tracking --- */

TEST(only_what_can_be_in_a_cycle_is_tracked) {
    varve_world *world = new_world();
    varve_object *number = varve_int_new(world, 1000), *text = varve_str_of(world, "text");
    varve_object *list = varve_list_new(world), *dict = varve_dict_new(world);
    CHECK(!varve_gc_is_tracked(number));
    CHECK(!varve_gc_is_tracked(text));
    CHECK(varve_gc_is_tracked(list));
    CHECK(!varve_gc_is_tracked(dict));
    varve_dict_set(dict, text, number);
    CHECK(!varve_gc_is_tracked(dict));
    varve_dict_set(dict, text, list);
    CHECK(varve_gc_is_tracked(dict));
    varve_dict_set(dict, text, number);
    varve_gc_collect(world, 2);
    CHECK(!varve_gc_is_tracked(dict));
    varve_decref(number);
    varve_decref(text);
    varve_decref(list);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(tuples_of_untracked_items_are_untracked_by_a_collection) {
    varve_world *world = new_world();
    varve_object *text = varve_str_of(world, "text"), *list = varve_list_new(world);
    varve_object *plain = varve_tuple_new(world, 1, &text);
    varve_object *nested = varve_tuple_new(world, 1, &plain);
    varve_object *holder = varve_tuple_new(world, 1, &list);
    CHECK(varve_gc_is_tracked(plain));
    varve_gc_collect(world, 0);
    CHECK(!varve_gc_is_tracked(plain));
    CHECK(!varve_gc_is_tracked(nested));
    CHECK(varve_gc_is_tracked(holder));
    varve_decref(text);
    varve_decref(list);
    varve_decref(plain);
    varve_decref(nested);
    varve_decref(holder);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_dict_of_tuples_goes_with_them_wherever_they_are) {
    varve_world *world = new_world();
    varve_object *text = varve_str_of(world, "text");
    for (int order = 0; order < 2; order++) {
        varve_object *dict = order == 0 ? varve_dict_new(world) : NULL;
        varve_object *tuple = varve_tuple_new(world, 1, &text);
        if (dict == NULL) dict = varve_dict_new(world);
        varve_dict_set(dict, text, tuple);
        varve_gc_collect(world, 1);
        CHECK(varve_gc_is_tracked(dict)); /* only a full collection looks at dicts */
        varve_decref(tuple);
        tuple = varve_tuple_new(world, 1, &text);
        varve_dict_set(dict, text, tuple);
        varve_gc_collect(world, 2);
        CHECK(!varve_gc_is_tracked(tuple));
        CHECK(!varve_gc_is_tracked(dict));
        varve_decref(tuple);
        varve_decref(dict);
    }
    varve_decref(text);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- finalizers --- */

static int finalize_count;
static varve_object *saved;

static void count_finalize(varve_object *self, void *argument) {
    (void)self, (void)argument;
    finalize_count++;
}

static void save_self(varve_object *self, void *argument) {
    (void)argument;
    finalize_count++;
    saved = varve_incref(self);
}

static varve_object *self_cycle(varve_world *world, void (*finalize)(varve_object *, void *)) {
    static const char *const names[] = {"self", "cargo", NULL};
    varve_class_spec spec = {.name = "C", .attributes = names, .finalize = finalize};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *instance = varve_instance_new(cls);
    varve_set_attribute(instance, "self", instance);
    varve_decref(cls);
    return instance;
}

TEST(a_finalizer_runs_once_in_a_cycle_and_by_count) {
    varve_world *world = new_world();
    varve_decref(self_cycle(world, count_finalize));
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(finalize_count, 1);
    varve_object *instance = self_cycle(world, count_finalize);
    varve_set_attribute(instance, "self", NULL);
    varve_decref(instance);
    CHECK_EQ(finalize_count, 2);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(what_a_finalizer_saves_lives_with_its_cargo_and_dies_without_another_finalizer) {
    varve_world *world = new_world();
    varve_object *instance = self_cycle(world, save_self);
    varve_object *cargo = list_of(world, instance);
    varve_set_attribute(instance, "cargo", cargo);
    varve_decref(cargo);
    varve_decref(instance);
    make_cycle(world); /* the rest of the garbage goes */
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    REQUIRE(saved != NULL);
    CHECK(varve_gc_is_finalized(saved));
    CHECK_EQ(varve_gc_generation(saved), 2);
    varve_object *found;
    CHECK_EQ(varve_get_attribute(saved, "cargo", &found), 0);
    CHECK_EQ_PTR(varve_list_get(found, 0), saved);
    varve_clear_reference(&saved);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(finalize_count, 1);
    CHECK(saved == NULL);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_finalizer_may_save_an_object_that_died_by_count) {
    varve_world *world = new_world();
    varve_object *instance = self_cycle(world, save_self);
    varve_set_attribute(instance, "self", NULL);
    varve_decref(instance);
    CHECK_EQ_PTR(saved, instance);
    CHECK_EQ(varve_refcount(saved), 1);
    varve_decref(saved);
    CHECK_EQ(finalize_count, 1);
    CHECK_EQ(varve_world_free(world), 0);
}

static void break_cycle(varve_object *self, void *argument) {
    (void)argument;
    finalize_count++;
    varve_set_attribute(self, "self", NULL);
    for (int index = 0; index < 100; index++) make_cycle(varve_world_of(self));
}

TEST(a_finalizer_may_mutate_the_garbage_and_allocate) {
    varve_world *world = new_world();
    varve_gc_enable(world);
    varve_gc_set_threshold(world, (int[3]){1, 1, 1});
    for (int index = 0; index < 50; index++) varve_decref(self_cycle(world, break_cycle));
    varve_gc_collect(world, 2);
    CHECK_EQ(finalize_count, 50);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- callbacks, statistics, debug --- */

static int phases[8], phase_count;
static varve_gc_info last_info;

static void note_phase(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                       void *argument) {
    CHECK_EQ_PTR(argument, &phase_count);
    CHECK_EQ(varve_gc_collect(world, 2), 0); /* not from within */
    if (phase_count < 8) phases[phase_count++] = (int)phase;
    last_info = *info;
}

TEST(callbacks_are_told_of_start_and_stop) {
    varve_world *world = new_world();
    CHECK_EQ(varve_gc_add_callback(world, note_phase, &phase_count), 0);
    make_cycle(world);
    varve_gc_collect(world, 1);
    CHECK_EQ(phase_count, 2);
    CHECK_EQ(phases[0], VARVE_GC_START);
    CHECK_EQ(phases[1], VARVE_GC_STOP);
    CHECK_EQ(last_info.generation, 1);
    CHECK_EQ(last_info.collected, 2);
    CHECK_EQ(last_info.visited, 2);
    CHECK_EQ(varve_gc_remove_callback(world, note_phase, &phase_count), 0);
    CHECK_EQ(varve_gc_remove_callback(world, note_phase, &phase_count), -ENOENT);
    CHECK_EQ(varve_world_free(world), 0);
    CHECK_EQ(phase_count, 2);
}

static char lines[4096];

static void note_line(const char *line, void *argument) {
    (void)argument;
    snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

TEST(debug_lines_have_the_text_of_cpython) {
    varve_world *world = new_world();
    varve_gc_set_debug_output(world, note_line, NULL);
    varve_gc_set_debug(world, VARVE_GC_DEBUG_STATS | VARVE_GC_DEBUG_COLLECTABLE);
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    char expected[80];
    snprintf(expected, sizeof expected, "gc: collectable <list %p>\n", (void *)list);
    varve_decref(list);
    varve_gc_collect(world, 2);
    const char *begin = "gc: collecting generation 2...\n"
                        "gc: objects in each generation: 1 0 0\n"
                        "gc: objects in permanent generation: 0\n";
    CHECK(strncmp(lines, begin, strlen(begin)) == 0);
    CHECK(strstr(lines, expected) != NULL);
    CHECK(strstr(lines, "gc: done, 1 unreachable, 0 uncollectable, 0.") != NULL);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(saveall_keeps_garbage_in_the_list) {
    varve_world *world = new_world();
    varve_gc_set_debug(world, VARVE_GC_DEBUG_SAVEALL);
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(varve_list_length(varve_gc_garbage(world)), 1);
    CHECK_EQ_PTR(varve_list_get(varve_gc_garbage(world), 0), list);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- holders --- */

TEST(referrers_and_referents_are_found) {
    varve_world *world = new_world();
    varve_object *target = varve_str_of(world, "target"), *list = list_of(world, target);
    varve_object *dict = varve_dict_new(world);
    varve_dict_set_text(dict, "key", target);
    varve_object *referrers = varve_gc_get_referrers(world, 1, &target);
    CHECK_EQ(varve_list_length(referrers), 2);
    varve_decref(referrers);
    varve_object *referents = varve_gc_get_referents(world, 1, &dict);
    CHECK_EQ(varve_list_length(referents), 2); /* key and value */
    CHECK_EQ_PTR(varve_list_get(referents, 1), target);
    varve_decref(referents);
    varve_decref(target);
    varve_decref(list);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- external bytes --- */

TEST(external_bytes_bring_a_collection) {
    varve_world *world = new_world();
    varve_gc_enable(world);
    make_cycle(world);
    varve_gc_adjust_external(world, 1 << 19);
    varve_world_counts counts;
    varve_world_count(world, &counts);
    size_t before = counts.tracked_objects;
    varve_gc_adjust_external(world, 1 << 20);
    varve_world_count(world, &counts);
    CHECK_EQ(before - counts.tracked_objects, 2);
    CHECK_EQ(varve_gc_external_bytes(world), (1 << 19) + (1 << 20));
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(external_bytes_are_counted_from_one_old_collection_to_the_next) {
    varve_world *world = new_world();
    varve_gc_stats stats[3];
    varve_gc_collect(world, 2);
    varve_gc_enable(world);
    varve_gc_get_stats(world, stats);
    uint64_t before = stats[2].collections;
    for (int index = 0; index < 15; index++) { /* what comes and goes is no growth */
        varve_gc_adjust_external(world, 1 << 19);
        varve_gc_adjust_external(world, -(1 << 19));
    }
    varve_gc_get_stats(world, stats);
    CHECK_EQ(stats[2].collections, before);
    for (int index = 0; index < 3; index++) { /* young collections do not count anew */
        varve_gc_adjust_external(world, 1 << 19);
        varve_gc_collect(world, 0);
    }
    varve_gc_get_stats(world, stats);
    CHECK_EQ(stats[2].collections, before + 1);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(external_bytes_beyond_all_measure_saturate) {
    varve_world *world = new_world();
    varve_gc_adjust_external(world, INT64_MAX);
    varve_gc_adjust_external(world, INT64_MAX);
    CHECK_EQ(varve_gc_external_bytes(world), INT64_MAX);
    varve_gc_adjust_external(world, INT64_MIN);
    varve_gc_adjust_external(world, INT64_MIN);
    CHECK_EQ(varve_gc_external_bytes(world), INT64_MIN);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(with_a_bounded_pause_external_bytes_bring_steps) {
    varve_world *world = new_world();
    for (int index = 0; index < 2000; index++) make_cycle(world);
    varve_gc_collect(world, 1); /* frees them; what is kept is old */
    varve_object *kept = list_of(world, NULL);
    for (int index = 0; index < 20000; index++) {
        varve_object *item = list_of(world, NULL);
        varve_list_append(kept, item);
        varve_decref(item);
    }
    varve_gc_collect(world, 1);
    varve_gc_set_pause(world, 1); /* the least that a step does */
    varve_gc_enable(world);
    varve_gc_stats stats[3];
    varve_gc_get_stats(world, stats);
    uint64_t before = stats[2].collections;
    int count = 0;
    for (; stats[2].collections == before && count < 1000000; count++) {
        varve_gc_adjust_external(world, 1 << 20);
        varve_gc_get_stats(world, stats);
    }
    CHECK_GT(count, 5); /* not all at once */
    CHECK_EQ(stats[2].collections, before + 1);
    varve_decref(kept);
    CHECK_EQ(varve_world_free(world), 0);
}
