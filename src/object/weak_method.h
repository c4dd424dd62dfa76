/* SPDX-License-Identifier: MIT
 * object/weak_method.h - a weak pair of an object and what is to be called with it. */
#ifndef VV_OBJECT_WEAK_METHOD_H
#define VV_OBJECT_WEAK_METHOD_H

#include "object/weak_list.h"

/* The pair is a weak reference to the object; its code, when there is some, has a weak reference of
 * its own, which the pair owns and whose callback ends the pair. */
struct vv_weak_method {
    struct vv_weakref ref;
    varve_method function;       /* const */
    struct vv_weakref *code_ref; /* own; NULL: no code */
};

/* Whether the code is still there, or there never was any. */
bool vv_weak_method_has_code(const struct vv_weakref *method);

/* Whether two weak references of one type call the same code; true of those that are no methods. */
bool vv_weak_method_same_code(const struct vv_weakref *left, const struct vv_weakref *right);

#endif
