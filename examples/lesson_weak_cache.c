/* SPDX-License-Identifier: MIT
 * Step 6 of the lesson: a cache that does not keep what it has. A miss makes the object, a hit
 * finds it; when nobody else needs it any more it goes, even from a cycle, and takes its entry with
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <varve/varve.h>

static varve_object *checked(varve_object *object) {
    if (object == NULL) {
        fputs("lesson_weak_cache: out of memory\n", stderr);
        exit(1);
    }
    return object;
}

static void say_goodbye(varve_object *self, void *argument) {
    varve_object *name;
    (void)argument;
    if (varve_get_attribute(self, "name", &name) == 0) {
        printf("  finalizing %s\n", varve_str_text(name));
    }
}

struct cache {
    varve_world *world;
    varve_object *entries; /* name -> heavy object, weakly */
    varve_object *heavy_class;
};

/* A heavy object that refers to itself, so that only the collector can end it. */
static varve_object *make_heavy(struct cache *cache, varve_object *name) {
    varve_object *heavy = checked(varve_instance_new(cache->heavy_class));
    varve_set_attribute(heavy, "name", name);
    varve_set_attribute(heavy, "self", heavy);
    return heavy;
}

/* A new reference. */
static varve_object *look_up(struct cache *cache, const char *text) {
    varve_object *name = checked(varve_str_of(cache->world, text));
    varve_object *heavy = NULL;
    if (varve_weak_value_dict_get(cache->entries, name, &heavy) > 0) {
        printf("hit: %s\n", text);
    } else {
        printf("miss: %s\n", text);
        heavy = make_heavy(cache, name);
        if (varve_weak_value_dict_set(cache->entries, name, heavy) < 0) exit(1);
    }
    varve_decref(name);
    return heavy;
}

int main(void) {
    static const char *const attributes[] = {"name", "self", NULL};
    static const varve_class_spec spec = {
        .name = "Heavy", .attributes = attributes, .finalize = say_goodbye};
    struct cache cache = {.world = varve_world_new()};
    if (cache.world == NULL) return 1;
    cache.heavy_class = checked(varve_class_new(cache.world, &spec));
    cache.entries = checked(varve_weak_value_dict_new(cache.world));

    varve_object *first = look_up(&cache, "report");
    varve_object *second = look_up(&cache, "report");
    printf("the same: %s\n", first == second ? "yes" : "no");
    printf("size: %zu\n", varve_weak_value_dict_length(cache.entries));
    varve_decref(first);
    varve_decref(second);
    printf("dropped, size: %zu\n", varve_weak_value_dict_length(cache.entries));
    varve_gc_collect(cache.world, 2);
    printf("collected, size: %zu\n", varve_weak_value_dict_length(cache.entries));
    varve_decref(look_up(&cache, "report"));

    varve_decref(cache.entries);
    varve_decref(cache.heavy_class);
    return varve_world_free(cache.world) == 0 ? 0 : 1;
}
