/* SPDX-License-Identifier: MIT */
#include "object/type.h"

#include "object/layout.h"
#include "object/world.h"

#include <errno.h>
#include <string.h>

#define TYPE_MAX_COUNT (1u << 24)
#define PUBLIC_FLAGS                                                                               \
    (VARVE_TYPE_ACYCLIC | VARVE_TYPE_NO_WEAKREFS | VARVE_TYPE_TRACK_LATER | VARVE_TYPE_BORROWS)

static bool spec_is_valid(const varve_type_spec *spec) {
    size_t least = spec->item_bytes > 0 ? sizeof(varve_var_object) : sizeof(varve_object);
    return spec->name != NULL && (spec->flags & ~PUBLIC_FLAGS) == 0 && spec->basic_bytes >= least &&
           spec->basic_bytes < (1u << 30) && spec->item_bytes < (1u << 20);
}

static enum vv_shelf_kind kind_of(const varve_type_spec *spec) {
    if (spec->traverse == NULL && spec->dealloc == NULL && spec->clear == NULL) {
        return VV_SHELF_LEAF;
    }
    bool acyclic = spec->traverse == NULL || (spec->flags & VARVE_TYPE_ACYCLIC) != 0;
    return acyclic ? VV_SHELF_ACYCLIC : VV_SHELF_CYCLIC;
}

/* Room for the index in the table. */
static bool reserve(varve_world *world, uint32_t index) {
    if (index < world->type_capacity) return true;
    uint32_t capacity = (uint32_t)vv_max(world->type_capacity * 2, vv_max(index + 1, 32));
    struct varve_type **types =
        vv_world_reallocate(world, world->types, capacity * sizeof types[0]);
    if (types == NULL) return false;
    memset(types + world->type_capacity, 0,
           (capacity - world->type_capacity) * sizeof(struct varve_type *));
    world->types = types;
    world->type_capacity = capacity;
    return true;
}

varve_type *vv_type_new_at(varve_world *world, uint32_t index, const varve_type_spec *spec) {
    if (!reserve(world, index)) return NULL;
    size_t name_bytes = strlen(spec->name) + 1;
    struct varve_type *type = vv_world_allocate(world, sizeof *type + name_bytes);
    if (type == NULL) return NULL;
    *type = (struct varve_type){
        .spec = *spec,
        .world = world,
        .index = index,
        .kind = (uint8_t)kind_of(spec),
        .is_variable = spec->item_bytes > 0,
    };
    type->spec.name = memcpy(type + 1, spec->name, name_bytes);
    if (spec->basic_bytes <= VV_OBJECT_SMALL_MAX_BYTES) {
        type->shelf = vv_world_shelf(world, type->kind, spec->basic_bytes);
    }
    world->types[index] = type;
    if (world->type_count <= index) world->type_count = index + 1;
    return type;
}

varve_type *vv_type_add(varve_world *world, const varve_type_spec *spec) {
    uint32_t index = (uint32_t)vv_max(world->first_free_type, VV_TYPE_BUILT_IN_COUNT);
    while (index < world->type_count && world->types[index] != NULL) index++;
    if (index >= TYPE_MAX_COUNT) {
        errno = ENOMEM;
        return NULL;
    }
    varve_type *type = vv_type_new_at(world, index, spec);
    if (type != NULL) world->first_free_type = index + 1;
    return type;
}

void vv_type_remove(varve_type *type) {
    varve_world *world = type->world;
    world->types[type->index] = NULL;
    world->first_free_type = (uint32_t)vv_min(world->first_free_type, type->index);
    vv_world_release(world, type);
}

varve_type *varve_type_new(varve_world *world, const varve_type_spec *spec) {
    vv_world_assert_inside(world);
    if (!spec_is_valid(spec)) {
        errno = EINVAL;
        return NULL;
    }
    return vv_type_add(world, spec);
}

varve_type *varve_type_of(const varve_object *object) {
    vv_object_assert_live(object);
    return vv_type_of(object);
}

const char *varve_type_name(const varve_type *type) {
    return type->spec.name;
}

const varve_type_spec *varve_type_get_spec(const varve_type *type) {
    return &type->spec;
}

varve_world *varve_type_world(const varve_type *type) {
    return type->world;
}

varve_kind varve_kind_of(const varve_object *object) {
    vv_object_assert_live(object);
    if (object->type_index <= VV_TYPE_CLASS) return (varve_kind)object->type_index;
    return vv_instance_class(object) != NULL ? VARVE_KIND_INSTANCE : VARVE_KIND_OTHER;
}
