/* SPDX-License-Identifier: MIT */
#include "object/weak_method.h"

#include "object/builtin.h"

static struct vv_weak_method *as_method(varve_object *object) {
    VV_IS(object, VV_TYPE_WEAK_METHOD, "weak method");
    vv_world_assert_inside(varve_world_of(object));
    return (struct vv_weak_method *)object;
}

/* The code has gone: so has the method. Its callback runs once, whichever of object and code goes
 * first. What the method held goes with the code's weak reference, when its callback is done. */
static void code_died(varve_object *code_ref, void *argument) {
    struct vv_weak_method *method = argument;
    varve_weak_callback callback = method->ref.callback;
    if (vv_weakref_is_dying(&method->ref)) return;
    vv_weak_list_remove(&method->ref);
    method->ref.callback = NULL;
    if (callback == NULL) return;
    varve_incref(&method->ref.head);
    callback(&method->ref.head, method->ref.argument);
    ((struct vv_weakref *)code_ref)->held = method->ref.held;
    method->ref.held = NULL;
    varve_decref(&method->ref.head);
}

varve_object *varve_weak_method_new(varve_object *object, varve_method function, varve_object *code,
                                    varve_weak_callback callback, void *argument,
                                    varve_object *held) {
    vv_world_assert_inside(varve_world_of(object));
    struct vv_weak_method *method = (struct vv_weak_method *)vv_weakref_make(
        VV_TYPE_WEAK_METHOD, object, callback, argument, held);
    if (method == NULL) return NULL;
    method->function = function;
    if (code == NULL) return &method->ref.head;
    vv_object_assert_stored(&method->ref.head, code);
    method->code_ref = vv_weakref_make(VV_TYPE_WEAKREF, code, code_died, method, /* held */ NULL);
    if (method->code_ref != NULL) return &method->ref.head;
    int error = errno;
    varve_decref(&method->ref.head);
    errno = error;
    return NULL;
}

bool vv_weak_method_has_code(const struct vv_weakref *ref) {
    const struct vv_weakref *code_ref = ((const struct vv_weak_method *)ref)->code_ref;
    return code_ref == NULL || code_ref->object != NULL;
}

bool vv_weak_method_same_code(const struct vv_weakref *left, const struct vv_weakref *right) {
    if (left->head.type_index != VV_TYPE_WEAK_METHOD) return true;
    const struct vv_weak_method *one = (const struct vv_weak_method *)left;
    const struct vv_weak_method *other = (const struct vv_weak_method *)right;
    const varve_object *one_code = one->code_ref != NULL ? one->code_ref->object : NULL;
    const varve_object *other_code = other->code_ref != NULL ? other->code_ref->object : NULL;
    return one->function == other->function && one_code == other_code;
}

int varve_weak_method_get(varve_object *object, varve_object **out_object,
                          varve_object **out_code) {
    struct vv_weak_method *method = as_method(object);
    if (method->ref.object == NULL || !vv_weak_method_has_code(&method->ref)) return 0;
    if (out_object != NULL) *out_object = varve_incref(method->ref.object);
    if (out_code != NULL) {
        *out_code = method->code_ref != NULL ? varve_incref(method->code_ref->object) : NULL;
    }
    return 1;
}

int varve_weak_method_call(varve_object *object, void *call_argument) {
    varve_object *self, *code;
    struct vv_weak_method *method = as_method(object);
    varve_method function = method->function; /* the call may end the method */
    if (varve_weak_method_get(object, &self, &code) == 0) return -ENOENT;
    int result = function(self, code, call_argument);
    varve_decref(self);
    varve_xdecref(code);
    return result;
}

/* --- the type --- */

static int method_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct vv_weak_method *method = (struct vv_weak_method *)self;
    int result = vv_weakref_traverse(self, visit, argument);
    if (result == 0 && method->code_ref != NULL) result = visit(&method->code_ref->head, argument);
    return result;
}

static void method_clear(varve_object *self) {
    struct vv_weak_method *method = (struct vv_weak_method *)self;
    struct vv_weakref *code_ref = method->code_ref;
    method->code_ref = NULL;
    if (code_ref != NULL) {
        code_ref->callback = NULL;
        varve_decref(&code_ref->head);
    }
    vv_weakref_clear(self);
}

const varve_type_spec vv_weak_method_spec = {
    .name = "weak_method",
    .basic_bytes = sizeof(struct vv_weak_method),
    .flags = VV_TYPE_IS_WEAKREF,
    .traverse = method_traverse,
    .clear = method_clear,
    .equal = vv_weakref_equal,
    .hash = vv_weakref_hash,
};
