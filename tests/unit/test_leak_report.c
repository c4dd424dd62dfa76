/* SPDX-License-Identifier: MIT
 * What varve_world_free() says of leaked objects. */
#include "harness.h"

#include "varve/gc.h"
#include "varve/inspect.h"
#include "varve/trace.h"
#include "varve/weakref.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char told[16384];
static size_t told_length;

static void keep(const char *text, size_t length, void *argument) {
    CHECK_EQ_PTR(argument, told);
    REQUIRE(length > 0 && length < sizeof told - told_length && text[length - 1] == '\n');
    memcpy(told + told_length, text, length);
    told[told_length += length] = '\0';
}

/* Addresses become "0x". */
static void check_told(const char *expected) {
    static char text[sizeof told];
    size_t length = 0;
    for (const char *at = told; *at != '\0'; at++) {
        text[length++] = *at;
        if (at[0] != 'x' || at == told || at[-1] != '0') continue;
        while (at[1] != '\0' && strchr("0123456789abcdef", at[1]) != NULL) at++;
    }
    text[length] = '\0';
    CHECK_EQ_STR(text, expected);
}

static varve_world *new_world(void) {
    varve_world *world = varve_world_new();
    REQUIRE(world != NULL);
    varve_world_report_leaks(world, keep, told);
    return world;
}

TEST(a_world_without_leaks_says_nothing) {
    varve_world *world = new_world();
    varve_decref(varve_list_new(world));
    CHECK_EQ(varve_world_free(world), 0);
    check_told("");
}

TEST(a_leaked_object_is_named_with_its_references) {
    varve_world *world = new_world();
    varve_object *list = varve_list_new(world);
    CHECK_EQ(varve_world_free(world), 1);
    check_told("varve: leaked <list 0x> with 1 reference that nobody gives back\n");
    char address[40];
    snprintf(address, sizeof address, "<list %p>", (void *)list);
    CHECK(strstr(told, address) != NULL);
}

TEST(holders_of_leaked_objects_are_named_and_roots_come_first) {
    varve_world *world = new_world();
    varve_object *number = varve_float_new(world, 1);
    varve_object *list = varve_list_new(world);
    varve_object *dict = varve_dict_new(world);
    varve_list_append(list, number);
    varve_list_append(list, number);
    varve_decref(number);
    varve_dict_set(dict, varve_none(world), list);
    varve_incref(list);
    varve_decref(dict);
    CHECK_EQ(varve_world_free(world), 2); /* the list, with 2 owners too many, and its float */
    check_told("varve: leaked <list 0x> with 2 references that nobody gives back\n"
               "varve: leaked <float 0x>, held by other objects only\n"
               "  held by <list 0x> [0]\n");
}

TEST(a_leaked_weak_table_is_still_seen_to_hold) {
    varve_world *world = new_world();
    varve_object *key = varve_list_new(world);
    varve_object *class_key = varve_class_new(world, &(varve_class_spec){.name = "Key"});
    varve_object *instance = varve_instance_new(class_key);
    varve_object *table = varve_weak_key_dict_new(world, false);
    REQUIRE(table != NULL && varve_weak_key_dict_set(table, instance, key) == 0);
    varve_decref(key);
    varve_decref(class_key);
    CHECK_GE(varve_world_free(world), 4); /* the table's own weak reference counts, too */
    CHECK(strstr(told, "varve: leaked <Key 0x") != NULL);
    const char *sentence = strstr(told, "varve: leaked <list 0x");
    REQUIRE(sentence != NULL);
    CHECK(strstr(sentence, ">, held by other objects only\n  held by <weak_key_dict") != NULL);
    CHECK(strstr(sentence, "> [Key]\n") != NULL);
}

/* A tuple of what cannot be in a cycle is not watched, so no collection comes across the reference
 * to memory that is no pool any more. */
TEST(a_leaked_object_that_refers_to_a_freed_pool_is_told) {
    static const char large[50000];
    varve_world *world = new_world();
    varve_object *bytes = varve_bytes_new(world, large, sizeof large);
    varve_object *tuple = varve_tuple_new(world, 1, &bytes);
    REQUIRE(bytes != NULL && tuple != NULL);
    varve_gc_collect(world, 2);
    REQUIRE(!varve_gc_is_tracked(tuple));
    varve_decref(bytes);
    varve_decref(bytes); /* the tuple's */
    CHECK_EQ(varve_world_free(world), 1);
    check_told("varve: leaked <tuple 0x> with 1 reference that nobody gives back\n");
}

TEST(many_holders_and_many_leaks_are_counted) {
    varve_world *world = new_world();
    varve_object *shared = varve_float_new(world, 1);
    for (int index = 0; index < 6; index++) {
        varve_object *tuple = varve_tuple_new(world, 1, &shared);
        REQUIRE(tuple != NULL);
    }
    for (int index = 0; index < 20; index++) varve_list_new(world);
    CHECK_EQ(varve_world_free(world), 27);
    const char *sentence = strstr(told, "<float 0x");
    REQUIRE(sentence != NULL);
    CHECK(strstr(sentence, " with 1 reference that nobody gives back\n  held by <tuple 0x") !=
          NULL);
    CHECK(strstr(sentence, "  held by 2 more objects\nvarve: leaked <") != NULL);
    CHECK(strstr(told, "varve: leaked 7 more objects\n") != NULL);
    size_t sentence_count = 0;
    for (const char *at = told; (at = strstr(at, "varve: leaked <")) != NULL; at++) {
        sentence_count++;
    }
    CHECK_EQ(sentence_count, 20);
}

TEST(where_a_leaked_object_was_made_is_told) {
    varve_world *world = new_world();
    if (dlopen("libvarve-symbols.so", RTLD_NOW) == NULL) SKIP("no names in this build");
    if (varve_trace_start(0) != 0) SKIP("no trace in this build");
    varve_list_new(world);
    const int line = __LINE__ - 1;
    CHECK_EQ(varve_world_free(world), 1);
    varve_trace_stop();
    /* Folders are as the compiler notes them. */
    char expected[100];
    snprintf(expected, sizeof expected, "unit/test_leak_report.c:%d\n  ", line);
    const char *site = strstr(told, "\n  allocated at where_a_leaked_object_was_made_is_told ");
    REQUIRE(site != NULL);
    CHECK(strstr(site, expected) != NULL && strstr(site, expected) < strchr(site + 1, '\n'));
    CHECK(strstr(told, "\n  main ") != NULL);
    CHECK(strstr(told, "varve:  ") == NULL);
}

TEST(without_memory_the_number_is_told) {
    varve_world *world = new_world();
    varve_list_new(world);
    varve_list_new(world);
    varve_world_fail_after(world, 0);
    CHECK_EQ(varve_world_free(world), 2);
    check_told("varve: leaked 2 objects, no memory to describe them\n");
}

TEST_ABORTS(without_a_function_leaks_are_told_on_stderr,
            "> with 1 reference that nobody gives back") {
    varve_world *world = varve_world_new();
    varve_world_report_leaks(world, NULL, NULL);
    varve_list_new(world);
    varve_world_free(world);
    abort();
}
