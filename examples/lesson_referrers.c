/* SPDX-License-Identifier: MIT
 * Step 5 of the lesson: who refers to a resource? Dicts, lists and others are told apart, with what
 * they call it; then the path that keeps it alive, and a picture of all holders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <varve/varve.h>

static varve_object *checked(varve_object *object) {
    if (object == NULL) {
        fputs("lesson_referrers: out of memory\n", stderr);
        exit(1);
    }
    return object;
}

static void print_referrers(varve_world *world, varve_object *resource) {
    varve_object *referrers = checked(varve_gc_get_referrers(world, 1, &resource));
    size_t dicts = 0, lists = 0, others = 0;
    for (size_t index = 0; index < varve_list_length(referrers); index++) {
        varve_object *holder = varve_list_get(referrers, index);
        char name[80], reference[80];
        varve_describe(holder, name, sizeof name);
        varve_describe_reference(holder, resource, reference, sizeof reference);
        printf("  %s has it as %s\n", name, reference);
        varve_kind kind = varve_kind_of(holder);
        dicts += kind == VARVE_KIND_DICT;
        lists += kind == VARVE_KIND_LIST;
        others += kind != VARVE_KIND_DICT && kind != VARVE_KIND_LIST;
    }
    printf("dicts: %zu, lists: %zu, others: %zu\n", dicts, lists, others);
    varve_decref(referrers);
}

static void print_path(varve_object *object) {
    varve_object *path = checked(varve_path_to(object, NULL));
    char text[80];
    varve_describe(varve_list_get(path, 0), text, sizeof text);
    printf("kept alive by %s", text);
    for (size_t index = 1; index < varve_list_length(path); index++) {
        varve_describe_reference(varve_list_get(path, index - 1), varve_list_get(path, index), text,
                                 sizeof text);
        printf(" %s", text);
    }
    printf("\n");
    varve_decref(path);
}

static void print(const char *text, size_t length, void *argument) {
    fwrite(text, 1, length, argument);
}

int main(int argc, char **argv) {
    static const char *const attributes[] = {"connection", NULL};
    static const varve_class_spec resource_spec = {.name = "Resource"};
    static const varve_class_spec session_spec = {.name = "Session", .attributes = attributes};
    varve_world *world = varve_world_new();
    if (world == NULL) return 1;
    varve_object *resource_class = checked(varve_class_new(world, &resource_spec));
    varve_object *session_class = checked(varve_class_new(world, &session_spec));
    varve_object *resource = checked(varve_instance_new(resource_class));
    varve_object *session = checked(varve_instance_new(session_class));
    varve_object *pool = checked(varve_list_new(world));
    varve_object *registry = checked(varve_dict_new(world));

    varve_dict_set_text(registry, "main", resource);
    varve_list_append(pool, resource);
    varve_set_attribute(session, "connection", resource);
    varve_dict_set_text(registry, "session", session);
    varve_decref(session);
    print_referrers(world, resource);
    varve_list_clear(pool);
    print_path(resource);
    if (argc > 1 && strcmp(argv[1], "--dot") == 0) {
        varve_write_holders(resource, 4, 20, print, stdout);
    }
    varve_decref(pool);
    varve_decref(registry);
    varve_decref(resource);
    varve_decref(resource_class);
    varve_decref(session_class);
    return varve_world_free(world) == 0 ? 0 : 1;
}
