/* SPDX-License-Identifier: MIT
 * tests/weak_helper.h - a world with two types, a log, and memory that fails, for the tests of weak
 * references. Every test is a process, so all of it is static. */
#ifndef VARVE_TESTS_WEAK_HELPER_H
#define VARVE_TESTS_WEAK_HELPER_H

#include "harness.h"
#include "object/weak_list.h"
#include "object/weak_table.h"
#include "varve/gc.h"
#include "varve/weakref.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static varve_world *world;

/* Two types: one compares by identity, one by `number`. */
struct thing {
    varve_object head;
    int64_t number;
    varve_object *slots[3]; /* own */
    void (*finalize)(struct thing *self);
};
static varve_type *plain_type, *object_type, *strict_type;

static char events[4096];

__attribute__((unused)) static void note(const char *event) {
    size_t length = strlen(events);
    snprintf(events + length, sizeof events - length, "%s%s", length > 0 ? " " : "", event);
}

static int thing_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct thing *thing = (struct thing *)self;
    int result = 0;
    for (unsigned index = 0; index < 3 && result == 0; index++) {
        if (thing->slots[index] != NULL) result = visit(thing->slots[index], argument);
    }
    return result;
}

static void thing_clear(varve_object *self) {
    struct thing *thing = (struct thing *)self;
    for (unsigned index = 0; index < 3; index++) varve_clear_reference(&thing->slots[index]);
}

static void thing_finalize(varve_object *self) {
    struct thing *thing = (struct thing *)self;
    if (thing->finalize != NULL) thing->finalize(thing);
}

/* Called by every comparison of two objects. */
static void (*on_equal)(void);

static int thing_equal(varve_object *left, varve_object *right) {
    if (on_equal != NULL) on_equal();
    return ((struct thing *)left)->number == ((struct thing *)right)->number;
}

static int thing_hash(varve_object *self, uint64_t *out_hash) {
    *out_hash = (uint64_t)((struct thing *)self)->number;
    return 0;
}

static void begin(void) {
    varve_type_spec spec = {
        .name = "plain",
        .basic_bytes = sizeof(struct thing),
        .traverse = thing_traverse,
        .clear = thing_clear,
        .finalize = thing_finalize,
    };
    world = varve_world_new();
    REQUIRE(world != NULL);
    plain_type = varve_type_new(world, &spec);
    spec.name = "strict";
    spec.flags = VARVE_TYPE_NO_WEAKREFS;
    strict_type = varve_type_new(world, &spec);
    spec.name = "object";
    spec.flags = 0;
    spec.equal = thing_equal;
    spec.hash = thing_hash;
    object_type = varve_type_new(world, &spec);
    REQUIRE(plain_type != NULL && strict_type != NULL && object_type != NULL);
}

/* Nothing may be left. */
static void end(void) {
    CHECK_EQ(varve_world_free(world), 0);
}

/* CPython's tests have class C: compared by identity. */
static varve_object *new_plain(void) {
    varve_object *object = varve_object_new(plain_type);
    REQUIRE(object != NULL);
    return object;
}

/* And class Object: compared by its argument. */
__attribute__((unused)) static varve_object *new_object(int64_t number) {
    varve_object *object = varve_object_new(object_type);
    REQUIRE(object != NULL);
    ((struct thing *)object)->number = number;
    return object;
}

__attribute__((unused)) static int64_t number_of(const varve_object *object) {
    return ((const struct thing *)object)->number;
}

/* Stores a new reference. */
static void set_slot(varve_object *object, unsigned index, varve_object *value) {
    struct thing *thing = (struct thing *)object;
    varve_object *old = thing->slots[index];
    thing->slots[index] = varve_xincref(value);
    varve_xdecref(old);
}

/* An object that refers to itself, so that only the collector ends it. */
__attribute__((unused)) static varve_object *new_cycle(void) {
    varve_object *object = new_plain();
    set_slot(object, 0, object);
    return object;
}

static int called_count;

__attribute__((unused)) static void count_call(varve_object *ref, void *argument) {
    (void)argument;
    CHECK(!varve_weakref_is_alive(ref));
    called_count++;
}

/* Notes its argument, a text. */
__attribute__((unused)) static void note_call(varve_object *ref, void *argument) {
    CHECK(!varve_weakref_is_alive(ref));
    note(argument);
}

static size_t live_count(void) {
    varve_world_counts counts;
    varve_world_count(world, &counts);
    return counts.live_objects;
}

/* Runs `operation` with memory that fails after some requests. */
static inline int run_failing(int (*operation)(void), unsigned requests) {
    REQUIRE(requests < 1000);
    varve_world_fail_after(world, requests);
    int result = operation();
    varve_world_fail_never(world);
    if (result != 0) CHECK_EQ(result, -ENOMEM);
    return result;
}

/* Runs `operation`, which returns 0 or a negative errno, again and again, with memory that fails at
 * its first request, at the second, and so on, until it succeeds. After each failure `check` looks
 * at what must be as it was; a successful operation is undone by `undo`. */
__attribute__((unused)) static void fail_everywhere(int (*operation)(void), void (*check)(void),
                                                    void (*undo)(void)) {
    int result = -ENOMEM;
    unsigned failures = 0;
    for (unsigned requests = 0; result != 0; requests++) {
        size_t count = live_count();
        result = run_failing(operation, requests);
        if (result != 0) {
            CHECK_EQ(live_count(), count);
            failures++;
        }
        check();
    }
    CHECK_GT(failures, 0);
    undo();
}

/* The same for an operation that may have done a part when it fails: it is undone each time.
 * Returns how often it failed. */
__attribute__((unused)) static unsigned fail_midway(int (*operation)(void), void (*check)(void),
                                                    void (*undo)(void)) {
    size_t count = live_count();
    unsigned failures = 0;
    for (int result = -ENOMEM; result != 0;) {
        result = run_failing(operation, failures);
        check();
        undo();
        CHECK_EQ(live_count(), count);
        if (result != 0) failures++;
    }
    return failures;
}

#endif
