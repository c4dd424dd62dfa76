/* SPDX-License-Identifier: MIT
 * The mapping protocol of weak dicts, and collections at any time. Names are those of CPython's
 * MappingTestCase and mapping_tests; docs/cpython-weakref.md lists them all. */
#include "weak_fixture.h"

/* --- a single thread, but collections at any time: CPython's cases with threads --- */

TEST(threaded_weak_valued_setdefault) {
    begin();
    varve_gc_set_threshold(world, (int[]){1, 1, 1});
    struct fixture fixture = empty_fixture(true);
    varve_object *ten = number(10);
    for (int round = 0; round < 20000; round++) {
        varve_object *cycle = new_cycle(), *got = NULL;
        CHECK_GE(varve_weak_dict_setdefault(fixture.dict, ten, cycle, &got), 0);
        CHECK(got != NULL);
        varve_decref(got);
        varve_decref(cycle);
    }
    varve_gc_collect(world, 2);
    varve_decref(ten);
    end_fixture(&fixture);
    end();
}

TEST(threaded_weak_valued_pop) {
    begin();
    varve_gc_set_threshold(world, (int[]){1, 1, 1});
    struct fixture fixture = empty_fixture(true);
    varve_object *ten = number(10);
    for (int round = 0; round < 20000; round++) {
        varve_object *cycle = new_cycle(), *got;
        CHECK_EQ(dict_set(&fixture, ten, cycle), 0);
        CHECK_EQ(varve_weak_dict_take(fixture.dict, ten, &got), 1);
        CHECK_EQ_PTR(got, cycle);
        CHECK_EQ(dict_length(&fixture), 0);
        varve_decref(got);
        varve_decref(cycle);
    }
    varve_decref(ten);
    end_fixture(&fixture);
    end();
}

TEST(threaded_weak_valued_consistency) {
    begin();
    varve_gc_set_threshold(world, (int[]){1, 1, 1});
    struct fixture fixture = empty_fixture(true);
    varve_object *ten = number(10);
    for (int round = 0; round < 20000; round++) {
        varve_object *cycle = new_cycle();
        CHECK_EQ(dict_set(&fixture, ten, cycle), 0);
        CHECK_EQ(dict_length(&fixture), 1);
        varve_decref(cycle);
    }
    varve_gc_collect(world, 2);
    varve_decref(ten);
    end_fixture(&fixture);
    end();
}

static void check_copy_while_dying(bool by_value) {
    begin();
    varve_gc_set_threshold(world, (int[]){3, 2, 1});
    struct fixture fixture = empty_fixture(by_value);
    enum { OBJECTS = 2000 };
    for (int index = 0; index < OBJECTS; index++) {
        varve_object *cycle = new_cycle(), *other = new_object(index);
        CHECK_EQ(by_value ? dict_set(&fixture, other, cycle) : dict_set(&fixture, cycle, other), 0);
        if (index % 2 == 0) varve_list_append(fixture.objects, cycle);
        varve_decref(cycle);
        varve_decref(other);
        if (index % 100 != 0) continue;
        varve_object *copy = varve_weak_table_copy(fixture.dict);
        REQUIRE(copy != NULL);
        struct fixture copied = {by_value, copy, NULL};
        CHECK_LE(dict_length(&fixture), (size_t)index + 1);
        CHECK_GE(dict_length(&copied), varve_list_length(fixture.objects));
        varve_decref(copy);
    }
    varve_list_clear(fixture.objects);
    varve_gc_collect(world, 2);
    end_fixture(&fixture);
    end();
}

TEST(threaded_weak_key_dict_copy) {
    check_copy_while_dying(false);
}

TEST(threaded_weak_value_dict_copy) {
    check_copy_while_dying(true);
}

/* --- the mapping protocol --- */

/* A walk, which is over keys, values and items at once, shows those in turn. */
static void check_walk(const struct fixture *fixture, size_t count, varve_object *const *keys,
                       varve_object *const *values) {
    varve_object *key, *value;
    size_t position = 0;
    for (size_t index = 0; index < count; index++) {
        CHECK_EQ(dict_next(fixture, &position, &key, &value), 1);
        CHECK_EQ_PTR(key, keys[index]);
        CHECK_EQ_PTR(value, values[index]);
        varve_decref(key);
        varve_decref(value);
    }
    CHECK_EQ(dict_next(fixture, &position, NULL, NULL), 0);
}

static void check_default(const struct fixture *fixture, varve_object *key, varve_object *value,
                          int result, varve_object *expected) {
    varve_object *got;
    CHECK_EQ(varve_weak_dict_setdefault(fixture->dict, key, value, &got), result);
    CHECK_EQ_PTR(got, expected);
    varve_decref(got);
}

static void check_pop(const struct fixture *fixture, varve_object *expected_key,
                      varve_object *expected_value) {
    varve_object *key, *value;
    CHECK_EQ(varve_weak_table_pop(fixture->dict, &key, &value), 1);
    CHECK_EQ_PTR(key, expected_key);
    CHECK_EQ_PTR(value, expected_value);
    varve_decref(key);
    varve_decref(value);
}

static void check_mapping(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value), other = empty_fixture(by_value);
    varve_object *objects[3], *keys[3], *values[3], *got;
    CHECK_EQ(dict_length(&fixture), 0);
    check_walk(&fixture, 0, NULL, NULL);
    CHECK_EQ(varve_weak_table_pop(fixture.dict, NULL, NULL), 0);
    CHECK_EQ(varve_equal(fixture.dict, other.dict), 1);
    for (int index = 0; index < 3; index++) {
        objects[index] = new_object(index);
        keys[index] = by_value ? number(index) : varve_incref(objects[index]);
        values[index] = by_value ? varve_incref(objects[index]) : number(index);
        CHECK_EQ(varve_weak_dict_take(fixture.dict, keys[index], &got), 0);
        CHECK_EQ(dict_set(&fixture, keys[index], values[index]), 0);
        CHECK_EQ(dict_get(&fixture, keys[index], &got), 1);
        CHECK_EQ_PTR(got, values[index]);
        varve_decref(got);
        CHECK_EQ(dict_length(&fixture), index + 1);
    }
    check_walk(&fixture, 3, keys, values);
    CHECK_EQ(varve_equal(fixture.dict, other.dict), 0);
    CHECK_EQ(varve_weak_dict_update(other.dict, fixture.dict), 0);
    CHECK_EQ(varve_equal(fixture.dict, other.dict), 1);
    CHECK_EQ(dict_set(&other, keys[0], values[by_value ? 1 : 2]), 0);
    CHECK_EQ(varve_equal(fixture.dict, other.dict), 0);
    CHECK_EQ(dict_delete(&fixture, keys[1]), 0);
    CHECK_EQ(dict_delete(&fixture, keys[1]), -ENOENT);
    CHECK(!dict_has(&fixture, keys[1]) && dict_has(&fixture, keys[0]));
    CHECK_EQ(varve_weak_dict_take(fixture.dict, keys[0], &got), 1);
    CHECK_EQ_PTR(got, values[0]);
    varve_decref(got);
    check_walk(&fixture, 1, &keys[2], &values[2]);
    check_default(&fixture, keys[0], values[0], 1, values[0]);
    check_default(&fixture, keys[0], values[1], 0, values[0]);
    check_pop(&fixture, keys[0], values[0]);
    check_pop(&fixture, keys[2], values[2]);
    CHECK_EQ(varve_weak_table_pop(fixture.dict, NULL, NULL), 0);
    uint64_t hash;
    CHECK_EQ(varve_hash(fixture.dict, &hash), -EOPNOTSUPP);
    for (int index = 0; index < 3; index++) {
        varve_decref(keys[index]);
        varve_decref(values[index]);
        varve_decref(objects[index]);
    }
    end_fixture(&fixture);
    end_fixture(&other);
    end();
}

TEST(weak_value_dictionary_mapping_protocol) {
    check_mapping(true);
}

TEST(weak_key_dictionary_mapping_protocol) {
    check_mapping(false);
}
