/* SPDX-License-Identifier: MIT
 * Step 4 of the lesson: a parent and a child that refer to each other. When nobody else does, their
 * reference counts stay above zero; the collector finds them. */
#include <stdio.h>
#include <stdlib.h>
#include <varve/varve.h>

static varve_object *checked(varve_object *object) {
    if (object == NULL) {
        fputs("lesson_cycles: out of memory\n", stderr);
        exit(1);
    }
    return object;
}

/* A parent with a child that knows its parent. The parent's reference is the caller's. */
static varve_object *make_family(varve_object *node_class) {
    varve_object *parent = checked(varve_instance_new(node_class));
    varve_object *child = checked(varve_instance_new(node_class));
    varve_set_attribute(parent, "child", child);
    varve_set_attribute(child, "parent", parent);
    varve_decref(child);
    return parent;
}

/* How many instances of the class the collector watches. */
static size_t count_tracked(varve_world *world, const varve_object *node_class) {
    varve_object *objects = checked(varve_gc_get_objects(world, -1));
    size_t count = 0;
    for (size_t index = 0; index < varve_list_length(objects); index++) {
        const varve_object *object = varve_list_get(objects, index);
        count += varve_kind_of(object) == VARVE_KIND_INSTANCE &&
                 varve_instance_class(object) == node_class;
    }
    varve_decref(objects);
    return count;
}

int main(void) {
    static const char *const attributes[] = {"parent", "child", NULL};
    static const varve_class_spec spec = {.name = "Node", .attributes = attributes};
    varve_world *world = varve_world_new();
    if (world == NULL) return 1;
    varve_object *node_class = checked(varve_class_new(world, &spec));
    int numbers[3];

    varve_object *family = make_family(node_class);
    printf("tracked instances of Node: %zu\n", count_tracked(world, node_class));
    varve_decref(family);
    printf("after the last name has gone: %zu\n", count_tracked(world, node_class));
    varve_gc_get_count(world, numbers);
    printf("count: (%d, %d, %d)\n", numbers[0], numbers[1], numbers[2]);
    printf("collected: %ld objects\n", varve_gc_collect(world, 2));
    printf("tracked instances of Node: %zu\n", count_tracked(world, node_class));
    varve_gc_get_threshold(world, numbers);
    printf("thresholds: (%d, %d, %d)\n", numbers[0], numbers[1], numbers[2]);

    for (int index = 0; index < 5000; index++) varve_decref(make_family(node_class));
    varve_gc_stats stats[VARVE_GC_GENERATIONS];
    varve_gc_get_stats(world, stats);
    printf("5000 more families: %s collected on the way, %zu instances wait\n",
           stats[0].collected + stats[1].collected > 9000 ? "most" : "few",
           count_tracked(world, node_class));
    varve_decref(node_class);
    return varve_world_free(world) == 0 ? 0 : 1;
}
