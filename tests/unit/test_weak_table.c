/* SPDX-License-Identifier: MIT
 * What weak dicts promise beyond CPython's cases: walks, identity, saved garbage, failing memory.
 */
#include "weak_fixture.h"

#define LONG_COUNT (VARVE_GC_STRESS ? 5000 : 300000)

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

TEST(what_has_no_weak_references_is_refused_as_a_weak_key_by_every_operation) {
    begin();
    for (int by_identity = 0; by_identity < 2; by_identity++) {
        varve_object *dict = varve_weak_key_dict_new(world, by_identity != 0), *found;
        varve_object *key = varve_int_new(world, 1000);
        CHECK_EQ(varve_weak_key_dict_set(dict, key, key), -EOPNOTSUPP);
        CHECK_EQ(varve_weak_key_dict_get(dict, key, &found), -EOPNOTSUPP);
        CHECK_EQ(varve_weak_key_dict_delete(dict, key), -EOPNOTSUPP);
        CHECK_EQ(varve_weak_dict_setdefault(dict, key, key, &found), -EOPNOTSUPP);
        CHECK_EQ(varve_weak_dict_take(dict, key, &found), -EOPNOTSUPP);
        varve_decref(key);
        varve_decref(dict);
    }
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

TEST_SLOW(a_long_chain_of_entries_ends_in_constant_stack, 400) {
    begin();
    varve_object *dict = varve_weak_key_dict_new(world, /* by_identity */ true);
    varve_object *first = new_plain(), *last = varve_incref(first);
    for (int index = 0; index < LONG_COUNT; index++) {
        varve_object *next = new_plain();
        varve_weak_key_dict_set(dict, last, next);
        varve_decref(last);
        last = next;
    }
    varve_decref(last);
    CHECK_EQ(varve_weak_key_dict_length(dict), LONG_COUNT);
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
