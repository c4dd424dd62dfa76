/* SPDX-License-Identifier: MIT
 * Weak sets. Names are those of CPython's test_weakset; docs/cpython-weakref.md lists them all. */
#include "weak_helper.h"

/* Letters: an object whose number is the letter. Every test begins with lists of them, which own
 * them, and weak sets of some. */
static varve_object *letters;  /* a to z */
static varve_object *items[2]; /* lists: other objects a b c, x y z */
static varve_object *set;      /* of items[0] */

static varve_object *list_of(const char *text) {
    varve_object *list = varve_list_new(world);
    for (; *text != '\0'; text++) {
        varve_object *item = new_object(*text);
        varve_list_append(list, item);
        varve_decref(item);
    }
    return list;
}

static varve_object *set_of(varve_object *container) {
    varve_object *result = varve_weak_set_new(world, /* by_identity */ false);
    REQUIRE(result != NULL);
    CHECK_EQ(varve_weak_set_update(result, VARVE_SET_UNION, container), 0);
    return result;
}

static void set_up(void) {
    begin();
    letters = list_of("abcdefghijklmnopqrstuvwxyz");
    items[0] = list_of("abc");
    items[1] = list_of("xyz");
    set = set_of(items[0]);
}

static void tear_down(void) {
    varve_decref(letters);
    varve_decref(items[0]);
    varve_decref(items[1]);
    CHECK_EQ(varve_weak_set_length(set), 0);
    varve_decref(set);
    end();
}

/* The letters of a weak set in alphabetical order. */
static const char *text_of(varve_object *weak_set) {
    static char text[27];
    char *end_of_text = text;
    CHECK(vv_weak_table_check((struct vv_weak_table *)weak_set) == NULL);
    for (size_t index = 0; index < 26; index++) {
        varve_object *letter = varve_list_get(letters, index);
        if (varve_weak_set_contains(weak_set, letter) == 1) *end_of_text++ = (char)('a' + index);
    }
    *end_of_text = '\0';
    CHECK_EQ(end_of_text - text, varve_weak_set_length(weak_set));
    return text;
}

TEST(len) {
    set_up();
    CHECK_EQ(varve_weak_set_length(set), 3);
    varve_object *object = new_object('F');
    CHECK_EQ(varve_weak_set_add(set, object), 1);
    CHECK_EQ(varve_weak_set_length(set), 4);
    varve_decref(object);
    CHECK_EQ(varve_weak_set_length(set), 3);
    tear_down();
}

TEST(contains) {
    set_up();
    varve_object *one = varve_int_new(world, 1000), *list = varve_list_new(world);
    CHECK_EQ_STR(text_of(set), "abc");
    CHECK_EQ(varve_weak_set_contains(set, one), 0);
    CHECK_EQ(varve_weak_set_contains(set, list), -EOPNOTSUPP); /* unhashable */
    varve_decref(list);
    varve_decref(one);
    tear_down();
}

/* The four operations, on a copy, with every kind of container as the other operand. */
static void check_operation(varve_set_operation operation, const char *expected_with_second,
                            const char *expected_with_letters) {
    set_up();
    varve_object *as_tuple =
        varve_tuple_new(world, 3,
                        (varve_object *[]){varve_list_get(items[1], 0), varve_list_get(items[1], 1),
                                           varve_list_get(items[1], 2)});
    varve_object *as_set = varve_set_new(world), *as_dict = varve_dict_new(world);
    varve_object *as_weak_set = set_of(items[1]);
    for (size_t index = 0; index < 3; index++) {
        varve_set_add(as_set, varve_list_get(items[1], index));
        varve_dict_set(as_dict, varve_list_get(items[1], index), as_set);
    }
    varve_object *others[] = {items[1], as_tuple, as_set, as_dict, as_weak_set};
    for (size_t index = 0; index < VV_ARRAY_COUNT(others); index++) {
        varve_object *copy = varve_weak_table_copy(set);
        CHECK_EQ(varve_weak_set_update(copy, operation, others[index]), 0);
        CHECK_EQ_STR(text_of(copy), expected_with_second);
        varve_decref(copy);
    }
    varve_object *copy = varve_weak_table_copy(set);
    CHECK_EQ(varve_weak_set_update(copy, operation, letters), 0);
    CHECK_EQ_STR(text_of(copy), expected_with_letters);
    varve_decref(copy);
    CHECK_EQ_STR(text_of(set), "abc");

    varve_object *one = varve_int_new(world, 1000), *nested = varve_list_new(world);
    varve_list_append(nested, nested); /* unhashable */
    CHECK_EQ(varve_weak_set_update(set, operation, one), -EOPNOTSUPP);
    CHECK_EQ(varve_weak_set_update(set, operation, nested), -EOPNOTSUPP);
    CHECK_EQ_STR(text_of(set), "abc");
    varve_list_clear(nested);
    varve_list_append(nested, one); /* not weakly referenced */
    CHECK_EQ(varve_weak_set_update(set, operation, nested), -EOPNOTSUPP);
    varve_decref(nested);
    varve_decref(one);
    varve_decref(as_tuple);
    varve_decref(as_set);
    varve_decref(as_dict);
    varve_decref(as_weak_set);
    tear_down();
}

TEST(update) {
    check_operation(VARVE_SET_UNION, "abcxyz", "abcdefghijklmnopqrstuvwxyz");
}

TEST(intersection_update) {
    check_operation(VARVE_SET_INTERSECTION, "", "abc");
}

TEST(difference_update) {
    check_operation(VARVE_SET_DIFFERENCE, "abc", "");
}

TEST(symmetric_difference_update) {
    check_operation(VARVE_SET_SYMMETRIC_DIFFERENCE, "abcxyz", "defghijklmnopqrstuvwxyz");
}

/* A result holds its items weakly. */
TEST(union_) {
    set_up();
    varve_object *both = varve_weak_table_copy(set);
    CHECK_EQ(varve_weak_set_update(both, VARVE_SET_UNION, items[1]), 0);
    CHECK_EQ_STR(text_of(both), "abcxyz");
    varve_list_remove(items[1], 2);
    CHECK_EQ_STR(text_of(both), "abcxy");
    varve_decref(both);
    tear_down();
}

TEST(isdisjoint) {
    set_up();
    CHECK_EQ(varve_weak_set_is_disjoint(set, items[1]), 1);
    CHECK_EQ(varve_weak_set_is_disjoint(set, letters), 0);
    CHECK_EQ(varve_weak_set_is_disjoint(set, set), 0);
    tear_down();
}

TEST(sub_and_super) {
    set_up();
    varve_object *ab_items = list_of("ab"), *def_items = list_of("def");
    varve_object *ab = set_of(ab_items), *all = set_of(letters), *def = set_of(def_items);
    CHECK_EQ(varve_weak_set_is_subset(ab, set), 1); /* and a proper one: they are not equal */
    CHECK_EQ(varve_weak_set_is_subset(set, ab), 0);
    CHECK_EQ(varve_equal(ab, set), 0);
    CHECK_EQ(varve_weak_set_is_subset(set, set), 1); /* not a proper one */
    CHECK_EQ(varve_equal(set, set), 1);
    CHECK_EQ(varve_weak_set_is_subset(set, all), 1);
    CHECK_EQ(varve_weak_set_is_subset(set, letters), 1);
    CHECK_EQ(varve_weak_set_is_subset(all, set), 0);
    CHECK_EQ(varve_weak_set_is_subset(set, def), 0);
    varve_decref(ab_items);
    CHECK_EQ(varve_weak_set_is_subset(ab, def), 1); /* nothing in it lives */
    varve_decref(def_items);
    varve_decref(ab);
    varve_decref(all);
    varve_decref(def);
    tear_down();
}

TEST(gc) {
    set_up();
    varve_object *all = varve_weak_set_new(world, true), *kept = varve_list_new(world), *item;
    for (int index = 0; index < 1000; index++) {
        item = new_plain();
        varve_weak_set_add(all, item);
        varve_list_append(kept, item);
        varve_decref(item);
    }
    size_t position = 0;
    while (varve_weak_set_next(all, &position, &item) > 0) {
        varve_object *own_set = varve_weak_set_new(world, true);
        varve_weak_set_add(own_set, item);
        set_slot(item, 0, all);
        set_slot(item, 1, item);
        set_slot(item, 2, own_set);
        varve_decref(own_set);
        varve_decref(item);
    }
    CHECK_EQ(varve_weak_set_length(all), 1000);
    varve_decref(kept);
    varve_decref(all);
    /* 1000 objects, their sets, two references to each, and the set of all */
    CHECK_EQ(varve_gc_collect(world, 2), 4001);
    tear_down();
}

TEST(constructor_identity) {
    set_up();
    varve_object *second = set_of(set);
    CHECK(second != set);
    CHECK_EQ(varve_equal(second, set), 1);
    varve_decref(second);
    tear_down();
}

TEST(hash) {
    set_up();
    uint64_t value;
    CHECK_EQ(varve_hash(set, &value), -EOPNOTSUPP);
    tear_down();
}

TEST(clear) {
    set_up();
    varve_weak_set_clear(set);
    CHECK_EQ_STR(text_of(set), "");
    CHECK_EQ(varve_weakref_count(varve_list_get(items[0], 0)), 0);
    tear_down();
}

TEST(copy) {
    set_up();
    varve_object *copied = varve_weak_table_copy(set);
    CHECK(copied != set);
    CHECK_EQ(varve_equal(copied, set), 1);
    varve_decref(copied);
    tear_down();
}

TEST(add) {
    set_up();
    varve_object *q = new_object('q'), *list = varve_list_new(world), *dead = new_plain();
    CHECK_EQ(varve_weak_set_add(set, q), 1);
    CHECK_EQ_STR(text_of(set), "abcq");
    CHECK_EQ(varve_weak_set_add(set, q), 0);
    CHECK_EQ_STR(text_of(set), "abcq");
    CHECK_EQ(varve_weak_set_add(set, list), -EOPNOTSUPP);
    CHECK_EQ(varve_weak_set_add(set, dead), 1);
    CHECK_EQ(varve_weak_set_length(set), 5);
    varve_decref(dead);
    CHECK_EQ_STR(text_of(set), "abcq");
    varve_decref(q);
    varve_decref(list);
    tear_down();
}

TEST(remove_) {
    set_up();
    varve_object *a = new_object('a'), *list = varve_list_new(world);
    CHECK_EQ(varve_weak_set_discard(set, a), 1);
    CHECK_EQ_STR(text_of(set), "bc");
    CHECK_EQ(varve_weak_set_discard(set, a), 0);
    CHECK_EQ(varve_weak_set_discard(set, list), -EOPNOTSUPP);
    varve_decref(a);
    varve_decref(list);
    tear_down();
}

TEST(discard) {
    set_up();
    varve_object *q = new_object('q'), *one = varve_int_new(world, 1000);
    CHECK_EQ(varve_weak_set_discard(set, q), 0);
    CHECK_EQ(varve_weak_set_discard(set, one), -EOPNOTSUPP);
    varve_decref(q);
    varve_decref(one);
    tear_down();
}

TEST(pop) {
    set_up();
    for (size_t left = 3; left-- > 0;) {
        varve_object *item;
        CHECK_EQ(varve_weak_table_pop(set, &item, NULL), 1);
        CHECK_EQ_PTR(item, varve_list_get(items[0], left));
        CHECK_EQ(varve_weak_set_contains(set, item), 0);
        varve_decref(item);
    }
    CHECK_EQ(varve_weak_table_pop(set, NULL, NULL), 0);
    tear_down();
}

TEST(inplace_on_self) {
    set_up();
    CHECK_EQ(varve_weak_set_update(set, VARVE_SET_UNION, set), 0);
    CHECK_EQ(varve_weak_set_update(set, VARVE_SET_INTERSECTION, set), 0);
    CHECK_EQ_STR(text_of(set), "abc");
    varve_object *copied = varve_weak_table_copy(set);
    CHECK_EQ(varve_weak_set_update(set, VARVE_SET_DIFFERENCE, set), 0);
    CHECK_EQ_STR(text_of(set), "");
    CHECK_EQ(varve_weak_set_update(copied, VARVE_SET_SYMMETRIC_DIFFERENCE, copied), 0);
    CHECK_EQ_STR(text_of(copied), "");
    varve_decref(copied);
    tear_down();
}

TEST(eq) {
    set_up();
    varve_object *same = set_of(items[0]), *other = set_of(items[1]);
    CHECK_EQ(varve_equal(set, set), 1);
    CHECK_EQ(varve_equal(set, same), 1);
    CHECK_EQ(varve_equal(set, other), 0);
    CHECK_EQ(varve_equal(set, items[0]), 0);
    varve_weak_set_clear(same);
    varve_weak_set_clear(other);
    CHECK_EQ(varve_equal(same, other), 1);
    CHECK_EQ(varve_equal(set, same), 0);
    varve_decref(same);
    varve_decref(other);
    tear_down();
}

TEST(weak_destroy_while_iterating) {
    set_up();
    size_t position = 0, shown = 0;
    varve_object *item;
    while (varve_weak_set_next(set, &position, &item) > 0) {
        varve_decref(item);
        if (shown++ == 0) varve_list_remove(items[0], 2);
    }
    CHECK_EQ(shown, 2);
    CHECK_EQ(varve_weak_set_length(set), 2);
    tear_down();
}

TEST(weak_destroy_and_mutate_while_iterating) {
    set_up();
    varve_object *victims = list_of("mnopqrstuv");
    CHECK_EQ(varve_weak_set_update(set, VARVE_SET_UNION, victims), 0);
    for (int change = 0; change < 4; change++) {
        size_t position = 0, last = varve_list_length(victims) - 1;
        varve_object *item;
        CHECK_EQ(varve_weak_set_next(set, &position, &item), 1);
        varve_decref(item);
        varve_object *again = new_object(number_of(varve_list_get(victims, last)));
        varve_list_remove(victims, last);
        CHECK_EQ(varve_weak_set_contains(set, again), 0);
        size_t length = varve_weak_set_length(set);
        switch (change) {
        case 0: CHECK_EQ(varve_weak_set_discard(set, again), 0); break;
        case 1:
            CHECK_EQ(varve_weak_set_add(set, again), 1);
            CHECK_EQ(varve_weak_set_contains(set, again), 1);
            CHECK_EQ(varve_weak_set_length(set), length + 1);
            break;
        case 2: {
            varve_object *copied = varve_weak_table_copy(set);
            CHECK_EQ(varve_weak_set_update(set, VARVE_SET_UNION, copied), 0);
            CHECK_EQ(varve_equal(set, copied), 1);
            varve_decref(copied);
            break;
        }
        default:
            varve_weak_set_clear(set);
            CHECK_EQ(varve_weak_set_length(set), 0);
            CHECK_EQ(varve_weak_set_next(set, &position, &item), 0);
        }
        varve_decref(again);
    }
    varve_decref(victims);
    tear_down();
}

TEST(len_cycles) {
    set_up();
    varve_object *cycles = varve_weak_set_new(world, false), *item;
    for (int index = 0; index < 20; index++) {
        varve_object *cycle = new_cycle();
        varve_weak_set_add(cycles, cycle);
        varve_decref(cycle);
    }
    size_t position = 0;
    CHECK_EQ(varve_weak_set_next(cycles, &position, &item), 1);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_weak_set_length(cycles), 1);
    varve_decref(item);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_weak_set_length(cycles), 0);
    varve_decref(cycles);
    tear_down();
}

TEST(len_race) {
    set_up();
    for (int threshold = 1; threshold < 100; threshold++) {
        varve_gc_collect(world, 0);
        varve_gc_set_threshold(world, (int[]){threshold, threshold, threshold});
        varve_object *cycles = varve_weak_set_new(world, false);
        for (int index = 0; index < 20; index++) {
            varve_object *cycle = new_cycle();
            CHECK_EQ(varve_weak_set_add(cycles, cycle), 1);
            varve_decref(cycle);
        }
        size_t first = varve_weak_set_length(cycles);
        varve_decref(new_cycle());
        size_t second = varve_weak_set_length(cycles);
        CHECK(first <= 20 && second <= first);
        varve_decref(cycles);
    }
    tear_down();
}

TEST(sets_by_identity_take_what_is_unhashable) {
    set_up();
    varve_object *by_identity = varve_weak_set_new(world, true), *list = varve_list_new(world);
    varve_object *a = new_object('a');
    CHECK_EQ(varve_weak_set_add(by_identity, list), 1);
    CHECK_EQ(varve_weak_set_add(by_identity, a), 1);
    CHECK_EQ(varve_weak_set_contains(by_identity, varve_list_get(items[0], 0)), 0);
    CHECK_EQ(varve_weak_set_is_disjoint(by_identity, set), 1);
    CHECK_EQ(varve_weak_set_update(by_identity, VARVE_SET_INTERSECTION, set), 0);
    CHECK_EQ(varve_weak_set_length(by_identity), 0);
    varve_decref(list);
    varve_decref(a);
    varve_decref(by_identity);
    tear_down();
}

/* --- memory --- */

static varve_object *new_item, *made;

static int add_item(void) {
    int result = varve_weak_set_add(set, new_item);
    return result < 0 ? result : 0;
}

static int copy_set(void) {
    made = varve_weak_table_copy(set);
    return made != NULL ? 0 : -errno;
}

static int intersect(void) {
    return varve_weak_set_update(set, VARVE_SET_INTERSECTION, items[0]);
}

static int compare(void) {
    int result = varve_weak_set_is_subset(set, letters);
    return result < 0 ? result : 0;
}

static void check_set(void) {
    const char *text = text_of(set);
    CHECK(strcmp(text, "abc") == 0 || strcmp(text, "abcq") == 0);
}

static void undo(void) {
    if (made != NULL) varve_clear_reference(&made);
    varve_weak_set_discard(set, new_item);
}

TEST(every_failure_of_memory_leaves_a_weak_set_as_it_was) {
    set_up();
    new_item = new_object('q');
    for (int round = 0; round < 20; round++) fail_everywhere(add_item, check_set, undo);
    fail_everywhere(copy_set, check_set, undo);
    fail_everywhere(intersect, check_set, undo);
    fail_everywhere(compare, check_set, undo);
    varve_decref(new_item);
    tear_down();
}

/* Each pop passes what was removed before it, which must not take the square of the length. */
TEST(a_large_set_is_popped_in_linear_time) {
    begin();
    const size_t count = VARVE_AUDIT || VARVE_GC_STRESS ? 1000 : 300000;
    varve_object *large = varve_weak_set_new(world, /* by_identity */ true);
    varve_object *kept = varve_list_new(world), *item;
    for (size_t index = 0; index < count; index++) {
        item = varve_list_new(world);
        CHECK_EQ(varve_weak_set_add(large, item), 1);
        varve_list_append(kept, item);
        varve_decref(item);
    }
    for (size_t index = count; index-- > count / 2;) {
        REQUIRE(varve_weak_table_pop(large, &item, NULL) == 1);
        CHECK_EQ_PTR(item, varve_list_get(kept, index));
        varve_decref(item);
    }
    CHECK_EQ(varve_weak_set_add(large, kept), 1); /* behind what was popped */
    CHECK_EQ(varve_weak_table_pop(large, &item, NULL), 1);
    CHECK_EQ_PTR(item, kept);
    varve_decref(item);
    varve_list_clear(kept);
    CHECK_EQ(varve_weak_table_pop(large, &item, NULL), 0);
    varve_decref(large);
    varve_decref(kept);
    end();
}

#define QUEUE_COUNT (VARVE_GC_STRESS || VARVE_AUDIT ? 2000 : 500000)

TEST(a_large_set_is_taken_from_the_front_in_linear_time) {
    begin();
    varve_object *queue = varve_weak_set_new(world, true), *kept = varve_list_new(world), *item;
    for (int index = 0; index < QUEUE_COUNT; index++) {
        item = varve_set_new(world);
        CHECK_EQ(varve_weak_set_add(queue, item), 1);
        CHECK_EQ(varve_list_append(kept, item), 0);
        varve_decref(item);
    }
    for (size_t index = 0; index < QUEUE_COUNT; index++) {
        size_t position = 0;
        REQUIRE(varve_weak_set_next(queue, &position, &item) == 1);
        CHECK_EQ_PTR(item, varve_list_get(kept, index));
        CHECK_EQ(varve_weak_set_discard(queue, item), 1);
        varve_decref(item);
    }
    size_t position = 0;
    CHECK_EQ(varve_weak_set_next(queue, &position, &item), 0);
    CHECK_EQ(varve_weak_set_add(queue, kept), 1);
    CHECK_EQ(varve_weak_set_next(queue, &position, &item), 1);
    CHECK_EQ_PTR(item, kept);
    varve_decref(item);
    varve_decref(queue);
    varve_decref(kept);
    end();
}
