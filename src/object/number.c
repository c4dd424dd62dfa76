/* SPDX-License-Identifier: MIT
 * None, bool, int, float. */
#include "object/builtin.h"

static varve_object *int_new(varve_world *world, uint32_t type_index, int64_t value) {
    struct vv_int *object = (void *)vv_object_new(world->types[type_index], sizeof *object);
    if (object == NULL) return NULL;
    object->value = value;
    return &object->head;
}

varve_object *varve_int_new(varve_world *world, int64_t value) {
    if (value >= VV_SMALL_INT_MIN && value <= VV_SMALL_INT_MAX) {
        return world->small_ints[value - VV_SMALL_INT_MIN];
    }
    return int_new(world, VV_TYPE_INT, value);
}

int64_t varve_int_value(const varve_object *object) {
    VV_CHECK_OBJECT(object->type_index == VV_TYPE_INT || object->type_index == VV_TYPE_BOOL, object,
                    "varve: an object that is no int was used as one");
    return ((const struct vv_int *)object)->value;
}

varve_object *varve_float_new(varve_world *world, double value) {
    struct vv_float *object = (void *)vv_object_new(world->types[VV_TYPE_FLOAT], sizeof *object);
    if (object == NULL) return NULL;
    object->value = value;
    return &object->head;
}

double varve_float_value(const varve_object *object) {
    VV_IS(object, VV_TYPE_FLOAT, "float");
    return ((const struct vv_float *)object)->value;
}

varve_object *varve_none(varve_world *world) {
    return world->none;
}

varve_object *varve_bool(varve_world *world, bool value) {
    return world->truth[value];
}

static varve_object *immortal(varve_object *object) {
    if (object != NULL) object->refcount = VARVE_IMMORTAL;
    return object;
}

int vv_builtin_constants_init(varve_world *world) {
    world->none =
        immortal(vv_object_new(world->types[VV_TYPE_NONE], sizeof(struct vv_free_object)));
    if (world->none == NULL) return -ENOMEM;
    for (int value = 0; value <= 1; value++) {
        world->truth[value] = immortal(int_new(world, VV_TYPE_BOOL, value));
        if (world->truth[value] == NULL) return -ENOMEM;
    }
    for (int value = VV_SMALL_INT_MIN; value <= VV_SMALL_INT_MAX; value++) {
        varve_object *object = immortal(int_new(world, VV_TYPE_INT, value));
        if (object == NULL) return -ENOMEM;
        world->small_ints[value - VV_SMALL_INT_MIN] = object;
    }
    return 0;
}
