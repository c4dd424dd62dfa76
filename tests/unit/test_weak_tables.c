/* SPDX-License-Identifier: MIT
 * Dicts with weak values and weak keys. Names are those of CPython's MappingTestCase and of its two
 * classes of the mapping protocol; docs/cpython-weakref.md lists them all. */
#include "weak_helper.h"

enum { COUNT = 10 };

/* A weak dict with the numbers 0 to 9 and objects that have them: number -> object, or object ->
 * number. The objects are in `objects`, a list. */
struct fixture {
    bool by_value;
    varve_object *dict;
    varve_object *objects;
};

static varve_object *number(int64_t value) {
    varve_object *object = varve_int_new(world, value);
    REQUIRE(object != NULL);
    return object;
}

static int dict_set(const struct fixture *fixture, varve_object *key, varve_object *value) {
    return fixture->by_value ? varve_weak_value_dict_set(fixture->dict, key, value)
                             : varve_weak_key_dict_set(fixture->dict, key, value);
}

static int dict_get(const struct fixture *fixture, varve_object *key, varve_object **out_value) {
    return fixture->by_value ? varve_weak_value_dict_get(fixture->dict, key, out_value)
                             : varve_weak_key_dict_get(fixture->dict, key, out_value);
}

static int dict_delete(const struct fixture *fixture, varve_object *key) {
    return fixture->by_value ? varve_weak_value_dict_delete(fixture->dict, key)
                             : varve_weak_key_dict_delete(fixture->dict, key);
}

static int dict_next(const struct fixture *fixture, size_t *position, varve_object **out_key,
                     varve_object **out_value) {
    return fixture->by_value
               ? varve_weak_value_dict_next(fixture->dict, position, out_key, out_value)
               : varve_weak_key_dict_next(fixture->dict, position, out_key, out_value);
}

static size_t dict_length(const struct fixture *fixture) {
    CHECK(vv_weak_table_check((struct vv_weak_table *)fixture->dict) == NULL);
    return fixture->by_value ? varve_weak_value_dict_length(fixture->dict)
                             : varve_weak_key_dict_length(fixture->dict);
}

static void dict_clear(const struct fixture *fixture) {
    if (fixture->by_value) {
        varve_weak_value_dict_clear(fixture->dict);
    } else {
        varve_weak_key_dict_clear(fixture->dict);
    }
}

static bool dict_has(const struct fixture *fixture, varve_object *key) {
    varve_object *value;
    int result = dict_get(fixture, key, &value);
    if (result == 1) varve_decref(value);
    return result == 1;
}

static void add(const struct fixture *fixture, varve_object *object) {
    varve_object *value = number(number_of(object));
    int result =
        fixture->by_value ? dict_set(fixture, value, object) : dict_set(fixture, object, value);
    CHECK_EQ(result, 0);
    varve_decref(value);
}

static struct fixture empty_fixture(bool by_value) {
    struct fixture fixture = {by_value,
                              by_value ? varve_weak_value_dict_new(world)
                                       : varve_weak_key_dict_new(world, /* by_identity */ false),
                              varve_list_new(world)};
    REQUIRE(fixture.dict != NULL && fixture.objects != NULL);
    return fixture;
}

static struct fixture new_fixture(bool by_value) {
    struct fixture fixture = empty_fixture(by_value);
    for (int index = 0; index < COUNT; index++) {
        varve_object *object = new_object(index);
        varve_list_append(fixture.objects, object);
        add(&fixture, object);
        varve_decref(object);
    }
    return fixture;
}

static void end_fixture(struct fixture *fixture) {
    varve_decref(fixture->objects);
    CHECK_EQ(dict_length(fixture), 0);
    varve_decref(fixture->dict);
}

static size_t object_count(const struct fixture *fixture) {
    return varve_list_length(fixture->objects);
}

/* Removes the newest object from the list; it dies if nobody else has it. Returns its number. */
static int64_t kill_last(const struct fixture *fixture) {
    size_t last = object_count(fixture) - 1;
    int64_t result = number_of(varve_list_get(fixture->objects, last));
    varve_list_remove(fixture->objects, last);
    return result;
}

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

/* Growing moves entries; a walk shows each that was there from its beginning once, and goes on
 * with what has been added. */
TEST(a_walk_is_not_disturbed_by_growth_and_death) {
    begin();
    struct fixture fixture = empty_fixture(true);
    enum { OLD = 100, ALL = 400 };
    int shown[ALL] = {0};
    for (int index = 0; index < OLD; index++) {
        varve_object *object = new_object(index);
        add(&fixture, object);
        varve_list_append(fixture.objects, object);
        varve_decref(object);
    }
    size_t position = 0;
    varve_object *value;
    int made = OLD;
    while (dict_next(&fixture, &position, NULL, &value) > 0) {
        int64_t current = number_of(value);
        shown[current]++;
        varve_decref(value);
        if (current % 3 == 0 && current < OLD)
            varve_list_set(fixture.objects, (size_t)current, varve_none(world));
        for (int more = 0; more < 4 && made < ALL; more++) {
            varve_object *object = new_object(made++);
            add(&fixture, object);
            varve_list_append(fixture.objects, object);
            varve_decref(object);
        }
    }
    for (int index = 0; index < ALL; index++) CHECK_EQ(shown[index], 1);
    CHECK_EQ(dict_length(&fixture), ALL - 34);
    end_fixture(&fixture);
    end();
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

static const struct fixture *changed;

static void clear_changed(void) {
    if (changed != NULL) dict_clear(changed);
    changed = NULL;
}

TEST(a_table_that_is_cleared_by_its_own_comparison_finds_nothing) {
    begin();
    for (int by_value = 0; by_value < 2; by_value++) {
        struct fixture fixture = empty_fixture(by_value);
        varve_object *first = new_object(1), *second = new_object(1), *weak = new_plain(), *value;
        CHECK_EQ(dict_set(&fixture, first, weak), 0);
        changed = &fixture;
        on_equal = clear_changed;
        CHECK_EQ(dict_get(&fixture, second, &value), 0);
        CHECK_EQ(dict_set(&fixture, first, weak), 0);
        changed = &fixture;
        CHECK_EQ(dict_set(&fixture, second, weak), 0);
        CHECK_EQ(dict_length(&fixture), 1);
        on_equal = NULL;
        varve_decref(first);
        varve_decref(second);
        varve_decref(weak);
        dict_clear(&fixture);
        end_fixture(&fixture);
    }
    end();
}

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

static void check_mapping(bool by_value) {
    begin();
    struct fixture fixture = empty_fixture(by_value), other = empty_fixture(by_value);
    varve_object *objects[3], *keys[3], *values[3], *got;
    size_t position = 0;
    CHECK_EQ(dict_length(&fixture), 0);
    CHECK_EQ(dict_next(&fixture, &position, NULL, NULL), 0);
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

/* --- what CPython does not test --- */

TEST(an_equal_key_keeps_the_old_key) {
    begin();
    struct fixture fixture = empty_fixture(true);
    varve_object *old = new_object(1), *equal = new_object(1), *value = new_plain(), *key;
    varve_object *other_value = new_plain();
    dict_set(&fixture, old, value);
    dict_set(&fixture, equal, other_value);
    CHECK_EQ(varve_weakref_count(value), 0);
    size_t position = 0;
    CHECK_EQ(dict_next(&fixture, &position, &key, NULL), 1);
    CHECK_EQ_PTR(key, old);
    varve_decref(key);
    varve_decref(value);
    CHECK_EQ(dict_length(&fixture), 1);
    varve_decref(other_value);
    varve_decref(old);
    varve_decref(equal);
    end_fixture(&fixture);
    end();
}

TEST(identity_keys_need_no_hash_and_ignore_equality) {
    begin();
    varve_object *dict = varve_weak_key_dict_new(world, /* by_identity */ true), *got;
    varve_object *first = varve_list_new(world), *second = varve_list_new(world);
    CHECK_EQ(varve_equal(first, second), 1);
    CHECK_EQ(varve_weak_key_dict_set(dict, first, first), 0);
    CHECK_EQ(varve_weak_key_dict_get(dict, second, &got), 0);
    CHECK_EQ(varve_weak_key_dict_set(dict, first, second), 0);
    CHECK_EQ(varve_refcount(first), 1);
    CHECK_EQ(varve_weak_key_dict_get(dict, first, &got), 1);
    CHECK_EQ_PTR(got, second);
    varve_decref(got);
    varve_decref(first);
    CHECK_EQ(varve_weak_key_dict_length(dict), 0);
    CHECK_EQ(varve_refcount(second), 1);
    varve_decref(second);
    varve_decref(dict);
    end();
}

TEST(a_value_that_refers_to_its_key_keeps_the_entry) {
    begin();
    struct fixture fixture = empty_fixture(false);
    varve_object *key = new_plain(), *value = new_plain();
    set_slot(value, 0, key);
    dict_set(&fixture, key, value);
    varve_decref(key);
    varve_decref(value);
    varve_gc_collect(world, 2);
    CHECK_EQ(dict_length(&fixture), 1);
    dict_clear(&fixture);
    end_fixture(&fixture);
    end();
}

static struct vv_weak_table *rescued;

static void rescue_table(struct thing *self) {
    rescued = (struct vv_weak_table *)varve_incref(self->slots[1]);
}

/* The references of a table that was garbage are dead and will not call: it still counts right. */
TEST(a_table_that_is_saved_by_a_finalizer_counts_what_lives) {
    begin();
    for (int by_value = 0; by_value < 2; by_value++) {
        struct fixture fixture = empty_fixture(by_value);
        varve_object *owner = new_cycle(), *weak = new_cycle(), *other = new_object(5);
        varve_object *living = new_object(6);
        ((struct thing *)owner)->finalize = rescue_table;
        set_slot(owner, 1, fixture.dict);
        set_slot(owner, 2, weak);
        dict_set(&fixture, by_value ? other : weak, by_value ? weak : other);
        add(&fixture, living);
        varve_decref(weak);
        varve_decref(owner);
        varve_decref(fixture.dict);
        varve_gc_collect(world, 2);
        CHECK_EQ_PTR(rescued, fixture.dict);
        CHECK_EQ(rescued->stale_count, 2);
        CHECK_EQ(dict_length(&fixture), 0); /* all its members were garbage with it */
        CHECK_EQ(varve_refcount(other), 2);
        add(&fixture, living);
        CHECK_EQ(dict_length(&fixture), 1);
        CHECK_EQ(rescued->stale_count, 0);
        CHECK_EQ(varve_refcount(other), 1);
        varve_decref(other);
        varve_decref(living);
        end_fixture(&fixture);
        rescued = NULL;
    }
    end();
}

TEST(a_table_in_a_cycle_with_its_entries_is_collected) {
    begin();
    for (int by_value = 0; by_value < 2; by_value++) {
        struct fixture fixture = empty_fixture(by_value);
        varve_object *object = new_plain(), *weak = new_plain();
        set_slot(object, 0, fixture.dict);
        set_slot(weak, 0, object);
        set_slot(object, 1, weak);
        dict_set(&fixture, by_value ? object : weak, by_value ? weak : object);
        varve_decref(object);
        varve_decref(weak);
        CHECK_EQ(dict_length(&fixture), 1);
        varve_decref(fixture.objects);
        varve_decref(fixture.dict);
        varve_gc_collect(world, 2);
    }
    end();
}

static void look_up(varve_object *ref, void *argument) {
    const struct fixture *fixture = argument;
    varve_object *value;
    varve_object *key = new_object(1), *one = number(1);
    (void)ref;
    CHECK_EQ(dict_length(fixture), 0);
    CHECK_EQ(dict_get(fixture, fixture->by_value ? one : key, &value), 0);
    CHECK_EQ(dict_set(fixture, fixture->by_value ? one : key, fixture->by_value ? key : one), 0);
    CHECK_EQ(dict_length(fixture), 1);
    varve_list_append(fixture->objects, key);
    varve_decref(key);
    varve_decref(one);
    called_count++;
}

/* A newer callback runs while the table still has the dead entry. */
TEST(a_dead_entry_is_not_there_before_its_own_callback) {
    begin();
    for (int by_value = 0; by_value < 2; by_value++) {
        struct fixture fixture = empty_fixture(by_value);
        varve_object *object = new_object(1);
        add(&fixture, object);
        varve_object *ref = varve_weakref_new(object, look_up, &fixture, NULL);
        varve_decref(object);
        CHECK_EQ(called_count, by_value + 1);
        CHECK_EQ(dict_length(&fixture), 1);
        varve_decref(ref);
        end_fixture(&fixture);
    }
    end();
}

TEST_SLOW(a_long_chain_of_entries_ends_in_constant_stack, 60) {
    begin();
    varve_object *dict = varve_weak_key_dict_new(world, /* by_identity */ true);
    varve_object *first = new_plain(), *last = varve_incref(first);
    for (int index = 0; index < 300000; index++) {
        varve_object *next = new_plain();
        varve_weak_key_dict_set(dict, last, next);
        varve_decref(last);
        last = next;
    }
    varve_decref(last);
    CHECK_EQ(varve_weak_key_dict_length(dict), 300000);
    varve_decref(first);
    CHECK_EQ(varve_weak_key_dict_length(dict), 0);
    varve_decref(dict);
    end();
}

TEST(a_leaked_table_is_counted) {
    begin();
    varve_object *dict = varve_weak_value_dict_new(world), *value = new_plain();
    varve_weak_value_dict_set(dict, varve_none(world), value);
    CHECK_EQ(varve_world_free(world), 3); /* the dict, its reference, the value */
}

/* --- against a model --- */

static void check_model(bool by_value) {
    begin();
    enum { OBJECTS = 60 };
    uint64_t seed = test_seed(9);
    struct fixture fixture = empty_fixture(by_value);
    varve_object *objects[OBJECTS] = {NULL};
    bool present[OBJECTS] = {false};
    for (int round = 0; round < 30000; round++) {
        int64_t which = (int64_t)test_random_below(&seed, OBJECTS);
        varve_object *one = number(which), *object = objects[which];
        varve_object *equal = new_object(which), *value;
        switch (test_random_below(&seed, 5)) {
        case 0:
            if (object == NULL) objects[which] = new_object(which);
            break;
        case 1:
            varve_clear_reference(&objects[which]);
            present[which] = false;
            break;
        case 2:
            if (object != NULL) {
                add(&fixture, object);
                present[which] = true;
            }
            break;
        case 3:
            CHECK_EQ(dict_delete(&fixture, by_value ? one : equal), present[which] ? 0 : -ENOENT);
            present[which] = false;
            break;
        default:
            CHECK_EQ(dict_get(&fixture, by_value ? one : equal, &value), present[which]);
            if (present[which]) varve_decref(value);
        }
        varve_decref(one);
        varve_decref(equal);
        if (round % 64 != 0) continue;
        size_t expected = 0;
        for (int index = 0; index < OBJECTS; index++) expected += present[index];
        CHECK_EQ(dict_length(&fixture), expected);
    }
    for (int index = 0; index < OBJECTS; index++) varve_clear_reference(&objects[index]);
    end_fixture(&fixture);
    end();
}

TEST(random_weak_values_agree_with_a_model) {
    check_model(true);
}

TEST(random_weak_keys_agree_with_a_model) {
    check_model(false);
}

/* --- memory --- */

static struct fixture subject;
static varve_object *result, *new_key, *new_value;
static size_t length_before;

static int make_dict(void) {
    result =
        subject.by_value ? varve_weak_value_dict_new(world) : varve_weak_key_dict_new(world, true);
    return result != NULL ? 0 : -errno;
}

static int copy_dict(void) {
    result = varve_weak_table_copy(subject.dict);
    return result != NULL ? 0 : -errno;
}

static int list_refs(void) {
    result = varve_weak_table_refs(subject.dict);
    return result != NULL ? 0 : -errno;
}

static int set_new(void) {
    return dict_set(&subject, new_key, new_value);
}

static int set_default(void) {
    int error = varve_weak_dict_setdefault(subject.dict, new_key, new_value, &result);
    return error < 0 ? error : 0;
}

static void check_unchanged(void) {
    size_t length = dict_length(&subject);
    CHECK(length == length_before || dict_has(&subject, new_key));
    CHECK_EQ(object_count(&subject), COUNT);
}

static void undo(void) {
    if (result != NULL) varve_clear_reference(&result);
    dict_delete(&subject, new_key);
}

static void check_memory(bool by_value) {
    begin();
    subject = new_fixture(by_value);
    new_key = new_object(1000);
    new_value = new_plain();
    for (int round = 0; round < 40; round++) { /* until it has grown at any place */
        length_before = dict_length(&subject);
        fail_everywhere(set_new, check_unchanged, undo);
        fail_everywhere(set_default, check_unchanged, undo);
    }
    fail_everywhere(make_dict, check_unchanged, undo);
    fail_everywhere(copy_dict, check_unchanged, undo);
    fail_everywhere(list_refs, check_unchanged, undo);
    varve_decref(new_key);
    varve_decref(new_value);
    end_fixture(&subject);
    end();
}

TEST(every_failure_of_memory_leaves_a_weak_value_dict_as_it_was) {
    check_memory(true);
}

TEST(every_failure_of_memory_leaves_a_weak_key_dict_as_it_was) {
    check_memory(false);
}

TEST_ABORTS(what_is_no_weak_dict_is_named,
            "varve: an object that is no weak table of this kind was used as one") {
    begin();
    varve_weak_value_dict_clear(varve_weak_key_dict_new(world, true));
}
