/* SPDX-License-Identifier: MIT
 * Dicts with weak values or weak keys, and what all weak tables have in common. */
#include "object/builtin.h"
#include "object/weak_table.h"

static struct vv_weak_table *as_table(varve_object *object, uint32_t type_index) {
    VV_CHECK_OBJECT(object->type_index == type_index, object,
                    "varve: an object that is no weak table of this kind was used as one");
    vv_world_assert_inside(varve_world_of(object));
    return (struct vv_weak_table *)object;
}

static const struct vv_weak_table *as_const_table(const varve_object *object, uint32_t type_index) {
    VV_CHECK_OBJECT(object->type_index == type_index, object,
                    "varve: an object that is no weak table of this kind was used as one");
    return (const struct vv_weak_table *)object;
}

/* 1 and the place of a key / 0 / negative: also for what can be no key. */
static int find(struct vv_weak_table *table, varve_object *key, uint32_t *out_place) {
    uint64_t hash;
    if (table->head.type_index == VV_TYPE_WEAK_KEY_DICT && !vv_can_be_weak(key)) return -EOPNOTSUPP;
    int result = vv_weak_table_hash(table, key, &hash);
    return result == 0 ? vv_weak_table_find(table, key, hash, out_place) : result;
}

/* 1 and new references / 0 / negative. */
static int get(struct vv_weak_table *table, varve_object *key, varve_object **out_value) {
    uint32_t place;
    int result = find(table, key, &place);
    if (result <= 0) return result;
    return vv_weak_table_read(table, place, NULL, out_value);
}

static int delete (struct vv_weak_table *table, varve_object *key) {
    int result = vv_weak_table_discard(table, key);
    if (result > 0) return 0;
    return result == 0 ? -ENOENT : result;
}

/* --- weak values --- */

varve_object *varve_weak_value_dict_new(varve_world *world) {
    return vv_weak_table_new(world, VV_TYPE_WEAK_VALUE_DICT, /* by_identity */ false);
}

int varve_weak_value_dict_set(varve_object *dict, varve_object *key, varve_object *value) {
    struct vv_weak_table *table = as_table(dict, VV_TYPE_WEAK_VALUE_DICT);
    int result = vv_weak_table_set(table, key, value, key);
    return result < 0 ? result : 0;
}

int varve_weak_value_dict_get(varve_object *dict, varve_object *key, varve_object **out_value) {
    return get(as_table(dict, VV_TYPE_WEAK_VALUE_DICT), key, out_value);
}

int varve_weak_value_dict_delete(varve_object *dict, varve_object *key) {
    return delete (as_table(dict, VV_TYPE_WEAK_VALUE_DICT), key);
}

size_t varve_weak_value_dict_length(const varve_object *dict) {
    return vv_weak_table_length(as_const_table(dict, VV_TYPE_WEAK_VALUE_DICT));
}

int varve_weak_value_dict_next(varve_object *dict, size_t *position, varve_object **out_key,
                               varve_object **out_value) {
    struct vv_weak_table *table = as_table(dict, VV_TYPE_WEAK_VALUE_DICT);
    return vv_weak_table_next(table, position, out_key, out_value);
}

void varve_weak_value_dict_clear(varve_object *dict) {
    vv_weak_table_clear(as_table(dict, VV_TYPE_WEAK_VALUE_DICT));
}

/* --- weak keys --- */

varve_object *varve_weak_key_dict_new(varve_world *world, bool by_identity) {
    return vv_weak_table_new(world, VV_TYPE_WEAK_KEY_DICT, by_identity);
}

int varve_weak_key_dict_set(varve_object *dict, varve_object *key, varve_object *value) {
    struct vv_weak_table *table = as_table(dict, VV_TYPE_WEAK_KEY_DICT);
    int result = vv_weak_table_set(table, key, key, value);
    return result < 0 ? result : 0;
}

int varve_weak_key_dict_get(varve_object *dict, varve_object *key, varve_object **out_value) {
    return get(as_table(dict, VV_TYPE_WEAK_KEY_DICT), key, out_value);
}

int varve_weak_key_dict_delete(varve_object *dict, varve_object *key) {
    struct vv_weak_table *table = as_table(dict, VV_TYPE_WEAK_KEY_DICT);
    return vv_can_be_weak(key) ? delete (table, key) : -EOPNOTSUPP;
}

size_t varve_weak_key_dict_length(const varve_object *dict) {
    return vv_weak_table_length(as_const_table(dict, VV_TYPE_WEAK_KEY_DICT));
}

int varve_weak_key_dict_next(varve_object *dict, size_t *position, varve_object **out_key,
                             varve_object **out_value) {
    struct vv_weak_table *table = as_table(dict, VV_TYPE_WEAK_KEY_DICT);
    return vv_weak_table_next(table, position, out_key, out_value);
}

void varve_weak_key_dict_clear(varve_object *dict) {
    vv_weak_table_clear(as_table(dict, VV_TYPE_WEAK_KEY_DICT));
}

/* --- any weak table --- */

static struct vv_weak_table *as_any_table(varve_object *object) {
    VV_CHECK_OBJECT(vv_is_weak_table(object), object,
                    "varve: an object that is no weak table was used as one");
    vv_world_assert_inside(varve_world_of(object));
    return (struct vv_weak_table *)object;
}

static int set_any(struct vv_weak_table *table, varve_object *key, varve_object *value) {
    bool by_value = table->head.type_index == VV_TYPE_WEAK_VALUE_DICT;
    return by_value ? vv_weak_table_set(table, key, value, key)
                    : vv_weak_table_set(table, key, key, value);
}

static int update_from_dict(struct vv_weak_table *table, varve_object *dict) {
    size_t position = 0;
    varve_object *key, *value;
    int result = 0;
    while (result >= 0 && varve_dict_next(dict, &position, &key, &value) > 0) {
        varve_incref(key);
        varve_incref(value);
        result = set_any(table, key, value);
        varve_decref(key);
        varve_decref(value);
    }
    return result;
}

int vv_weak_table_update(struct vv_weak_table *table, struct vv_weak_table *source) {
    size_t position = 0;
    varve_object *key, *value;
    int result = 0;
    if (table == source) return 0;
    while (result >= 0 && vv_weak_table_next(source, &position, &key, &value) > 0) {
        result = set_any(table, key, value);
        varve_decref(key);
        varve_xdecref(value);
    }
    return result < 0 ? result : 0;
}

int varve_weak_dict_update(varve_object *dict, varve_object *source) {
    struct vv_weak_table *table = as_any_table(dict);
    vv_check(vv_is_weak_dict(dict), "varve: a weak set was used as a weak dict");
    vv_object_assert_live(source);
    int result = -EOPNOTSUPP;
    if (vv_is_weak_dict(source)) {
        result = vv_weak_table_update(table, (struct vv_weak_table *)source);
    } else if (source->type_index == VV_TYPE_DICT) {
        result = update_from_dict(table, source);
    }
    return result < 0 ? result : 0;
}

varve_object *varve_weak_table_copy(varve_object *object) {
    struct vv_weak_table *table = as_any_table(object);
    varve_object *copy =
        vv_weak_table_new(varve_world_of(object), object->type_index, table->by_identity);
    if (copy == NULL) return NULL;
    int error = vv_weak_table_update((struct vv_weak_table *)copy, table);
    if (error == 0) return copy;
    varve_decref(copy);
    errno = -error;
    return NULL;
}

varve_object *varve_weak_table_refs(varve_object *object) {
    struct vv_weak_table *table = as_any_table(object);
    varve_object *list = varve_list_new(varve_world_of(object));
    if (list == NULL) return NULL;
    for (uint32_t place = 0; place < table->entry_count; place++) {
        struct vv_weakref *member = table->entries[place].member;
        if (member == NULL || member->object == NULL) continue;
        if (varve_list_append(list, &member->head) == 0) continue;
        varve_decref(list);
        errno = ENOMEM;
        return NULL;
    }
    return list;
}

int varve_weak_table_pop(varve_object *object, varve_object **out_key, varve_object **out_value) {
    return vv_weak_table_pop(as_any_table(object), out_key, out_value);
}

int varve_weak_dict_setdefault(varve_object *dict, varve_object *key, varve_object *value,
                               varve_object **out_value) {
    struct vv_weak_table *table = as_any_table(dict);
    vv_check(vv_is_weak_dict(dict), "varve: a weak set was used as a weak dict");
    int result = get(table, key, out_value);
    if (result != 0) return result < 0 ? result : 0;
    result = set_any(table, key, value);
    if (result < 0) return result;
    *out_value = varve_incref(value);
    return 1;
}

int varve_weak_dict_take(varve_object *dict, varve_object *key, varve_object **out_value) {
    struct vv_weak_table *table = as_any_table(dict);
    vv_check(vv_is_weak_dict(dict), "varve: a weak set was used as a weak dict");
    uint32_t place;
    int result = find(table, key, &place);
    if (result <= 0) return result;
    result = vv_weak_table_read(table, place, NULL, out_value);
    vv_weak_table_remove(table, place);
    return result;
}

/* --- types --- */

/* Equal: as many entries, and each key leads to an equal value. */
static int dict_equal(varve_object *left, varve_object *right) {
    struct vv_weak_table *table = (struct vv_weak_table *)left;
    struct vv_weak_table *other = (struct vv_weak_table *)right;
    size_t position = 0;
    varve_object *key, *value, *other_value;
    int result = vv_weak_table_length(table) == vv_weak_table_length(other);
    while (result > 0 && vv_weak_table_next(table, &position, &key, &value) > 0) {
        result = get(other, key, &other_value);
        if (result > 0) {
            result = vv_weak_equal(varve_world_of(left)->weak, value, other_value);
            varve_decref(other_value);
        }
        varve_decref(key);
        varve_decref(value);
    }
    return result;
}

#define WEAK_DICT(type_name, type_flags)                                                           \
    {                                                                                              \
        .name = type_name, .basic_bytes = sizeof(struct vv_weak_table), .flags = type_flags,       \
        .traverse = vv_weak_table_traverse, .clear = vv_weak_table_clear_self,                     \
        .dealloc = vv_weak_table_dealloc, .outer_bytes = vv_weak_table_outer_bytes,                \
        .equal = dict_equal,                                                                       \
    }

const varve_type_spec vv_weak_value_dict_spec = WEAK_DICT("weak_value_dict", 0);
const varve_type_spec vv_weak_key_dict_spec = WEAK_DICT("weak_key_dict", 0);
const varve_type_spec vv_ephemerons_spec = WEAK_DICT("ephemerons", VV_TYPE_IS_EPHEMERONS);
