/* SPDX-License-Identifier: MIT
 * What the program's functions see and may do while the world runs them: finalizers, callbacks and
 * exit functions that look at everything, step the collector, or free the world. */
#include "gc_cases.h"
#include "varve/inspect.h"

/* --- looking at everything --- */

static varve_object *seen; /* a list that outlives the function which made it */

static void look_at_all(varve_object *self, void *argument) {
    (void)self;
    seen = varve_gc_get_objects(argument, -1);
    CHECK_EQ(varve_world_check(argument, NULL, NULL), 0);
}

/* A cycle of built-in types, which is freed in bulk, holds an object with a finalizer that cannot
 * be part of a cycle. */
static int leaf_look_count;
static void leaf_looks(varve_object *self) {
    leaf_look_count++;
    look_at_all(self, varve_world_of(self));
}

TEST(a_finalizer_sees_nothing_of_the_garbage_that_is_being_freed) {
    varve_world *world = quiet_world();
    varve_type_spec spec = {
        .name = "leaf", .basic_bytes = sizeof(varve_object) + 8, .finalize = leaf_looks};
    varve_type *type = varve_type_new(world, &spec);
    for (int kind = 0; kind < 2; kind++) {
        varve_object *live = new_list(world), *cycle = new_list(world);
        varve_list_append(cycle, cycle);
        append(cycle, varve_object_new(type));
        for (int index = 0; index < 3000; index++) append(cycle, new_list(world)); /* whole pools */
        varve_decref(cycle);
        if (kind == 0) {
            CHECK_EQ(varve_gc_collect(world, 2), 3001);
        } else {
            varve_gc_progress progress = {.done = false};
            while (!progress.done) REQUIRE(varve_gc_step(world, 1000000, &progress) == 0);
        }
        CHECK_EQ(leaf_look_count, kind + 1);
        CHECK_EQ(varve_list_length(seen), 1);
        CHECK_EQ_PTR(varve_list_get(seen, 0), live);
        varve_clear_reference(&seen);
        varve_decref(live);
    }
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
    end_world(world);
}

static size_t referrer_count;
static void ask_for_referrers(varve_object *ref, void *argument) {
    varve_object *child = argument, *referrers;
    referrers = varve_gc_get_referrers(varve_world_of(ref), 1, &child);
    referrer_count = varve_list_length(referrers);
    varve_decref(referrers);
    CHECK_EQ(varve_world_check(varve_world_of(ref), NULL, NULL), 0);
    CHECK_EQ(varve_world_free(varve_world_of(ref)), -EBUSY);
}

TEST(a_weak_callback_sees_nothing_of_the_object_that_died) {
    varve_world *world = quiet_world();
    varve_object *holder = new_list(world), *child = new_list(world);
    varve_list_append(holder, child);
    varve_object *ref = varve_weakref_new(holder, ask_for_referrers, child, NULL);
    referrer_count = 99;
    varve_decref(holder);
    CHECK_EQ(referrer_count, 0);
    varve_decref(ref);
    varve_decref(child);
    end_world(world);
}

/* --- freeing the world --- */

static long free_result;
static void free_world(void *argument) {
    free_result = varve_world_free(argument);
}

static void finalizer_frees(varve_object *self, void *argument) {
    (void)self;
    free_world(argument);
}

static void dealloc_frees(varve_object *self) {
    free_world(varve_world_of(self));
}

static void collection_frees(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                             void *argument) {
    (void)phase;
    (void)info;
    (void)argument;
    free_world(world);
}

static void check_busy(void) {
    CHECK_EQ(free_result, -EBUSY);
    free_result = 0;
}

TEST(a_world_is_not_freed_from_within) {
    varve_world *world = quiet_world();
    varve_object *cls = plain_class(world, finalizer_frees, world);
    varve_decref(new_instance(cls)); /* its last reference goes */
    check_busy();
    varve_decref(new_loop(cls));
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    check_busy();
    varve_type_spec spec = {
        .name = "last", .basic_bytes = sizeof(varve_object) + 8, .dealloc = dealloc_frees};
    varve_decref(varve_object_new(varve_type_new(world, &spec)));
    check_busy();
    varve_object *list = new_list(world);
    varve_object *finalizer = varve_finalize_new(list, free_world, world, NULL);
    CHECK_EQ(varve_finalize_call(finalizer), 1);
    check_busy();
    varve_decref(finalizer);
    varve_decref(list);
    varve_gc_add_callback(world, collection_frees, NULL);
    varve_gc_collect(world, 0);
    check_busy();
    varve_gc_remove_callback(world, collection_frees, NULL);
    varve_decref(cls);
    CHECK_EQ(varve_world_at_exit(world, free_world, world), 0);
    end_world(world);
    check_busy();
}

/* --- the collector within the collector --- */

static int told_count, nothing_count;
static void collection_collects(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                                void *argument) {
    (void)phase;
    (void)info;
    (void)argument;
    told_count++;
    bool nothing =
        varve_gc_step(world, UINT64_MAX, NULL) == -EBUSY && varve_gc_collect(world, 2) == 0;
    append(seen, varve_list_new(world)); /* may run an automatic collection, but does not */
    nothing_count += nothing;
}

TEST(a_callback_of_the_collector_cannot_begin_another_collection) {
    varve_world *world = quiet_world();
    seen = new_list(world);
    varve_gc_set_threshold(world, (int[]){1, 1, 1});
    varve_gc_set_pause(world, 1000000);
    varve_gc_add_callback(world, collection_collects, NULL);
    varve_gc_enable(world);
    for (int index = 0; index < 500; index++) {
        varve_object *list = new_list(world);
        varve_list_append(list, list);
        varve_decref(list);
    }
    for (int index = 0; index < 20; index++) CHECK_EQ(varve_gc_step(world, 1000000, NULL), 0);
    CHECK_GT(told_count, 20);
    CHECK_EQ(nothing_count, told_count);
    varve_gc_remove_callback(world, collection_collects, NULL);
    varve_clear_reference(&seen);
    end_world(world);
}

/* --- an object of another world --- */

TEST_ABORTS(a_question_about_an_object_of_another_world_is_named,
            "varve: a world was asked about an object of another") {
    varve_world *world = quiet_world(), *other = quiet_world();
    varve_object *list = new_list(world), *foreign = new_list(other);
    varve_path_to(list, foreign);
}

TEST_ABORTS(an_object_of_another_world_cannot_be_excluded,
            "varve: a world was asked about an object of another") {
    varve_world *world = quiet_world(), *other = quiet_world();
    varve_object *list = new_list(world), *foreign = new_list(other);
    varve_deep_sizeof_options options = {.exclude = &foreign, .exclude_count = 1};
    varve_deep_size size;
    varve_deep_sizeof(list, &options, &size);
}

TEST_ABORTS(a_type_of_another_world_is_no_stop,
            "varve: a world was asked about a type of another") {
    varve_world *world = quiet_world(), *other = quiet_world();
    varve_object *list = new_list(world);
    const varve_type *foreign = varve_type_of(new_list(other));
    varve_deep_sizeof_options options = {.stop = &foreign, .stop_count = 1};
    varve_deep_size size;
    varve_deep_sizeof(list, &options, &size);
}

/* Audit builds name the mistake when it is made; others find it when asked, and get along. */
TEST(a_reference_into_another_world_is_found_and_breaks_no_question) {
    if (VARVE_AUDIT) SKIP("an audit build does not let it be made");
    varve_world *world = quiet_world(), *other = quiet_world();
    for (int index = 0; index < 10; index++) varve_gc_get_objects(other, 0); /* more pools */
    varve_object *foreign = varve_dict_new(other), *list = new_list(world);
    varve_list_append(list, foreign);
    varve_object *target = new_list(world);
    varve_list_append(list, target);
    CHECK_EQ(varve_world_check(world, NULL, NULL), 1);
    varve_deep_size size;
    CHECK_EQ(varve_deep_sizeof(list, NULL, &size), 0);
    CHECK_EQ(size.objects, 2);
    CHECK_EQ(varve_retained_sizeof(list, false, &size), 0);
    CHECK_EQ(size.objects, 1); /* target is ours, too */
    varve_object *path = varve_path_to(target, NULL);
    CHECK_EQ(varve_list_length(path), 2);
    varve_decref(path);
}
