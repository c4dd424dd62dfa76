/* SPDX-License-Identifier: MIT
 * Dicts with weak values and weak keys. Names are those of CPython's MappingTestCase and of its two
 * classes of the mapping protocol; docs/cpython-weakref.md lists them all. */
#include "weak_fixture.h"

/* --- the collector --- */

static void check_len_cycles(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value);
    for (int index = 0; index < 20; index++) {
        varve_object *one = number(index), *cycle = new_cycle();
        CHECK_EQ(by_value ? dict_set(&fixture, one, cycle) : dict_set(&fixture, cycle, one), 0);
        varve_decref(one);
        varve_decref(cycle);
    }
    size_t position = 0;
    varve_object *key, *value;
    CHECK_EQ(dict_next(&fixture, &position, &key, &value), 1);
    varve_gc_collect(world, 2);
    CHECK_EQ(dict_length(&fixture), 1); /* what the walk has shown */
    varve_decref(key);
    varve_decref(value);
    CHECK_EQ(dict_next(&fixture, &position, &key, &value), 0);
    varve_gc_collect(world, 2);
    end_fixture(&fixture);
    end();
}

TEST(weak_keyed_len_cycles) {
    check_len_cycles(false);
}

TEST(weak_valued_len_cycles) {
    check_len_cycles(true);
}

static void check_len_race(bool by_value) {
    begin();
    for (int threshold = 1; threshold < 100; threshold++) {
        varve_gc_collect(world, 0);
        varve_gc_set_threshold(world, (int[]){threshold, threshold, threshold});
        struct fixture fixture = empty_fixture(by_value);
        for (int index = 0; index < 20; index++) {
            varve_object *one = number(index), *cycle = new_cycle();
            CHECK_EQ(by_value ? dict_set(&fixture, one, cycle) : dict_set(&fixture, cycle, one), 0);
            varve_decref(one);
            varve_decref(cycle);
        }
        size_t first = dict_length(&fixture);
        varve_decref(new_cycle());
        size_t second = dict_length(&fixture);
        CHECK(first <= 20 && second <= first);
        varve_gc_collect(world, 2);
        end_fixture(&fixture);
    }
    end();
}

TEST(weak_keyed_len_race) {
    check_len_race(false);
}

TEST(weak_valued_len_race) {
    check_len_race(true);
}

/* --- basic --- */

static void check_basics(bool by_value) {
    begin();
    struct fixture fixture = new_fixture(by_value);
    for (int index = 0; index < COUNT; index++) {
        varve_object *object = varve_list_get(fixture.objects, (size_t)index);
        varve_object *one = number(index), *value = NULL;
        CHECK_EQ(varve_weakref_count(object), 1);
        CHECK_EQ(dict_get(&fixture, by_value ? one : object, &value), 1);
        CHECK(by_value ? value == object : varve_int_value(value) == index);
        varve_decref(value);
        varve_decref(one);
    }
    varve_object *copy = varve_weak_table_copy(fixture.dict);
    CHECK_EQ(varve_equal(copy, fixture.dict), 1);
    CHECK_EQ(dict_length(&fixture), COUNT);
    varve_list_remove(fixture.objects, 0);
    CHECK_EQ(dict_length(&fixture), COUNT - 1);
    CHECK_EQ(varve_equal(copy, fixture.dict), 1);
    varve_list_clear(fixture.objects);
    CHECK_EQ(dict_length(&fixture), 0);
    varve_decref(copy);

    varve_object *absent = new_object(7), *value;
    CHECK_EQ(dict_get(&fixture, absent, &value), 0);
    varve_decref(absent);
    end_fixture(&fixture);
    end();
}

TEST(weak_values) {
    check_basics(true);
}

TEST(weak_keys) {
    check_basics(false);
}

static void check_iters(bool by_value) {
    begin();
    struct fixture fixture = new_fixture(by_value);
    size_t position = 0;
    varve_object *key, *value;
    for (int index = 0; index < COUNT; index++) {
        CHECK_EQ(dict_next(&fixture, &position, &key, &value), 1);
        CHECK_EQ_PTR(by_value ? value : key, varve_list_get(fixture.objects, (size_t)index));
        CHECK_EQ(varve_int_value(by_value ? key : value), index);
        varve_decref(key);
        varve_decref(value);
    }
    CHECK_EQ(dict_next(&fixture, &position, &key, &value), 0);
    varve_object *refs = varve_weak_table_refs(fixture.dict);
    CHECK_EQ(varve_list_length(refs), COUNT);
    for (size_t index = 0; index < COUNT; index++) {
        varve_object *object = varve_weakref_get(varve_list_get(refs, index));
        CHECK_EQ_PTR(object, varve_list_get(fixture.objects, index));
        varve_decref(object);
    }
    varve_decref(refs);
    end_fixture(&fixture);
    end();
}

TEST(weak_keyed_iters) {
    check_iters(false);
}

TEST(weak_valued_iters) {
    check_iters(true);
}

/* --- walks during which objects die --- */

static void check_destroy_while_iterating(bool by_value) {
    begin();
    struct fixture fixture = new_fixture(by_value);
    size_t position = 0, shown = 0;
    varve_object *key, *value;
    while (dict_next(&fixture, &position, &key, &value) > 0) {
        varve_decref(key);
        varve_decref(value);
        if (shown++ == 0) {
            kill_last(&fixture);
            varve_list_remove(fixture.objects, 0); /* what was shown */
        }
    }
    CHECK_EQ(shown, COUNT - 1);
    CHECK_EQ(dict_length(&fixture), COUNT - 2);
    end_fixture(&fixture);
    end();
}

/* In the middle of a walk an object has died; each change is as if the walk was not. */
static void check_mutate_while_iterating(bool by_value) {
    begin();
    struct fixture fixture = new_fixture(by_value);
    for (int change = 0; change < 5; change++) {
        size_t position = 0;
        varve_object *key, *value;
        CHECK_EQ(dict_next(&fixture, &position, &key, &value), 1);
        varve_decref(key);
        varve_decref(value);
        int64_t dead = kill_last(&fixture);
        varve_object *again = new_object(dead), *one = number(dead);
        varve_object *lookup = by_value ? one : again;
        size_t length = dict_length(&fixture);
        CHECK(!dict_has(&fixture, lookup));
        switch (change) {
        case 0: CHECK_EQ(dict_delete(&fixture, lookup), -ENOENT); break;
        case 1: CHECK_EQ(varve_weak_dict_take(fixture.dict, lookup, &value), 0); break;
        case 2:
            add(&fixture, again);
            varve_list_insert(fixture.objects, 0, again);
            CHECK(dict_has(&fixture, lookup));
            CHECK_EQ(dict_length(&fixture), length + 1);
            break;
        case 3: {
            varve_object *copy = varve_weak_table_copy(fixture.dict);
            CHECK_EQ(varve_weak_dict_update(fixture.dict, copy), 0);
            CHECK_EQ(varve_equal(fixture.dict, copy), 1);
            varve_decref(copy);
            break;
        }
        default:
            dict_clear(&fixture);
            CHECK_EQ(dict_length(&fixture), 0);
            CHECK_EQ(dict_next(&fixture, &position, &key, &value), 0);
        }
        varve_decref(again);
        varve_decref(one);
    }
    end_fixture(&fixture);
    end();
}

static void check_del_and_len_while_iterating(bool by_value) {
    begin();
    struct fixture fixture = new_fixture(by_value);
    size_t position = 0, length = COUNT;
    varve_object *key, *value;
    while (length > 2) {
        CHECK_EQ(dict_next(&fixture, &position, &key, &value), 1);
        varve_decref(value);
        kill_last(&fixture);
        CHECK_EQ(dict_length(&fixture), --length);
        CHECK_EQ(dict_delete(&fixture, key), 0);
        CHECK_EQ(dict_length(&fixture), --length);
        varve_decref(key);
        if (length <= 2) break;
        CHECK_EQ(varve_weak_table_pop(fixture.dict, NULL, NULL), 1);
        CHECK_EQ(dict_length(&fixture), --length);
        kill_last(&fixture); /* what was popped */
        CHECK_EQ(dict_length(&fixture), length);
    }
    dict_clear(&fixture);
    end_fixture(&fixture);
    end();
}

TEST(weak_keys_destroy_while_iterating) {
    check_destroy_while_iterating(false);
    check_mutate_while_iterating(false);
    check_del_and_len_while_iterating(false);
}

TEST(weak_values_destroy_while_iterating) {
    check_destroy_while_iterating(true);
    check_mutate_while_iterating(true);
    check_del_and_len_while_iterating(true);
}

/* --- making and changing --- */

static void check_from_dict(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value), second = empty_fixture(by_value);
    varve_object *source = varve_dict_new(world), *object = new_object(3), *one = number(364);
    varve_object *key = by_value ? one : object, *value = by_value ? object : one, *got;
    varve_dict_set(source, key, value);
    CHECK_EQ(varve_weak_dict_update(fixture.dict, source), 0);
    CHECK_EQ(dict_get(&fixture, key, &got), 1);
    CHECK_EQ_PTR(got, value);
    varve_decref(got);
    CHECK_EQ(varve_weak_dict_update(second.dict, fixture.dict), 0);
    CHECK_EQ(varve_equal(second.dict, fixture.dict), 1);
    CHECK_EQ(varve_weak_dict_update(second.dict, object), -EOPNOTSUPP);
    varve_decref(source);
    varve_decref(object);
    varve_decref(one);
    end_fixture(&fixture);
    end_fixture(&second);
    end();
}

TEST(make_weak_keyed_dict_from_dict) {
    check_from_dict(false);
}

TEST(make_weak_keyed_dict_from_weak_keyed_dict) {
    check_from_dict(false);
}

TEST(make_weak_valued_dict_from_dict) {
    check_from_dict(true);
}

TEST(make_weak_valued_dict_from_weak_valued_dict) {
    check_from_dict(true);
}

static void check_popitem(bool by_value) {
    begin();
    struct fixture fixture = new_fixture(by_value);
    for (int64_t index = COUNT - 1; index >= 0; index--) {
        varve_object *key, *value;
        CHECK_EQ(varve_weak_table_pop(fixture.dict, &key, &value), 1);
        CHECK_EQ(number_of(by_value ? value : key), index);
        CHECK_EQ(varve_int_value(by_value ? key : value), index);
        CHECK_EQ(dict_length(&fixture), index);
        varve_decref(key);
        varve_decref(value);
    }
    CHECK_EQ(varve_weak_table_pop(fixture.dict, NULL, NULL), 0);
    end_fixture(&fixture);
    end();
}

TEST(weak_valued_dict_popitem) {
    check_popitem(true);
}

TEST(weak_keyed_dict_popitem) {
    check_popitem(false);
}

static void check_setdefault(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value);
    varve_object *key = new_plain(), *first = new_plain(), *second = new_plain(), *got;
    CHECK_EQ(varve_weak_dict_setdefault(fixture.dict, key, first, &got), 1);
    CHECK_EQ_PTR(got, first);
    varve_decref(got);
    CHECK_EQ(varve_weak_dict_setdefault(fixture.dict, key, second, &got), 0);
    CHECK_EQ_PTR(got, first);
    varve_decref(got);
    CHECK_EQ(dict_get(&fixture, key, &got), 1);
    CHECK_EQ_PTR(got, first);
    varve_decref(got);
    varve_decref(key);
    varve_decref(first);
    varve_decref(second);
    if (by_value) CHECK_EQ(dict_length(&fixture), 0);
    end_fixture(&fixture);
    end();
}

TEST(weak_valued_dict_setdefault) {
    check_setdefault(true);
}

TEST(weak_keyed_dict_setdefault) {
    check_setdefault(false);
}

static void check_update(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value);
    varve_object *source = varve_dict_new(world), *objects[3], *key, *value, *got;
    for (int index = 0; index < 3; index++) {
        objects[index] = new_plain();
        varve_object *one = number(index);
        varve_dict_set(source, by_value ? one : objects[index], by_value ? objects[index] : one);
        varve_decref(one);
    }
    CHECK_EQ(varve_weak_dict_update(fixture.dict, source), 0);
    CHECK_EQ(dict_length(&fixture), 3);
    size_t position = 0;
    while (varve_dict_next(source, &position, &key, &value) > 0) {
        CHECK_EQ(dict_get(&fixture, key, &got), 1);
        CHECK_EQ_PTR(got, value);
        varve_decref(got);
    }
    varve_decref(source);
    for (int index = 0; index < 3; index++) varve_decref(objects[index]);
    end_fixture(&fixture);
    end();
}

TEST(weak_valued_dict_update) {
    check_update(true);
}

TEST(weak_keyed_dict_update) {
    check_update(false);
}

/* a | b is a copy of a, updated by b. */
static void check_union(bool by_value) {
    begin();
    struct fixture left = new_fixture(by_value), right = empty_fixture(by_value);
    varve_object *kept = new_object(3), *new_one = new_object(100);
    add(&right, kept); /* equal to one of the left */
    add(&right, new_one);
    varve_object *both = varve_weak_table_copy(left.dict);
    CHECK_EQ(varve_weak_dict_update(both, right.dict), 0);
    struct fixture all = {by_value, both, NULL};
    CHECK_EQ(dict_length(&all), COUNT + 1);
    varve_object *three = number(3), *got;
    CHECK_EQ(dict_get(&all, by_value ? three : kept, &got), 1);
    if (by_value) CHECK_EQ_PTR(got, kept);
    varve_decref(got);
    CHECK_EQ(varve_weak_dict_update(both, left.dict), 0);
    CHECK_EQ(varve_equal(both, left.dict), 0);
    varve_decref(new_one);
    CHECK_EQ(varve_equal(both, left.dict), 1);
    CHECK_EQ(varve_weak_dict_update(both, both), 0);
    varve_decref(three);
    varve_decref(kept);
    varve_decref(both);
    end_fixture(&left);
    end_fixture(&right);
    end();
}

TEST(weak_valued_union_operators) {
    check_union(true);
}

TEST(weak_keyed_union_operators) {
    check_union(false);
}

static void check_delitem(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value);
    varve_object *first = new_object(1), *second = new_object(2), *one = number(1), *key;
    add(&fixture, first);
    add(&fixture, second);
    CHECK_EQ(dict_length(&fixture), 2);
    CHECK_EQ(dict_delete(&fixture, by_value ? one : first), 0);
    CHECK_EQ(dict_length(&fixture), 1);
    CHECK_EQ(varve_weakref_count(first), 0);
    size_t position = 0;
    CHECK_EQ(dict_next(&fixture, &position, &key, NULL), 1);
    CHECK(by_value ? varve_int_value(key) == 2 : key == second);
    varve_decref(key);
    varve_decref(first);
    varve_decref(second);
    varve_decref(one);
    end_fixture(&fixture);
    end();
}

TEST(weak_keyed_delitem) {
    check_delitem(false);
}

TEST(weak_valued_delitem) {
    check_delitem(true);
}

TEST(weak_keyed_bad_delitem) {
    begin();
    struct fixture fixture = empty_fixture(false);
    varve_object *object = new_object(1), *thirteen = number(13), *value;
    CHECK_EQ(dict_delete(&fixture, object), -ENOENT);
    CHECK_EQ(dict_get(&fixture, object, &value), 0);
    CHECK_EQ(dict_delete(&fixture, thirteen), -EOPNOTSUPP);
    CHECK_EQ(dict_get(&fixture, thirteen, &value), -EOPNOTSUPP);
    CHECK_EQ(dict_set(&fixture, thirteen, thirteen), -EOPNOTSUPP);
    struct fixture by_value = empty_fixture(true);
    CHECK_EQ(dict_set(&by_value, object, thirteen), -EOPNOTSUPP);
    varve_object *list = varve_list_new(world);
    CHECK_EQ(dict_set(&by_value, list, object), -EOPNOTSUPP); /* not hashable */
    CHECK_EQ(varve_refcount(object), 1);
    varve_decref(list);
    varve_decref(object);
    varve_decref(thirteen);
    end_fixture(&by_value);
    end_fixture(&fixture);
    end();
}

static varve_object *victims;

static void kill_one(void) {
    size_t length = varve_list_length(victims);
    if (length > 0) varve_list_remove(victims, length - 1);
}

/* Each comparison ends the object that would be deleted last. */
TEST(weak_keyed_cascading_deletes) {
    begin();
    struct fixture fixture = empty_fixture(false);
    victims = varve_list_new(world);
    for (int index = 0; index < 4; index++) {
        varve_object *object = new_object(index);
        varve_list_append(victims, object);
        add(&fixture, object);
        varve_decref(object);
    }
    on_equal = kill_one;
    int deleted = 0;
    for (size_t index = 0; index < varve_list_length(victims); index++) {
        varve_object *equal = new_object(number_of(varve_list_get(victims, index)));
        CHECK_EQ(dict_delete(&fixture, equal), 0);
        deleted++;
        varve_decref(equal);
    }
    on_equal = NULL;
    CHECK_EQ(deleted, 2);
    CHECK_EQ(dict_length(&fixture), 0);
    varve_decref(victims);
    end_fixture(&fixture);
    end();
}
