/* SPDX-License-Identifier: MIT
 * Classes and their instances. */
#include "object/builtin.h"

#define ATTRIBUTE_MAX_COUNT 255

/* --- classes --- */

static struct vv_class_object *class_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_CLASS, "class");
    return (struct vv_class_object *)(uintptr_t)object;
}

static size_t count_names(const char *const *names) {
    size_t count = 0;
    while (names != NULL && names[count] != NULL) count++;
    return count;
}

/* One block: the array of names, then the texts. */
static const char **copy_names(varve_world *world, const varve_class_spec *spec, size_t count) {
    size_t byte_count = (count + 1) * sizeof(char *);
    for (size_t index = 0; index < count; index++) {
        byte_count += strlen(spec->attributes[index]) + 1;
    }
    const char **names = vv_world_allocate(world, byte_count);
    if (names == NULL) return NULL;
    char *text = (char *)(names + count + 1);
    for (size_t index = 0; index < count; index++) {
        size_t name_bytes = strlen(spec->attributes[index]) + 1;
        names[index] = memcpy(text, spec->attributes[index], name_bytes);
        text += name_bytes;
    }
    return names;
}

static void finalize(varve_object *self) {
    const struct vv_class_object *cls = vv_instance_class(self);
    cls->finalize(self, cls->argument);
}

static void clear_values(varve_object *self, uint32_t count) {
    struct vv_instance *instance = (struct vv_instance *)self;
    for (uint32_t index = 0; index < count; index++) {
        if (instance->values[index] != NULL) varve_clear_reference(&instance->values[index]);
    }
}

static void clear(varve_object *self) {
    clear_values(self, vv_type_of(self)->value_count);
}

void vv_instance_dealloc(const struct varve_type *type, varve_object *self) {
    struct vv_class_object *cls = type->cls; /* the type goes with it */
    clear_values(self, type->value_count);
    varve_decref(&cls->head);
}

/* The type of a class's instances. */
static varve_type *make_type(varve_world *world, const varve_class_spec *spec, size_t value_count) {
    varve_type_spec type_spec = {
        .name = spec->name,
        .basic_bytes = sizeof(struct vv_instance) + value_count * sizeof(varve_object *),
        .traverse = vv_builtin_traverse,
        .clear = clear,
        .finalize = spec->finalize != NULL ? finalize : NULL,
    };
    varve_type *type = vv_type_add(world, &type_spec);
    if (type != NULL) type->value_count = (uint32_t)value_count;
    return type;
}

varve_object *varve_class_new(varve_world *world, const varve_class_spec *spec) {
    vv_world_assert_inside(world);
    size_t count = count_names(spec->attributes);
    if (spec->name == NULL || count > ATTRIBUTE_MAX_COUNT) {
        errno = EINVAL;
        return NULL;
    }
    struct vv_class_object *cls = (void *)vv_object_new(world->types[VV_TYPE_CLASS], sizeof *cls);
    if (cls == NULL) return NULL;
    const char **names = copy_names(world, spec, count);
    varve_type *type = names != NULL ? make_type(world, spec, count + (spec->open ? 1 : 0)) : NULL;
    if (type == NULL) {
        vv_world_release(world, names);
        vv_object_discard(&cls->head);
        return NULL;
    }
    type->cls = cls;
    cls->type = type;
    cls->place_count = (uint32_t)count;
    cls->is_open = spec->open;
    cls->finalize = spec->finalize;
    cls->argument = spec->argument;
    cls->names = names;
    return &cls->head;
}

const char *varve_class_name(const varve_object *cls) {
    return class_of(cls)->type->spec.name;
}

static int place_of(const struct vv_class_object *cls, const char *name) {
    for (uint32_t place = 0; place < cls->place_count; place++) {
        if (strcmp(cls->names[place], name) == 0) return (int)place;
    }
    return -ENOENT;
}

int varve_class_place(const varve_object *cls, const char *name) {
    return place_of(class_of(cls), name);
}

static void class_dealloc(varve_object *self) {
    struct vv_class_object *cls = (struct vv_class_object *)self;
    vv_world_release(vv_world_of(self), cls->names);
    vv_type_remove(cls->type);
}

static size_t class_outer_bytes(const varve_object *self) {
    const struct vv_class_object *cls = (const struct vv_class_object *)self;
    return varve_usable_size(cls->names) + varve_usable_size(cls->type);
}

const varve_type_spec vv_class_spec = {
    .name = "class",
    .basic_bytes = sizeof(struct vv_class_object),
    .dealloc = class_dealloc,
    .outer_bytes = class_outer_bytes,
};

/* --- instances --- */

/* Fatal: the object is no instance. */
static struct vv_class_object *class_of_instance(const varve_object *object) {
    VV_CHECK_OBJECT(object->type_index >= VV_TYPE_BUILT_IN_COUNT &&
                        vv_instance_class(object) != NULL,
                    object, "varve: an object that is no instance was used as one");
    return vv_instance_class(object);
}

varve_object *varve_instance_new(varve_object *object) {
    struct varve_type *type = class_of(object)->type;
    varve_incref(object); /* a collection may run */
    struct vv_instance *instance = (void *)vv_object_new(type, type->spec.basic_bytes);
    if (instance == NULL) {
        varve_decref(object);
        return NULL;
    }
    for (uint32_t index = 0; index < type->value_count; index++) {
        instance->values[index] = NULL;
        __asm__ volatile("" : : "r"(index)); /* no memset(): its call costs more than some stores */
    }
    vv_object_track(&instance->head);
    return &instance->head;
}

varve_object *varve_instance_class(const varve_object *instance) {
    return &class_of_instance(instance)->head;
}

/* Where an instance has an attribute; fatal: the class has no such place. */
static varve_object **value_at(const varve_object *object, unsigned place) {
    vv_check(place < class_of_instance(object)->place_count,
             "varve: an instance has no such attribute place");
    return &((struct vv_instance *)(uintptr_t)object)->values[place];
}

varve_object *varve_instance_get(const varve_object *object, unsigned place) {
    return *value_at(object, place);
}

void varve_instance_set(varve_object *object, unsigned place, varve_object *value) {
    varve_object **variable = value_at(object, place);
    varve_object *old = *variable;
    *variable = vv_object_xown(object, value);
    varve_xdecref(old);
}

/* Where an open instance has its dict; NULL: it cannot have one. */
static varve_object **dict_place(const varve_object *object) {
    const struct vv_class_object *cls = class_of_instance(object);
    struct vv_instance *instance = (struct vv_instance *)(uintptr_t)object;
    return cls->is_open ? &instance->values[cls->place_count] : NULL;
}

varve_object *varve_instance_dict(const varve_object *instance) {
    varve_object **place = dict_place(instance);
    return place != NULL ? *place : NULL;
}

int varve_get_attribute(varve_object *object, const char *name, varve_object **out_value) {
    int place = place_of(class_of_instance(object), name);
    if (place >= 0) {
        varve_object *value = *value_at(object, (unsigned)place);
        if (value == NULL) return -ENOENT;
        *out_value = value;
        return 0;
    }
    varve_object **dict = dict_place(object);
    if (dict == NULL || *dict == NULL) return -ENOENT;
    int found = varve_dict_get_text(*dict, name, out_value);
    return found > 0 ? 0 : found == 0 ? -ENOENT : found;
}

/* An attribute that the class does not name. */
static int set_in_dict(varve_object *instance, const char *name, varve_object *value) {
    varve_world *world = vv_world_of(instance);
    varve_object **dict = dict_place(instance);
    if (dict == NULL || (value == NULL && *dict == NULL)) return -ENOENT;
    varve_object *key = varve_str_of(world, name);
    if (key == NULL) return -errno;
    varve_object *interned = varve_str_intern(key);
    varve_decref(key);
    if (interned == NULL) return -ENOMEM;
    int result = 0;
    if (*dict == NULL) {
        varve_object *fresh = varve_dict_new(world); /* a finalizer may set the first one, too */
        if (fresh == NULL) result = -ENOMEM;
        if (*dict == NULL) {
            *dict = fresh;
        } else {
            varve_xdecref(fresh);
        }
    }
    if (result == 0) {
        result = value != NULL ? varve_dict_set(*dict, interned, value)
                               : varve_dict_delete(*dict, interned);
    }
    varve_decref(interned);
    return result;
}

int varve_set_attribute(varve_object *object, const char *name, varve_object *value) {
    int place = place_of(class_of_instance(object), name);
    if (place < 0) return set_in_dict(object, name, value);
    if (value == NULL && *value_at(object, (unsigned)place) == NULL) return -ENOENT;
    varve_instance_set(object, (unsigned)place, value);
    return 0;
}
