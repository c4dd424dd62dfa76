/* SPDX-License-Identifier: MIT
 * Step 1 of the lesson: how big is a nested value really? The layers of the allocator; the size of
 * a list of five ints; and of {'users': [{'name': 'Alice', 'age': 30}, {'name': 'Bob', 'age': 25}]}
 * with all that it reaches, each shared object once. */
#include <stdio.h>
#include <stdlib.h>
#include <varve/varve.h>

static varve_object *checked(varve_object *object) {
    if (object == NULL) {
        fputs("lesson_sizes: out of memory\n", stderr);
        exit(1);
    }
    return object;
}

static void print_layers(void) {
    varve_geometry geometry;
    varve_heap_geometry(&geometry);
    printf("%s geometry: arenas of %zu KiB, pools from %zu KiB, blocks", geometry.name,
           geometry.arena_bytes / 1024, geometry.pool_bytes / 1024);
    for (unsigned index = 0; index < 4; index++) printf(" %zu,", varve_heap_class_size(index));
    printf(" ... %zu; larger requests up to %zu MiB from arenas\n", geometry.small_max_bytes,
           geometry.medium_max_bytes / 1024 / 1024);
}

/* Appends and gives the reference away. */
static void append(varve_object *list, varve_object *item) {
    if (varve_list_append(list, checked(item)) < 0) exit(1);
    varve_decref(item);
}

static void set(varve_object *dict, const char *key, varve_object *value) {
    if (varve_dict_set_text(dict, key, checked(value)) < 0) exit(1);
    varve_decref(value);
}

static varve_object *make_user(varve_world *world, const char *name, int age) {
    varve_object *user = checked(varve_dict_new(world));
    set(user, "name", varve_str_of(world, name));
    set(user, "age", varve_int_new(world, age));
    return user;
}

static varve_object *make_data(varve_world *world) {
    varve_object *users = checked(varve_list_new(world));
    append(users, make_user(world, "Alice", 30));
    append(users, make_user(world, "Bob", 25));
    varve_object *data = checked(varve_dict_new(world));
    set(data, "users", users);
    return data;
}

static void print_size(const char *what, varve_object *object) {
    varve_deep_sizeof_options requested = {.requested = true};
    varve_deep_size asked, given, retained;
    if (varve_deep_sizeof(object, &requested, &asked) < 0 ||
        varve_deep_sizeof(object, NULL, &given) < 0 ||
        varve_retained_sizeof(object, false, &retained) < 0) {
        exit(1);
    }
    printf("%s: own size %zu, as the heap gives it %zu\n", what, varve_sizeof(object, true),
           varve_sizeof(object, false));
    printf("  with all it reaches: %zu in %zu objects, as the heap gives it %zu\n", asked.bytes,
           asked.objects, given.bytes);
    printf("  what would go with it: %zu in %zu objects\n", retained.bytes, retained.objects);
}

int main(void) {
    varve_world *world = varve_world_new();
    if (world == NULL) return 1;
    print_layers();
    varve_object *numbers = checked(varve_list_new(world));
    for (int number = 1; number <= 5; number++) append(numbers, varve_int_new(world, number));
    print_size("[1, 2, 3, 4, 5]", numbers);
    varve_object *data = make_data(world);
    print_size("{'users': [...]}", data);
    varve_decref(numbers);
    varve_decref(data);
    return varve_world_free(world) == 0 ? 0 : 1;
}
