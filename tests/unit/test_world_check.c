/* SPDX-License-Identifier: MIT
 * What varve_world_check() finds, each with its sentence. */
#include "array_type.h"
#include "harness.h"

#include "object/layout.h"
#include "object/world.h"
#include "varve/gc.h"
#include "varve/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char first_sentence[400];

static void keep(const char *sentence, const varve_object *object, void *argument) {
    (void)object;
    if (*(int *)argument == 0) {
        snprintf(first_sentence, sizeof first_sentence, "%s", sentence);
    }
    (*(int *)argument)++;
}

static long check(varve_world *world) {
    int count = 0;
    first_sentence[0] = '\0';
    long result = varve_world_check(world, keep, &count);
    CHECK_EQ(result, count);
    return result;
}

/* The sentence with addresses as "0x". */
static void check_sentence(const char *expected) {
    char text[400];
    size_t length = 0;
    for (const char *at = first_sentence; *at != '\0'; at++) {
        text[length++] = *at;
        if (at[0] != 'x' || at == first_sentence || at[-1] != '0') continue;
        while (at[1] != '\0' && strchr("0123456789abcdef", at[1]) != NULL) at++;
    }
    text[length] = '\0';
    CHECK_EQ_STR(text, expected);
}

TEST(a_sound_world_has_no_problems) {
    varve_world *world = varve_world_new();
    varve_object *dict = varve_dict_new(world);
    varve_object *list = varve_list_new(world);
    varve_dict_set_text(dict, "list", list);
    varve_list_append(list, dict);
    CHECK_EQ(check(world), 0);
    varve_decref(list);
    varve_decref(dict);
    CHECK_EQ(check(world), 0); /* garbage is sound, too */
    varve_gc_collect(world, 2);
    CHECK_EQ(check(world), 0);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(tuples_and_dicts_that_a_collection_untracked_are_sound) {
    varve_world *world = varve_world_new();
    varve_object *number = varve_float_new(world, 1), *list = varve_list_new(world);
    varve_object *tuple = varve_tuple_new(world, 1, &number), *dict = varve_dict_new(world);
    varve_dict_set_text(dict, "key", list);
    varve_dict_set_text(dict, "key", number);
    for (int generation = 0; generation < 3; generation++) {
        varve_gc_collect(world, generation);
        CHECK(!varve_gc_is_tracked(tuple));
        CHECK_EQ(check(world), 0);
    }
    CHECK(!varve_gc_is_tracked(dict));
    varve_decref(number);
    varve_decref(list);
    varve_decref(tuple);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_count_that_is_too_small_is_named) {
    varve_world *world = varve_world_new();
    varve_object *inner = varve_list_new(world);
    varve_object *outer = varve_list_new(world);
    varve_list_append(outer, inner);
    varve_list_append(outer, inner);
    inner->refcount = 1;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: reference count of <list 0x> is 1, but 2 references to it were found");
    inner->refcount = 3;
    varve_decref(inner);
    varve_decref(outer);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_reference_to_what_is_no_object_is_named) {
    varve_world *world = varve_world_new();
    varve_world *other = varve_world_new();
    varve_object *list = varve_list_new(world);
    varve_object *dead = varve_float_new(world, 2);
    varve_object *number = varve_float_new(world, 1);
    varve_object *foreign = varve_float_new(other, 1);
    varve_list_append(list, number);
    varve_object **items = ((struct vv_list *)list)->items;
    varve_decref(dead);
    items[0] = dead;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: <list 0x> refers to 0x, which is no live object");
    items[0] = foreign;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: <list 0x> refers to 0x, an object of another world");
    items[0] = (varve_object *)((char *)number + 8);
    CHECK_EQ(check(world), 1);
    items[0] = (varve_object *)(void *)first_sentence;
    CHECK_EQ(check(world), 1);
    items[0] = number;
    varve_decref(number);
    varve_decref(list);
    varve_decref(foreign);
    CHECK_EQ(varve_world_free(world), 0);
    CHECK_EQ(varve_world_free(other), 0);
}

TEST(a_reference_taken_to_a_freed_object_is_named) {
    varve_world *world = varve_world_new();
    varve_object *dead = varve_float_new(world, 2);
    varve_decref(dead);
    varve_incref(dead);
    CHECK_EQ(check(world), 1);
    check_sentence("varve: heap check: a reference was taken to a freed object");
    dead->refcount = 0;
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- traverse functions that forget something --- */

struct pair {
    varve_object head;
    varve_object *shown;
    varve_object *hidden;
};

static int traverse_one(varve_object *self, varve_visit visit, void *argument) {
    struct pair *pair = (struct pair *)self;
    return pair->shown != NULL ? visit(pair->shown, argument) : 0;
}

static void clear_both(varve_object *self) {
    varve_clear_reference(&((struct pair *)self)->shown);
    varve_clear_reference(&((struct pair *)self)->hidden);
}

TEST(a_traverse_that_misses_an_edge_is_named) {
    varve_world *world = varve_world_new();
    varve_type_spec spec = {.name = "pair",
                            .basic_bytes = sizeof(struct pair),
                            .traverse = traverse_one,
                            .clear = clear_both};
    varve_object *object = varve_object_new(varve_type_new(world, &spec));
    struct pair *pair = (struct pair *)object;
    pair->shown = varve_list_new(world);
    CHECK_EQ(check(world), 0);
    pair->hidden = varve_list_new(world);
    CHECK_EQ(check(world), 1);
    check_sentence("varve: traverse of <pair 0x> does not show its reference to <list 0x>");
    varve_decref(object);
    CHECK_EQ(varve_world_free(world), 0);
}

static void clear_shown(varve_object *self) {
    varve_clear_reference(&((struct pair *)self)->shown);
}

TEST(a_type_that_borrows_is_believed) {
    varve_world *world = varve_world_new();
    varve_type_spec spec = {.name = "child",
                            .basic_bytes = sizeof(struct pair),
                            .flags = VARVE_TYPE_BORROWS,
                            .traverse = traverse_one,
                            .clear = clear_shown};
    varve_object *object = varve_object_new(varve_type_new(world, &spec));
    varve_object *parent = varve_list_new(world);
    ((struct pair *)object)->hidden = parent; /* whose owner is this test */
    CHECK_EQ(check(world), 0);
    varve_decref(object);
    varve_decref(parent);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_collectors_state_that_cannot_be_is_named) {
    varve_world *world = varve_world_new();
    varve_object *number = varve_float_new(world, 1);
    *vv_object_state(number) = VV_STATE_TRACKED;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: <float 0x> is tracked, but its type is acyclic");
    *vv_object_state(number) = 0;
    varve_object *list = varve_list_new(world);
    uint8_t state = *vv_object_state(list);
    *vv_object_state(list) = 2 << VV_STATE_GENERATION_SHIFT;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: <list 0x> is not tracked, but has a generation");
    *vv_object_state(list) = state | VV_STATE_CANDIDATE;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: <list 0x> is in the set of a collection, but none is running");
    *vv_object_state(list) = state;
    varve_decref(list);
    varve_decref(number);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(an_object_of_an_unknown_type_is_named) {
    varve_world *world = varve_world_new();
    varve_object *list = varve_list_new(world);
    uint32_t type_index = list->type_index;
    list->type_index = 123456;
    CHECK_EQ(check(world), 1);
    check_sentence("varve: the type of the object at 0x is unknown");
    list->type_index = type_index;
    varve_decref(list);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(without_memory_there_is_no_verdict) {
    varve_world *world = varve_world_new();
    for (uint64_t fail_at = 0; fail_at < 2; fail_at++) {
        varve_world_fail_after(world, fail_at);
        CHECK_EQ(varve_world_check(world, NULL, NULL), -ENOMEM);
    }
    varve_world_fail_never(world);
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- many references --- */

static int traverse_all_but_the_first(varve_object *self, varve_visit visit, void *argument) {
    return visit_array_from(self, 1, visit, argument);
}

#define ITEM_COUNT ((size_t)(VARVE_GC_STRESS ? 2000 : 200000))

/* Each item has an owner who is not known, so each reference of the block is looked at; this must
 * not take the square of their number. */
TEST(a_forgotten_reference_among_many_is_found_in_linear_time) {
    varve_world *world = varve_world_new();
    varve_type_spec spec = {.name = "array",
                            .basic_bytes = sizeof(struct array),
                            .item_bytes = sizeof(varve_object *),
                            .traverse = traverse_all_but_the_first,
                            .clear = clear_array};
    varve_type *type = varve_type_new(world, &spec);
    static varve_object *ours[ITEM_COUNT];
    struct array *array = (struct array *)(void *)varve_object_new_var(type, ITEM_COUNT);
    for (size_t index = 0; index < ITEM_COUNT; index++) {
        ours[index] = varve_float_new(world, (double)index);
        array->items[index] = varve_incref(ours[index]);
    }
    CHECK_EQ(check(world), 1);
    check_sentence("varve: traverse of <array 0x> does not show its reference to <float 0x>");
    varve_decref(array->items[1]);
    array->items[1] = varve_incref(ours[0]); /* shown once, there twice */
    CHECK_EQ(check(world), 1);
    varve_clear_reference(&array->items[0]);
    CHECK_EQ(check(world), 0);
    for (size_t index = 0; index < ITEM_COUNT; index++) varve_decref(ours[index]);
    varve_decref(&array->head.head);
    CHECK_EQ(varve_world_free(world), 0);
}
