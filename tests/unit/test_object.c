/* SPDX-License-Identifier: MIT */
#include "array_type.h"
#include "harness.h"
#include "varve/gc.h"
#include "varve/object.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static varve_world *new_world(void) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    return world;
}

/* A type of the program's: a pair. */
struct pair {
    varve_object head;
    varve_object *first;
    varve_object *second;
};

static int pair_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct pair *pair = (struct pair *)self;
    int result = pair->first != NULL ? visit(pair->first, argument) : 0;
    if (result != 0) return result;
    return pair->second != NULL ? visit(pair->second, argument) : 0;
}

static void pair_clear(varve_object *self) {
    struct pair *pair = (struct pair *)self;
    varve_clear_reference(&pair->first);
    varve_clear_reference(&pair->second);
}

static varve_type *pair_type(varve_world *world, unsigned flags) {
    varve_type_spec spec = {
        .name = "pair",
        .basic_bytes = sizeof(struct pair),
        .flags = flags,
        .traverse = pair_traverse,
        .clear = pair_clear,
    };
    varve_type *type = varve_type_new(world, &spec);
    REQUIRE(type != NULL);
    return type;
}

TEST(an_object_goes_with_its_last_reference) {
    varve_world *world = new_world();
    varve_type *type = pair_type(world, 0);
    struct pair *pair = (struct pair *)varve_object_new(type);
    pair->first = varve_object_new(type);
    CHECK(pair->second == NULL);
    CHECK_EQ(varve_refcount(pair->first), 1);
    varve_world_counts before, after;
    varve_world_count(world, &before);
    varve_incref(&pair->head);
    varve_decref(&pair->head);
    varve_world_count(world, &after);
    CHECK_EQ(after.live_objects, before.live_objects);
    varve_decref(&pair->head);
    varve_world_count(world, &after);
    CHECK_EQ(before.live_objects - after.live_objects, 2);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(a_cycle_of_a_programs_type_is_collected) {
    varve_world *world = new_world();
    varve_type *type = pair_type(world, 0);
    struct pair *one = (struct pair *)varve_object_new(type);
    struct pair *two = (struct pair *)varve_object_new(type);
    one->first = varve_incref(&two->head);
    two->second = varve_incref(&one->head);
    varve_decref(&one->head);
    varve_decref(&two->head);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(varve_world_free(world), 0);
}

/* Nothing but these stores touches the objects: a compiler that takes an object's address for
 * unknown to everybody else drops them. */
TEST(stores_into_a_new_object_are_seen_by_the_collector) {
    varve_world *world = new_world();
    varve_type *type = pair_type(world, 0);
    struct pair *one = (struct pair *)varve_object_new(type);
    struct pair *two = (struct pair *)varve_object_new(type);
    one->first = &two->head;
    two->second = &one->head;
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(stores_into_a_new_object_with_items_are_seen_by_the_collector) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "array",
                            .basic_bytes = sizeof(struct array),
                            .item_bytes = sizeof(varve_object *),
                            .traverse = traverse_array,
                            .clear = clear_array};
    struct array *array =
        (struct array *)(void *)varve_object_new_var(varve_type_new(world, &spec), 1);
    array->items[0] = &array->head.head;
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(objects_of_acyclic_types_are_never_tracked) {
    varve_world *world = new_world();
    varve_object *object = varve_object_new(pair_type(world, VARVE_TYPE_ACYCLIC));
    CHECK(!varve_gc_is_tracked(object));
    ((struct pair *)object)->first = varve_list_new(world);
    varve_decref(object);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(objects_of_every_size_have_room_and_are_zeroed) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "v", .basic_bytes = sizeof(varve_var_object), .item_bytes = 1};
    varve_type *type = varve_type_new(world, &spec);
    for (size_t count = 0; count < 200000; count += count / 3 + 1) {
        varve_object *object = varve_object_new_var(type, count);
        REQUIRE(object != NULL);
        char *bytes = (char *)object + sizeof(varve_var_object);
        CHECK_EQ(((varve_var_object *)object)->item_count, count);
        if (count > 0) {
            CHECK_EQ(bytes[0], 0);
            CHECK_EQ(bytes[count - 1], 0);
        }
        memset(bytes, 0x5a, count);
        CHECK_EQ_PTR(varve_world_of(object), world);
        varve_decref(object);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(huge_counts_are_refused_with_enomem) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "v", .basic_bytes = sizeof(varve_var_object), .item_bytes = 8};
    varve_type *type = varve_type_new(world, &spec);
    errno = 0;
    CHECK(varve_object_new_var(type, SIZE_MAX / 4) == NULL);
    CHECK_EQ(errno, ENOMEM);
    CHECK(varve_tuple_new(world, SIZE_MAX / 4, NULL) == NULL);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(types_with_senseless_sizes_are_refused) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "bad", .basic_bytes = 4};
    CHECK(varve_type_new(world, &spec) == NULL);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(singletons_never_die) {
    varve_world *world = new_world();
    for (int index = 0; index < 10; index++) {
        varve_decref(varve_none(world));
        varve_decref(varve_bool(world, true));
        varve_decref(varve_int_new(world, 256));
    }
    CHECK_EQ(varve_int_value(varve_int_new(world, 256)), 256);
    CHECK_EQ_PTR(varve_int_new(world, -5), varve_int_new(world, -5));
    CHECK_EQ(varve_kind_of(varve_none(world)), VARVE_KIND_NONE);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- worlds --- */

static int leak_count;
static void note_leak(const varve_leaked_object *leaked, void *argument) {
    (void)argument;
    CHECK_EQ_STR(leaked->type_name, "list");
    CHECK_EQ(leaked->refcount, 1);
    leak_count++;
}

TEST(leaked_objects_are_counted_and_named_at_the_end) {
    varve_world *world = new_world();
    varve_world_on_leak(world, note_leak, NULL);
    varve_object *list = varve_list_new(world);
    varve_list_append(list, varve_none(world));
    CHECK_EQ(varve_world_free(world), 1);
    CHECK_EQ(leak_count, 1);
}

static int exit_order[3], exit_count;
static void note_exit(void *argument) {
    exit_order[exit_count++] = (int)(intptr_t)argument;
}

TEST(exit_functions_run_newest_first) {
    varve_world *world = new_world();
    for (intptr_t index = 0; index < 3; index++) {
        CHECK_EQ(varve_world_at_exit(world, note_exit, (void *)index), 0);
    }
    CHECK_EQ(varve_world_free(world), 0);
    CHECK_EQ(exit_count, 3);
    CHECK_EQ(exit_order[0], 2);
    CHECK_EQ(exit_order[2], 0);
}

static void *churn(void *argument) {
    uint64_t seed = (uintptr_t)argument + 1;
    varve_world *world = new_world();
    varve_object *root = varve_list_new(world);
    for (int index = 0; index < 20000; index++) {
        varve_object *list = varve_list_new(world);
        varve_list_append(list, list);
        if (test_random_below(&seed, 4) == 0) varve_list_append(root, list);
        varve_decref(list);
        size_t length = varve_list_length(root);
        if (length > 100) varve_list_remove(root, test_random_below(&seed, length));
    }
    varve_decref(root);
    CHECK_EQ(varve_world_free(world), 0);
    return NULL;
}

TEST(threads_with_a_world_each_do_not_meet) {
    pthread_t threads[4];
    for (uintptr_t index = 0; index < 4; index++) {
        REQUIRE(pthread_create(&threads[index], NULL, churn, (void *)index) == 0);
    }
    for (int index = 0; index < 4; index++) pthread_join(threads[index], NULL);
}

static void *use_and_leave(void *argument) {
    varve_world *world = argument;
    varve_world_enter(world);
    varve_decref(varve_list_new(world));
    varve_world_leave(world);
    return NULL;
}

TEST(a_world_can_be_handed_to_another_thread) {
    varve_world *world = new_world();
    varve_world_leave(world);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, use_and_leave, world) == 0);
    pthread_join(thread, NULL);
    varve_world_enter(world);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST_ABORTS(a_second_thread_in_a_world_is_named,
            "varve: a world was entered by two threads at once") {
    pthread_t thread;
    pthread_create(&thread, NULL, use_and_leave, new_world());
    pthread_join(thread, NULL);
}

static void *collect_uninvited(void *argument) {
    varve_gc_collect(argument, 2);
    return NULL;
}

TEST_ABORTS(a_thread_that_is_not_inside_is_named,
            "varve: a world is used by a thread that is not inside it") {
    pthread_t thread;
    pthread_create(&thread, NULL, collect_uninvited, new_world());
    pthread_join(thread, NULL);
}

TEST_ABORTS(a_reference_to_a_freed_object_is_named,
            "varve: an object was used after it was freed") {
    varve_object *list = varve_list_new(new_world());
    varve_decref(list);
    varve_decref(list);
}

/* The block's count was 1 when the whole pool went with its garbage. */
TEST_ABORTS(a_reference_to_collected_garbage_is_named,
            "varve: an object was used after it was freed") {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    varve_decref(list);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_decref(list);
}

TEST_ABORTS(a_freed_object_that_was_revived_by_a_reference_is_named,
            "varve: an object was used after it was freed") {
    varve_object *list = varve_list_new(new_world());
    varve_decref(list);
    varve_incref(list);
    varve_decref(list);
}

TEST_ABORTS(a_reference_into_a_pool_that_was_given_back_is_named,
            "varve: an object was used after it was freed") {
    varve_type_spec spec = {.name = "large", .basic_bytes = 100000};
    varve_object *large = varve_object_new(varve_type_new(new_world(), &spec));
    varve_decref(large);
    varve_object_unreferenced(large);
}

TEST_ABORTS(a_freed_list_that_is_changed_is_named, "varve: an object was used after it was freed") {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    varve_decref(list);
    varve_list_append(list, varve_none(world));
}

#if VARVE_AUDIT
TEST_ABORTS(a_freed_object_that_is_stored_is_named,
            "varve: an object was used after it was freed") {
    varve_world *world = new_world();
    varve_object *number = varve_float_new(world, 1);
    varve_decref(number);
    varve_list_append(varve_list_new(world), number);
}

TEST_ABORTS(a_freed_object_that_is_compared_is_named,
            "varve: an object was used after it was freed") {
    varve_world *world = new_world();
    varve_object *number = varve_float_new(world, 1);
    varve_decref(number);
    varve_equal(varve_none(world), number);
}

TEST_ABORTS(a_freed_object_that_a_traverse_shows_is_named,
            "varve: an object was used after it was freed") {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    varve_object *number = varve_float_new(world, 1);
    varve_list_append(list, number);
    varve_decref(number);
    varve_decref(number); /* one too many */
    varve_gc_collect(world, 2);
}
#endif

static void over_decref(varve_object *self) {
    self->refcount = 0;
    varve_decref(self);
}

TEST_ABORTS(a_count_below_zero_is_named, "varve: the reference count of an object fell below") {
    varve_type_spec spec = {.name = "bad", .basic_bytes = 16, .dealloc = over_decref};
    varve_decref(varve_object_new(varve_type_new(new_world(), &spec)));
}

TEST_ABORTS(a_reference_to_no_object_is_named, "varve: reference ended to an address that is no") {
    varve_object fake = {.refcount = 1, .type_index = 3};
    varve_decref(&fake);
}

TEST_ABORTS(a_wrong_kind_is_named, "varve: an object that is no list was used as one") {
    varve_list_append(varve_dict_new(new_world()), NULL);
}

TEST_ABORTS(free_of_an_object_is_named, "varve: free of ") {
    varve_free(varve_list_new(new_world()));
}

/* --- memory that fails --- */

/* Does a bit of everything; whatever fails is left out. */
static void use_everything(varve_world *world) {
    static const char *const names[] = {"a", NULL};
    varve_class_spec spec = {.name = "C", .attributes = names, .open = true};
    varve_object *list = varve_list_new(world), *dict = varve_dict_new(world);
    varve_object *set = varve_set_new(world), *cls = varve_class_new(world, &spec);
    varve_object *instance = cls != NULL ? varve_instance_new(cls) : NULL;
    for (int index = 0; index < 40; index++) {
        varve_object *number = varve_int_new(world, 1000 + index);
        if (number == NULL) continue;
        if (list != NULL) varve_list_append(list, number);
        if (dict != NULL) varve_dict_set(dict, number, list != NULL ? list : number);
        if (set != NULL) varve_set_add(set, number);
        varve_decref(number);
    }
    if (instance != NULL) {
        varve_set_attribute(instance, "a", instance);
        varve_set_attribute(instance, "other", instance);
    }
    varve_object *str = varve_str_of(world, "text"), *interned = NULL;
    if (str != NULL) interned = varve_str_intern(str);
    if (list != NULL && dict != NULL) varve_list_append(list, dict);
    varve_object *objects = varve_gc_get_objects(world, -1);
    varve_xdecref(objects);
    varve_gc_collect(world, 0);
    varve_xdecref(str);
    varve_xdecref(interned);
    varve_xdecref(instance);
    varve_xdecref(cls);
    varve_xdecref(set);
    varve_xdecref(dict);
    varve_xdecref(list);
}

TEST(failure_of_any_allocation_loses_nothing) {
    varve_world *world = new_world();
    uint64_t before = varve_world_allocations(world);
    use_everything(world);
    uint64_t needed = varve_world_allocations(world) - before;
    CHECK_GT(needed, 50);
    varve_gc_collect(world, 2);
    for (uint64_t fail = 0; fail < needed; fail++) {
        varve_world_counts counts, after;
        varve_world_count(world, &counts);
        varve_world_fail_after(world, fail);
        use_everything(world);
        varve_world_fail_never(world);
        varve_gc_collect(world, 2);
        varve_world_count(world, &after);
        CHECK_EQ(after.live_objects, counts.live_objects);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(flags_that_are_not_the_programs_are_refused) {
    varve_world *world = new_world();
    varve_type_spec spec = {.name = "odd", .basic_bytes = sizeof(varve_object)};
    for (unsigned bit = 4; bit < 32; bit++) {
        spec.flags = 1u << bit;
        errno = 0;
        CHECK_EQ_PTR(varve_type_new(world, &spec), NULL);
        CHECK_EQ(errno, EINVAL);
    }
    CHECK_EQ(varve_world_free(world), 0);
}

static int count_child(varve_object *child, void *argument) {
    (void)child;
    ++*(int *)argument;
    return 0;
}

TEST(the_traverse_functions_of_built_in_types_show_what_they_hold) {
    static const char *const attributes[] = {"a", NULL};
    varve_world *world = new_world();
    varve_object *none = varve_none(world);
    varve_class_spec spec = {.name = "C", .attributes = attributes};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *holders[] = {varve_list_new(world), varve_tuple_new(world, 1, &none),
                               varve_dict_new(world), varve_set_new(world),
                               varve_instance_new(cls)};
    static const int child_counts[] = {1, 1, 2, 1, 2}; /* with keys and classes */
    CHECK_EQ(varve_list_append(holders[0], none), 0);
    CHECK_EQ(varve_dict_set(holders[2], none, none), 0);
    CHECK_EQ(varve_set_add(holders[3], none), 1);
    CHECK_EQ(varve_set_attribute(holders[4], "a", none), 0);
    for (int index = 0; index < 5; index++) {
        int count = 0;
        const varve_type *type = varve_type_of(holders[index]);
        CHECK_EQ(varve_type_get_spec(type)->traverse(holders[index], count_child, &count), 0);
        CHECK_EQ(count, child_counts[index]);
        varve_decref(holders[index]);
    }
    varve_decref(cls);
    CHECK_EQ(varve_world_free(world), 0);
}
