/* SPDX-License-Identifier: MIT
 * Weak references, the collector and the end of objects. Names are those of the cases of CPython's
 * ReferencesTestCase; docs/cpython-weakref.md lists them all. */
#include "weak_helper.h"

/* A new weak reference, which the test owns. */
static varve_object *new_ref(varve_object *object, varve_weak_callback callback, void *argument) {
    varve_object *ref = varve_weakref_new(object, callback, argument, NULL);
    REQUIRE(ref != NULL);
    CHECK(vv_weak_list_check(object) == NULL);
    return ref;
}

static void collect(varve_object *ref, void *argument) {
    (void)ref;
    (void)argument;
    varve_gc_collect(world, 2);
    called_count++;
}

TEST(sf_bug_840829) {
    begin();
    varve_object *object = new_plain();
    varve_object *ref = new_ref(object, collect, NULL);
    varve_decref(object);
    varve_decref(ref);

    varve_object *inner = new_plain(), *middle = new_plain(), *outer = new_plain();
    set_slot(middle, 0, inner);
    set_slot(outer, 0, middle);
    ref = new_ref(inner, collect, NULL);
    varve_decref(inner);
    varve_decref(middle);
    varve_decref(outer);
    CHECK_EQ(called_count, 2);
    varve_decref(ref);
    end();
}

/* holder.slots[0] is a weak reference to the target that holds the holder, as a bound method does.
 */
static void add_bound_ref(varve_object *holder, unsigned slot, varve_object *target) {
    varve_object *ref = varve_weakref_new(target, note_call, "cb called", holder);
    REQUIRE(ref != NULL);
    set_slot(holder, slot, ref);
    varve_decref(ref);
}

TEST(callback_in_cycle) {
    begin();
    varve_object *target = new_cycle(), *holder = new_cycle();
    set_slot(holder, 1, target);
    add_bound_ref(holder, 2, target);
    varve_decref(target);
    varve_decref(holder);
    CHECK_EQ(varve_gc_collect(world, 2), 3);
    CHECK_EQ_STR(events, "");
    end();
}

TEST(callback_reachable_one_way) {
    begin();
    varve_object *target = new_plain(), *holder = new_cycle();
    set_slot(holder, 1, target);
    add_bound_ref(holder, 2, target);
    varve_decref(target);
    varve_decref(holder);
    CHECK_EQ(varve_gc_collect(world, 2), 3);
    CHECK_EQ_STR(events, "");
    end();
}

TEST(callback_different_classes) {
    begin();
    varve_object *target = new_object(1), *holder = new_cycle();
    set_slot(holder, 1, target);
    add_bound_ref(holder, 2, target);
    varve_decref(target);
    varve_decref(holder);
    CHECK_EQ(varve_gc_collect(world, 2), 3);
    CHECK_EQ_STR(events, "");
    end();
}

TEST(callback_in_cycle_resurrection) {
    begin();
    varve_object *first = new_plain(), *second = new_plain(), *third = new_cycle();
    set_slot(first, 0, second);
    set_slot(second, 0, first);
    add_bound_ref(first, 1, second);
    add_bound_ref(second, 1, first);
    set_slot(first, 2, third);
    varve_object *outside = new_ref(third, note_call, "C went away");
    varve_decref(first);
    varve_decref(second);
    varve_decref(third);
    CHECK_EQ_STR(events, "");
    varve_gc_collect(world, 2);
    CHECK_EQ_STR(events, "C went away");
    CHECK(!varve_weakref_is_alive(outside));
    varve_gc_collect(world, 2);
    CHECK_EQ_STR(events, "C went away");
    varve_decref(outside);
    end();
}

TEST(callbacks_on_callback) {
    begin();
    varve_object *first = new_plain(), *second = new_plain(), *callback = new_plain();
    set_slot(first, 0, second);
    set_slot(second, 0, first);
    set_slot(callback, 0, first);
    varve_object *ref = varve_weakref_new(second, note_call, "cb called", callback);
    set_slot(first, 1, ref);
    varve_decref(ref);
    ref = varve_weakref_new(callback, note_call, "cb called", second);
    set_slot(second, 1, ref);
    varve_decref(ref);
    varve_object *outside = new_ref(callback, note_call, "safe_callback called");
    varve_decref(callback);
    varve_decref(first);
    varve_decref(second);
    CHECK_EQ_STR(events, "");
    varve_gc_collect(world, 2);
    CHECK_EQ_STR(events, "safe_callback called");
    CHECK(!varve_weakref_is_alive(outside));
    varve_decref(outside);
    end();
}

TEST(gc_during_ref_creation) {
    begin();
    varve_gc_collect(world, 2);
    varve_gc_set_threshold(world, (int[]){1, 1, 1});
    varve_object *referenced = new_plain();
    for (int round = 0; round < 50; round++) {
        varve_object *cycle = new_cycle();
        varve_object *ref = new_ref(referenced, NULL, NULL);
        set_slot(cycle, 1, ref);
        varve_decref(ref);
        varve_decref(cycle);
        varve_decref(new_ref(referenced, count_call, NULL));
        ref = new_ref(referenced, NULL, NULL);
        CHECK(vv_weak_list_check(referenced) == NULL);
        varve_decref(ref);
    }
    varve_decref(referenced);
    CHECK_EQ(called_count, 0);
    end();
}

static varve_object *ref_from_finalizer;

static void make_ref(struct thing *self) {
    ref_from_finalizer = varve_weakref_new(&self->head, count_call, NULL, NULL);
    varve_object *got = varve_weakref_get(ref_from_finalizer);
    CHECK_EQ_PTR(got, self);
    varve_decref(got);
}

TEST(ref_created_during_del) {
    begin();
    varve_object *object = new_plain();
    ((struct thing *)object)->finalize = make_ref;
    varve_decref(object);
    CHECK(!varve_weakref_is_alive(ref_from_finalizer));
    CHECK_EQ(called_count, 1);
    varve_decref(ref_from_finalizer);
    end();
}

TEST(classes) {
    begin();
    varve_object *cls = varve_class_new(world, &(varve_class_spec){.name = "A"});
    varve_object *ref = new_ref(cls, count_call, NULL);
    varve_decref(cls);
    varve_gc_collect(world, 2);
    CHECK(!varve_weakref_is_alive(ref));
    CHECK_EQ(called_count, 1);
    varve_decref(ref);
    end();
}

static void get_other(varve_object *ref, void *argument) {
    (void)ref;
    varve_object *other = varve_weakref_get(argument);
    varve_xdecref(other);
    called_count++;
}

TEST(trashcan_16602) {
    begin();
    enum { COUNT = 100 };
    varve_object *dict = varve_weak_key_dict_new(world, true);
    varve_object *root = new_plain(), *last = varve_incref(root);
    varve_object *refs[COUNT], *watches[COUNT];
    for (int index = 0; index < COUNT; index++) {
        varve_object *next = new_plain();
        watches[index] = new_ref(next, NULL, NULL);
        refs[index] = new_ref(last, get_other, watches[index]);
        CHECK_EQ(varve_weak_key_dict_set(dict, last, next), 0);
        varve_decref(last);
        last = next;
    }
    varve_decref(last);
    varve_decref(root);
    CHECK_EQ(called_count, COUNT);
    CHECK_EQ(varve_weak_key_dict_length(dict), 0);
    for (int index = 0; index < COUNT; index++) {
        CHECK(!varve_weakref_is_alive(watches[index]));
        varve_decref(watches[index]);
        varve_decref(refs[index]);
    }
    varve_decref(dict);
    end();
}

/* Each object's end ends the next: through a callback's `held`. */
TEST_SLOW(a_long_chain_of_callbacks_that_hold_the_next_object_ends_in_constant_stack, 400) {
    begin();
    enum { COUNT = VARVE_GC_STRESS ? 5000 : 300000 };
    varve_object *refs = varve_list_new(world);
    varve_object *next = new_plain();
    for (int index = 0; index < COUNT; index++) {
        varve_object *object = new_plain();
        varve_object *ref = varve_weakref_new(object, count_call, NULL, next);
        varve_list_append(refs, ref);
        varve_decref(ref);
        varve_decref(next);
        next = object;
    }
    varve_decref(next);
    CHECK_EQ(called_count, COUNT);
    varve_decref(refs);
    end();
}

static void do_nothing(struct thing *self) {
    (void)self;
}

TEST(callback_gcs) {
    begin();
    varve_object *object = new_object(1);
    ((struct thing *)object)->finalize = do_nothing;
    varve_object *ref = new_ref(object, collect, NULL);
    varve_decref(object);
    CHECK_EQ(called_count, 1);
    varve_decref(ref);
    end();
}
