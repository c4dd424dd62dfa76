/* SPDX-License-Identifier: MIT
 * tests/weak_fixture.h - a weak dict of either kind, so that each case is written once. */
#ifndef VARVE_TESTS_WEAK_FIXTURE_H
#define VARVE_TESTS_WEAK_FIXTURE_H

#include "weak_helper.h"

enum { COUNT = 10 };

/* A weak dict with the numbers 0 to 9 and objects that have them: number -> object, or object ->
 * number. The objects are in `objects`, a list. */
struct fixture {
    bool by_value;
    varve_object *dict;
    varve_object *objects;
};

static inline varve_object *number(int64_t value) {
    varve_object *object = varve_int_new(world, value);
    REQUIRE(object != NULL);
    return object;
}

static inline int dict_set(const struct fixture *fixture, varve_object *key, varve_object *value) {
    return fixture->by_value ? varve_weak_value_dict_set(fixture->dict, key, value)
                             : varve_weak_key_dict_set(fixture->dict, key, value);
}

static inline int dict_get(const struct fixture *fixture, varve_object *key,
                           varve_object **out_value) {
    return fixture->by_value ? varve_weak_value_dict_get(fixture->dict, key, out_value)
                             : varve_weak_key_dict_get(fixture->dict, key, out_value);
}

static inline int dict_delete(const struct fixture *fixture, varve_object *key) {
    return fixture->by_value ? varve_weak_value_dict_delete(fixture->dict, key)
                             : varve_weak_key_dict_delete(fixture->dict, key);
}

static inline int dict_next(const struct fixture *fixture, size_t *position, varve_object **out_key,
                            varve_object **out_value) {
    return fixture->by_value
               ? varve_weak_value_dict_next(fixture->dict, position, out_key, out_value)
               : varve_weak_key_dict_next(fixture->dict, position, out_key, out_value);
}

static inline size_t dict_length(const struct fixture *fixture) {
    CHECK(vv_weak_table_check((struct vv_weak_table *)fixture->dict) == NULL);
    return fixture->by_value ? varve_weak_value_dict_length(fixture->dict)
                             : varve_weak_key_dict_length(fixture->dict);
}

static inline void dict_clear(const struct fixture *fixture) {
    if (fixture->by_value) {
        varve_weak_value_dict_clear(fixture->dict);
    } else {
        varve_weak_key_dict_clear(fixture->dict);
    }
}

static inline bool dict_has(const struct fixture *fixture, varve_object *key) {
    varve_object *value;
    int result = dict_get(fixture, key, &value);
    if (result == 1) varve_decref(value);
    return result == 1;
}

static inline void add(const struct fixture *fixture, varve_object *object) {
    varve_object *value = number(number_of(object));
    int result =
        fixture->by_value ? dict_set(fixture, value, object) : dict_set(fixture, object, value);
    CHECK_EQ(result, 0);
    varve_decref(value);
}

static inline struct fixture empty_fixture(bool by_value) {
    struct fixture fixture = {by_value,
                              by_value ? varve_weak_value_dict_new(world)
                                       : varve_weak_key_dict_new(world, /* by_identity */ false),
                              varve_list_new(world)};
    REQUIRE(fixture.dict != NULL && fixture.objects != NULL);
    return fixture;
}

static inline struct fixture new_fixture(bool by_value) {
    struct fixture fixture = empty_fixture(by_value);
    for (int index = 0; index < COUNT; index++) {
        varve_object *object = new_object(index);
        varve_list_append(fixture.objects, object);
        add(&fixture, object);
        varve_decref(object);
    }
    return fixture;
}

static inline void end_fixture(struct fixture *fixture) {
    varve_decref(fixture->objects);
    CHECK_EQ(dict_length(fixture), 0);
    varve_decref(fixture->dict);
}

static inline size_t object_count(const struct fixture *fixture) {
    return varve_list_length(fixture->objects);
}

/* Removes the newest object from the list; it dies if nobody else has it. Returns its number. */
static inline int64_t kill_last(const struct fixture *fixture) {
    size_t last = object_count(fixture) - 1;
    int64_t result = number_of(varve_list_get(fixture->objects, last));
    varve_list_remove(fixture->objects, last);
    return result;
}

#endif
