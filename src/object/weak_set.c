/* SPDX-License-Identifier: MIT */
#include "object/builtin.h"
#include "object/weak_table.h"

static struct vv_weak_table *as_set(varve_object *object) {
    VV_IS(object, VV_TYPE_WEAK_SET, "weak set");
    vv_world_assert_inside(varve_world_of(object));
    return (struct vv_weak_table *)object;
}

static struct vv_weak_table *set_new(varve_world *world, bool by_identity) {
    return (struct vv_weak_table *)vv_weak_table_new(world, VV_TYPE_WEAK_SET, by_identity);
}

varve_object *varve_weak_set_new(varve_world *world, bool by_identity) {
    return vv_weak_table_new(world, VV_TYPE_WEAK_SET, by_identity);
}

static int add(struct vv_weak_table *set, varve_object *item) {
    return vv_weak_table_set(set, item, item, NULL);
}

static int discard(struct vv_weak_table *set, varve_object *item) {
    return vv_can_be_weak(item) ? vv_weak_table_discard(set, item) : -EOPNOTSUPP;
}

static int contains(struct vv_weak_table *set, varve_object *item) {
    uint64_t hash;
    uint32_t place;
    if (!vv_can_be_weak(item)) return 0;
    int error = vv_weak_table_hash(set, item, &hash);
    return error != 0 ? error : vv_weak_table_find(set, item, hash, &place);
}

int varve_weak_set_add(varve_object *set, varve_object *item) {
    return add(as_set(set), item);
}

int varve_weak_set_discard(varve_object *set, varve_object *item) {
    return discard(as_set(set), item);
}

int varve_weak_set_contains(varve_object *set, varve_object *item) {
    return contains(as_set(set), item);
}

size_t varve_weak_set_length(const varve_object *set) {
    VV_IS(set, VV_TYPE_WEAK_SET, "weak set");
    return vv_weak_table_length((const struct vv_weak_table *)set);
}

int varve_weak_set_next(varve_object *set, size_t *position, varve_object **out_item) {
    return vv_weak_table_next(as_set(set), position, out_item, /* out_value */ NULL);
}

void varve_weak_set_clear(varve_object *set) {
    vv_weak_table_clear(as_set(set));
}

/* --- sets and other containers --- */

/* The next item of any container, as a new reference. */
static int next_item(varve_object *container, size_t *position, varve_object **out_item) {
    if (container->type_index == VV_TYPE_WEAK_SET) {
        return varve_weak_set_next(container, position, out_item);
    }
    int result = varve_next(container, position, out_item);
    if (result > 0) varve_incref(*out_item);
    return result;
}

/* Calls `function` for each item of a container until it returns something negative. */
static int for_each(varve_object *container,
                    int (*function)(struct vv_weak_table *set, varve_object *item),
                    struct vv_weak_table *set) {
    size_t position = 0;
    varve_object *item;
    int result;
    while ((result = next_item(container, &position, &item)) > 0) {
        result = function(set, item);
        varve_decref(item);
        if (result < 0) break;
    }
    return result < 0 ? result : 0;
}

/* A container as a weak set that compares like `set`: itself, or a new one. NULL with errno. */
static struct vv_weak_table *as_comparable(varve_object *container,
                                           const struct vv_weak_table *set) {
    if (container->type_index == VV_TYPE_WEAK_SET) {
        struct vv_weak_table *other = (struct vv_weak_table *)container;
        if (other->by_identity == set->by_identity) {
            varve_incref(container);
            return other;
        }
    }
    struct vv_weak_table *other = set_new(varve_world_of(&set->head), set->by_identity);
    if (other == NULL) return NULL;
    int error = for_each(container, add, other);
    if (error == 0) return other;
    varve_decref(&other->head);
    errno = -error;
    return NULL;
}

/* Removes the items that the other set has not. */
static int keep_common(struct vv_weak_table *set, struct vv_weak_table *other) {
    size_t position = 0;
    varve_object *item;
    int result = 0;
    while (result >= 0 && vv_weak_table_next(set, &position, &item, NULL) > 0) {
        result = contains(other, item);
        if (result == 0) result = discard(set, item);
        varve_decref(item);
    }
    return result < 0 ? result : 0;
}

static int toggle(struct vv_weak_table *set, varve_object *item) {
    int result = discard(set, item);
    return result == 0 ? add(set, item) : result;
}

static int update_from_self(struct vv_weak_table *set, varve_set_operation operation) {
    bool empties = operation == VARVE_SET_DIFFERENCE || operation == VARVE_SET_SYMMETRIC_DIFFERENCE;
    if (empties) vv_weak_table_clear(set);
    return 0;
}

int varve_weak_set_update(varve_object *object, varve_set_operation operation,
                          varve_object *container) {
    struct vv_weak_table *set = as_set(object);
    if (object == container) return update_from_self(set, operation);
    if (operation == VARVE_SET_UNION) return for_each(container, add, set);
    if (operation == VARVE_SET_DIFFERENCE) return for_each(container, discard, set);
    struct vv_weak_table *other = as_comparable(container, set);
    if (other == NULL) return -errno;
    int result = operation == VARVE_SET_INTERSECTION ? keep_common(set, other)
                                                     : for_each(&other->head, toggle, set);
    varve_decref(&other->head);
    return result;
}

/* Whether all items of one are in the other. */
static int is_subset(struct vv_weak_table *set, struct vv_weak_table *other) {
    size_t position = 0;
    varve_object *item;
    int result = 1;
    while (result > 0 && vv_weak_table_next(set, &position, &item, NULL) > 0) {
        result = contains(other, item);
        varve_decref(item);
    }
    return result;
}

int varve_weak_set_is_subset(varve_object *object, varve_object *container) {
    struct vv_weak_table *set = as_set(object);
    struct vv_weak_table *other = as_comparable(container, set);
    if (other == NULL) return -errno;
    int result = is_subset(set, other);
    varve_decref(&other->head);
    return result;
}

/* For for_each(): an item that the set has ends the walk. */
static int stop_at_common(struct vv_weak_table *set, varve_object *item) {
    int result = contains(set, item);
    return result > 0 ? -EEXIST : result;
}

int varve_weak_set_is_disjoint(varve_object *object, varve_object *container) {
    int result = for_each(container, stop_at_common, as_set(object));
    if (result == -EEXIST) return 0;
    return result < 0 ? result : 1;
}

/* --- the type --- */

static int set_equal(varve_object *left, varve_object *right) {
    struct vv_weak_table *set = (struct vv_weak_table *)left;
    struct vv_weak_table *other = (struct vv_weak_table *)right;
    if (vv_weak_table_length(set) != vv_weak_table_length(other)) return 0;
    return is_subset(set, other);
}

const varve_type_spec vv_weak_set_spec = {
    .name = "weak_set",
    .basic_bytes = sizeof(struct vv_weak_table),
    .traverse = vv_weak_table_traverse,
    .clear = vv_weak_table_clear_self,
    .dealloc = vv_weak_table_dealloc,
    .outer_bytes = vv_weak_table_outer_bytes,
    .equal = set_equal,
};
