/* SPDX-License-Identifier: MIT
 * Finalizers from outside. Names are those of CPython's FinalizeTestCase. */
#include "weak_helper.h"

static void note_text(void *argument) {
    note(argument);
}

static varve_object *new_finalizer(varve_object *object, const char *text) {
    union {
        const char *constant;
        void *argument;
    } both = {text};
    varve_object *finalizer = varve_finalize_new(object, note_text, both.argument, NULL);
    REQUIRE(finalizer != NULL);
    return finalizer;
}

static void check_dead(varve_object *finalizer) {
    CHECK_EQ(varve_finalize_call(finalizer), 0);
    CHECK_EQ(varve_finalize_peek(finalizer, NULL, NULL), 0);
    CHECK_EQ(varve_finalize_detach(finalizer, NULL, NULL), 0);
    CHECK(!varve_finalize_is_alive(finalizer));
    CHECK(!varve_finalize_get_at_exit(finalizer));
}

TEST(finalize) {
    begin();
    varve_object *object = new_plain(), *got;
    void *argument;
    varve_object *finalizer = new_finalizer(object, "called");
    CHECK(varve_finalize_is_alive(finalizer));
    CHECK_EQ(varve_finalize_peek(finalizer, &got, &argument), 1);
    CHECK_EQ_PTR(got, object);
    CHECK_EQ_STR((char *)argument, "called");
    varve_decref(got);
    CHECK_EQ(varve_finalize_call(finalizer), 1);
    check_dead(finalizer);
    CHECK_EQ_STR(events, "called");
    varve_decref(finalizer);

    finalizer = new_finalizer(object, "detached");
    CHECK_EQ(varve_finalize_detach(finalizer, &got, &argument), 1);
    CHECK_EQ_PTR(got, object);
    CHECK_EQ_STR((char *)argument, "detached");
    varve_decref(got);
    check_dead(finalizer);
    varve_decref(finalizer);
    CHECK_EQ(varve_weakref_count(object), 0);

    finalizer = new_finalizer(object, "died");
    varve_decref(object);
    CHECK_EQ_STR(events, "called died");
    check_dead(finalizer);
    varve_decref(finalizer);
    end();
}

TEST(arg_errors) {
    begin();
    varve_object *one = varve_int_new(world, 1000);
    errno = 0;
    CHECK_EQ_PTR(varve_finalize_new(one, note_text, events, NULL), NULL);
    CHECK_EQ(errno, EOPNOTSUPP);
    varve_decref(one);
    end();
}

TEST(order) {
    begin();
    varve_object *object = new_plain(), *finalizers[5];
    const char *names[] = {"f1", "f2", "f3", "f4", "f5"};
    for (int index = 0; index < 5; index++) {
        finalizers[index] = new_finalizer(object, names[index]);
    }
    varve_decref(finalizers[0]); /* the world keeps them */
    varve_decref(finalizers[3]);
    CHECK(varve_finalize_is_alive(finalizers[1]) && varve_finalize_is_alive(finalizers[4]));
    CHECK_EQ(varve_finalize_detach(finalizers[4], NULL, NULL), 1);
    CHECK_EQ(varve_finalize_call(finalizers[4]), 0);
    note("A");
    CHECK_EQ(varve_finalize_call(finalizers[2]), 1);
    CHECK(!varve_finalize_is_alive(finalizers[2]));
    note("B");
    CHECK_EQ(varve_finalize_call(finalizers[2]), 0);
    note("C");
    varve_decref(object);
    CHECK(!varve_finalize_is_alive(finalizers[1]));
    note("D");
    CHECK_EQ(varve_finalize_call(finalizers[1]), 0);
    CHECK_EQ_STR(events, "A f3 B C f4 f2 f1 D");
    varve_decref(finalizers[1]);
    varve_decref(finalizers[2]);
    varve_decref(finalizers[4]);
    end();
}

TEST(all_freed) {
    begin();
    varve_object *object = new_plain(), *held = new_plain();
    varve_object *finalizer = varve_finalize_new(object, note_text, "ran", held);
    varve_object *held_watch = varve_weakref_new(held, NULL, NULL, NULL);
    varve_object *watch = varve_weakref_new(finalizer, NULL, NULL, NULL);
    varve_decref(held);
    varve_decref(finalizer);
    CHECK(varve_weakref_is_alive(held_watch) && varve_weakref_is_alive(watch));
    varve_decref(object);
    CHECK(!varve_weakref_is_alive(held_watch) && !varve_weakref_is_alive(watch));
    CHECK_EQ_STR(events, "ran");
    varve_decref(held_watch);
    varve_decref(watch);
    end();
}

TEST(what_is_held_goes_when_it_has_run_and_stays_when_detached) {
    begin();
    varve_object *object = new_plain(), *held = new_plain();
    varve_object *watch = varve_weakref_new(held, NULL, NULL, NULL);
    varve_object *called = varve_finalize_new(object, note_text, "ran", held);
    varve_object *detached = varve_finalize_new(object, note_text, "never", held);
    varve_decref(held);
    CHECK_EQ(varve_finalize_call(called), 1);
    CHECK_EQ(varve_finalize_detach(detached, NULL, NULL), 1);
    CHECK(varve_weakref_is_alive(watch));
    varve_decref(detached);
    CHECK(!varve_weakref_is_alive(watch));
    varve_decref(called);
    varve_decref(watch);
    varve_decref(object);
    CHECK_EQ_STR(events, "ran");
    end();
}

TEST(garbage_runs_its_finalizers) {
    begin();
    varve_object *object = new_cycle();
    varve_decref(new_finalizer(object, "first"));
    varve_decref(new_finalizer(object, "second"));
    varve_decref(object);
    CHECK_EQ_STR(events, "");
    varve_gc_collect(world, 2);
    CHECK_EQ_STR(events, "second first");
    end();
}

static varve_object *other_finalizer;

static void call_other(void *argument) {
    note(argument);
    CHECK_EQ(varve_finalize_call(other_finalizer), 1);
    CHECK(!varve_finalize_is_alive(other_finalizer));
}

TEST(a_finalizer_may_call_another_of_the_same_dying_object) {
    begin();
    varve_object *object = new_plain();
    other_finalizer = new_finalizer(object, "older");
    varve_decref(varve_finalize_new(object, call_other, "newer", NULL));
    varve_decref(object);
    CHECK_EQ_STR(events, "newer older");
    varve_decref(other_finalizer);
    end();
}

/* --- the end of the world --- */

static varve_object *class_of_all;

static void report(const char *where, varve_object *object, int error, void *argument) {
    (void)object;
    (void)error;
    (void)argument;
    note(where);
}

static void fail_and_make(void *argument) {
    varve_decref(new_finalizer(class_of_all, "g1"));
    note(argument);
    varve_unraisable(class_of_all, "reported", -EDOM);
}

static void note_end_of_all(void *argument) {
    (void)argument;
    note("released");
    varve_clear_reference(&class_of_all);
}

TEST(atexit) {
    begin();
    varve_world_on_unraisable(world, report, NULL);
    CHECK_EQ(varve_world_at_exit(world, note_end_of_all, NULL), 0); /* runs last */
    class_of_all = varve_class_new(world, &(varve_class_spec){.name = "A"});
    varve_object *f1 = new_finalizer(class_of_all, "f1"), *f2 = new_finalizer(class_of_all, "f2");
    varve_object *f3 = varve_finalize_new(class_of_all, fail_and_make, "f3", NULL);
    varve_object *f4 = new_finalizer(class_of_all, "f4");
    CHECK(varve_finalize_get_at_exit(f1));
    varve_finalize_set_at_exit(f2, false);
    CHECK(!varve_finalize_get_at_exit(f2));
    CHECK(varve_finalize_get_at_exit(f3) && varve_finalize_get_at_exit(f4));
    varve_decref(f1);
    varve_decref(f2);
    varve_decref(f3);
    varve_decref(f4);
    CHECK_EQ(varve_world_free(world), 0);
    CHECK_EQ_STR(events, "f4 f3 reported g1 f1 released");
}

static void make_late(struct thing *self) {
    varve_object *finalizer = new_finalizer(&self->head, "too late");
    CHECK(!varve_finalize_is_alive(finalizer));
    varve_decref(finalizer);
    note("late");
}

TEST(finalizers_after_the_end_are_dead) {
    begin();
    varve_object *object = new_cycle();
    ((struct thing *)object)->finalize = make_late;
    varve_decref(new_finalizer(object, "exit"));
    varve_decref(object);
    varve_gc_disable(world);
    CHECK_EQ(varve_world_free(world), 0);
    CHECK_EQ_STR(events, "exit late");
}

static bool was_enabled;

static void look_at_gc(void *argument) {
    was_enabled = varve_gc_is_enabled(argument);
}

TEST(no_automatic_collection_while_they_run_at_the_end) {
    begin();
    varve_object *object = new_plain();
    was_enabled = true;
    varve_object *finalizer = varve_finalize_new(object, look_at_gc, world, object);
    varve_decref(finalizer);
    varve_decref(object);
    CHECK_EQ(varve_world_free(world), 0);
    CHECK(!was_enabled);
}

static varve_object *subject, *result;

static int make(void) {
    result = varve_finalize_new(subject, note_text, "made", subject);
    return result != NULL ? 0 : -errno;
}

static void check_subject(void) {
    CHECK(vv_weak_list_check(subject) == NULL);
    CHECK_EQ(varve_weakref_count(subject), result != NULL);
}

static void unmake(void) {
    CHECK_EQ(varve_finalize_detach(result, NULL, NULL), 1);
    varve_clear_reference(&result);
}

TEST(every_failure_of_memory_leaves_no_half_finalizer) {
    begin();
    subject = new_plain();
    fail_everywhere(make, check_subject, unmake);
    CHECK_EQ(varve_refcount(subject), 1);
    varve_decref(subject);
    CHECK_EQ_STR(events, "");
    end();
}

TEST_ABORTS(what_is_no_finalizer_is_named,
            "varve: an object that is no finalizer was used as one") {
    begin();
    varve_finalize_call(new_plain());
}
