/* SPDX-License-Identifier: MIT */
#include "object/builtin.h"

#include "object/traverse.h"

static const varve_type_spec none_spec = {
    .name = "NoneType",
    .basic_bytes = sizeof(struct vv_free_object),
    .flags = VARVE_TYPE_NO_WEAKREFS,
};
static const varve_type_spec bool_spec = {
    .name = "bool",
    .basic_bytes = sizeof(struct vv_int),
    .flags = VARVE_TYPE_NO_WEAKREFS,
};
static const varve_type_spec int_spec = {
    .name = "int",
    .basic_bytes = sizeof(struct vv_int),
    .flags = VARVE_TYPE_NO_WEAKREFS,
};
static const varve_type_spec float_spec = {
    .name = "float",
    .basic_bytes = sizeof(struct vv_float),
    .flags = VARVE_TYPE_NO_WEAKREFS,
};

int vv_builtin_types_init(varve_world *world) {
    static const varve_type_spec *const specs[] = {
        [VV_TYPE_NONE] = &none_spec,      [VV_TYPE_BOOL] = &bool_spec,
        [VV_TYPE_INT] = &int_spec,        [VV_TYPE_FLOAT] = &float_spec,
        [VV_TYPE_STR] = &vv_str_spec,     [VV_TYPE_BYTES] = &vv_bytes_spec,
        [VV_TYPE_LIST] = &vv_list_spec,   [VV_TYPE_TUPLE] = &vv_tuple_spec,
        [VV_TYPE_DICT] = &vv_dict_spec,   [VV_TYPE_SET] = &vv_set_spec,
        [VV_TYPE_CLASS] = &vv_class_spec,
    };
    for (uint32_t index = VV_TYPE_NONE; index < VV_ARRAY_COUNT(specs); index++) {
        if (vv_type_new_at(world, index, specs[index]) == NULL) return -ENOMEM;
    }
    return 0;
}

int vv_builtin_traverse(varve_object *self, varve_visit visit, void *argument) {
    return vv_traverse(self, visit, argument);
}

void vv_builtin_release_outer(varve_object *object) {
    varve_world *world = vv_world_of(object);
    switch (object->type_index) {
    case VV_TYPE_LIST: vv_world_release(world, ((struct vv_list *)object)->items); break;
    case VV_TYPE_DICT:
    case VV_TYPE_SET: vv_world_release(world, ((struct vv_dict *)object)->table.slots); break;
    case VV_TYPE_CLASS: vv_world_release(world, ((struct vv_class_object *)object)->names); break;
    default: break;
    }
}
