/* SPDX-License-Identifier: MIT
 * Misuse that ends the process, each with its sentence. */
#include "base/check.h"
#include "harness.h"
#include "varve/gc.h"
#include "varve/weakref.h"

#include <stdlib.h>

static varve_world *here;
static varve_object *ours, *theirs; /* objects of `here` and of another world */
static varve_object *found;

static varve_object *new_instance(varve_world *world) {
    static const char *const attributes[] = {"a", NULL};
    varve_class_spec spec = {.name = "Node", .attributes = attributes};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *instance = cls != NULL ? varve_instance_new(cls) : NULL;
    REQUIRE(instance != NULL);
    return instance;
}

/* --- objects and worlds that were freed --- */

/* `ours` is freed, and another object keeps its pool. */
static void free_ours(void) {
    here = varve_world_new();
    REQUIRE(here != NULL && varve_list_new(here) != NULL);
    ours = varve_list_new(here);
    varve_decref(ours);
}

#define A_FREED_OBJECT_IS_NAMED(when, ...)                                                         \
    TEST_ABORTS(a_freed_object_is_named_when_##when,                                               \
                "varve: an object was used after it was freed") {                                  \
        free_ours();                                                                               \
        (void)(__VA_ARGS__);                                                                       \
    }

A_FREED_OBJECT_IS_NAMED(its_referrers_are_asked_for, varve_gc_get_referrers(here, 1, &ours))
A_FREED_OBJECT_IS_NAMED(its_referents_are_asked_for, varve_gc_get_referents(here, 1, &ours))
#if VARVE_AUDIT
A_FREED_OBJECT_IS_NAMED(its_kind_is_asked_for, varve_kind_of(ours))
A_FREED_OBJECT_IS_NAMED(its_generation_is_asked_for, varve_gc_generation(ours))
A_FREED_OBJECT_IS_NAMED(it_is_asked_whether_it_is_tracked, varve_gc_is_tracked(ours))
A_FREED_OBJECT_IS_NAMED(it_is_asked_whether_it_is_finalized, varve_gc_is_finalized(ours))
A_FREED_OBJECT_IS_NAMED(it_is_tracked, varve_gc_track(ours))
A_FREED_OBJECT_IS_NAMED(it_is_untracked, varve_gc_untrack(ours))
A_FREED_OBJECT_IS_NAMED(a_weak_dict_takes_its_entries,
                        varve_weak_dict_update(varve_weak_value_dict_new(here), ours))
A_FREED_OBJECT_IS_NAMED(a_weak_set_may_have_it,
                        varve_weak_set_contains(varve_weak_set_new(here, false), ours))
#endif

TEST_ABORTS(a_leaked_list_that_is_used_after_its_world_was_freed_is_named,
            "varve: an object was used after it was freed") {
    free_ours();
    varve_object *list = varve_list_new(here);
    varve_list_append(list, varve_none(here));
    CHECK_EQ(varve_world_free(here), 2);
    varve_list_length(list);
}

TEST_ABORTS(a_world_that_is_freed_twice_is_named, "varve: a world was used after it was freed") {
    varve_world *world = varve_world_new();
    varve_world_free(world);
    varve_world_free(world);
}

TEST_ABORTS(a_world_that_is_entered_after_it_was_freed_is_named,
            "varve: a world was used after it was freed") {
    varve_world *world = varve_world_new();
    varve_world_free(world);
    varve_world_enter(world);
}

/* --- an object in the wrong world ---
 *
 * Audit builds name it when it happens; varve_world_check() finds it in others. */

#if VARVE_AUDIT

static void new_worlds(void) {
    here = varve_world_new();
    ours = new_instance(here);
    theirs = new_instance(varve_world_new());
}

static int call_nothing(varve_object *self, varve_object *code, void *argument) {
    (void)self;
    (void)code;
    (void)argument;
    return 0;
}

static void do_nothing(void *argument) {
    (void)argument;
}

/* A weak dict / weak set of the other world. */
static varve_object *their_dict(void) {
    varve_object *dict = varve_weak_key_dict_new(varve_world_of(theirs), /* by_identity */ false);
    varve_weak_key_dict_set(dict, theirs, theirs);
    return dict;
}

static varve_object *their_set(void) {
    varve_object *set = varve_weak_set_new(varve_world_of(theirs), /* by_identity */ false);
    varve_weak_set_add(set, theirs);
    return set;
}

#define A_STRANGER_IS_NAMED(place, sentence, ...)                                                  \
    TEST_ABORTS(an_object_of_another_world_is_named_as_##place, sentence) {                        \
        new_worlds();                                                                              \
        (void)(__VA_ARGS__);                                                                       \
    }

#define STORED "varve: an object was stored in one of another world"
A_STRANGER_IS_NAMED(item_of_a_list, STORED, varve_list_append(varve_list_new(here), theirs))
A_STRANGER_IS_NAMED(value_of_a_dict, STORED, varve_dict_set(varve_dict_new(here), ours, theirs))
A_STRANGER_IS_NAMED(item_of_a_tuple, STORED, varve_tuple_new(here, 1, &theirs))
A_STRANGER_IS_NAMED(attribute, STORED, varve_set_attribute(ours, "a", theirs))
A_STRANGER_IS_NAMED(held_by_a_weak_reference, STORED, varve_weakref_new(ours, NULL, NULL, theirs))
A_STRANGER_IS_NAMED(held_by_a_finalizer, STORED, varve_finalize_new(ours, do_nothing, NULL, theirs))
A_STRANGER_IS_NAMED(code_of_a_weak_method, STORED,
                    varve_weak_method_new(ours, call_nothing, theirs, NULL, NULL, NULL))
A_STRANGER_IS_NAMED(value_of_a_weak_value_dict, STORED,
                    varve_weak_value_dict_set(varve_weak_value_dict_new(here), ours, theirs))
A_STRANGER_IS_NAMED(value_of_a_weak_key_dict, STORED,
                    varve_weak_key_dict_set(varve_weak_key_dict_new(here, false), ours, theirs))
A_STRANGER_IS_NAMED(value_of_ephemerons, STORED,
                    varve_ephemerons_set(varve_ephemerons_new(here), ours, theirs))
A_STRANGER_IS_NAMED(default_of_a_weak_dict, STORED,
                    varve_weak_dict_setdefault(varve_weak_value_dict_new(here), ours, theirs,
                                               &found))

#define COMPARED "varve: an object was compared with one of another world"
A_STRANGER_IS_NAMED(equal_to_ours, COMPARED, varve_equal(ours, theirs))
A_STRANGER_IS_NAMED(key_of_a_dict, COMPARED, varve_dict_set(varve_dict_new(here), theirs, ours))
A_STRANGER_IS_NAMED(key_that_a_dict_may_have, COMPARED,
                    varve_dict_get(varve_dict_new(here), theirs, &found))
A_STRANGER_IS_NAMED(key_that_is_deleted, COMPARED, varve_dict_delete(varve_dict_new(here), theirs))
A_STRANGER_IS_NAMED(item_that_a_set_may_have, COMPARED,
                    varve_set_contains(varve_set_new(here), theirs))
A_STRANGER_IS_NAMED(item_of_a_set, COMPARED, varve_set_add(varve_set_new(here), theirs))
A_STRANGER_IS_NAMED(key_of_a_weak_value_dict, COMPARED,
                    varve_weak_value_dict_set(varve_weak_value_dict_new(here), theirs, ours))
A_STRANGER_IS_NAMED(key_of_a_weak_key_dict, COMPARED,
                    varve_weak_key_dict_set(varve_weak_key_dict_new(here, true), theirs, ours))
A_STRANGER_IS_NAMED(key_that_a_weak_dict_may_have, COMPARED,
                    varve_weak_key_dict_get(varve_weak_key_dict_new(here, true), theirs, &found))
A_STRANGER_IS_NAMED(key_of_ephemerons, COMPARED,
                    varve_ephemerons_set(varve_ephemerons_new(here), theirs, ours))
A_STRANGER_IS_NAMED(item_of_a_weak_set, COMPARED,
                    varve_weak_set_add(varve_weak_set_new(here, false), theirs))
A_STRANGER_IS_NAMED(item_that_a_weak_set_may_have, COMPARED,
                    varve_weak_set_contains(varve_weak_set_new(here, false), theirs))
A_STRANGER_IS_NAMED(entry_of_an_update, COMPARED,
                    varve_weak_dict_update(varve_weak_key_dict_new(here, false), their_dict()))
A_STRANGER_IS_NAMED(item_of_an_update, COMPARED,
                    varve_weak_set_update(varve_weak_set_new(here, false), VARVE_SET_UNION,
                                          their_set()))
#endif

TEST_ABORTS(an_object_of_another_world_whose_referrers_are_asked_for_is_named,
            "varve: a world was asked about an object of another") {
    here = varve_world_new();
    theirs = new_instance(varve_world_new());
    varve_gc_get_referrers(here, 1, &theirs);
}

/* --- what is not as it should be --- */

static void begin(void) {
    here = varve_world_new();
    REQUIRE(here != NULL);
    ours = new_instance(here);
}

#define MISUSE_IS_NAMED(test_name, sentence, ...)                                                  \
    TEST_ABORTS(test_name, sentence) {                                                             \
        begin();                                                                                   \
        (void)(__VA_ARGS__);                                                                       \
    }

static varve_object no_object = {.refcount = 1, .type_index = 3};

MISUSE_IS_NAMED(an_address_that_is_no_object_is_named,
                "varve: an address that is no object was used as one",
                varve_gc_get_referents(here, 1, &(varve_object *){&no_object}))
MISUSE_IS_NAMED(a_place_that_a_class_has_not_is_named,
                "varve: an instance has no such attribute place", varve_instance_get(ours, 1))
MISUSE_IS_NAMED(a_place_that_is_set_and_that_a_class_has_not_is_named,
                "varve: an instance has no such attribute place",
                varve_instance_set(ours, 1, varve_none(here)))
MISUSE_IS_NAMED(an_index_beyond_the_end_of_a_list_is_named, "varve: index beyond the end of a list",
                varve_list_get(varve_list_new(here), 0))
MISUSE_IS_NAMED(an_index_beyond_the_end_of_a_tuple_is_named,
                "varve: index beyond the end of a tuple",
                varve_tuple_get(varve_tuple_new(here, 1, &ours), 1))
MISUSE_IS_NAMED(an_object_that_can_be_in_no_cycle_and_is_tracked_is_named,
                "varve: an object of an acyclic type was to be tracked",
                varve_gc_track(varve_float_new(here, 1)))

#define SET_AS_DICT "varve: a weak set was used as a weak dict"
MISUSE_IS_NAMED(an_update_of_a_weak_set_by_a_dict_is_named, SET_AS_DICT,
                varve_weak_dict_update(varve_weak_set_new(here, false), varve_dict_new(here)))
MISUSE_IS_NAMED(a_default_of_a_weak_set_is_named, SET_AS_DICT,
                varve_weak_dict_setdefault(varve_weak_set_new(here, false), ours, ours, &found))
MISUSE_IS_NAMED(an_entry_that_is_taken_from_a_weak_set_is_named, SET_AS_DICT,
                varve_weak_dict_take(varve_weak_set_new(here, false), ours, &found))

static varve_object *without_items(varve_world *world, size_t item_bytes) {
    varve_type_spec spec = {
        .name = "v", .basic_bytes = sizeof(varve_var_object), .item_bytes = item_bytes};
    return varve_object_new(varve_type_new(world, &spec));
}

static varve_object *with_items(varve_world *world, size_t item_bytes) {
    varve_type_spec spec = {
        .name = "v", .basic_bytes = sizeof(varve_var_object), .item_bytes = item_bytes};
    return varve_object_new_var(varve_type_new(world, &spec), 1);
}

MISUSE_IS_NAMED(an_object_without_the_items_of_its_type_is_named,
                "varve: varve_object_new() with a type that has items", without_items(here, 1))
MISUSE_IS_NAMED(an_object_with_items_that_its_type_has_not_is_named,
                "varve: varve_object_new_var() with a type that has no items", with_items(here, 0))

static void refer_weakly(varve_object *self) {
    varve_weakref_new(self, NULL, NULL, NULL);
}

TEST_ABORTS(a_weak_reference_to_an_object_in_its_dealloc_is_named,
            "varve: a weak reference to an object that is being freed") {
    varve_type_spec spec = {.name = "late", .basic_bytes = 16, .dealloc = refer_weakly};
    varve_decref(varve_object_new(varve_type_new(varve_world_new(), &spec)));
}

/* --- errors that nobody can be told of --- */

TEST_ABORTS(an_error_in_a_callback_is_written_to_stderr,
            "varve: exception ignored in a callback: error 12\n") {
    begin();
    varve_unraisable(ours, "a callback", -12);
    abort();
}
