/* SPDX-License-Identifier: MIT
 * object/type.h - types as the world has them. */
#ifndef VV_OBJECT_TYPE_H
#define VV_OBJECT_TYPE_H

#include "object/object_pool.h"

/* Type indexes of the built-in types, in every world. Those up to INSTANCE equal varve_kind. */
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
    VV_TYPE_INSTANCE,
    VV_TYPE_WEAKREF, /* from here on registered by object/weak.c; weak references: */
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

struct varve_type {
    varve_type_spec spec;   /* const; name is a copy */
    varve_world *world;     /* const */
    struct vv_shelf *shelf; /* for an object without items; NULL: too big */
    uint32_t index;         /* const */
    uint32_t label;         /* of its objects in traces; 0: not known yet */
    uint8_t kind;           /* const: enum vv_shelf_kind */
    bool is_variable;       /* const */
};

/* As varve_type_new(), at a fixed index: for the built-in types when a world is made. */
varve_type *vv_type_new_at(varve_world *world, uint32_t index, const varve_type_spec *spec);

/* The name of an object's type, or of the class of an instance. */
const char *vv_object_type_name(const varve_object *object);

#endif
