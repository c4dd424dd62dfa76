/* SPDX-License-Identifier: MIT
 * Classes and their instances. */
#include "object/builtin.h"
#include "object/traced.h"

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

/* One block: the array of names, then the texts, the class's own name last. */
static const char **copy_names(varve_world *world, const varve_class_spec *spec, size_t count) {
    size_t byte_count = (count + 1) * sizeof(char *) + strlen(spec->name) + 1;
    for (size_t index = 0; index < count; index++) {
        byte_count += strlen(spec->attributes[index]) + 1;
    }
    const char **names = vv_world_allocate(world, byte_count);
    if (names == NULL) return NULL;
    char *text = (char *)(names + count + 1);
    for (size_t index = 0; index <= count; index++) {
        const char *name = index < count ? spec->attributes[index] : spec->name;
        size_t name_bytes = strlen(name) + 1;
        names[index] = memcpy(text, name, name_bytes);
        text += name_bytes;
    }
    return names;
}

varve_object *varve_class_new(varve_world *world, const varve_class_spec *spec) {
    vv_world_assert_inside(world);
    size_t count = count_names(spec->attributes);
    if (spec->name == NULL || count > ATTRIBUTE_MAX_COUNT) {
        errno = EINVAL;
        return NULL;
    }
    const char **names = copy_names(world, spec, count);
    if (names == NULL) return NULL;
    struct vv_class_object *cls = (void *)vv_object_new(world->types[VV_TYPE_CLASS], sizeof *cls);
    if (cls == NULL) {
        vv_world_release(world, names);
        return NULL;
    }
    cls->place_count = (uint32_t)count;
    cls->is_open = spec->open;
    cls->label = 0;
    cls->finalize = spec->finalize;
    cls->argument = spec->argument;
    cls->names = names;
    cls->name = names[count];
    return &cls->head;
}

const char *varve_class_name(const varve_object *cls) {
    return class_of(cls)->name;
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
    vv_world_release(vv_world_of(self), ((struct vv_class_object *)self)->names);
}

static size_t class_outer_bytes(const varve_object *self) {
    const struct vv_class_object *cls = (const struct vv_class_object *)self;
    return varve_usable_size(cls->names);
}

const varve_type_spec vv_class_spec = {
    .name = "class",
    .basic_bytes = sizeof(struct vv_class_object),
    .dealloc = class_dealloc,
    .outer_bytes = class_outer_bytes,
};

/* --- instances --- */

static struct vv_instance *instance_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_INSTANCE, "instance");
    return (struct vv_instance *)(uintptr_t)object;
}

varve_object *varve_instance_new(varve_object *object) {
    struct vv_class_object *cls = class_of(object);
    varve_world *world = vv_world_of(object);
    size_t value_bytes = (cls->place_count + (cls->is_open ? 1u : 0u)) * sizeof(varve_object *);
    struct vv_instance *instance = (void *)vv_object_new(world->types[VV_TYPE_INSTANCE],
                                                         sizeof(struct vv_instance) + value_bytes);
    if (instance == NULL) return NULL;
    instance->cls = (struct vv_class_object *)varve_incref(object);
    if (vv_objects_are_traced()) {
        vv_object_note_birth(&instance->head, sizeof *instance + value_bytes, &cls->label,
                             cls->name);
    }
    memset(instance->values, 0, value_bytes);
    vv_object_track(&instance->head);
    return &instance->head;
}

varve_object *varve_instance_class(const varve_object *instance) {
    return &instance_of(instance)->cls->head;
}

varve_object *varve_instance_get(const varve_object *object, unsigned place) {
    const struct vv_instance *instance = instance_of(object);
    vv_check(place < instance->cls->place_count, "varve: an instance has no such attribute place");
    return instance->values[place];
}

void varve_instance_set(varve_object *object, unsigned place, varve_object *value) {
    struct vv_instance *instance = instance_of(object);
    vv_check(place < instance->cls->place_count, "varve: an instance has no such attribute place");
    varve_object *old = instance->values[place];
    instance->values[place] = value != NULL ? vv_object_own(object, value) : NULL;
    varve_xdecref(old);
}

/* Where an open instance has its dict; NULL: it cannot have one. */
static varve_object **dict_place(struct vv_instance *instance) {
    return instance->cls->is_open ? &instance->values[instance->cls->place_count] : NULL;
}

varve_object *varve_instance_dict(const varve_object *instance) {
    varve_object **place = dict_place(instance_of(instance));
    return place != NULL ? *place : NULL;
}

int varve_get_attribute(varve_object *object, const char *name, varve_object **out_value) {
    struct vv_instance *instance = instance_of(object);
    int place = place_of(instance->cls, name);
    if (place >= 0) {
        if (instance->values[place] == NULL) return -ENOENT;
        *out_value = instance->values[place];
        return 0;
    }
    varve_object **dict = dict_place(instance);
    if (dict == NULL || *dict == NULL) return -ENOENT;
    int found = varve_dict_get_text(*dict, name, out_value);
    return found > 0 ? 0 : found == 0 ? -ENOENT : found;
}

/* An attribute that the class does not name. */
static int set_in_dict(struct vv_instance *instance, const char *name, varve_object *value) {
    varve_world *world = vv_world_of(&instance->head);
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
    struct vv_instance *instance = instance_of(object);
    int place = place_of(instance->cls, name);
    if (place < 0) return set_in_dict(instance, name, value);
    if (value == NULL && instance->values[place] == NULL) return -ENOENT;
    varve_instance_set(object, (unsigned)place, value);
    return 0;
}

static void clear(varve_object *self) {
    struct vv_instance *instance = (struct vv_instance *)self;
    uint32_t count = vv_instance_value_count(instance);
    for (uint32_t index = 0; index < count; index++) {
        varve_clear_reference(&instance->values[index]);
    }
}

static void dealloc(varve_object *self) {
    struct vv_class_object *cls = ((struct vv_instance *)self)->cls;
    clear(self);
    varve_decref(&cls->head);
}

const varve_type_spec vv_instance_spec = {
    .name = "instance",
    .basic_bytes = sizeof(struct vv_instance),
    .item_bytes = sizeof(varve_object *),
    .traverse = vv_builtin_traverse,
    .clear = clear,
    .dealloc = dealloc,
};
