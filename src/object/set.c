/* SPDX-License-Identifier: MIT */
#include "object/table.h"

static struct vv_dict *set_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_SET, "set");
    return (struct vv_dict *)(uintptr_t)object;
}

varve_object *varve_set_new(varve_world *world) {
    struct vv_dict *set = (void *)vv_object_new(world->types[VV_TYPE_SET], sizeof *set);
    if (set == NULL) return NULL;
    set->table = (struct vv_table){.slots = NULL};
    vv_object_track(&set->head);
    return &set->head;
}

size_t varve_set_length(const varve_object *set) {
    return set_of(set)->table.used_count;
}

static int find(struct vv_dict *set, varve_object *item, uint64_t *out_hash, uint32_t *out_index) {
    vv_object_assert_compared(&set->head, item);
    int result = varve_hash(item, out_hash);
    return result == 0 ? vv_table_find(&set->table, item, *out_hash, out_index) : result;
}

int varve_set_add(varve_object *object, varve_object *item) {
    struct vv_dict *set = set_of(object);
    uint64_t hash;
    uint32_t index;
    int result = find(set, item, &hash, &index);
    if (result != 0) return result > 0 ? 0 : result;
    result = vv_table_reserve(vv_world_of(object), &set->table);
    if (result != 0) return result;
    vv_table_append(&set->table, hash, vv_object_own(object, item), NULL);
    return 1;
}

int varve_set_discard(varve_object *object, varve_object *item) {
    struct vv_dict *set = set_of(object);
    uint64_t hash;
    uint32_t index = 0;
    int result = find(set, item, &hash, &index);
    if (result <= 0) return result;
    varve_decref(vv_table_remove(&set->table, index).key);
    return 1;
}

int varve_set_contains(varve_object *set, varve_object *item) {
    uint64_t hash;
    uint32_t index;
    return find(set_of(set), item, &hash, &index);
}

void varve_set_clear(varve_object *set) {
    vv_table_clear(vv_world_of(set), &set_of(set)->table);
}

/* --- the type --- */

void vv_table_object_clear(varve_object *self) {
    vv_table_clear(vv_world_of(self), &((struct vv_dict *)self)->table);
}

size_t vv_table_object_outer_bytes(const varve_object *self) {
    return vv_table_bytes(&((const struct vv_dict *)self)->table);
}

const varve_type_spec vv_set_spec = {
    .name = "set",
    .basic_bytes = sizeof(struct vv_dict),
    .traverse = vv_builtin_traverse,
    .clear = vv_table_object_clear,
    .outer_bytes = vv_table_object_outer_bytes,
};
