/* SPDX-License-Identifier: MIT
 * Weak references. Names are those of the cases of CPython's test_weakref (References,
 * Subclassable); docs/cpython-weakref.md lists them all. */
#include "weak_helper.h"

/* A new weak reference, which the test owns. */
static varve_object *new_ref(varve_object *object, varve_weak_callback callback, void *argument) {
    varve_object *ref = varve_weakref_new(object, callback, argument, NULL);
    REQUIRE(ref != NULL);
    CHECK(vv_weak_list_check(object) == NULL);
    return ref;
}

static void check_basic_ref(varve_object *object) {
    varve_object *ref = new_ref(object, NULL, NULL);
    varve_object *got = varve_weakref_get(ref);
    CHECK_EQ_PTR(got, object);
    CHECK(varve_weakref_is_alive(ref));
    CHECK(varve_is_weakref(ref) && !varve_is_weakref(object));
    varve_decref(got);
    varve_decref(object);
    CHECK_EQ_PTR(varve_weakref_get(ref), NULL);
    CHECK(!varve_weakref_is_alive(ref));
    varve_decref(ref);
}

TEST(basic_ref) {
    begin();
    check_basic_ref(new_plain());
    check_basic_ref(varve_list_new(world));
    check_basic_ref(varve_dict_new(world));
    check_basic_ref(varve_class_new(world, &(varve_class_spec){.name = "C"}));
    end();
}

TEST(basic_callback) {
    begin();
    varve_object *object = new_plain();
    varve_object *ref = new_ref(object, count_call, NULL);
    varve_decref(object);
    CHECK_EQ(called_count, 1);
    CHECK_EQ_PTR(varve_weakref_get(ref), NULL);
    varve_decref(ref);
    end();
}

TEST(multiple_callbacks) {
    begin();
    varve_object *object = new_plain();
    varve_object *first = new_ref(object, count_call, NULL);
    varve_object *second = new_ref(object, count_call, NULL);
    CHECK(first != second);
    varve_decref(object);
    CHECK(!varve_weakref_is_alive(first) && !varve_weakref_is_alive(second));
    CHECK_EQ(called_count, 2);
    varve_decref(first);
    varve_decref(second);
    end();
}

static void look_at_other(varve_object *ref, void *argument) {
    (void)ref;
    CHECK(!varve_weakref_is_alive(argument));
    called_count++;
}

TEST(multiple_selfref_callbacks) {
    begin();
    varve_object *object = new_plain();
    varve_object *first = new_ref(object, count_call, NULL);
    varve_object *second = varve_weakref_new(object, look_at_other, first, first);
    varve_decref(object);
    CHECK_EQ(called_count, 2);
    varve_decref(first);
    varve_decref(second);
    end();
}

TEST(callbacks_run_newest_first_and_all_refs_are_dead_by_then) {
    begin();
    varve_object *object = new_plain();
    varve_object *refs[4];
    refs[0] = new_ref(object, note_call, "a");
    refs[1] = new_ref(object, NULL, NULL);
    refs[2] = new_ref(object, note_call, "b");
    refs[3] = new_ref(object, note_call, "c");
    varve_decref(object);
    CHECK_EQ_STR(events, "c b a");
    for (int index = 0; index < 4; index++) varve_decref(refs[index]);
    end();
}

TEST(ref_reuse) {
    begin();
    varve_object *object = new_plain();
    varve_object *first = new_ref(object, NULL, NULL);
    varve_object *between = new_ref(object, count_call, NULL);
    varve_object *second = new_ref(object, NULL, NULL);
    CHECK_EQ_PTR(first, second);
    CHECK_EQ(varve_weakref_count(object), 2);
    varve_decref(between);
    CHECK_EQ(varve_weakref_count(object), 1);
    varve_decref(first);
    varve_decref(second);
    CHECK_EQ(varve_weakref_count(object), 0);
    CHECK_EQ(*vv_object_state(object) & VV_STATE_WEAKREF, 0);
    varve_decref(object);
    end();
}

TEST(shared_ref_without_callback) {
    begin();
    varve_object *object = new_object(1);
    varve_object *first = new_ref(object, NULL, NULL);
    varve_object *second = new_ref(object, NULL, "an argument without callback");
    CHECK_EQ_PTR(first, second);
    varve_decref(first);
    varve_decref(second);
    varve_object *third = new_ref(object, NULL, NULL);
    CHECK_EQ(varve_refcount(third), 1);
    varve_decref(third);
    varve_decref(object);
    end();
}

TEST(getweakrefcount) {
    begin();
    varve_object *object = new_plain();
    varve_object *number = varve_int_new(world, 1000);
    varve_object *first = new_ref(object, NULL, NULL);
    varve_object *second = new_ref(object, count_call, NULL);
    CHECK_EQ(varve_weakref_count(object), 2);
    varve_decref(first);
    varve_decref(second);
    CHECK_EQ(varve_weakref_count(object), 0);
    CHECK_EQ(varve_weakref_count(number), 0);
    varve_decref(number);
    varve_decref(object);
    end();
}

static void check_refs(varve_object *object, size_t count, varve_object *const *refs) {
    varve_object *list = varve_weakref_list(object);
    REQUIRE(list != NULL);
    CHECK_EQ(varve_list_length(list), count);
    for (size_t index = 0; index < count; index++) {
        CHECK_EQ_PTR(varve_list_get(list, index), refs[index]);
    }
    varve_decref(list);
}

TEST(getweakrefs) {
    begin();
    varve_object *object = new_plain();
    varve_object *number = varve_int_new(world, 1000);
    varve_object *first = new_ref(object, count_call, NULL);
    varve_object *second = new_ref(object, count_call, NULL);
    varve_object *shared = new_ref(object, NULL, NULL);
    check_refs(object, 3, (varve_object *[]){shared, second, first});
    varve_decref(first);
    check_refs(object, 2, (varve_object *[]){shared, second});
    varve_decref(shared);
    check_refs(object, 1, (varve_object *[]){second});
    varve_decref(second);
    check_refs(object, 0, NULL);
    check_refs(number, 0, NULL);
    varve_decref(number);
    varve_decref(object);
    end();
}

TEST(types_without_weak_references_say_so) {
    begin();
    varve_object *object = varve_object_new(strict_type);
    varve_object *tuple = varve_tuple_new(world, 1, &object);
    varve_object *values[] = {varve_int_new(world, 1000), varve_float_new(world, 0.5),
                              varve_str_of(world, "text"), varve_bytes_new(world, "b", 1)};
    varve_object *refused[] = {object,    tuple,     varve_none(world), varve_bool(world, true),
                               values[0], values[1], values[2],         values[3]};
    for (size_t index = 0; index < VV_ARRAY_COUNT(refused); index++) {
        errno = 0;
        CHECK_EQ_PTR(varve_weakref_new(refused[index], NULL, NULL, NULL), NULL);
        CHECK_EQ(errno, EOPNOTSUPP);
    }
    for (size_t index = 0; index < VV_ARRAY_COUNT(values); index++) varve_decref(values[index]);
    varve_decref(tuple);
    varve_decref(object);
    end();
}

/* --- errors --- */

static void report(const char *where, varve_object *object, int error, void *argument) {
    (void)object;
    char event[64];
    snprintf(event, sizeof event, "%s:%d", where, error);
    note(event);
    CHECK_EQ_PTR(argument, events);
}

static void fail(varve_object *ref, void *argument) {
    varve_unraisable(ref, argument, -EIO);
}

TEST(errors_in_callbacks_are_reported_and_the_others_run) {
    begin();
    varve_world_on_unraisable(world, report, events);
    varve_object *object = new_plain();
    varve_object *first = new_ref(object, note_call, "first");
    varve_object *second = new_ref(object, fail, "second");
    varve_object *third = new_ref(object, note_call, "third");
    varve_decref(object);
    CHECK_EQ_STR(events, "third second:-5 first");
    varve_decref(first);
    varve_decref(second);
    varve_decref(third);
    end();
}

static void set_errno(varve_object *ref, void *argument) {
    (void)ref;
    (void)argument;
    errno = EIO;
}

TEST(callbacks_protected) {
    begin();
    varve_object *object = new_plain();
    varve_object *ref = new_ref(object, set_errno, NULL);
    errno = ENOENT;
    varve_decref(object);
    CHECK_EQ(errno, ENOENT);
    varve_decref(ref);
    end();
}

/* --- equality and hash --- */

TEST(equality) {
    begin();
    varve_object *x = new_object(1), *y = new_object(1), *z = new_object(2);
    varve_object *a = new_ref(x, NULL, NULL), *b = new_ref(y, NULL, NULL);
    varve_object *c = new_ref(z, NULL, NULL), *d = new_ref(x, count_call, NULL);
    CHECK_EQ(varve_equal(a, b), 1);
    CHECK_EQ(varve_equal(a, c), 0);
    CHECK_EQ(varve_equal(a, d), 1);
    CHECK_EQ(varve_equal(a, x), 0);
    varve_decref(x);
    varve_decref(y);
    varve_decref(z);
    CHECK_EQ(varve_equal(a, a), 1);
    CHECK_EQ(varve_equal(a, b), 0);
    CHECK_EQ(varve_equal(a, c), 0);
    CHECK_EQ(varve_equal(a, d), 0);
    varve_decref(a);
    varve_decref(b);
    varve_decref(c);
    varve_decref(d);
    end();
}

TEST(hashing) {
    begin();
    varve_object *x = new_object(42), *y = new_object(42), *list = varve_list_new(world);
    varve_object *a = new_ref(x, NULL, NULL), *b = new_ref(y, NULL, NULL);
    varve_object *c = new_ref(list, NULL, NULL);
    uint64_t hash = 0;
    CHECK_EQ(varve_hash(a, &hash), 0);
    CHECK_EQ(hash, 42);
    CHECK_EQ(varve_hash(c, &hash), -EOPNOTSUPP);
    varve_decref(x);
    varve_decref(y);
    varve_decref(list);
    hash = 0;
    CHECK_EQ(varve_hash(a, &hash), 0);
    CHECK_EQ(hash, 42);
    CHECK_EQ(varve_hash(b, &hash), -EOPNOTSUPP);
    varve_decref(a);
    varve_decref(b);
    varve_decref(c);
    end();
}

TEST_SLOW(chains_of_weak_references_are_compared_and_hashed_in_constant_stack, 400) {
    begin();
    enum { DEPTH = VARVE_GC_STRESS ? 5000 : 200000 };
    varve_object *kept = varve_list_new(world);
    varve_object *tops[2];
    for (int side = 0; side < 2; side++) {
        varve_object *object = new_object(7);
        varve_list_append(kept, object);
        varve_decref(object);
        for (int depth = 0; depth < DEPTH; depth++) {
            object = new_ref(object, count_call, NULL);
            varve_list_append(kept, object);
            varve_decref(object);
        }
        tops[side] = object;
    }
    uint64_t hash = 0;
    CHECK_EQ(varve_hash(tops[0], &hash), 0);
    CHECK_EQ(hash, 7);
    CHECK_EQ(varve_equal(tops[0], tops[1]), 1);
    varve_gc_disable(world);
    varve_decref(kept);
    CHECK_EQ(called_count, 0); /* each was dead before its object */
    end();
}

TEST(lists_and_weak_references_within_each_other_are_compared_to_a_depth) {
    begin();
    varve_object *kept = varve_list_new(world), *tops[2];
    for (int side = 0; side < 2; side++) {
        tops[side] = varve_list_new(world);
        varve_list_append(kept, tops[side]);
        for (int depth = 0; depth < (VARVE_GC_STRESS ? 5000 : 100000); depth++) {
            varve_object *list = varve_list_new(world);
            varve_object *ref = new_ref(tops[side], NULL, NULL);
            varve_list_append(list, ref);
            varve_list_append(kept, list);
            varve_decref(ref);
            varve_decref(tops[side]);
            tops[side] = list;
        }
    }
    CHECK_EQ(varve_equal(tops[0], tops[1]), -ELOOP);
    varve_decref(tops[0]);
    varve_decref(tops[1]);
    varve_decref(kept);
    end();
}

TEST(callback_attribute) {
    begin();
    varve_object *object = new_object(1);
    void *argument = NULL;
    varve_object *ref = new_ref(object, count_call, events);
    CHECK(varve_weakref_callback(ref, &argument) == count_call);
    CHECK_EQ_PTR(argument, events);
    varve_object *shared = new_ref(object, NULL, NULL);
    CHECK(varve_weakref_callback(shared, NULL) == NULL);
    varve_decref(object);
    varve_decref(ref);
    varve_decref(shared);
    end();
}

TEST(callback_attribute_after_deletion) {
    begin();
    varve_object *object = new_object(1);
    varve_object *ref = new_ref(object, count_call, NULL);
    CHECK(varve_weakref_callback(ref, NULL) != NULL);
    varve_decref(object);
    CHECK(varve_weakref_callback(ref, NULL) == NULL);
    varve_decref(ref);
    end();
}

/* --- weak references that hold something, as CPython's subclasses have attributes --- */

TEST(subclass_refs) {
    begin();
    varve_object *object = new_plain(), *attribute = new_plain();
    varve_object *ref = varve_weakref_new(object, NULL, NULL, attribute);
    varve_object *watch = new_ref(attribute, NULL, NULL);
    varve_decref(attribute);
    varve_object *got = varve_weakref_get(ref);
    CHECK_EQ_PTR(got, object);
    varve_decref(got);
    varve_decref(object);
    CHECK(!varve_weakref_is_alive(ref));
    CHECK(varve_weakref_is_alive(watch));
    varve_decref(ref);
    CHECK(!varve_weakref_is_alive(watch));
    varve_decref(watch);
    end();
}

TEST(subclass_refs_dont_replace_standard_refs) {
    begin();
    varve_object *object = new_object(42), *attribute = new_plain();
    varve_object *first = varve_weakref_new(object, NULL, NULL, attribute);
    varve_object *shared = new_ref(object, NULL, NULL);
    CHECK(first != shared);
    check_refs(object, 2, (varve_object *[]){shared, first});
    varve_object *third = varve_weakref_new(object, NULL, NULL, attribute);
    check_refs(object, 3, (varve_object *[]){shared, third, first});
    varve_decref(first);
    varve_decref(shared);
    varve_decref(third);
    varve_decref(attribute);
    varve_decref(object);
    end();
}

TEST(subclass_refs_dont_conflate_callbacks) {
    begin();
    varve_object *object = new_object(42);
    varve_object *first = new_ref(object, count_call, NULL);
    varve_object *second = new_ref(object, note_call, "x");
    CHECK(first != second);
    check_refs(object, 2, (varve_object *[]){second, first});
    varve_decref(first);
    varve_decref(second);
    varve_decref(object);
    end();
}

TEST(subclass_refs_with_cycle) {
    begin();
    /* the only owner of the object is its own weak reference */
    varve_object *object = new_plain();
    varve_object *first = varve_weakref_new(object, count_call, NULL, object);
    varve_decref(object);
    varve_decref(first);
    CHECK_EQ(called_count, 0);

    object = new_plain();
    varve_object *second = varve_weakref_new(object, count_call, NULL, object);
    first = varve_weakref_new(object, count_call, NULL, second);
    varve_decref(object);
    varve_decref(second);
    varve_decref(first);
    CHECK_EQ(called_count, 0);
    end();
}

TEST(held_objects_are_seen_by_the_collector_and_go_when_the_callback_has_run) {
    begin();
    varve_object *object = new_plain(), *held = new_plain();
    varve_object *ref = varve_weakref_new(object, count_call, NULL, held);
    set_slot(held, 0, ref); /* held -> ref -> held */
    varve_decref(held);
    varve_decref(ref);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(varve_weakref_count(object), 0);

    held = new_plain();
    ref = varve_weakref_new(object, count_call, NULL, held);
    varve_object *watch = new_ref(held, NULL, NULL);
    varve_decref(held);
    varve_decref(object);
    CHECK_EQ(called_count, 1);
    CHECK(!varve_weakref_is_alive(watch));
    varve_decref(watch);
    varve_decref(ref);
    end();
}

/* --- objects that die by themselves and by collection, at random --- */

TEST(random_weak_references_agree_with_their_objects) {
    begin();
    enum { COUNT = 300 };
    uint64_t seed = test_seed(5);
    varve_object *objects[COUNT] = {NULL}, *refs[COUNT] = {NULL};
    int of[COUNT], expected = 0;
    for (int round = 0; round < 20000; round++) {
        size_t which = test_random_below(&seed, COUNT), other = test_random_below(&seed, COUNT);
        switch (test_random_below(&seed, 4)) {
        case 0:
            if (objects[which] == NULL) objects[which] = new_plain();
            break;
        case 1:
            if (objects[which] != NULL) {
                for (int index = 0; index < COUNT; index++) {
                    expected += refs[index] != NULL && of[index] == (int)which;
                    if (refs[index] != NULL && of[index] == (int)which) of[index] = -1;
                }
                varve_clear_reference(&objects[which]);
            }
            break;
        case 2:
            if (objects[which] != NULL && refs[other] == NULL) {
                refs[other] = new_ref(objects[which], count_call, NULL);
                of[other] = (int)which;
            }
            break;
        default: varve_clear_reference(&refs[which]); break;
        }
        CHECK_EQ(called_count, expected);
        if (refs[other] == NULL) continue;
        varve_object *got = varve_weakref_get(refs[other]);
        CHECK_EQ_PTR(got, of[other] >= 0 ? objects[of[other]] : NULL);
        varve_xdecref(got);
    }
    for (int index = 0; index < COUNT; index++) varve_clear_reference(&objects[index]);
    for (int index = 0; index < COUNT; index++) varve_clear_reference(&refs[index]);
    end();
}

/* --- memory --- */

static varve_object *subject, *results[2];

static int make_shared(void) {
    results[0] = varve_weakref_new(subject, NULL, NULL, NULL);
    return results[0] != NULL ? 0 : -errno;
}

static int make_with_callback(void) {
    results[0] = varve_weakref_new(subject, count_call, NULL, subject);
    return results[0] != NULL ? 0 : -errno;
}

static int make_list(void) {
    results[0] = varve_weakref_list(subject);
    return results[0] != NULL ? 0 : -errno;
}

static void check_subject(void) {
    CHECK(vv_weak_list_check(subject) == NULL);
    CHECK_LE(varve_weakref_count(subject), 3);
}

static void drop_result(void) {
    varve_clear_reference(&results[0]);
}

TEST(every_failure_of_memory_leaves_references_as_they_were) {
    begin();
    subject = new_plain();
    fail_everywhere(make_shared, check_subject, drop_result);
    fail_everywhere(make_with_callback, check_subject, drop_result);
    varve_object *kept[2] = {new_ref(subject, NULL, NULL), new_ref(subject, count_call, NULL)};
    fail_everywhere(make_list, check_subject, drop_result);
    CHECK_EQ(varve_weakref_count(subject), 2);
    varve_decref(subject);
    CHECK_EQ(called_count, 1);
    varve_decref(kept[0]);
    varve_decref(kept[1]);
    end();
}

TEST(dying_needs_no_memory) {
    begin();
    varve_object *object = new_plain(), *cycle = new_cycle();
    varve_object *refs[2] = {new_ref(object, count_call, NULL), new_ref(cycle, count_call, NULL)};
    varve_world_fail_after(world, 0);
    varve_decref(object);
    varve_decref(cycle);
    varve_gc_collect(world, 2);
    varve_world_fail_never(world);
    CHECK_EQ(called_count, 2);
    varve_decref(refs[0]);
    varve_decref(refs[1]);
    end();
}

static void look_at_leaked_ref(const varve_leaked_object *leaked, void *argument) {
    ++*(int *)argument;
    CHECK(!varve_weakref_is_alive(leaked->object));
}

TEST(a_weak_reference_to_the_list_of_garbage_is_dead_when_the_world_ends) {
    int leaked_count = 0;
    begin();
    varve_object *ref = varve_weakref_new(varve_gc_garbage(world), NULL, NULL, NULL);
    REQUIRE(ref != NULL);
    varve_world_on_leak(world, look_at_leaked_ref, &leaked_count);
    CHECK_EQ(varve_world_free(world), 1);
    CHECK_EQ(leaked_count, 1);
}

TEST_ABORTS(what_is_no_weak_reference_is_named,
            "varve: an object that is no weak reference was used as one") {
    begin();
    varve_weakref_get(new_plain());
}
