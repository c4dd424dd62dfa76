/* SPDX-License-Identifier: MIT
 * gc_cases.h - what the tests named after CPython's test_gc.py share. */
#ifndef VARVE_TESTS_GC_CASES_H
#define VARVE_TESTS_GC_CASES_H

#include <errno.h>
#include <string.h>

#include "harness.h"
#include "varve/gc.h"
#include "varve/weakref.h"

/* A world without automatic collections. */
static inline varve_world *quiet_world(void) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    varve_gc_disable(world);
    return world;
}

static inline void end_world(varve_world *world) {
    CHECK_EQ(varve_world_free(world), 0);
}

/* A class that takes any attribute in its places a, b and me. */
static inline varve_object *plain_class(varve_world *world,
                                        void (*finalize)(varve_object *self, void *argument),
                                        void *argument) {
    static const char *const attributes[] = {"a", "b", "me", NULL};
    varve_class_spec spec = {
        .name = "Plain", .attributes = attributes, .finalize = finalize, .argument = argument};
    varve_object *cls = varve_class_new(world, &spec);
    REQUIRE(cls != NULL);
    return cls;
}

enum { PLACE_A, PLACE_B, PLACE_ME };

static inline varve_object *new_instance(varve_object *cls) {
    varve_object *instance = varve_instance_new(cls);
    REQUIRE(instance != NULL);
    return instance;
}

/* An instance that refers to itself. */
static inline varve_object *new_loop(varve_object *cls) {
    varve_object *instance = new_instance(cls);
    varve_instance_set(instance, PLACE_ME, instance);
    return instance;
}

static inline varve_object *new_list(varve_world *world) {
    varve_object *list = varve_list_new(world);
    REQUIRE(list != NULL);
    return list;
}

/* Appends and ends the caller's reference. */
static inline void append(varve_object *list, varve_object *item) {
    REQUIRE(item != NULL);
    CHECK_EQ(varve_list_append(list, item), 0);
    varve_decref(item);
}

/* An object with two references, of a type of the test's. */
struct pair {
    varve_object head;
    varve_object *first;
    varve_object *second;
};

static inline struct pair *as_pair(varve_object *object) {
    return (struct pair *)(void *)object;
}

static inline int pair_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct pair *pair = as_pair(self);
    int result = pair->first != NULL ? visit(pair->first, argument) : 0;
    return result != 0 || pair->second == NULL ? result : visit(pair->second, argument);
}

static inline void pair_clear(varve_object *self) {
    varve_clear_reference(&as_pair(self)->first);
    varve_clear_reference(&as_pair(self)->second);
}

static inline varve_type *pair_type(varve_world *world, const char *name) {
    varve_type_spec spec = {.name = name,
                            .basic_bytes = sizeof(struct pair),
                            .traverse = pair_traverse,
                            .clear = pair_clear};
    varve_type *type = varve_type_new(world, &spec);
    REQUIRE(type != NULL);
    return type;
}

static inline varve_object *new_pair(varve_type *type, varve_object *first, varve_object *second) {
    varve_object *pair = varve_object_new(type);
    REQUIRE(pair != NULL);
    as_pair(pair)->first = varve_xincref(first);
    as_pair(pair)->second = varve_xincref(second);
    return pair;
}

#endif
