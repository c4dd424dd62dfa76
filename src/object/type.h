/* SPDX-License-Identifier: MIT
 * object/type.h - types as the world has them. */
#ifndef VV_OBJECT_TYPE_H
#define VV_OBJECT_TYPE_H

#include "object/object_pool.h"

/* Type indexes of the built-in types, in every world. Those up to CLASS equal varve_kind. Each
 * class has a type of its own for its instances, behind the built-in ones, as types of the program
 * are. */
enum {
    VV_TYPE_NONE = VARVE_KIND_NONE,
    VV_TYPE_BOOL,
    VV_TYPE_INT,
    VV_TYPE_FLOAT,
    VV_TYPE_STR,
    VV_TYPE_BYTES,
    VV_TYPE_LIST,
    VV_TYPE_TUPLE,
    VV_TYPE_DICT,
    VV_TYPE_SET,
    VV_TYPE_CLASS,
    VV_TYPE_WEAKREF = VARVE_KIND_INSTANCE + 1, /* from here on registered by object/weak.c; weak
                                                  references: */
    VV_TYPE_WEAK_MEMBER,
    VV_TYPE_WEAK_METHOD,
    VV_TYPE_FINALIZER,
    VV_TYPE_WEAK_VALUE_DICT, /* weak tables: */
    VV_TYPE_WEAK_KEY_DICT,
    VV_TYPE_WEAK_SET,
    VV_TYPE_EPHEMERONS,
    VV_TYPE_BUILT_IN_COUNT,
};

/* What the collector must know beyond the public flags; only varve's own types have these. */
enum {
    VV_TYPE_IS_WEAKREF = 1u << 16,    /* vv_weakref_trash() is called for garbage of this type */
    VV_TYPE_IS_EPHEMERONS = 1u << 17, /* see object/weak.h */
};

struct vv_class_object;

struct varve_type {
    varve_type_spec spec;        /* const; name is a copy */
    varve_world *world;          /* const */
    struct vv_shelf *shelf;      /* for an object without items; NULL: too big */
    struct vv_class_object *cls; /* const; the class whose instances are of this type, or NULL */
    uint32_t value_count;        /* const; of an instance: struct vv_instance */
    uint32_t index;              /* const */
    uint32_t label;              /* of its objects in traces; 0: not known yet */
    uint8_t kind;                /* const: enum vv_shelf_kind */
    bool is_variable;            /* const */
};

/* As varve_type_new(), at a fixed index: for the built-in types when a world is made. */
varve_type *vv_type_new_at(varve_world *world, uint32_t index, const varve_type_spec *spec);

/* The same at an index that is free, without a look at the specification. */
varve_type *vv_type_add(varve_world *world, const varve_type_spec *spec);

/* Ends a type that has no objects any more. Its index may be another's from now on. */
void vv_type_remove(varve_type *type);

#endif
