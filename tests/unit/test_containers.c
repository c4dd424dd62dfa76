/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "varve/gc.h"
#include "varve/object.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static varve_world *new_world(void) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    return world;
}

/* --- numbers, text --- */

TEST(equal_numbers_are_equal_across_types_and_hash_alike) {
    varve_world *world = new_world();
    varve_object *integer = varve_int_new(world, 1 << 20);
    varve_object *floating = varve_float_new(world, 1 << 20);
    uint64_t one, two;
    CHECK_EQ(varve_equal(integer, floating), 1);
    CHECK_EQ(varve_hash(integer, &one), 0);
    CHECK_EQ(varve_hash(floating, &two), 0);
    CHECK(one == two);
    varve_object *large = varve_int_new(world, INT64_MAX);
    varve_object *rounded = varve_float_new(world, (double)INT64_MAX);
    CHECK_EQ(varve_equal(large, rounded), 0); /* 2^63 - 1 is not 2^63 */
    varve_object *nan = varve_float_new(world, NAN);
    CHECK_EQ(varve_equal(nan, nan), 0);
    CHECK_EQ(varve_equal(varve_bool(world, true), varve_int_new(world, 1)), 1);
    varve_decref(integer);
    varve_decref(floating);
    varve_decref(large);
    varve_decref(rounded);
    varve_decref(nan);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(text_that_is_not_utf8_is_refused) {
    varve_world *world = new_world();
    static const char *const bad[] = {"\xff",     "\xc0\x80",     "\xe0\x80\x80",
                                      "a\xc3",    "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xc3\x28", "\x80",         "\xf0\x80\x80\x80"};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        errno = 0;
        CHECK(varve_str_of(world, bad[index]) == NULL);
        CHECK_EQ(errno, EILSEQ);
    }
    varve_object *good = varve_str_of(world, "z\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
    REQUIRE(good != NULL);
    CHECK_EQ(varve_str_bytes(good), 10);
    varve_decref(good);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(equal_interned_strs_are_one_and_die_like_others) {
    varve_world *world = new_world();
    varve_object *strs[500];
    for (int round = 0; round < 3; round++) {
        for (int index = 0; index < 500; index++) {
            char text[16];
            snprintf(text, sizeof text, "name %d", index);
            varve_object *one = varve_str_of(world, text), *two = varve_str_of(world, text);
            strs[index] = varve_str_intern(one);
            varve_object *again = varve_str_intern(two);
            CHECK_EQ_PTR(strs[index], again);
            CHECK_EQ_STR(varve_str_text(again), text);
            varve_decref(one);
            varve_decref(two);
            varve_decref(again);
        }
        for (int index = 0; index < 500; index++) varve_decref(strs[(index * 7) % 500]);
    }
    varve_world_counts counts;
    varve_world_count(world, &counts);
    varve_decref(varve_str_intern(varve_str_of(world, "leaked once")));
    CHECK_EQ(varve_world_free(world), 1);
}

/* --- lists --- */

TEST(lists_keep_order_through_insert_and_remove) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    for (int value = 0; value < 100; value++) {
        varve_list_insert(list, (size_t)value / 2, varve_int_new(world, value));
    }
    CHECK_EQ(varve_list_length(list), 100);
    CHECK_EQ(varve_list_insert(list, 101, varve_none(world)), -ERANGE);
    CHECK_EQ(varve_list_remove(list, 100), -ERANGE);
    CHECK_EQ(varve_list_set(list, 100, varve_none(world)), -ERANGE);
    CHECK_EQ(varve_int_value(varve_list_get(list, 0)), 1);
    CHECK_EQ(varve_int_value(varve_list_get(list, 99)), 0);
    while (varve_list_length(list) > 1) CHECK_EQ(varve_list_remove(list, 0), 0);
    CHECK_EQ(varve_int_value(varve_list_get(list, 0)), 0);
    varve_decref(list);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- dicts --- */

#define MODEL_COUNT 200

/* Random operations compared with an array. */
TEST(dicts_behave_like_an_array_of_values_by_key) {
    uint64_t seed = test_seed(3);
    varve_world *world = new_world();
    varve_object *dict = varve_dict_new(world);
    int64_t model[MODEL_COUNT];
    size_t used_count = 0;
    for (int key = 0; key < MODEL_COUNT; key++) model[key] = -1;
    for (int step = 0; step < 40000; step++) {
        int64_t number = (int64_t)test_random_below(&seed, MODEL_COUNT);
        varve_object *key = number % 2 == 0 ? varve_int_new(world, number * 1000)
                                            : varve_float_new(world, (double)number + 0.5);
        varve_object *found;
        int has = varve_dict_get(dict, key, &found);
        CHECK_EQ(has, model[number] >= 0);
        if (has == 1) CHECK_EQ(varve_int_value(found), model[number]);
        if (test_random_below(&seed, 2) == 0) {
            varve_object *value = varve_int_new(world, step);
            CHECK_EQ(varve_dict_set(dict, key, value), 0);
            varve_decref(value);
            used_count += model[number] < 0;
            model[number] = step;
        } else {
            CHECK_EQ(varve_dict_delete(dict, key), model[number] >= 0 ? 0 : -ENOENT);
            used_count -= model[number] >= 0;
            model[number] = -1;
        }
        CHECK_EQ(varve_dict_length(dict), used_count);
        varve_decref(key);
    }
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(dicts_grow_past_the_widths_of_their_slots_and_keep_order) {
    varve_world *world = new_world();
    varve_object *dict = varve_dict_new(world);
    for (int value = 0; value < 100000; value++) {
        varve_object *key = varve_int_new(world, value);
        REQUIRE(varve_dict_set(dict, key, key) == 0);
        varve_decref(key);
    }
    size_t position = 0;
    varve_object *key, *value;
    for (int expected = 0; expected < 100000; expected++) {
        REQUIRE(varve_dict_next(dict, &position, &key, &value) == 1);
        CHECK_EQ(varve_int_value(key), expected);
        CHECK_EQ_PTR(key, value);
    }
    CHECK_EQ(varve_dict_next(dict, &position, &key, &value), 0);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(unhashable_keys_are_refused) {
    varve_world *world = new_world();
    varve_object *dict = varve_dict_new(world), *list = varve_list_new(world);
    varve_object *tuple = varve_tuple_new(world, 1, &list);
    varve_object *found;
    CHECK_EQ(varve_dict_set(dict, list, list), -EOPNOTSUPP);
    CHECK_EQ(varve_dict_set(dict, tuple, list), -EOPNOTSUPP);
    CHECK_EQ(varve_dict_get(dict, list, &found), -EOPNOTSUPP);
    CHECK_EQ(varve_dict_length(dict), 0);
    varve_decref(dict);
    varve_decref(list);
    varve_decref(tuple);
    CHECK_EQ(varve_world_free(world), 0);
}

static varve_object *changed_dict;

struct nosy {
    varve_object head;
    int64_t value;
};

static int nosy_equal(varve_object *left, varve_object *right) {
    if (changed_dict != NULL) {
        varve_object *dict = changed_dict;
        changed_dict = NULL;
        varve_dict_clear(dict);
    }
    return ((struct nosy *)left)->value == ((struct nosy *)right)->value;
}

static int nosy_hash(varve_object *self, uint64_t *out_hash) {
    (void)self;
    *out_hash = 1;
    return 0;
}

TEST(an_equality_function_may_change_the_dict_that_calls_it) {
    varve_world *world = new_world();
    varve_type_spec spec = {
        .name = "nosy", .basic_bytes = sizeof(struct nosy), .equal = nosy_equal, .hash = nosy_hash};
    varve_type *type = varve_type_new(world, &spec);
    varve_object *dict = varve_dict_new(world);
    for (int value = 0; value < 5; value++) {
        varve_object *key = varve_object_new(type);
        ((struct nosy *)key)->value = value;
        CHECK_EQ(varve_dict_set(dict, key, key), 0);
        varve_decref(key);
    }
    CHECK_EQ(varve_dict_length(dict), 5);
    varve_object *probe = varve_object_new(type), *found;
    ((struct nosy *)probe)->value = 4;
    changed_dict = dict;
    CHECK_EQ(varve_dict_get(dict, probe, &found), 0);
    CHECK_EQ(varve_dict_length(dict), 0);
    varve_decref(probe);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- equality of containers --- */

TEST(containers_are_equal_by_content) {
    varve_world *world = new_world();
    varve_object *dicts[2], *lists[2], *sets[2];
    for (int index = 0; index < 2; index++) {
        dicts[index] = varve_dict_new(world);
        lists[index] = varve_list_new(world);
        sets[index] = varve_set_new(world);
        for (int step = 0; step < 10; step++) {
            int value = index == 0 ? step : 9 - step; /* order does not count in dicts and sets */
            varve_object *key = varve_int_new(world, 1000 + value);
            varve_dict_set(dicts[index], key, lists[0]);
            varve_set_add(sets[index], key);
            varve_decref(key);
        }
        varve_dict_set_text(lists[index] == NULL ? dicts[0] : dicts[index], "k", lists[index]);
    }
    CHECK_EQ(varve_equal(dicts[0], dicts[1]), 1);
    CHECK_EQ(varve_equal(sets[0], sets[1]), 1);
    varve_list_append(lists[1], varve_none(world));
    CHECK_EQ(varve_equal(dicts[0], dicts[1]), 0);
    CHECK_EQ(varve_equal(dicts[0], sets[0]), 0);
    for (int index = 0; index < 2; index++) {
        varve_decref(dicts[index]);
        varve_decref(lists[index]);
        varve_decref(sets[index]);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(nesting_without_end_is_an_error_not_a_crash) {
    varve_world *world = new_world();
    varve_object *one = varve_list_new(world), *two = varve_list_new(world);
    varve_list_append(one, one);
    varve_list_append(two, two);
    CHECK_EQ(varve_equal(one, two), -ELOOP);
    varve_decref(one);
    varve_decref(two);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(tuples_hash_to_a_depth_of_100) {
    varve_world *world = new_world();
    varve_object *tuple = varve_tuple_new(world, 0, NULL), *dict = varve_dict_new(world), *value;
    uint64_t hash;
    for (int depth = 0; depth < 100; depth++) {
        varve_object *outer = varve_tuple_new(world, 1, &tuple);
        varve_decref(tuple);
        tuple = outer;
    }
    CHECK_EQ(varve_hash(tuple, &hash), 0);
    varve_object *deepest = varve_tuple_new(world, 1, &tuple);
    CHECK_EQ(varve_hash(deepest, &hash), -ELOOP);
    CHECK_EQ(varve_dict_get(dict, deepest, &value), -ELOOP);
    varve_decref(deepest);
    varve_decref(tuple);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

#define QUEUE_COUNT (VARVE_GC_STRESS || VARVE_AUDIT ? 2000 : 1000000)

/* Without what the table notes about deleted entries this would take many minutes. */
TEST(a_dict_may_be_a_queue_of_any_length) {
    varve_world *world = new_world();
    varve_object *dict = varve_dict_new(world), *key, *value;
    for (int index = 0; index < QUEUE_COUNT; index++) {
        varve_object *number = varve_int_new(world, index);
        CHECK_EQ(varve_dict_set(dict, number, number), 0);
        varve_decref(number);
    }
    for (int index = 0; index < QUEUE_COUNT; index++) {
        size_t position = 0;
        REQUIRE(varve_dict_next(dict, &position, &key, &value) == 1);
        CHECK_EQ(varve_int_value(key), index);
        CHECK_EQ(varve_dict_delete(dict, key), 0);
    }
    size_t position = 0;
    CHECK_EQ(varve_dict_next(dict, &position, &key, &value), 0);
    CHECK_EQ(varve_dict_set(dict, varve_none(world), dict), 0);
    position = 0;
    CHECK_EQ(varve_dict_next(dict, &position, &key, &value), 1);
    CHECK_EQ_PTR(key, varve_none(world));
    varve_dict_clear(dict);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- sets --- */

TEST(sets_tell_whether_they_changed) {
    varve_world *world = new_world();
    varve_object *set = varve_set_new(world), *item = varve_str_of(world, "item");
    varve_object *same = varve_str_of(world, "item");
    CHECK_EQ(varve_set_add(set, item), 1);
    CHECK_EQ(varve_set_add(set, same), 0);
    CHECK_EQ(varve_set_contains(set, same), 1);
    CHECK_EQ(varve_set_length(set), 1);
    size_t position = 0;
    varve_object *shown;
    CHECK_EQ(varve_next(set, &position, &shown), 1);
    CHECK_EQ_PTR(shown, item);
    CHECK_EQ(varve_next(set, &position, &shown), 0);
    CHECK_EQ(varve_set_discard(set, same), 1);
    CHECK_EQ(varve_set_discard(set, same), 0);
    varve_decref(item);
    varve_decref(same);
    varve_decref(set);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- instances --- */

TEST(instances_have_the_attributes_of_their_class) {
    varve_world *world = new_world();
    static const char *const names[] = {"left", "right", NULL};
    varve_class_spec spec = {.name = "Node", .attributes = names};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *node = varve_instance_new(cls), *value;
    CHECK_EQ_STR(varve_class_name(cls), "Node");
    CHECK_EQ(varve_class_place(cls, "right"), 1);
    CHECK_EQ(varve_class_place(cls, "middle"), -ENOENT);
    CHECK_EQ(varve_get_attribute(node, "left", &value), -ENOENT);
    CHECK_EQ(varve_set_attribute(node, "left", varve_none(world)), 0);
    CHECK_EQ(varve_get_attribute(node, "left", &value), 0);
    CHECK_EQ_PTR(value, varve_none(world));
    CHECK_EQ_PTR(varve_instance_get(node, 0), value);
    CHECK_EQ(varve_set_attribute(node, "left", NULL), 0);
    CHECK_EQ(varve_set_attribute(node, "left", NULL), -ENOENT);
    CHECK_EQ(varve_set_attribute(node, "other", value), -ENOENT);
    CHECK(varve_instance_dict(node) == NULL);
    varve_decref(cls);
    CHECK_EQ_STR(varve_class_name(varve_instance_class(node)), "Node");
    varve_decref(node);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(instances_of_open_classes_take_any_attribute) {
    varve_world *world = new_world();
    varve_class_spec spec = {.name = "Open", .open = true};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *object = varve_instance_new(cls), *value;
    CHECK_EQ(varve_set_attribute(object, "x", NULL), -ENOENT);
    CHECK_EQ(varve_set_attribute(object, "x", object), 0);
    CHECK_EQ(varve_get_attribute(object, "x", &value), 0);
    CHECK_EQ_PTR(value, object);
    CHECK_EQ(varve_dict_length(varve_instance_dict(object)), 1);
    CHECK_EQ(varve_set_attribute(object, "x", NULL), 0);
    CHECK_EQ(varve_get_attribute(object, "x", &value), -ENOENT);
    varve_decref(cls);
    varve_decref(object);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- tuples --- */

TEST(tuples_hash_and_compare_by_items) {
    varve_world *world = new_world();
    varve_object *items[2] = {varve_int_new(world, 1), varve_none(world)};
    varve_object *one = varve_tuple_new(world, 2, items), *two = varve_tuple_new(world, 2, items);
    uint64_t hash_one, hash_two;
    CHECK_EQ(varve_equal(one, two), 1);
    CHECK_EQ(varve_hash(one, &hash_one), 0);
    CHECK_EQ(varve_hash(two, &hash_two), 0);
    CHECK(hash_one == hash_two);
    CHECK_EQ(varve_tuple_init(one, 0, items[0]), -EEXIST);
    CHECK_EQ(varve_tuple_init(one, 2, items[0]), -ERANGE);
    CHECK_EQ(varve_length(one), 2);
    CHECK_EQ(varve_length(items[0]), -EOPNOTSUPP);
    varve_decref(one);
    varve_decref(two);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(tuples_with_empty_places_are_equal_place_by_place) {
    varve_world *world = new_world();
    varve_object *left = varve_tuple_new(world, 2, NULL), *right = varve_tuple_new(world, 2, NULL);
    varve_object *item = varve_int_new(world, 1000);
    CHECK_EQ(varve_equal(left, right), 1);
    CHECK_EQ(varve_tuple_init(left, 0, item), 0);
    CHECK_EQ(varve_tuple_init(right, 1, item), 0);
    CHECK_EQ(varve_equal(left, right), 0);
    CHECK_EQ(varve_tuple_init(right, 0, item), 0);
    CHECK_EQ(varve_equal(left, right), 0);
    CHECK_EQ(varve_equal(right, left), 0);
    varve_decref(item);
    varve_decref(left);
    varve_decref(right);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(containers_with_the_same_nan_are_equal) {
    varve_world *world = new_world();
    varve_object *nan = varve_float_new(world, NAN), *other_nan = varve_float_new(world, NAN);
    varve_object *dicts[3], *lists[3];
    for (int index = 0; index < 3; index++) {
        varve_object *value = index < 2 ? nan : other_nan;
        dicts[index] = varve_dict_new(world);
        lists[index] = varve_list_new(world);
        CHECK_EQ(varve_dict_set_text(dicts[index], "key", value), 0);
        CHECK_EQ(varve_list_append(lists[index], value), 0);
    }
    CHECK_EQ(varve_equal(dicts[0], dicts[1]), 1);
    CHECK_EQ(varve_equal(lists[0], lists[1]), 1);
    CHECK_EQ(varve_equal(dicts[0], dicts[2]), 0);
    CHECK_EQ(varve_equal(lists[0], lists[2]), 0);
    for (int index = 0; index < 3; index++) {
        varve_decref(dicts[index]);
        varve_decref(lists[index]);
    }
    varve_decref(nan);
    varve_decref(other_nan);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(nothing_at_no_address_makes_an_empty_str_and_empty_bytes) {
    varve_world *world = new_world();
    varve_object *str = varve_str_new(world, NULL, 0), *bytes = varve_bytes_new(world, NULL, 0);
    CHECK_EQ_STR(varve_str_text(str), "");
    CHECK_EQ(varve_length(bytes), 0);
    varve_decref(str);
    varve_decref(bytes);
    CHECK_EQ(varve_world_free(world), 0);
}

/* An equality function that fails, with any errno. */
static int equality_error;
static int equal_fails(varve_object *self, varve_object *other) {
    (void)self;
    (void)other;
    return equality_error;
}

static int hash_is_one(varve_object *self, uint64_t *out_hash) {
    (void)self;
    *out_hash = 1;
    return 0;
}

TEST(a_dict_passes_on_every_error_of_equality) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "key",
                            .basic_bytes = sizeof(varve_object) + 8,
                            .equal = equal_fails,
                            .hash = hash_is_one};
    varve_type *type = varve_type_new(world, &spec);
    varve_object *one = varve_object_new(type), *two = varve_object_new(type), *value;
    varve_object *dict = varve_dict_new(world);
    CHECK_EQ(varve_dict_set(dict, one, one), 0);
    for (equality_error = -1; equality_error > -140; equality_error--) {
        CHECK_EQ(varve_dict_get(dict, two, &value), equality_error);
    }
    equality_error = 7; /* anything above 0 is "equal" */
    CHECK_EQ(varve_dict_get(dict, two, &value), 1);
    varve_decref(dict);
    varve_decref(one);
    varve_decref(two);
    CHECK_EQ(varve_world_free(world), 0);
}

/* The dict of an open instance is made by the first attribute, and making it may run a collection,
 * whose finalizers may set one, too. */
static varve_object *open_instance;
static void sets_attribute(varve_object *self, void *argument) {
    (void)self;
    (void)argument;
    CHECK_EQ(varve_set_attribute(open_instance, "from_finalizer", varve_none(varve_world_of(self))),
             0);
}

TEST(a_finalizer_may_set_the_first_attribute_of_an_object_that_gets_its_first) {
    varve_world *world = new_world();
    varve_gc_disable(world);
    varve_object *open = varve_class_new(world, &(varve_class_spec){.name = "Open", .open = true});
    static const char *const attributes[] = {"me", NULL};
    varve_class_spec spec = {.name = "Last", .attributes = attributes, .finalize = sets_attribute};
    varve_object *cls = varve_class_new(world, &spec), *loop = varve_instance_new(cls), *value;
    varve_instance_set(loop, 0, loop);
    varve_decref(loop);
    open_instance = varve_instance_new(open);
    varve_gc_set_threshold(world, (int[]){1, 10, 10});
    varve_gc_enable(world);
    CHECK_EQ(varve_set_attribute(open_instance, "own", open_instance), 0);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_get_attribute(open_instance, "own", &value), 0);
    CHECK_EQ(varve_get_attribute(open_instance, "from_finalizer", &value), 0);
    varve_decref(open_instance);
    varve_decref(cls);
    varve_decref(open);
    CHECK_EQ(varve_world_free(world), 0);
}
