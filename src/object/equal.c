/* SPDX-License-Identifier: MIT
 * Equality, hash, length and iteration across types. */
#include "object/table.h"

#include "base/hash.h"

/* --- equality --- */

static bool is_int(const varve_object *object) {
    return object->type_index == VV_TYPE_INT || object->type_index == VV_TYPE_BOOL;
}

static bool is_number(const varve_object *object) {
    return is_int(object) || object->type_index == VV_TYPE_FLOAT;
}

/* Whether a double has exactly the value of an int. 2^63 is the least double out of range. */
static bool float_is_int(double value, int64_t integer) {
    if (!(value >= -0x1p63 && value < 0x1p63)) return false;
    return (int64_t)value == integer && (double)(int64_t)value == value;
}

static bool number_equal(const varve_object *left, const varve_object *right) {
    if (is_int(left) && is_int(right)) return varve_int_value(left) == varve_int_value(right);
    if (is_int(left)) return float_is_int(varve_float_value(right), varve_int_value(left));
    if (is_int(right)) return float_is_int(varve_float_value(left), varve_int_value(right));
    return varve_float_value(left) == varve_float_value(right); /* NaN differs from itself */
}

static bool bytes_equal(const struct vv_bytes *left, const struct vv_bytes *right) {
    return left->byte_count == right->byte_count &&
           memcmp(left->data, right->data, left->byte_count) == 0;
}

int vv_item_equal(varve_object *left, varve_object *right, int depth) {
    if (left == right) return 1;
    if (left == NULL || right == NULL) return 0;
    varve_incref(left);
    varve_incref(right);
    int result = vv_equal_to_depth(left, right, depth);
    varve_decref(left);
    varve_decref(right);
    return result;
}

/* What is called may change lists: lengths and items are read anew each time. */
static int list_equal(const struct vv_list *left, const struct vv_list *right, int depth) {
    if (left->count != right->count) return 0;
    for (size_t index = 0; index < left->count && index < right->count; index++) {
        int result = vv_item_equal(left->items[index], right->items[index], depth - 1);
        if (result <= 0) return result;
    }
    return left->count == right->count;
}

static int tuple_equal(const struct vv_tuple *left, const struct vv_tuple *right, int depth) {
    if (left->count != right->count) return 0;
    for (size_t index = 0; index < left->count; index++) {
        int result = vv_item_equal(left->items[index], right->items[index], depth - 1);
        if (result <= 0) return result;
    }
    return 1;
}

int vv_equal_to_depth(varve_object *left, varve_object *right, int depth) {
    if (is_number(left) && is_number(right)) return number_equal(left, right);
    if (left == right) return 1;
    if (left->type_index != right->type_index) return 0;
    if (depth < 0) return -ELOOP;
    switch (left->type_index) {
    case VV_TYPE_STR: return vv_str_equal((struct vv_str *)left, (struct vv_str *)right);
    case VV_TYPE_BYTES: return bytes_equal((struct vv_bytes *)left, (struct vv_bytes *)right);
    case VV_TYPE_LIST: return list_equal((struct vv_list *)left, (struct vv_list *)right, depth);
    case VV_TYPE_TUPLE:
        return tuple_equal((struct vv_tuple *)left, (struct vv_tuple *)right, depth);
    case VV_TYPE_DICT:
    case VV_TYPE_SET: return vv_dict_equal(left, right, depth);
    default: {
        const struct varve_type *type = vv_type_of(left);
        return type->spec.equal != NULL ? type->spec.equal(left, right) : 0;
    }
    }
}

int varve_equal(varve_object *left, varve_object *right) {
    vv_object_assert_compared(left, right);
    return vv_equal_to_depth(left, right, VV_EQUAL_MAX_DEPTH);
}

/* --- hash --- */

static uint64_t hash_of_float(double value) {
    if (value >= -0x1p63 && value < 0x1p63 && (double)(int64_t)value == value) {
        return vv_mix64((uint64_t)(int64_t)value); /* equal numbers have equal hashes */
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return vv_mix64(bits);
}

static int hash_to_depth(varve_object *object, int depth, uint64_t *out_hash);

static int hash_of_tuple(const struct vv_tuple *tuple, int depth, uint64_t *out_hash) {
    uint64_t hash = tuple->count;
    for (size_t index = 0; index < tuple->count; index++) {
        uint64_t item_hash = 0;
        if (tuple->items[index] != NULL) {
            int error = hash_to_depth(tuple->items[index], depth - 1, &item_hash);
            if (error != 0) return error;
        }
        hash = vv_mix64(hash ^ item_hash);
    }
    *out_hash = hash;
    return 0;
}

static int hash_to_depth(varve_object *object, int depth, uint64_t *out_hash) {
    const struct varve_type *type;
    if (depth < 0) return -ELOOP;
    switch (object->type_index) {
    case VV_TYPE_BOOL:
    case VV_TYPE_INT: *out_hash = vv_mix64((uint64_t)varve_int_value(object)); return 0;
    case VV_TYPE_FLOAT: *out_hash = hash_of_float(varve_float_value(object)); return 0;
    case VV_TYPE_STR: *out_hash = vv_str_hash((struct vv_str *)object); return 0;
    case VV_TYPE_BYTES: {
        const struct vv_bytes *bytes = (const struct vv_bytes *)object;
        *out_hash = vv_hash_bytes(bytes->data, bytes->byte_count);
        return 0;
    }
    case VV_TYPE_TUPLE: return hash_of_tuple((struct vv_tuple *)object, depth, out_hash);
    case VV_TYPE_LIST:
    case VV_TYPE_DICT:
    case VV_TYPE_SET: return -EOPNOTSUPP;
    default: break;
    }
    type = vv_type_of(object);
    if (type->spec.hash != NULL) return type->spec.hash(object, out_hash);
    if (type->spec.equal != NULL) return -EOPNOTSUPP;
    *out_hash = vv_mix64((uintptr_t)object);
    return 0;
}

int varve_hash(varve_object *object, uint64_t *out_hash) {
    vv_object_assert_live(object);
    return hash_to_depth(object, VV_EQUAL_MAX_DEPTH, out_hash);
}

/* --- containers in general --- */

static int next_of(varve_object *const *items, size_t count, size_t *position,
                   varve_object **out_item) {
    while (*position < count) {
        varve_object *item = items[(*position)++];
        if (item == NULL) continue;
        *out_item = item;
        return 1;
    }
    return 0;
}

int varve_next(varve_object *container, size_t *position, varve_object **out_item) {
    vv_object_assert_live(container);
    switch (container->type_index) {
    case VV_TYPE_LIST: {
        const struct vv_list *list = (const struct vv_list *)container;
        return next_of(list->items, list->count, position, out_item);
    }
    case VV_TYPE_TUPLE: {
        const struct vv_tuple *tuple = (const struct vv_tuple *)container;
        return next_of(tuple->items, tuple->count, position, out_item);
    }
    case VV_TYPE_DICT:
    case VV_TYPE_SET: {
        const struct vv_dict *dict = (const struct vv_dict *)container;
        const struct vv_entry *entry = vv_table_next(&dict->table, position);
        if (entry == NULL) return 0;
        *out_item = entry->key;
        return 1;
    }
    default: return -EOPNOTSUPP;
    }
}

long varve_length(const varve_object *object) {
    vv_object_assert_live(object);
    switch (object->type_index) {
    case VV_TYPE_STR: return (long)((const struct vv_str *)object)->byte_count;
    case VV_TYPE_BYTES: return (long)((const struct vv_bytes *)object)->byte_count;
    case VV_TYPE_LIST: return (long)((const struct vv_list *)object)->count;
    case VV_TYPE_TUPLE: return (long)((const struct vv_tuple *)object)->count;
    case VV_TYPE_DICT:
    case VV_TYPE_SET: return (long)((const struct vv_dict *)object)->table.used_count;
    default: return -EOPNOTSUPP;
    }
}
