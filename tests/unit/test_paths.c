/* SPDX-License-Identifier: MIT
 * Who holds an object: paths, words, pictures. */
#include "harness.h"

#include "base/check.h"
#include "varve/gc.h"
#include "varve/inspect.h"
#include "varve/weakref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static varve_object *list_with(varve_world *world, varve_object *item) {
    varve_object *list = varve_list_new(world);
    REQUIRE(list != NULL);
    if (item != NULL) CHECK_EQ(varve_list_append(list, item), 0);
    return list;
}

static void check_path(varve_object *path, size_t count, varve_object *const *expected) {
    REQUIRE(path != NULL);
    CHECK_EQ(varve_list_length(path), count);
    for (size_t index = 0; index < count && index < varve_list_length(path); index++) {
        CHECK_EQ_PTR(varve_list_get(path, index), expected[index]);
    }
}

/* root -> a -> target,  root -> target is added later */
TEST(the_shortest_path_leads_from_the_program_to_the_object) {
    varve_world *world = varve_world_new();
    varve_object *target = varve_list_new(world);
    varve_object *a = list_with(world, target);
    varve_object *root = list_with(world, a);
    varve_decref(a);
    varve_object *path = varve_path_to(target, NULL); /* held by us, too, which does not count */
    check_path(path, 3, (varve_object *[]){root, a, target});
    varve_decref(path);
    varve_list_append(root, target);
    path = varve_path_to(target, NULL);
    check_path(path, 2, (varve_object *[]){root, target});
    varve_decref(path);
    path = varve_path_to(target, a);
    check_path(path, 2, (varve_object *[]){a, target});
    varve_decref(path);
    path = varve_path_to(target, target);
    check_path(path, 1, (varve_object *[]){target});
    varve_decref(path);
    path = varve_path_to(root, NULL);
    check_path(path, 1, (varve_object *[]){root});
    varve_decref(path);
    CHECK_EQ_PTR(varve_path_to(root, target), NULL);
    CHECK_EQ(errno, ENOENT);
    varve_decref(target);
    varve_decref(root);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(garbage_has_no_path) {
    varve_world *world = varve_world_new();
    varve_gc_disable(world);
    varve_object *left = varve_list_new(world);
    varve_object *right = list_with(world, left);
    varve_list_append(left, right);
    varve_decref(left);
    varve_decref(right);
    CHECK_EQ_PTR(varve_path_to(left, NULL), NULL);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ_PTR(varve_paths_to(left, NULL, 3), NULL);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(varve_gc_collect(world, 2), 2);
    CHECK_EQ(varve_world_free(world), 0);
}

/* The holder is garbage, so the way to the object begins with the program's own reference. */
TEST(what_only_garbage_holds_is_its_own_root) {
    varve_world *world = varve_world_new();
    varve_gc_disable(world);
    varve_object *target = varve_list_new(world);
    varve_object *garbage = list_with(world, target);
    varve_list_append(garbage, garbage);
    varve_decref(garbage);
    varve_object *path = varve_path_to(target, NULL);
    check_path(path, 1, &target);
    varve_decref(path);
    varve_object *paths = varve_paths_to(target, NULL, 3);
    REQUIRE(paths != NULL && varve_list_length(paths) == 1);
    check_path(varve_list_get(paths, 0), 1, &target);
    varve_decref(paths);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_decref(target);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(paths_come_shortest_first_and_never_twice_through_an_object) {
    varve_world *world = varve_world_new();
    varve_object *target = varve_list_new(world);
    varve_object *near = list_with(world, target);
    varve_object *far = list_with(world, near);
    varve_object *root = list_with(world, far);
    varve_list_append(near, far); /* a cycle */
    varve_list_append(root, near);
    varve_list_append(near, target); /* a second reference is no second path */
    varve_decref(near);
    varve_decref(far);
    varve_object *paths = varve_paths_to(target, NULL, 10);
    REQUIRE(paths != NULL);
    REQUIRE(varve_list_length(paths) == 2);
    check_path(varve_list_get(paths, 0), 3, (varve_object *[]){root, near, target});
    check_path(varve_list_get(paths, 1), 4, (varve_object *[]){root, far, near, target});
    varve_decref(paths);
    paths = varve_paths_to(target, NULL, 1);
    CHECK_EQ(varve_list_length(paths), 1);
    varve_decref(paths);
    paths = varve_paths_to(root, NULL, 4);
    REQUIRE(paths != NULL && varve_list_length(paths) == 1);
    check_path(varve_list_get(paths, 0), 1, (varve_object *[]){root});
    varve_decref(paths);
    varve_decref(target);
    varve_decref(root);
    varve_world_free(world);
}

/* --- against all simple paths of small random graphs --- */

enum { NODES = 7 };

struct oracle {
    bool edges[NODES][NODES];
    bool seen[NODES];
    unsigned by_length[NODES + 1]; /* paths with so many objects */
    unsigned target;
};

static void count_paths(struct oracle *oracle, unsigned node, unsigned length) {
    oracle->seen[node] = true;
    if (node == oracle->target) {
        oracle->by_length[length]++;
    } else {
        for (unsigned next = 0; next < NODES; next++) {
            if (oracle->edges[node][next] && !oracle->seen[next]) {
                count_paths(oracle, next, length + 1);
            }
        }
    }
    oracle->seen[node] = false;
}

TEST(all_simple_paths_are_found_in_order) {
    uint64_t random = test_seed(11);
    for (int round = 0; round < 150; round++) {
        struct oracle oracle = {.target = NODES - 1};
        varve_world *world = varve_world_new();
        varve_object *nodes[NODES];
        for (unsigned node = 0; node < NODES; node++) nodes[node] = varve_list_new(world);
        for (unsigned edge = 0; edge < 16; edge++) {
            unsigned from = (unsigned)test_random_below(&random, NODES);
            unsigned to = (unsigned)test_random_below(&random, NODES);
            oracle.edges[from][to] = true;
            varve_list_append(nodes[from], nodes[to]);
        }
        count_paths(&oracle, 0, 1);
        unsigned total = 0;
        for (unsigned length = 0; length <= NODES; length++) total += oracle.by_length[length];
        varve_object *paths = varve_paths_to(nodes[oracle.target], nodes[0], 10000);
        CHECK_EQ(paths != NULL ? varve_list_length(paths) : 0, total);
        size_t previous = 0;
        for (size_t index = 0; paths != NULL && index < varve_list_length(paths); index++) {
            size_t length = varve_list_length(varve_list_get(paths, index));
            CHECK_GE(length, previous);
            CHECK_GT(oracle.by_length[length], 0);
            oracle.by_length[length]--;
            previous = length;
        }
        varve_xdecref(paths);
        for (unsigned node = 0; node < NODES; node++) varve_decref(nodes[node]);
        CHECK_EQ(varve_world_free(world), 0);
    }
}

/* --- words --- */

static void check_words(const varve_object *object, const char *expected) {
    char text[64];
    size_t length = varve_describe(object, text, sizeof text);
    CHECK_EQ_STR(text, expected);
    CHECK_EQ(length, strlen(expected));
}

static void check_reference(const varve_object *holder, const varve_object *child,
                            const char *expected) {
    char text[64];
    varve_describe_reference(holder, child, text, sizeof text);
    CHECK_EQ_STR(text, expected);
}

TEST(objects_and_references_are_described_in_words) {
    varve_world *world = varve_world_new();
    const char *names[] = {"left", "right", NULL};
    varve_class_spec spec = {.name = "Node", .attributes = names, .open = true};
    varve_object *cls = varve_class_new(world, &spec);
    varve_object *node = varve_instance_new(cls);
    varve_object *number = varve_int_new(world, -1234567);
    varve_object *text = varve_str_of(world, "two\nlines");
    varve_object *list = list_with(world, number);
    varve_object *dict = varve_dict_new(world);
    varve_list_append(list, text);
    varve_set_attribute(node, "right", list);
    varve_set_attribute(node, "extra", number);
    varve_dict_set_text(dict, "name", list);
    varve_dict_set(dict, number, text);
    check_words(varve_none(world), "None");
    check_words(varve_bool(world, true), "True");
    check_words(number, "int -1234567");
    check_words(text, "str 'two?lines'");
    check_words(list, "list of 2");
    check_words(dict, "dict of 2");
    check_words(node, "Node");
    check_words(cls, "class Node");
    check_reference(list, text, "[1]");
    check_reference(node, list, ".right");
    check_reference(node, cls, "class");
    check_reference(node, varve_instance_dict(node), "attributes");
    check_reference(dict, list, "['name']");
    check_reference(dict, text, "[int -1234567]");
    check_reference(dict, number, "key");
    check_reference(list, cls, "");
    char small[4];
    CHECK_EQ(varve_describe(text, small, sizeof small), 3);
    CHECK_EQ_STR(small, "str");
    varve_decref(dict);
    varve_decref(list);
    varve_decref(text);
    varve_decref(number);
    varve_decref(node);
    varve_decref(cls);
    CHECK_EQ(varve_world_free(world), 0);
}

TEST(references_of_weak_tables_are_described_in_words) {
    varve_world *world = varve_world_new();
    varve_object *cls = varve_class_new(world, &(varve_class_spec){.name = "Key"});
    varve_object *weak = varve_instance_new(cls);
    varve_object *strong = varve_list_new(world);
    varve_object *by_value = varve_weak_value_dict_new(world);
    varve_object *by_key = varve_weak_key_dict_new(world, false);
    varve_object *ephemerons = varve_ephemerons_new(world);
    varve_object *set = varve_weak_set_new(world, false);
    REQUIRE(varve_weak_value_dict_set(by_value, varve_none(world), weak) == 0);
    REQUIRE(varve_weak_key_dict_set(by_key, weak, strong) == 0);
    REQUIRE(varve_ephemerons_set(ephemerons, weak, strong) == 0);
    REQUIRE(varve_weak_set_add(set, weak) >= 0);
    check_reference(by_value, varve_none(world), "key");
    check_reference(by_key, strong, "[Key]");
    check_reference(ephemerons, strong, "[Key]");
    check_reference(ephemerons, weak, ""); /* it does not hold it */
    varve_object *members = varve_gc_get_referents(world, 1, &set);
    REQUIRE(members != NULL && varve_list_length(members) == 1);
    check_reference(set, varve_list_get(members, 0), "weak reference");
    varve_decref(members);
    varve_deep_size size;
    CHECK_EQ(varve_retained_sizeof(weak, false, &size), 0);
    CHECK_EQ(size.objects, 1);
    varve_decref(weak);
    varve_decref(strong);
    varve_decref(by_value);
    varve_decref(by_key);
    varve_decref(ephemerons);
    varve_decref(set);
    varve_decref(cls);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- pictures --- */

struct page {
    char text[8192];
    size_t length;
};

static void add_to_page(const char *text, size_t length, void *argument) {
    struct page *page = argument;
    REQUIRE(page->length + length < sizeof page->text);
    memcpy(page->text + page->length, text, length);
    page->length += length;
    page->text[page->length] = '\0';
}

TEST(the_picture_has_the_holders_and_what_they_call_the_object) {
    varve_world *world = varve_world_new();
    varve_object *target = varve_str_of(world, "a \"quoted\" text");
    varve_object *list = list_with(world, target);
    varve_object *dict = varve_dict_new(world);
    varve_dict_set_text(dict, "items", list);
    varve_decref(list);
    struct page page = {.length = 0};
    REQUIRE(varve_write_holders(target, 5, 10, add_to_page, &page) == 0);
    CHECK(strncmp(page.text, "digraph holders {\n", 18) == 0);
    CHECK(strstr(page.text, "o0 [label=\"str 'a \\\"quoted\\\" text'\\n") != NULL);
    CHECK(strstr(page.text, "o1 -> o0 [label=\"[0]\"];") != NULL);
    CHECK(strstr(page.text, "o2 -> o1 [label=\"['items']\"];") != NULL);
    CHECK(strstr(page.text, "#a0c8ff") != NULL);
    CHECK(strstr(page.text, "further holders") == NULL);
    CHECK(strcmp(page.text + page.length - 2, "}\n") == 0);
    page.length = 0;
    REQUIRE(varve_write_holders(target, 1, 10, add_to_page, &page) == 0);
    CHECK(strstr(page.text, "dict") == NULL);
    CHECK(strstr(page.text, "further holders") != NULL);
    varve_decref(target);
    varve_decref(dict);
    varve_world_free(world);
}

/* --- paths as long as it takes --- */

/* root -> ... -> last, `count` references away; the program holds both. */
static varve_object *chain(varve_world *world, size_t count, varve_object **out_last) {
    varve_object *root = varve_list_new(world), *last = varve_incref(root);
    for (size_t index = 0; index < count; index++) {
        varve_object *next = varve_list_new(world);
        CHECK_EQ(varve_list_append(last, next), 0);
        varve_decref(last);
        last = next;
    }
    *out_last = last;
    return root;
}

#define CHAIN_COUNT ((size_t)(VARVE_GC_STRESS ? 5000 : VARVE_AUDIT ? 50000 : 1500000))

/* In linear time: with the square of it, it would not end. */
TEST(the_path_through_a_long_chain_is_found) {
    varve_world *world = varve_world_new();
    varve_gc_disable(world);
    varve_object *last, *root = chain(world, CHAIN_COUNT, &last);
    varve_object *path = varve_path_to(last, NULL);
    REQUIRE(path != NULL);
    CHECK_EQ(varve_list_length(path), CHAIN_COUNT + 1);
    CHECK_EQ_PTR(varve_list_get(path, 0), root);
    CHECK_EQ_PTR(varve_list_get(path, 1), varve_list_get(root, 0));
    CHECK_EQ_PTR(varve_list_get(path, CHAIN_COUNT), last);
    varve_decref(path);
    varve_object *paths = varve_paths_to(last, NULL, 3); /* longer than the search may go */
    REQUIRE(paths != NULL);
    CHECK_EQ(varve_list_length(paths), 1);
    CHECK_EQ(varve_list_length(varve_list_get(paths, 0)), CHAIN_COUNT + 1);
    CHECK_EQ_PTR(varve_list_get(varve_list_get(paths, 0), 0), root);
    varve_decref(paths);
    varve_decref(root);
    varve_decref(last);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- memory that fails at every point --- */

TEST(without_memory_paths_say_so_and_nothing_is_lost) {
    varve_world *world = varve_world_new();
    varve_object *target = varve_list_new(world);
    varve_object *middle = list_with(world, target);
    varve_object *root = list_with(world, middle);
    varve_decref(middle);
    struct page page = {.length = 0};
    int failures = 0;
    varve_world_counts before, after;
    varve_world_count(world, &before);
    for (uint64_t fail_at = 0; fail_at < 60; fail_at++) {
        varve_world_fail_after(world, fail_at);
        varve_object *path = varve_path_to(target, NULL);
        int path_error = path == NULL ? errno : 0;
        varve_world_fail_after(world, fail_at);
        varve_object *paths = varve_paths_to(target, NULL, 5);
        int paths_error = paths == NULL ? errno : 0;
        page.length = 0;
        varve_world_fail_after(world, fail_at);
        int picture = varve_write_holders(target, 5, 10, add_to_page, &page);
        varve_world_fail_never(world);
        CHECK(path_error == 0 || path_error == ENOMEM);
        CHECK(paths_error == 0 || paths_error == ENOMEM);
        CHECK(picture == 0 || picture == -ENOMEM);
        if (path != NULL) varve_decref(path);
        if (paths != NULL) varve_decref(paths);
        failures += (path_error != 0) + (paths_error != 0) + (picture != 0);
    }
    CHECK_GE(failures, 30);
    varve_world_count(world, &after);
    CHECK_EQ(after.live_objects, before.live_objects);
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
    varve_decref(target);
    varve_decref(root);
    CHECK_EQ(varve_world_free(world), 0);
}
