/* SPDX-License-Identifier: MIT
 * World objects in the trace: counted at their site under the name of their type. */
#include "harness.h"

#include "trace/layout.h"
#include "varve/gc.h"
#include "varve/inspect.h"
#include "varve/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct row {
    long long size;
    long long count;
};

/* What is live of a type in the trace now. */
static struct row traced(const char *type) {
    varve_snapshot *snapshot;
    varve_statistics *statistics;
    struct row row = {0, 0};
    REQUIRE(varve_snapshot_take(&snapshot) == 0);
    REQUIRE(varve_snapshot_statistics(snapshot, VARVE_KEY_TYPE, false, &statistics) == 0);
    for (size_t index = 0; index < statistics->length; index++) {
        if (strcmp(statistics->items[index].frame.function, type) != 0) continue;
        row = (struct row){(long long)statistics->items[index].size,
                           (long long)statistics->items[index].count};
    }
    varve_statistics_free(statistics);
    varve_snapshot_free(snapshot);
    return row;
}

static varve_object *instance_of(varve_world *world, const char *name) {
    const char *names[] = {"value", NULL};
    varve_class_spec spec = {.name = name, .attributes = names};
    varve_object *cls = varve_class_new(world, &spec);
    REQUIRE(cls != NULL);
    varve_object *instance = varve_instance_new(cls);
    varve_decref(cls);
    return instance;
}

TEST(objects_are_counted_by_type_until_they_go) {
    varve_world *world = varve_world_new();
    varve_object *before = varve_float_new(world, 1);
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *numbers[100];
    for (int index = 0; index < 100; index++) numbers[index] = varve_float_new(world, index);
    varve_object *node = instance_of(world, "Node");
    varve_object *text = varve_str_of(world, "some text");
    CHECK_EQ(traced("float").count, 100);
    CHECK_EQ(traced("float").size, 100 * varve_sizeof(numbers[0], true));
    CHECK_EQ(traced("Node").count, 1);
    CHECK_EQ(traced("Node").size, varve_sizeof(node, true));
    CHECK_EQ(traced("str").size, varve_sizeof(text, true));
    CHECK_EQ(traced("class").count, 1);
    varve_decref(before); /* not recorded, so nothing ends */
    for (int index = 0; index < 99; index++) varve_decref(numbers[index]);
    CHECK_EQ(traced("float").count, 1);
    varve_decref(numbers[99]);
    varve_decref(node);
    varve_decref(text);
    CHECK_EQ(traced("float").count, 0);
    CHECK_EQ(traced("Node").count, 0);
    CHECK_EQ(traced("str").count, 0);
    varve_trace_stop();
    varve_world_free(world);
}

TEST(what_is_not_an_object_has_a_row_of_its_own) {
    varve_world *world = varve_world_new();
    REQUIRE(varve_trace_start(0) == 0);
    struct row none = traced("(no object)");
    void *block = varve_malloc(12345);
    CHECK_EQ(traced("(no object)").size, none.size + 12345);
    varve_object *list = varve_list_new(world);
    varve_list_append(list, list);
    struct row with_items = traced("(no object)");
    CHECK_GT(with_items.size, none.size + 12345); /* the list's items */
    varve_list_clear(list);
    varve_decref(list);
    varve_free(block);
    CHECK_EQ(traced("(no object)").size, none.size);
    varve_trace_stop();
    varve_world_free(world);
}

TEST(big_objects_and_collected_ones_and_leaked_ones_balance) {
    varve_world *world = varve_world_new();
    static char text[50000];
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *big = varve_bytes_new(world, text, sizeof text);
    CHECK_EQ(traced("bytes").size, varve_sizeof(big, true));
    varve_decref(big);
    CHECK_EQ(traced("bytes").count, 0);
    varve_gc_disable(world); /* so that whole pools are garbage */
    for (int index = 0; index < 5000; index++) {
        varve_object *list = varve_list_new(world);
        varve_list_append(list, list);
        varve_decref(list);
    }
    varve_gc_collect(world, 2);
    CHECK_EQ(traced("list").count, 0);
    varve_object *leaked = varve_list_new(world);
    CHECK_EQ(traced("list").count, 1);
    CHECK_EQ(varve_refcount(leaked), 1);
    CHECK_EQ(varve_world_free(world), 1);
    CHECK_EQ(traced("list").count, 0);
    varve_trace_stop();
}

TEST(a_second_trace_does_not_know_the_firsts_objects) {
    varve_world *world = varve_world_new();
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *old = varve_float_new(world, 1);
    varve_trace_stop();
    varve_object *between = varve_float_new(world, 2);
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *new = varve_float_new(world, 3);
    CHECK_EQ(traced("float").count, 1);
    varve_decref(old);
    varve_decref(between);
    CHECK_EQ(traced("float").count, 1);
    varve_decref(new);
    CHECK_EQ(traced("float").count, 0);
    varve_trace_stop();
    varve_world_free(world);
}

TEST(classes_of_one_name_are_one_type_in_all_worlds) {
    varve_world *left = varve_world_new();
    varve_world *right = varve_world_new();
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *first = instance_of(left, "Shared");
    varve_object *second = instance_of(right, "Shared");
    CHECK_EQ(traced("Shared").count, 2);
    varve_decref(first);
    varve_decref(second);
    varve_trace_stop();
    varve_world_free(left);
    varve_world_free(right);
}

TEST(long_names_are_cut_and_there_is_a_limit) {
    varve_world *world = varve_world_new();
    char name[200];
    REQUIRE(varve_trace_start(0) == 0);
    memset(name, 'n', sizeof name);
    name[199] = '\0';
    varve_object *object = instance_of(world, name);
    name[VV_LABEL_BYTES - 1] = '\0';
    CHECK_EQ(traced(name).count, 1);
    varve_decref(object);
    for (int number = 0; number < 300; number++) { /* more than a page of them */
        snprintf(name, sizeof name, "Class%d", number);
        object = instance_of(world, name);
        if (number % 100 == 99) CHECK_EQ(traced(name).count, 1);
        varve_decref(object);
    }
    varve_trace_stop();
    varve_world_free(world);
}

TEST(a_child_records_its_own_objects_only) {
    varve_world *world = varve_world_new();
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *of_parent = instance_of(world, "Parent");
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        varve_object *of_child = instance_of(world, "Child");
        bool good = traced("Child").count == 1;
        varve_decref(of_parent);
        good = good && traced("Parent").count == 0;
        varve_decref(of_child);
        good = good && traced("Child").count == 0;
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(traced("Parent").count, 1);
    varve_decref(of_parent);
    varve_trace_stop();
    varve_world_free(world);
}

TEST(a_capture_keeps_the_types) {
    char path[64];
    varve_world *world = varve_world_new();
    varve_snapshot *snapshot, *loaded;
    varve_statistics *statistics;
    snprintf(path, sizeof path, "/tmp/varve-test-objects.%d", (int)getpid());
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *node = instance_of(world, "Stored");
    REQUIRE(varve_snapshot_take(&snapshot) == 0);
    REQUIRE(varve_snapshot_dump(snapshot, path) == 0);
    REQUIRE(varve_snapshot_load(path, &loaded) == 0);
    unlink(path);
    REQUIRE(varve_snapshot_statistics(loaded, VARVE_KEY_TYPE, false, &statistics) == 0);
    bool found = false;
    for (size_t index = 0; index < statistics->length; index++) {
        char line[200];
        varve_statistic_format(statistics, index, line, sizeof line);
        if (strncmp(line, "Stored: size=", 13) == 0) found = true;
    }
    CHECK(found);
    varve_statistics_free(statistics);
    varve_snapshot_free(loaded);
    varve_snapshot_free(snapshot);
    varve_decref(node);
    varve_trace_stop();
    varve_world_free(world);
}

TEST(the_stack_that_made_an_object_can_be_told) {
    varve_world *world = varve_world_new();
    char text[4096];
    varve_object *before = varve_float_new(world, 1);
    REQUIRE(varve_trace_start(0) == 0);
    varve_object *object = varve_float_new(world, 2);
    const int line = __LINE__ - 1;
    CHECK_EQ(varve_describe_allocation(before, text, sizeof text), 0);
    CHECK_EQ_STR(text, "");
    CHECK_GT(varve_describe_allocation(object, text, sizeof text), 0);
    /* Folders are as the compiler notes them. */
    static const char function[] = "the_stack_that_made_an_object_can_be_told ";
    char end_of_line[100];
    snprintf(end_of_line, sizeof end_of_line, "trace/test_objects.c:%d\n", line);
    CHECK(strncmp(text, function, sizeof function - 1) == 0);
    REQUIRE(strstr(text, end_of_line) != NULL);
    CHECK(strstr(text, end_of_line) < strchr(text, '\n'));
    CHECK(strstr(text, "\nmain ") != NULL);
    CHECK(strstr(text, "varve_float_new") == NULL);
    varve_decref(object);
    varve_decref(before);
    varve_trace_stop();
    varve_world_free(world);
}
