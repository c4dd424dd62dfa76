/* SPDX-License-Identifier: MIT
 * The cases of CPython 3.11's test_gc.py, by name: weak references to garbage, questions to the
 * collector, callbacks, misuse. The others are in test_gc_cases.c. */
#include "gc_cases.h"

/* --- weak references to garbage --- */

struct ouch {
    varve_object *refs[2];
    int call_count;
    int alive_count; /* objects that a callback or finalizer saw through refs[] */
};

static void look(struct ouch *ouch) {
    ouch->call_count++;
    for (int index = 0; index < 2; index++) {
        varve_object *object = ouch->refs[index] ? varve_weakref_get(ouch->refs[index]) : NULL;
        ouch->alive_count += object != NULL;
        varve_xdecref(object);
    }
}

static void callback_looks(varve_object *ref, void *argument) {
    (void)ref;
    look(argument);
}

static void finalizer_looks(varve_object *self, void *argument) {
    (void)self;
    look(argument);
}

TEST(bug1055820b) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_object *loops[2] = {new_loop(cls), new_loop(cls)};
    struct ouch ouch = {0};
    for (int index = 0; index < 2; index++) {
        ouch.refs[index] = varve_weakref_new(loops[index], callback_looks, &ouch, NULL);
        REQUIRE(ouch.refs[index] != NULL);
    }
    varve_gc_collect(world, 2);
    CHECK_EQ(ouch.call_count, 0);
    varve_decref(loops[0]);
    varve_decref(loops[1]);
    varve_gc_collect(world, 2);
    CHECK_EQ(ouch.call_count, 2);
    CHECK_EQ(ouch.alive_count, 0);
    varve_decref(ouch.refs[0]);
    varve_decref(ouch.refs[1]);
    varve_decref(cls);
    end_world(world);
}

/* Makes lists until an automatic collection has run. */
static void collect_naturally(varve_world *world) {
    varve_gc_stats before[3], after[3];
    varve_gc_get_stats(world, before);
    varve_object *junk = new_list(world);
    for (int index = 0; index < 10000; index++) {
        append(junk, varve_list_new(world));
        varve_gc_get_stats(world, after);
        if (after[0].collections > before[0].collections) break;
    }
    CHECK_GT(after[0].collections, before[0].collections);
    CHECK_EQ(after[2].collections, before[2].collections);
    varve_decref(junk);
}

/* An object of the oldest generation dies because garbage of the youngest held it; what runs then
 * must not see the garbage. */
static void old_object_sees_garbage(bool by_finalizer) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    struct ouch ouch = {0};
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_object *old_class = plain_class(world, by_finalizer ? finalizer_looks : NULL, &ouch);
    varve_object *old = new_instance(old_class);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_gc_generation(old), 2);
    varve_object *holder = new_loop(cls), *garbage = new_loop(cls);
    varve_instance_set(holder, PLACE_A, old);
    ouch.refs[0] = varve_weakref_new(garbage, NULL, NULL, NULL);
    varve_object *old_ref =
        by_finalizer ? NULL : varve_weakref_new(old, callback_looks, &ouch, NULL);
    varve_decref(old);
    varve_decref(holder);
    varve_decref(garbage);
    collect_naturally(world);
    CHECK_EQ(ouch.call_count, 1);
    CHECK_EQ(ouch.alive_count, 0);
    varve_xdecref(old_ref);
    varve_decref(ouch.refs[0]);
    varve_decref(cls);
    varve_decref(old_class);
    end_world(world);
}

TEST(bug1055820c) {
    if (VARVE_GC_STRESS) SKIP("no collection comes by itself any more");
    old_object_sees_garbage(/* by_finalizer */ false);
}

TEST(bug1055820d) {
    if (VARVE_GC_STRESS) SKIP("no collection comes by itself any more");
    old_object_sees_garbage(/* by_finalizer */ true);
}

static void clear_hidden(varve_object *self) {
    varve_clear_reference(&as_pair(self)->first);
}

static void count_call(varve_object *ref, void *argument) {
    (void)ref;
    ++*(int *)argument;
}

/* Garbage that the collector does not see, behind a type without traverse, and a weak reference to
 * it that is garbage, too, and lives longer: its callback must not run. */
TEST(trash_weakref_clear) {
    varve_world *world = quiet_world();
    varve_type_spec spec = {
        .name = "hidden", .basic_bytes = sizeof(struct pair), .clear = clear_hidden};
    varve_type *hidden_type = varve_type_new(world, &spec);
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_object *a = new_loop(cls), *z = new_instance(cls);
    varve_object *y = new_pair(hidden_type, z, NULL);
    int call_count = 0;
    varve_object *ref = varve_weakref_new(z, count_call, &call_count, NULL);
    varve_object *cycle = new_list(world);
    varve_list_append(cycle, cycle);
    varve_list_append(cycle, ref);
    varve_instance_set(a, PLACE_A, y);
    varve_instance_set(a, PLACE_B, ref);
    varve_decref(z);
    varve_decref(y);
    varve_decref(ref);
    varve_decref(a);
    varve_decref(cycle);
    varve_gc_collect(world, 2);
    CHECK_EQ(call_count, 0);
    varve_decref(cls);
    end_world(world);
}

/* --- the end of a world --- */

static void count_finalized(varve_object *self, void *argument) {
    (void)self;
    ++*(int *)argument;
}

/* What is garbage when the world ends is finalized. */
TEST(gc_main_module_at_shutdown) {
    varve_world *world = quiet_world();
    int count = 0;
    varve_object *cls = plain_class(world, count_finalized, &count), *list = new_list(world);
    append(list, new_instance(cls));
    varve_list_append(list, list);
    varve_decref(list);
    varve_decref(cls);
    end_world(world);
    CHECK_EQ(count, 1);
}

static void drop_module(void *argument) {
    varve_decref(argument);
}

/* A module: a dict that is let go as the world ends. */
TEST(gc_ordinary_module_at_shutdown) {
    varve_world *world = quiet_world();
    int count = 0;
    varve_object *cls = plain_class(world, count_finalized, &count);
    varve_object *module = varve_dict_new(world), *list = new_list(world);
    append(list, new_instance(cls));
    varve_list_append(list, list);
    varve_dict_set_text(module, "l", list);
    varve_dict_set_text(module, "module", module);
    varve_decref(list);
    varve_decref(cls);
    CHECK_EQ(varve_world_at_exit(world, drop_module, module), 0);
    end_world(world);
    CHECK_EQ(count, 1);
}

/* What debug mode kept goes with the world; it is not called leaked. */
TEST(garbage_at_shutdown) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_gc_set_debug(world, VARVE_GC_DEBUG_SAVEALL);
    varve_decref(new_loop(cls));
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_list_length(varve_gc_garbage(world)), 1);
    varve_decref(cls);
    end_world(world);
}

/* The last instance of a class is garbage and owns the class. */
TEST(ast_fini) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, NULL, NULL), *list = new_list(world);
    append(list, new_instance(cls));
    varve_list_append(list, list);
    varve_decref(cls);
    varve_decref(list);
    end_world(world);
}

/* --- questions --- */

TEST(saveall) {
    varve_world *world = quiet_world();
    varve_object *garbage = varve_gc_garbage(world);
    CHECK_EQ(varve_list_length(garbage), 0);
    varve_object *list = new_list(world);
    varve_list_append(list, list);
    int debug = varve_gc_get_debug(world);
    varve_gc_set_debug(world, debug | VARVE_GC_DEBUG_SAVEALL);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_gc_set_debug(world, debug);
    REQUIRE(varve_list_length(garbage) == 1);
    CHECK_EQ_PTR(varve_list_get(garbage, 0), list);
    CHECK_EQ_PTR(varve_list_get(list, 0), list);
    varve_list_clear(garbage);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    end_world(world);
}

TEST(get_count) {
    varve_world *world = quiet_world();
    int before[3], after[3];
    varve_gc_collect(world, 2);
    varve_gc_get_count(world, before);
    varve_object *list = new_list(world);
    varve_gc_get_count(world, after);
    CHECK_EQ(before[0], 0);
    CHECK_EQ(before[1] + before[2] + after[1] + after[2], 0);
    CHECK_EQ(after[0], 1);
    varve_decref(list);
    varve_gc_get_count(world, after);
    CHECK_EQ(after[0], 0);
    end_world(world);
}

TEST(collect_generations) {
    varve_world *world = quiet_world();
    int counts[3];
    varve_gc_collect(world, 2);
    varve_object *list = new_list(world);
    varve_gc_collect(world, 0);
    varve_gc_get_count(world, counts);
    CHECK_EQ(counts[1], 1);
    CHECK_EQ(counts[2], 0);
    varve_gc_collect(world, 1);
    varve_gc_get_count(world, counts);
    CHECK_EQ(counts[1], 0);
    CHECK_EQ(counts[2], 1);
    varve_gc_collect(world, 2);
    varve_gc_get_count(world, counts);
    CHECK_EQ(counts[1], 0);
    CHECK_EQ(counts[2], 0);
    varve_decref(list);
    end_world(world);
}

/* Sums of the ints that an object refers to, and how many referents there are. */
static void check_referents(varve_world *world, varve_object *object, int64_t sum, size_t count) {
    varve_object *found = varve_gc_get_referents(world, 1, &object);
    REQUIRE(found != NULL);
    CHECK_EQ(varve_list_length(found), count);
    int64_t found_sum = 0;
    for (size_t index = 0; index < varve_list_length(found); index++) {
        found_sum += varve_int_value(varve_list_get(found, index));
    }
    CHECK_EQ(found_sum, sum);
    varve_decref(found);
}

TEST(get_referents) {
    varve_world *world = quiet_world();
    varve_object *numbers[4];
    for (int index = 0; index < 4; index++) {
        numbers[index] = varve_int_new(world, 2 * index + 1); /* 1, 3, 5, 7 */
    }
    varve_object *list = new_list(world), *dict = varve_dict_new(world);
    for (int index = 0; index < 3; index++) {
        varve_list_append(list, numbers[index]);
    }
    varve_object *tuple = varve_tuple_new(world, 3, numbers);
    varve_dict_set(dict, numbers[0], numbers[1]);
    varve_dict_set(dict, numbers[2], numbers[3]);
    check_referents(world, list, 9, 3);
    check_referents(world, tuple, 9, 3);
    check_referents(world, dict, 16, 4);
    check_referents(world, numbers[0], 0, 0);
    varve_object *same[2] = {numbers[0], numbers[0]};
    varve_object *twice = varve_tuple_new(world, 2, same);
    check_referents(world, twice, 2, 2); /* duplicates are kept */
    varve_object *several[2] = {list, dict};
    varve_object *found = varve_gc_get_referents(world, 2, several);
    CHECK_EQ(varve_list_length(found), 7);
    varve_object *objects[] = {found, list, dict, tuple, twice};
    for (int index = 0; index < 5; index++) {
        varve_decref(objects[index]);
    }
    end_world(world);
}

TEST(is_tracked) {
    varve_world *world = quiet_world();
    varve_type_spec leaf_spec = {.name = "leaf", .basic_bytes = sizeof(varve_object)};
    varve_object *leaf = varve_object_new(varve_type_new(world, &leaf_spec));
    varve_object *untracked[] = {
        varve_incref(varve_none(world)), varve_int_new(world, 1),
        varve_float_new(world, 1.0),     varve_bool(world, true),
        varve_bytes_new(world, "a", 1),  varve_str_of(world, "a"),
        varve_dict_new(world),           leaf,
    };
    for (size_t index = 0; index < sizeof untracked / sizeof untracked[0]; index++) {
        CHECK(!varve_gc_is_tracked(untracked[index]));
        varve_decref(untracked[index]);
    }
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_object *tracked[] = {
        new_list(world),
        varve_set_new(world),
        new_instance(cls),
        new_pair(pair_type(world, "pair"), NULL, NULL),
    };
    for (size_t index = 0; index < sizeof tracked / sizeof tracked[0]; index++) {
        CHECK(varve_gc_is_tracked(tracked[index]));
        varve_decref(tracked[index]);
    }
    varve_decref(cls);
    end_world(world);
}

TEST(get_stats) {
    varve_world *world = quiet_world();
    varve_gc_stats before[3], after[3];
    varve_gc_get_stats(world, before);
    varve_gc_collect(world, 0);
    varve_gc_get_stats(world, after);
    CHECK_EQ(after[0].collections, before[0].collections + 1);
    CHECK_EQ(after[1].collections, before[1].collections);
    CHECK_EQ(after[2].collections, before[2].collections);
    varve_gc_collect(world, 2);
    varve_gc_get_stats(world, after);
    CHECK_EQ(after[0].collections, before[0].collections + 1);
    CHECK_EQ(after[1].collections, before[1].collections);
    CHECK_EQ(after[2].collections, before[2].collections + 1);
    end_world(world);
}

TEST(freeze) {
    varve_world *world = quiet_world();
    varve_object *list = new_list(world);
    varve_gc_freeze(world);
    CHECK_GT(varve_gc_get_freeze_count(world), 0);
    CHECK_EQ(varve_gc_generation(list), 3);
    varve_gc_unfreeze(world);
    CHECK_EQ(varve_gc_get_freeze_count(world), 0);
    CHECK_EQ(varve_gc_generation(list), 2);
    varve_decref(list);
    end_world(world);
}

static bool is_among(varve_world *world, const varve_object *object, int generation) {
    varve_object *objects = varve_gc_get_objects(world, generation);
    REQUIRE(objects != NULL);
    bool found = false;
    for (size_t index = 0; index < varve_list_length(objects); index++) {
        found |= varve_list_get(objects, index) == object;
    }
    varve_decref(objects);
    return found;
}

TEST(get_objects) {
    varve_world *world = quiet_world();
    varve_object *list = new_list(world);
    varve_list_append(list, list);
    for (int round = 0; round <= 3; round++) {
        int home = round < 2 ? round : 2;
        for (int generation = 0; generation < 3; generation++) {
            CHECK_EQ(is_among(world, list, generation), generation == home);
        }
        CHECK(is_among(world, list, -1));
        if (round < 3) varve_gc_collect(world, round);
    }
    varve_decref(list);
    varve_gc_collect(world, 2);
    end_world(world);
}

TEST(get_objects_arguments) {
    varve_world *world = quiet_world();
    const int wrong[] = {3, 1000, -2, -1000};
    for (int index = 0; index < 4; index++) {
        errno = 0;
        CHECK(varve_gc_get_objects(world, wrong[index]) == NULL);
        CHECK_EQ(errno, EINVAL);
    }
    CHECK_EQ(varve_gc_collect(world, 3), -EINVAL);
    CHECK_EQ(varve_gc_collect(world, -1), -EINVAL);
    end_world(world);
}

/* --- callbacks --- */

struct visit {
    int who;
    varve_gc_phase phase;
    varve_gc_info info;
};

static struct visit visits[16];
static int visit_count;

static void note_visit(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                       void *argument) {
    (void)world;
    REQUIRE(visit_count < 16);
    visits[visit_count++] = (struct visit){*(int *)argument, phase, *info};
}

static int callback_names[2] = {1, 2};

static varve_world *world_with_callbacks(void) {
    varve_world *world = quiet_world();
    for (int index = 0; index < 2; index++) {
        CHECK_EQ(varve_gc_add_callback(world, note_visit, &callback_names[index]), 0);
    }
    return world;
}

TEST(collect) {
    varve_world *world = world_with_callbacks();
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_decref(new_loop(cls));
    varve_gc_collect(world, 2);
    REQUIRE(visit_count == 4);
    for (int index = 0; index < 4; index++) {
        CHECK_EQ(visits[index].who, index % 2 + 1);
        CHECK_EQ(visits[index].phase, index < 2 ? VARVE_GC_START : VARVE_GC_STOP);
        CHECK_EQ(visits[index].info.collected, index < 2 ? 0 : 1);
        CHECK_EQ(visits[index].info.uncollectable, 0);
    }
    CHECK_GT(visits[3].info.duration_ns, 0);
    CHECK_GE(visits[3].info.visited, 1);
    CHECK_EQ(varve_gc_remove_callback(world, note_visit, &callback_names[0]), 0);
    CHECK_EQ(varve_gc_remove_callback(world, note_visit, &callback_names[0]), -ENOENT);
    varve_gc_collect(world, 0);
    CHECK_EQ(visit_count, 6);
    varve_decref(cls);
    CHECK_EQ(varve_gc_remove_callback(world, note_visit, &callback_names[1]), 0);
    end_world(world);
}

TEST(collect_generation) {
    varve_world *world = world_with_callbacks();
    for (int generation = 0; generation < 3; generation++) {
        visit_count = 0;
        varve_gc_collect(world, generation);
        REQUIRE(visit_count == 4);
        for (int index = 0; index < 4; index++) {
            CHECK_EQ(visits[index].info.generation, generation);
        }
    }
    visit_count = 0;
    for (int index = 0; index < 2; index++) {
        varve_gc_remove_callback(world, note_visit, &callback_names[index]);
    }
    end_world(world);
}

static void empty_garbage(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                          void *argument) {
    (void)info;
    (void)argument;
    if (phase == VARVE_GC_STOP) varve_list_clear(varve_gc_garbage(world));
}

/* A callback cleans up what was kept. */
TEST(collect_garbage) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_gc_set_debug(world, VARVE_GC_DEBUG_SAVEALL);
    CHECK_EQ(varve_gc_add_callback(world, empty_garbage, NULL), 0);
    varve_decref(new_loop(cls));
    varve_decref(new_loop(cls));
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(varve_list_length(varve_gc_garbage(world)), 0);
    varve_gc_set_debug(world, 0);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    varve_gc_remove_callback(world, empty_garbage, NULL);
    varve_decref(cls);
    end_world(world);
}
