/* SPDX-License-Identifier: MIT
 * Ephemeron tables: weak-key dicts by identity whose values do not keep their own keys alive. */
#include "object/builtin.h"
#include "object/weak.h"
#include "object/weak_table.h"

static struct vv_weak_table *as_ephemerons(varve_object *object) {
    VV_IS(object, VV_TYPE_EPHEMERONS, "ephemeron table");
    vv_world_assert_inside(varve_world_of(object));
    return (struct vv_weak_table *)object;
}

varve_object *varve_ephemerons_new(varve_world *world) {
    return vv_weak_table_new(world, VV_TYPE_EPHEMERONS, /* by_identity */ true);
}

int varve_ephemerons_set(varve_object *object, varve_object *key, varve_object *value) {
    int result = vv_weak_table_set(as_ephemerons(object), key, key, value);
    return result < 0 ? result : 0;
}

/* The place of a key. By identity nothing can fail. */
static bool find(struct vv_weak_table *table, varve_object *key, uint32_t *out_place) {
    uint64_t hash;
    vv_weak_table_hash(table, key, &hash);
    return vv_weak_table_find(table, key, hash, out_place) > 0;
}

int varve_ephemerons_get(varve_object *object, varve_object *key, varve_object **out_value) {
    struct vv_weak_table *table = as_ephemerons(object);
    uint32_t place;
    return find(table, key, &place) && vv_weak_table_read(table, place, NULL, out_value);
}

int varve_ephemerons_delete(varve_object *object, varve_object *key) {
    return vv_weak_table_discard(as_ephemerons(object), key) > 0 ? 0 : -ENOENT;
}

size_t varve_ephemerons_length(const varve_object *object) {
    VV_IS(object, VV_TYPE_EPHEMERONS, "ephemeron table");
    return vv_weak_table_length((const struct vv_weak_table *)object);
}

int varve_ephemerons_next(varve_object *object, size_t *position, varve_object **out_key,
                          varve_object **out_value) {
    return vv_weak_table_next(as_ephemerons(object), position, out_key, out_value);
}

void varve_ephemerons_clear(varve_object *object) {
    vv_weak_table_clear(as_ephemerons(object));
}

/* --- for the collector --- */

bool vv_ephemerons_exist(const varve_world *world) {
    return world->weak->ephemerons_count > 0;
}

typedef bool (*reached_function)(const varve_object *object);

static void show_table(const struct vv_weak_table *table, reached_function is_reached,
                       varve_visit visit, void *argument) {
    for (uint32_t place = 0; place < table->entry_count; place++) {
        const struct vv_weak_entry *entry = &table->entries[place];
        if (entry->member == NULL) continue;
        visit(&entry->member->head, argument);
        /* The entry of a key that has just died owns its value until its callback's turn. */
        const varve_object *key = entry->member->object;
        if (key == NULL || is_reached(key)) visit(entry->other, argument);
    }
}

void vv_ephemerons_show_values(const varve_object *key, reached_function is_reached,
                               varve_visit visit, void *argument) {
    for (struct vv_weakref *ref = vv_weak_list_first(key); ref != NULL; ref = ref->next) {
        if (ref->callback != vv_weak_member_died) continue;
        const struct vv_weak_table *table = vv_weak_table_of(ref);
        if (table->head.type_index != VV_TYPE_EPHEMERONS || !is_reached(&table->head)) continue;
        vv_assert(table->entries[ref->place].member == ref);
        visit(table->entries[ref->place].other, argument);
    }
}

bool vv_ephemerons_show(varve_object *object, reached_function is_reached, varve_visit visit,
                        void *argument) {
    vv_ephemerons_show_values(object, is_reached, visit, argument);
    if (object->type_index != VV_TYPE_EPHEMERONS) return false;
    show_table((const struct vv_weak_table *)object, is_reached, visit, argument);
    return true;
}
