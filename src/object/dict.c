/* SPDX-License-Identifier: MIT */
#include "object/table.h"

static struct vv_dict *dict_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_DICT, "dict");
    return (struct vv_dict *)(uintptr_t)object;
}

varve_object *varve_dict_new(varve_world *world) {
    struct vv_dict *dict = (void *)vv_object_new(world->types[VV_TYPE_DICT], sizeof *dict);
    if (dict == NULL) return NULL;
    dict->table = (struct vv_table){.slots = NULL};
    return &dict->head; /* not tracked while it holds nothing that is */
}

size_t varve_dict_length(const varve_object *dict) {
    return dict_of(dict)->table.used_count;
}

static int find(struct vv_dict *dict, varve_object *key, uint64_t *out_hash, uint32_t *out_index) {
    vv_object_assert_compared(&dict->head, key);
    int result = varve_hash(key, out_hash);
    return result == 0 ? vv_table_find(&dict->table, key, *out_hash, out_index) : result;
}

int varve_dict_get(varve_object *object, varve_object *key, varve_object **out_value) {
    struct vv_dict *dict = dict_of(object);
    uint64_t hash;
    uint32_t index = 0;
    int result = find(dict, key, &hash, &index);
    if (result > 0) *out_value = dict->table.entries[index].value;
    return result;
}

static int insert(struct vv_dict *dict, varve_object *key, uint64_t hash, varve_object *value) {
    varve_world *world = vv_world_of(&dict->head);
    int error = vv_table_reserve(world, &dict->table);
    if (error != 0) return error;
    vv_table_append(&dict->table, hash, vv_object_own(&dict->head, key),
                    vv_object_own(&dict->head, value));
    return 0;
}

int varve_dict_set(varve_object *object, varve_object *key, varve_object *value) {
    struct vv_dict *dict = dict_of(object);
    uint64_t hash;
    uint32_t index = 0;
    int result = find(dict, key, &hash, &index);
    if (result < 0) return result;
    if (result == 0) {
        result = insert(dict, key, hash, value);
        if (result != 0) return result;
    }
    if (vv_object_may_be_tracked(key) || vv_object_may_be_tracked(value)) vv_object_track(object);
    if (result > 0) {
        varve_object *old = dict->table.entries[index].value;
        dict->table.entries[index].value = vv_object_own(object, value);
        varve_decref(old);
    }
    return 0;
}

int varve_dict_delete(varve_object *object, varve_object *key) {
    struct vv_dict *dict = dict_of(object);
    uint64_t hash;
    uint32_t index = 0;
    int result = find(dict, key, &hash, &index);
    if (result <= 0) return result == 0 ? -ENOENT : result;
    struct vv_entry entry = vv_table_remove(&dict->table, index);
    varve_decref(entry.key);
    varve_decref(entry.value);
    return 0;
}

void varve_dict_clear(varve_object *dict) {
    vv_table_clear(vv_world_of(dict), &dict_of(dict)->table);
}

int varve_dict_next(varve_object *dict, size_t *position, varve_object **out_key,
                    varve_object **out_value) {
    const struct vv_entry *entry = vv_table_next(&dict_of(dict)->table, position);
    if (entry == NULL) return 0;
    if (out_key != NULL) *out_key = entry->key;
    if (out_value != NULL) *out_value = entry->value;
    return 1;
}

int varve_dict_get_text(varve_object *dict, const char *key, varve_object **out_value) {
    varve_object *str = varve_str_of(vv_world_of(dict), key);
    if (str == NULL) return -errno;
    int result = varve_dict_get(dict, str, out_value);
    varve_decref(str);
    return result;
}

int varve_dict_set_text(varve_object *dict, const char *key, varve_object *value) {
    varve_object *str = varve_str_of(vv_world_of(dict), key);
    if (str == NULL) return -errno;
    int result = varve_dict_set(dict, str, value);
    varve_decref(str);
    return result;
}

/* --- the type --- */

int vv_dict_equal(varve_object *left, varve_object *right, int depth) {
    struct vv_table *table = &((struct vv_dict *)left)->table;
    struct vv_table *other = &((struct vv_dict *)right)->table;
    if (table->used_count != other->used_count) return 0;
    for (uint32_t index = 0; index < table->entry_count; index++) {
        struct vv_entry entry = table->entries[index];
        uint32_t found = 0;
        if (entry.key == NULL) continue;
        varve_incref(entry.key);
        varve_xincref(entry.value);
        int result = vv_table_find(other, entry.key, entry.hash, &found);
        if (result > 0 && entry.value != NULL) {
            result = vv_item_equal(entry.value, other->entries[found].value, depth - 1);
        }
        varve_decref(entry.key);
        varve_xdecref(entry.value);
        if (result <= 0) return result;
    }
    return 1;
}

const varve_type_spec vv_dict_spec = {
    .name = "dict",
    .basic_bytes = sizeof(struct vv_dict),
    .traverse = vv_builtin_traverse,
    .clear = vv_table_object_clear,
    .outer_bytes = vv_table_object_outer_bytes,
};
