/* SPDX-License-Identifier: MIT
 * What a deep size costs: gc_deep_size [COUNT]. Prints "deep_size: nanoseconds per object" for the
 * tree of the recursive Python function (bench/inputs/gc_deep_size.py): a list of lists of 100
 * dicts, each with 8 floats of its own; and, for a graph that is harder on the memory,
 * "deep_size_random" of instances with three references to random others, "dominators_random" and
 * "path_random". Each three times. */
#include "gc_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <varve/gc.h>
#include <varve/inspect.h>

enum { ROUND_COUNT = 3, MEMBER_COUNT = 100, KEY_COUNT = 8 };

static void must(bool good) {
    if (good) return;
    fprintf(stderr, "gc_deep_size: failed\n");
    exit(1);
}

static void report(const char *name, uint64_t begin_ns, size_t count) {
    printf("%s: %.2f ns per object\n", name, (double)(now_ns() - begin_ns) / (double)count);
}

static void append(varve_object *list, varve_object *item) {
    must(item != NULL && varve_list_append(list, item) == 0);
    varve_decref(item);
}

/* --- the tree --- */

static varve_object *make_member(varve_world *world, size_t group, int member) {
    varve_object *dict = varve_dict_new(world);
    for (int number = 0; number < KEY_COUNT; number++) {
        varve_object *key = varve_int_new(world, number);
        varve_object *value = varve_float_new(world, (double)group + member / 128.0 + number);
        must(key != NULL && value != NULL && varve_dict_set(dict, key, value) == 0);
        varve_decref(key);
        varve_decref(value);
    }
    return dict;
}

static varve_object *make_tree(varve_world *world, size_t group_count) {
    varve_object *tree = varve_list_new(world);
    for (size_t group = 0; group < group_count; group++) {
        varve_object *members = varve_list_new(world);
        for (int member = 0; member < MEMBER_COUNT; member++) {
            append(members, make_member(world, group, member));
        }
        append(tree, members);
    }
    return tree;
}

/* --- the graph --- */

static varve_object *make_graph(varve_world *world, size_t count) {
    static const char *const names[] = {"a", "b", "c", NULL};
    varve_object *cls =
        varve_class_new(world, &(varve_class_spec){.name = "Node", .attributes = names});
    varve_object *list = varve_list_new(world);
    for (size_t index = 0; index < count; index++) append(list, varve_instance_new(cls));
    for (size_t index = 0; index < count; index++) {
        for (unsigned place = 0; place < 3; place++) {
            varve_instance_set(varve_list_get(list, index), place,
                               varve_list_get(list, random_below(count)));
        }
    }
    varve_decref(cls);
    return list;
}

static void measure_deep_size(const char *name, varve_object *root) {
    for (int round = 0; round < ROUND_COUNT; round++) {
        varve_deep_size size;
        uint64_t begin_ns = now_ns();
        must(varve_deep_sizeof(root, NULL, &size) == 0);
        report(name, begin_ns, size.objects);
    }
}

static void measure_holders(varve_object *list, size_t count) {
    for (int round = 0; round < ROUND_COUNT; round++) {
        varve_dominators *dominators;
        uint64_t begin_ns = now_ns();
        must(varve_dominators_new(varve_world_of(list), false, &dominators) == 0);
        report("dominators_random", begin_ns, count);
        varve_dominators_free(dominators);
        begin_ns = now_ns();
        varve_object *path = varve_path_to(varve_list_get(list, count / 2), NULL);
        must(path != NULL);
        report("path_random", begin_ns, count);
        varve_decref(path);
    }
}

int main(int argc, char **argv) {
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    must(count > 0);
    varve_world *world = varve_world_new();
    must(world != NULL);
    varve_gc_disable(world);
    size_t group_count = count / (1 + MEMBER_COUNT * (1 + KEY_COUNT));
    varve_object *tree = make_tree(world, group_count > 0 ? group_count : 1);
    measure_deep_size("deep_size", tree);
    varve_decref(tree);
    varve_object *list = make_graph(world, count);
    measure_deep_size("deep_size_random", list);
    measure_holders(list, count);
    return 0; /* the end of the world is not measured */
}
