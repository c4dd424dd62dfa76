/* SPDX-License-Identifier: MIT
 * The cases of CPython 3.11's test_gc.py, by name: what is found, finalizers, weak references.
 * Those that ask the collector are in test_gc_queries.c; docs/cpython-gc.md lists all 48. */
#include <pthread.h>

#include "gc_cases.h"

/* --- what is found --- */

TEST(list) {
    varve_world *world = quiet_world();
    varve_object *list = new_list(world);
    varve_list_append(list, list);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    end_world(world);
}

TEST(dict) {
    varve_world *world = quiet_world();
    varve_object *dict = varve_dict_new(world), *one = varve_int_new(world, 1);
    CHECK_EQ(varve_dict_set(dict, one, dict), 0);
    varve_gc_collect(world, 2);
    varve_decref(dict);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_decref(one);
    end_world(world);
}

TEST(tuple) {
    varve_world *world = quiet_world();
    varve_object *list = new_list(world);
    varve_object *tuple = varve_tuple_new(world, 1, &list);
    append(list, tuple);
    varve_gc_collect(world, 2);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    end_world(world);
}

static size_t live_count(varve_world *world) {
    varve_world_counts counts;
    varve_world_count(world, &counts);
    return counts.live_objects;
}

/* A class holds nothing that could refer to it; it goes with the last of its instances. */
TEST(class) {
    varve_world *world = quiet_world();
    size_t before_count = live_count(world);
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_decref(new_loop(cls));
    varve_decref(cls);
    CHECK_GT(live_count(world), before_count);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(live_count(world), before_count);
    end_world(world);
}

TEST(instance) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, NULL, NULL);
    varve_object *instance = new_instance(cls);
    varve_instance_set(instance, PLACE_A, instance);
    varve_gc_collect(world, 2);
    varve_decref(instance);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_decref(cls);
    end_world(world);
}

/* Of an open class, whose instances have a dict, and of a type of the program's. */
TEST(newinstance) {
    varve_world *world = quiet_world();
    varve_class_spec spec = {.name = "Open", .open = true};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *instance = new_instance(cls);
    CHECK_EQ(varve_set_attribute(instance, "a", instance), 0);
    varve_gc_collect(world, 2);
    varve_decref(instance);
    CHECK_NE(varve_gc_collect(world, 2), 0);
    varve_object *pair = new_pair(pair_type(world, "pair"), NULL, NULL);
    as_pair(pair)->first = varve_incref(pair);
    varve_decref(pair);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    varve_decref(cls);
    end_world(world);
}

/* A bound method holds its instance, which holds the method. */
TEST(method) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, NULL, NULL), *instance = new_instance(cls);
    varve_object *method = new_pair(pair_type(world, "method"), instance, NULL);
    varve_instance_set(instance, PLACE_A, method);
    varve_decref(method);
    varve_gc_collect(world, 2);
    varve_decref(instance);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    varve_decref(cls);
    end_world(world);
}

/* A function holds the dict of its globals, which holds the function. */
TEST(function) {
    varve_world *world = quiet_world();
    varve_object *globals = varve_dict_new(world);
    varve_object *function = new_pair(pair_type(world, "function"), globals, NULL);
    CHECK_EQ(varve_dict_set_text(globals, "f", function), 0);
    varve_decref(function);
    varve_gc_collect(world, 2);
    varve_decref(globals);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    end_world(world);
}

/* A frame that holds itself in a local variable. */
TEST(frame) {
    varve_world *world = quiet_world();
    varve_object *frame = new_pair(pair_type(world, "frame"), NULL, NULL);
    as_pair(frame)->second = varve_incref(frame);
    varve_gc_collect(world, 2);
    varve_decref(frame);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    end_world(world);
}

/* --- finalizers --- */

struct late {
    varve_object *late_holder; /* the global `latefin` */
    varve_object *function;    /* what its finalizer finds */
    varve_object *ref;
};

static void cyclic_finalize(varve_object *self, void *argument) {
    struct late *late = argument;
    late->ref = varve_weakref_new(varve_instance_get(self, PLACE_B), NULL, NULL, NULL);
    REQUIRE(late->ref != NULL);
    varve_clear_reference(&late->late_holder);
}

static void late_finalize(varve_object *self, void *argument) {
    (void)self;
    struct late *late = argument;
    late->function = varve_weakref_get(late->ref);
}

/* An object that is being cleared is found by a finalizer through a weak reference that was made
 * after weak references were cleared. It must be whole enough to be used. The finalizer's object
 * is no garbage, but dies as its holder is cleared, which lets the function go next. */
TEST(function_tp_clear_leaves_consistent_state) {
    varve_world *world = quiet_world();
    struct late late = {0};
    varve_object *late_class = plain_class(world, late_finalize, &late);
    varve_object *cyclic_class = plain_class(world, cyclic_finalize, &late);
    varve_object *function = new_pair(pair_type(world, "function"), NULL, NULL);
    varve_object *cyclic = new_instance(cyclic_class);
    late.late_holder = new_instance(late_class);
    varve_instance_set(cyclic, PLACE_A, late.late_holder);
    varve_instance_set(cyclic, PLACE_B, function);
    as_pair(function)->first = cyclic;
    varve_decref(function);
    varve_gc_collect(world, 2);
    CHECK(late.late_holder == NULL);
    REQUIRE(late.function != NULL);
    CHECK_EQ_STR(varve_type_name(varve_type_of(late.function)), "function");
    CHECK_EQ_PTR(as_pair(late.function)->first, NULL);
    varve_decref(late.function);
    varve_decref(late.ref);
    varve_decref(late_class);
    varve_decref(cyclic_class);
    end_world(world);
}

static void look_at_attributes(varve_object *self, void *argument) {
    varve_object *list = varve_list_new(varve_world_of(self)); /* runs a collection */
    REQUIRE(list != NULL);
    varve_decref(list);
    *(int *)argument += 1;
}

/* Finalizers can run collections. */
TEST(del) {
    varve_world *world = varve_world_new();
    const int threshold[3] = {1, 10, 10};
    varve_gc_set_threshold(world, threshold);
    int finalized_count = 0;
    varve_object *cls = plain_class(world, look_at_attributes, &finalized_count);
    for (int round = 0; round < 10; round++) {
        varve_decref(new_instance(cls));
        varve_decref(new_loop(cls));
    }
    varve_gc_collect(world, 2);
    CHECK_EQ(finalized_count, 20);
    varve_decref(cls);
    end_world(world);
}

static int del_newclass_count;

static void pair_finalize(varve_object *self) {
    look_at_attributes(self, &del_newclass_count);
}

/* The same for a type of the program's. */
TEST(del_newclass) {
    varve_world *world = varve_world_new();
    const int threshold[3] = {1, 1, 1};
    varve_gc_set_threshold(world, threshold);
    varve_type_spec spec = {.name = "pair",
                            .basic_bytes = sizeof(struct pair),
                            .traverse = pair_traverse,
                            .clear = pair_clear,
                            .finalize = pair_finalize};
    varve_type *type = varve_type_new(world, &spec);
    for (int round = 0; round < 10; round++) {
        varve_object *pair = new_pair(type, NULL, NULL);
        if (round % 2 == 0) as_pair(pair)->first = varve_incref(pair);
        varve_decref(pair);
    }
    varve_gc_collect(world, 2);
    CHECK_EQ(del_newclass_count, 10);
    end_world(world);
}

static void set_attribute(varve_object *self, void *argument) {
    (void)argument;
    varve_instance_set(self, PLACE_B, NULL);
    varve_instance_set(self, PLACE_ME, varve_none(varve_world_of(self)));
}

/* A finalizer changes the garbage that the collector is about to clear. */
TEST(bug21435) {
    varve_world *world = quiet_world();
    varve_object *a_class = plain_class(world, NULL, NULL);
    varve_object *b_class = plain_class(world, set_attribute, NULL);
    for (int order = 0; order < 4; order++) {
        varve_object *first = new_instance(order % 2 == 0 ? a_class : b_class);
        varve_object *second = new_instance(order % 2 == 0 ? b_class : a_class);
        varve_object *a = order % 2 == 0 ? first : second, *b = order % 2 == 0 ? second : first;
        varve_object *other = new_instance(a_class);
        varve_instance_set(b, PLACE_B, other); /* only the cycle holds it, and lets it go */
        varve_decref(other);
        varve_instance_set(a, PLACE_A, b);
        varve_instance_set(b, order < 2 ? PLACE_A : PLACE_B, a);
        varve_decref(a);
        varve_decref(b);
        varve_gc_collect(world, 2);
    }
    varve_decref(a_class);
    varve_decref(b_class);
    end_world(world);
}

static int boom_count;

static size_t boom_outer_bytes(const varve_object *self) {
    (void)self;
    boom_count++;
    return 0;
}

static int boom_equal(varve_object *self, varve_object *other) {
    boom_count++;
    pair_clear(self);
    pair_clear(other);
    return 0;
}

static int boom_hash(varve_object *self, uint64_t *out_hash) {
    boom_count++;
    pair_clear(self);
    *out_hash = 0;
    return 0;
}

/* To find garbage, the collector calls nothing of an object's but traverse. */
TEST(boom) {
    varve_world *world = quiet_world();
    varve_type_spec spec = {.name = "boom",
                            .basic_bytes = sizeof(struct pair),
                            .traverse = pair_traverse,
                            .clear = pair_clear,
                            .outer_bytes = boom_outer_bytes,
                            .equal = boom_equal,
                            .hash = boom_hash};
    varve_type *type = varve_type_new(world, &spec);
    varve_object *a = new_pair(type, NULL, NULL), *b = new_pair(type, a, NULL);
    as_pair(a)->first = varve_incref(b);
    varve_gc_collect(world, 2);
    varve_decref(a);
    varve_decref(b);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(boom_count, 0);
    CHECK_EQ(varve_list_length(varve_gc_garbage(world)), 0);
    end_world(world);
}

struct second_time {
    int count;
};

static void lose_at_second_time(varve_object *self, void *argument) {
    struct second_time *time = argument;
    if (++time->count > 1) varve_instance_set(self, PLACE_A, NULL);
}

/* The second finalizer takes the cycle apart; both objects are found and go once. */
TEST(boom2) {
    varve_world *world = quiet_world();
    struct second_time time = {0};
    varve_object *cls = plain_class(world, lose_at_second_time, &time);
    varve_object *a = new_instance(cls), *b = new_instance(cls);
    varve_instance_set(a, PLACE_A, b);
    varve_instance_set(b, PLACE_A, a);
    varve_decref(a);
    varve_decref(b);
    varve_gc_collect(world, 2);
    CHECK_EQ(time.count, 2);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    varve_decref(cls);
    end_world(world);
}

/* --- resurrection --- */

struct saved {
    varve_object *list;
    int count;
};

static void save(varve_object *self, void *argument) {
    struct saved *saved = argument;
    saved->count++;
    CHECK_EQ(varve_list_append(saved->list, self), 0);
}

TEST(is_finalized) {
    varve_world *world = quiet_world();
    varve_object *three = varve_int_new(world, 3);
    CHECK(!varve_gc_is_finalized(three));
    varve_decref(three);
    struct saved saved = {.list = new_list(world)};
    varve_object *cls = plain_class(world, save, &saved);
    varve_object *lazarus = new_instance(cls);
    CHECK(!varve_gc_is_finalized(lazarus));
    varve_decref(lazarus);
    varve_gc_collect(world, 2);
    REQUIRE(varve_list_length(saved.list) == 1);
    CHECK(varve_gc_is_finalized(varve_list_get(saved.list, 0)));
    varve_list_clear(saved.list);
    CHECK_EQ(saved.count, 1);
    varve_decref(saved.list);
    varve_decref(cls);
    end_world(world);
}

TEST(resurrection_only_happens_once_per_object) {
    varve_world *world = quiet_world();
    struct saved saved = {.list = new_list(world)};
    varve_object *cls = plain_class(world, save, &saved);
    varve_object *lazarus = new_loop(cls);
    CHECK_EQ(saved.count, 0);
    varve_decref(lazarus);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    CHECK_EQ(saved.count, 1);
    CHECK_EQ(varve_list_length(saved.list), 1);
    varve_list_clear(saved.list);
    CHECK_EQ(saved.count, 1);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(saved.count, 1);
    varve_decref(saved.list);
    varve_decref(cls);
    end_world(world);
}

TEST(resurrection_is_transitive) {
    varve_world *world = quiet_world();
    struct saved saved = {.list = new_list(world)};
    varve_object *cls = plain_class(world, save, &saved);
    varve_object *cargo_class = plain_class(world, NULL, NULL);
    varve_object *lazarus = new_instance(cls), *cargo = new_loop(cargo_class);
    varve_instance_set(lazarus, PLACE_A, cargo);
    varve_instance_set(cargo, PLACE_A, lazarus);
    varve_decref(lazarus);
    varve_decref(cargo);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    REQUIRE(varve_list_length(saved.list) == 1);
    lazarus = varve_list_get(saved.list, 0);
    CHECK_EQ_PTR(varve_instance_get(lazarus, PLACE_A), cargo);
    CHECK_EQ_PTR(varve_instance_get(cargo, PLACE_ME), cargo);
    varve_list_clear(saved.list);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    varve_decref(saved.list);
    varve_decref(cls);
    varve_decref(cargo_class);
    end_world(world);
}

/* Collects everything and compares what the statistics say has been found. */
static long collected(varve_world *world) {
    varve_gc_stats before[3], after[3];
    varve_gc_get_stats(world, before);
    long count = varve_gc_collect(world, 2);
    varve_gc_get_stats(world, after);
    CHECK_EQ(after[2].collected - before[2].collected, count);
    CHECK_EQ(after[2].uncollectable - before[2].uncollectable, 0);
    return count;
}

TEST(resurrection_does_not_block_cleanup_of_other_objects) {
    enum { COUNT = 100 };
    varve_world *world = quiet_world();
    struct saved saved = {.list = new_list(world)};
    varve_object *plain = plain_class(world, NULL, NULL);
    varve_object *lazarus = plain_class(world, save, &saved);
    for (int index = 0; index < COUNT; index++) {
        varve_decref(new_loop(plain));
    }
    CHECK_EQ(collected(world), COUNT);
    varve_decref(new_loop(lazarus));
    CHECK_EQ(collected(world), 0);
    for (int index = 0; index < COUNT; index++) {
        if (index == COUNT / 2) varve_decref(new_loop(lazarus));
        varve_decref(new_loop(plain));
    }
    CHECK_EQ(collected(world), COUNT);
    varve_list_clear(saved.list);
    CHECK_EQ(collected(world), 2);
    varve_decref(saved.list);
    varve_decref(plain);
    varve_decref(lazarus);
    end_world(world);
}

/* --- objects in objects in objects --- */

static void collect_each_17th(varve_object *self, void *argument) {
    int *count = argument;
    if (++*count % 17 == 0) varve_gc_collect(varve_world_of(self), 2);
}

static varve_object *nested_lists(varve_object *ouch, int depth) {
    varve_object *outer = new_list(varve_world_of(ouch));
    for (int level = 0; level < depth; level++) {
        varve_object *list = new_list(varve_world_of(ouch));
        append(list, outer);
        append(list, new_instance(ouch));
        outer = list;
    }
    return outer;
}

static varve_object *nested_dicts(varve_object *ouch, int depth) {
    varve_world *world = varve_world_of(ouch);
    varve_object *outer = varve_dict_new(world);
    for (int level = 0; level < depth; level++) {
        varve_object *dict = varve_dict_new(world), *instance = new_instance(ouch);
        CHECK_EQ(varve_dict_set_text(dict, "1", outer), 0);
        CHECK_EQ(varve_dict_set_text(dict, "2", instance), 0);
        varve_decref(outer);
        varve_decref(instance);
        outer = dict;
    }
    return outer;
}

/* Finalizers collect everything while a deep structure is being freed. */
TEST(trashcan) {
    enum { DEPTH = 150 };
    varve_world *world = varve_world_new();
    int count = 0;
    varve_object *ouch = plain_class(world, collect_each_17th, &count);
    for (int round = 0; round < 2; round++) {
        varve_object *structures[] = {nested_lists(ouch, DEPTH), nested_lists(ouch, DEPTH),
                                      nested_dicts(ouch, DEPTH)};
        for (int index = 0; index < 3; index++) {
            varve_decref(structures[index]);
        }
    }
    CHECK_EQ(count, 2 * 3 * DEPTH);
    varve_decref(ouch);
    end_world(world);
}

static void count_one(varve_object *self, void *argument) {
    (void)self;
    *(int *)argument += 1;
}

/* Worlds share nothing, so each thread has its own. */
static void *make_nested(void *argument) {
    enum { DEPTH = 200, ROUNDS = 50 };
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    int count = 0;
    varve_object *cls = plain_class(world, count_one, &count);
    for (int round = 0; round < ROUNDS; round++) {
        varve_decref(nested_lists(cls, DEPTH));
    }
    CHECK_EQ(count, DEPTH * ROUNDS);
    varve_decref(cls);
    CHECK_EQ(varve_world_free(world), 0);
    return argument;
}

TEST(trashcan_threads) {
    pthread_t threads[2];
    for (int index = 0; index < 2; index++) {
        REQUIRE(pthread_create(&threads[index], NULL, make_nested, NULL) == 0);
    }
    for (int index = 0; index < 2; index++) {
        pthread_join(threads[index], NULL);
    }
}
