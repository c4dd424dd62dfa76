/* SPDX-License-Identifier: MIT
 * Sizes of one object and of all that it reaches, and counts by type. */
#include "harness.h"

#include "object/layout.h"
#include "object/world.h"
#include "varve/gc.h"
#include "varve/inspect.h"

#include <errno.h>
#include <string.h>

#define LONG_COUNT (VARVE_GC_STRESS ? 5000 : 200000)

static varve_object *str(varve_world *world, const char *text) {
    varve_object *object = varve_str_of(world, text);
    REQUIRE(object != NULL);
    return object;
}

/* A list of `count` new floats; the list owns them. */
static varve_object *floats(varve_world *world, size_t count) {
    varve_object *list = varve_list_new(world);
    for (size_t index = 0; index < count; index++) {
        varve_object *number = varve_float_new(world, (double)index);
        CHECK_EQ(varve_list_append(list, number), 0);
        varve_decref(number);
    }
    return list;
}

static varve_deep_size deep(varve_object *object, const varve_deep_sizeof_options *options) {
    varve_deep_size size = {0, 0};
    CHECK_EQ(varve_deep_sizeof(object, options, &size), 0);
    return size;
}

/* Without touching it: the block alone is taken. */
TEST(an_object_beyond_4_gib_has_its_true_size) {
    if (VARVE_CLASSIC) SKIP("20 000 arenas of 256 KiB take minutes");
    varve_world *world = varve_world_new();
    const size_t byte_count = ((size_t)5 << 30) + 1;
    struct vv_bytes *bytes = (void *)vv_object_take_large(world, VV_SHELF_LEAF, byte_count);
    if (bytes == NULL) SKIP("no address space for it");
    bytes->head = (varve_object){.refcount = 1, .type_index = VV_TYPE_BYTES};
    bytes->byte_count = byte_count - sizeof *bytes - 1;
    CHECK_EQ(varve_sizeof(&bytes->head, true), byte_count);
    CHECK_GE(varve_sizeof(&bytes->head, false), byte_count);
    CHECK_LT(varve_sizeof(&bytes->head, false), byte_count + (1 << 20));
    CHECK_GE(deep(&bytes->head, NULL).bytes, byte_count);
    varve_world_counts counts;
    varve_world_count(world, &counts);
    CHECK_GE(counts.object_bytes, byte_count);
    CHECK_GE(counts.pool_bytes, byte_count);
    varve_decref(&bytes->head);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(requested_sizes_are_those_of_the_layout) {
    varve_world *world = varve_world_new();
    varve_object *text = str(world, "Alice");
    varve_object *number = varve_float_new(world, 1.5);
    varve_object *items[] = {text, number};
    varve_object *tuple = varve_tuple_new(world, 2, items);
    varve_object *list = floats(world, 3);
    CHECK_EQ(varve_sizeof(text, true), offsetof(struct vv_str, text) + 6);
    CHECK_EQ(varve_sizeof(number, true), sizeof(struct vv_float));
    CHECK_EQ(varve_sizeof(tuple, true), sizeof(struct vv_tuple) + 16);
    CHECK_GE(varve_sizeof(list, true), sizeof(struct vv_list) + 24);
    varve_decref(list);
    varve_decref(tuple);
    varve_decref(number);
    varve_decref(text);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(heap_sizes_have_the_block_the_planes_and_the_items) {
    varve_world *world = varve_world_new();
    varve_object *number = varve_float_new(world, 1.5);
    varve_object *list = floats(world, 100);
    const struct vv_list *inside = (const struct vv_list *)list;
    CHECK_EQ(varve_sizeof(number, false), vv_object_pool_of(number)->block_bytes + 1);
    CHECK_EQ(varve_sizeof(list, false),
             vv_object_pool_of(list)->block_bytes + 5 + varve_usable_size(inside->items));
    CHECK_GE(varve_sizeof(list, false), varve_sizeof(list, true));
    varve_decref(list);
    varve_decref(number);
    varve_world_free(world);
}

TEST(a_big_object_has_the_size_of_its_own_pool) {
    varve_world *world = varve_world_new();
    static char text[100000];
    memset(text, 'x', sizeof text);
    varve_object *big = varve_bytes_new(world, text, sizeof text);
    CHECK_EQ(varve_sizeof(big, true), sizeof(struct vv_bytes) + sizeof text + 1);
    CHECK_GE(varve_sizeof(big, false), sizeof text);
    CHECK_EQ(deep(big, NULL).bytes, varve_sizeof(big, false));
    varve_decref(big);
    varve_world_free(world);
}

static size_t vector_outer_bytes(const varve_object *self) {
    return ((const varve_var_object *)self)->item_count * 1000;
}

TEST(types_of_the_program_say_what_they_own_outside) {
    varve_world *world = varve_world_new();
    varve_type_spec spec = {.name = "vector",
                            .basic_bytes = sizeof(varve_var_object),
                            .item_bytes = 8,
                            .outer_bytes = vector_outer_bytes};
    varve_type *type = varve_type_new(world, &spec);
    varve_object *vector = varve_object_new_var(type, 3);
    varve_object *list = varve_list_new(world);
    CHECK_EQ(varve_sizeof(vector, true), sizeof(varve_var_object) + 24 + 3000);
    varve_list_append(list, vector);
    CHECK_EQ(deep(list, NULL).bytes, varve_sizeof(list, false) + varve_sizeof(vector, false));
    CHECK_GE(varve_sizeof(vector, false), 3000);
    varve_decref(list);
    varve_decref(vector);
    varve_world_free(world);
}

TEST(what_is_shared_counts_once_and_cycles_end) {
    varve_world *world = varve_world_new();
    varve_object *outer = varve_list_new(world);
    varve_object *shared = floats(world, 10);
    for (int round = 0; round < 3; round++) varve_list_append(outer, shared);
    varve_list_append(shared, outer);
    varve_deep_size size = deep(outer, NULL);
    CHECK_EQ(size.objects, 12);
    CHECK_EQ(size.bytes, varve_sizeof(outer, false) + varve_sizeof(shared, false) +
                             10 * varve_sizeof(varve_list_get(shared, 0), false));
    CHECK_EQ(deep(shared, NULL).bytes, size.bytes);
    varve_deep_sizeof_options requested = {.requested = true};
    CHECK_EQ(deep(outer, &requested).bytes,
             varve_sizeof(outer, true) + varve_sizeof(shared, true) + 10 * sizeof(struct vv_float));
    varve_list_clear(shared);
    varve_decref(shared);
    varve_decref(outer);
    varve_world_free(world);
}

TEST(depth_types_and_objects_limit_the_walk) {
    varve_world *world = varve_world_new();
    varve_object *list = floats(world, 2);
    varve_object *middle = varve_list_new(world);
    varve_object *top = varve_list_new(world);
    varve_list_append(middle, list);
    varve_list_append(top, middle);
    CHECK_EQ(deep(top, NULL).objects, 5);
    varve_deep_sizeof_options options = {.max_depth = 1};
    CHECK_EQ(deep(top, &options).objects, 2);
    options.max_depth = 3;
    CHECK_EQ(deep(top, &options).objects, 5);
    varve_list_append(top, varve_list_get(list, 0)); /* nearer now */
    options.max_depth = 2;
    CHECK_EQ(deep(top, &options).objects, 4);
    const varve_type *stopped[] = {varve_type_of(varve_list_get(list, 0))};
    varve_deep_sizeof_options stop = {.stop = stopped, .stop_count = 1};
    CHECK_EQ(deep(top, &stop).objects, 3);
    varve_object *excluded[] = {middle};
    varve_deep_sizeof_options exclude = {.exclude = excluded, .exclude_count = 1};
    CHECK_EQ(deep(top, &exclude).objects, 2);
    excluded[0] = top;
    CHECK_EQ(deep(top, &exclude).objects, 0);
    varve_decref(top);
    varve_decref(middle);
    varve_decref(list);
    varve_world_free(world);
}

TEST(a_class_is_not_part_of_its_instances) {
    varve_world *world = varve_world_new();
    const char *names[] = {"next", NULL};
    varve_class_spec spec = {.name = "Node", .attributes = names, .open = true};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *node = varve_instance_new(cls);
    varve_object *text = str(world, "a value of its own");
    CHECK_EQ(varve_set_attribute(node, "next", text), 0);
    CHECK_EQ(deep(node, NULL).objects, 2);
    CHECK_EQ(varve_set_attribute(node, "more", text), 0);
    CHECK_EQ(deep(node, NULL).objects, 4); /* and the dict and its key */
    CHECK_EQ(deep(cls, NULL).objects, 1);
    CHECK_EQ(deep(cls, NULL).bytes, varve_sizeof(cls, false));
    varve_decref(text);
    varve_decref(node);
    varve_decref(cls);
    varve_world_free(world);
}

TEST(a_long_list_of_links_needs_no_stack) {
    varve_world *world = varve_world_new();
    varve_object *first = varve_list_new(world);
    for (int link = 0; link < LONG_COUNT; link++) {
        varve_object *before = varve_list_new(world);
        varve_list_append(before, first);
        varve_decref(first);
        first = before;
    }
    CHECK_EQ(deep(first, NULL).objects, LONG_COUNT + 1);
    varve_deep_size retained;
    CHECK_EQ(varve_retained_sizeof(first, false, &retained), 0);
    CHECK_EQ(retained.objects, LONG_COUNT + 1);
    varve_decref(first);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- counts by type --- */

static const varve_type_count *row_of(const varve_type_count *counts, size_t count,
                                      const char *name) {
    for (size_t index = 0; index < count; index++) {
        if (strcmp(counts[index].name, name) == 0) return &counts[index];
    }
    return NULL;
}

TEST(objects_are_counted_by_type_and_class) {
    varve_world *world = varve_world_new();
    varve_object *instances = varve_list_new(world);
    for (int number = 0; number < 40; number++) {
        char name[] = "Class00";
        name[5] = (char)('0' + number / 10);
        name[6] = (char)('0' + number % 10);
        varve_class_spec spec = {.name = name};
        varve_object *cls = varve_class_new(world, &spec);
        for (int count = 0; count <= number; count++) {
            varve_object *instance = varve_instance_new(cls);
            varve_list_append(instances, instance);
            varve_decref(instance);
        }
        varve_decref(cls);
    }
    varve_type_count *counts;
    size_t count;
    REQUIRE(varve_count_by_type(world, &counts, &count) == 0);
    CHECK_EQ(row_of(counts, count, "class")->objects, 40);
    CHECK_EQ(row_of(counts, count, "Class07")->objects, 8);
    CHECK_EQ(row_of(counts, count, "Class39")->objects, 40);
    CHECK_EQ(row_of(counts, count, "Class39")->bytes,
             40 * varve_sizeof(varve_list_get(instances, 0), false));
    for (size_t index = 1; index < count; index++) {
        CHECK_GE(counts[index - 1].bytes, counts[index].bytes);
    }
    varve_free(counts);
    varve_decref(instances);
    varve_world_free(world);
}

TEST(growth_names_what_came_and_survives_its_class) {
    varve_world *world = varve_world_new();
    varve_type_count *before, *after;
    size_t before_count, after_count, growth_count;
    REQUIRE(varve_count_by_type(world, &before, &before_count) == 0);
    varve_class_spec spec = {.name = "Leaky"};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *leaky = varve_instance_new(cls);
    varve_object *list = floats(world, 1000);
    REQUIRE(varve_count_by_type(world, &after, &after_count) == 0);
    varve_decref(leaky);
    varve_decref(cls);
    varve_type_growth *growth;
    REQUIRE(varve_growth_by_type(before, before_count, after, after_count, &growth,
                                 &growth_count) == 0);
    REQUIRE(growth_count >= 4);
    CHECK_EQ_STR(growth[0].name, "float");
    CHECK_EQ(growth[0].objects, 1000);
    bool found = false;
    for (size_t index = 0; index < growth_count; index++) {
        CHECK_GT(growth[index].bytes, 0);
        if (strcmp(growth[index].name, "Leaky") == 0) found = growth[index].objects == 1;
    }
    CHECK(found);
    varve_free(growth);
    REQUIRE(varve_growth_by_type(after, after_count, before, before_count, &growth,
                                 &growth_count) == 0);
    CHECK_EQ(growth_count, 0);
    varve_free(growth);
    varve_free(before);
    varve_free(after);
    varve_decref(list);
    varve_world_free(world);
}

/* --- memory that fails at every point --- */

TEST(without_memory_sizes_say_so_and_change_nothing) {
    varve_world *world = varve_world_new();
    varve_object *list = varve_list_new(world);
    for (int index = 0; index < 2000; index++) {
        varve_object *inner = varve_list_new(world);
        varve_list_append(list, inner);
        varve_decref(inner);
    }
    const varve_type *stopped[] = {varve_type_of(varve_none(world))};
    varve_deep_sizeof_options options = {.stop = stopped, .stop_count = 1};
    int failures = 0;
    for (uint64_t fail_at = 0; fail_at < 100; fail_at++) {
        varve_deep_size size = {1, 2};
        varve_world_fail_after(world, fail_at);
        int result = varve_deep_sizeof(list, &options, &size);
        varve_world_fail_never(world);
        if (result == 0) {
            CHECK_EQ(size.objects, 2001);
            break;
        }
        failures++;
        CHECK_EQ(result, -ENOMEM);
        CHECK_EQ(size.bytes, 1);
    }
    CHECK_GE(failures, 3);
    for (uint64_t fail_at = 0; fail_at < 100; fail_at++) {
        varve_type_count *counts = NULL;
        size_t count;
        varve_world_fail_after(world, fail_at);
        int result = varve_count_by_type(world, &counts, &count);
        varve_world_fail_never(world);
        varve_free(counts);
        if (result == 0) break;
        CHECK_EQ(result, -ENOMEM);
        CHECK_EQ_PTR(counts, NULL);
    }
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
    varve_decref(list);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- freed objects --- */

static varve_world *its_world;
static varve_object *neighbour; /* keeps the pool */

static varve_object *freed_list(void) {
    its_world = varve_world_new();
    varve_object *list = varve_list_new(its_world);
    neighbour = varve_list_new(its_world);
    REQUIRE(list != NULL && neighbour != NULL);
    varve_decref(list);
    return list;
}

#define FREED "varve: an object was used after it was freed"

TEST_ABORTS(the_size_of_a_freed_object_is_refused, FREED) {
    varve_sizeof(freed_list(), false);
}

TEST_ABORTS(the_deep_size_of_a_freed_object_is_refused, FREED) {
    varve_deep_size size;
    varve_deep_sizeof(freed_list(), NULL, &size);
}

TEST_ABORTS(a_freed_object_cannot_be_excluded_from_a_size, FREED) {
    varve_object *list = freed_list();
    varve_deep_size size;
    varve_deep_sizeof_options options = {.exclude = &list, .exclude_count = 1};
    varve_deep_sizeof(neighbour, &options, &size);
}

TEST_ABORTS(the_retained_size_of_a_freed_object_is_refused, FREED) {
    varve_deep_size size;
    varve_retained_sizeof(freed_list(), false, &size);
}

TEST_ABORTS(a_freed_object_is_not_in_a_dominator_tree, FREED) {
    varve_dominators *tree;
    varve_deep_size size;
    varve_object *list = freed_list();
    REQUIRE(varve_dominators_new(its_world, false, &tree) == 0);
    varve_dominators_retained(tree, list, &size);
}

TEST_ABORTS(no_path_leads_to_a_freed_object, FREED) {
    varve_path_to(freed_list(), NULL);
}

TEST_ABORTS(no_paths_lead_to_a_freed_object, FREED) {
    varve_paths_to(freed_list(), NULL, 3);
}

static void ignore(const char *text, size_t length, void *argument) {
    (void)text, (void)length, (void)argument;
}

TEST_ABORTS(the_holders_of_a_freed_object_are_not_drawn, FREED) {
    varve_write_holders(freed_list(), 2, 5, ignore, NULL);
}

TEST_ABORTS(a_freed_object_is_not_described, FREED) {
    char text[100];
    varve_describe(freed_list(), text, sizeof text);
}

TEST_ABORTS(a_reference_of_a_freed_object_is_not_described, FREED) {
    char text[100];
    varve_object *list = freed_list();
    varve_describe_reference(list, list, text, sizeof text);
}

TEST_ABORTS(the_allocation_of_a_freed_object_is_not_described, FREED) {
    char text[100];
    varve_describe_allocation(freed_list(), text, sizeof text);
}
