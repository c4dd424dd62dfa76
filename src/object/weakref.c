/* SPDX-License-Identifier: MIT */
#include "varve/weakref.h"

#include "object/builtin.h"
#include "object/weak_method.h"

/* A hash is kept with this added, so that 0 can say that it was never asked for: an object with the
 * one hash that then looks like 0 is asked each time. */
#define HASH_SEAL 0x6c62272e07bb0142u

/* Weak references and tables within what others refer to, in a comparison. */
#define EQUAL_MAX_DEPTH 10u

static const struct vv_weakref *as_weakref(const varve_object *object) {
    vv_object_assert_live(object);
    vv_check(vv_is_weakref(object), "varve: an object that is no weak reference was used as one");
    vv_world_assert_inside(varve_world_of(object));
    return (const struct vv_weakref *)object;
}

bool varve_is_weakref(const varve_object *object) {
    return vv_is_weakref(object);
}

/* --- making --- */

static struct vv_weakref *shared_of(const varve_object *object) {
    struct vv_weakref *first = vv_weak_list_first(object);
    bool usable = first != NULL && vv_weakref_is_shared(first) && !vv_weakref_is_dying(first);
    return usable ? first : NULL;
}

struct vv_weakref *vv_weakref_make(uint32_t type_index, varve_object *object,
                                   varve_weak_callback callback, void *argument,
                                   varve_object *held) {
    varve_world *world = varve_world_of(object);
    vv_check(object->refcount > 0, "varve: a weak reference to an object that is being freed");
    if (!vv_can_be_weak(object)) {
        errno = EOPNOTSUPP;
        return NULL;
    }
    struct vv_weakref *ref = (struct vv_weakref *)varve_object_new(world->types[type_index]);
    if (ref == NULL) return NULL;
    ref->callback = callback;
    ref->argument = argument;
    ref->held = vv_object_xown(&ref->head, held);
    if (vv_weak_list_add(ref, object) == 0) return ref;
    ref->callback = NULL;
    varve_decref(&ref->head);
    errno = ENOMEM;
    return NULL;
}

varve_object *varve_weakref_new(varve_object *object, varve_weak_callback callback, void *argument,
                                varve_object *held) {
    vv_world_assert_inside(varve_world_of(object));
    bool shared = callback == NULL && held == NULL;
    struct vv_weakref *there = shared ? shared_of(object) : NULL;
    if (there != NULL) return varve_incref(&there->head);
    struct vv_weakref *ref = vv_weakref_make(VV_TYPE_WEAKREF, object, callback, argument, held);
    if (ref == NULL || !shared) return (varve_object *)ref;
    /* Making it may have run a collection, whose callbacks may have made one, too. */
    there = ref->next;
    if (there == NULL || !vv_weakref_is_shared(there) || vv_weakref_is_dying(there)) {
        return &ref->head;
    }
    varve_incref(&there->head);
    varve_decref(&ref->head);
    return &there->head;
}

/* --- asking --- */

/* A weak method is dead as soon as its code is. */
static bool is_alive(const struct vv_weakref *ref) {
    if (ref->object == NULL) return false;
    return ref->head.type_index != VV_TYPE_WEAK_METHOD || vv_weak_method_has_code(ref);
}

varve_object *varve_weakref_get(const varve_object *object) {
    const struct vv_weakref *ref = as_weakref(object);
    return is_alive(ref) ? varve_incref(ref->object) : NULL;
}

bool varve_weakref_is_alive(const varve_object *object) {
    return is_alive(as_weakref(object));
}

varve_weak_callback varve_weakref_callback(const varve_object *object, void **out_argument) {
    const struct vv_weakref *ref = as_weakref(object);
    bool is_own =
        ref->head.type_index == VV_TYPE_WEAKREF || ref->head.type_index == VV_TYPE_WEAK_METHOD;
    if (!is_own || ref->callback == NULL) return NULL;
    if (out_argument != NULL) *out_argument = ref->argument;
    return ref->callback;
}

size_t varve_weakref_count(const varve_object *object) {
    vv_world_assert_inside(varve_world_of(object));
    size_t count = 0;
    for (struct vv_weakref *ref = vv_weak_list_first(object); ref != NULL; ref = ref->next) {
        count += !vv_weakref_is_dying(ref);
    }
    return count;
}

varve_object *varve_weakref_list(varve_object *object) {
    varve_object *list = varve_list_new(varve_world_of(object));
    if (list == NULL) return NULL;
    for (struct vv_weakref *ref = vv_weak_list_first(object); ref != NULL; ref = ref->next) {
        if (vv_weakref_is_dying(ref) || varve_list_append(list, &ref->head) == 0) continue;
        varve_decref(list);
        errno = ENOMEM;
        return NULL;
    }
    return list;
}

/* --- the type --- */

int vv_weakref_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct vv_weakref *ref = (struct vv_weakref *)self;
    return ref->held != NULL ? visit(ref->held, argument) : 0;
}

void vv_weakref_clear(varve_object *self) {
    struct vv_weakref *ref = (struct vv_weakref *)self;
    vv_weak_list_remove(ref);
    ref->callback = NULL;
    varve_clear_reference(&ref->held);
}

int vv_weak_equal(struct vv_weak *weak, varve_object *left, varve_object *right) {
    if (weak->equal_depth >= EQUAL_MAX_DEPTH) return -ELOOP;
    weak->equal_depth++;
    int result = varve_equal(left, right);
    weak->equal_depth--;
    return result;
}

/* Alive ones are equal when their objects are. Objects may be weak references themselves, to any
 * depth, so this goes down in a loop. */
int vv_weakref_equal(varve_object *left, varve_object *right) {
    struct vv_weak *weak = varve_world_of(left)->weak;
    varve_incref(left);
    varve_incref(right);
    int result = -1;
    while (result < 0) {
        struct vv_weakref *left_ref = (struct vv_weakref *)left;
        struct vv_weakref *right_ref = (struct vv_weakref *)right;
        if (left == right) {
            result = 1;
        } else if (!is_alive(left_ref) || !is_alive(right_ref) ||
                   !vv_weak_method_same_code(left_ref, right_ref)) {
            result = 0;
        } else {
            varve_object *next_left = varve_incref(left_ref->object);
            varve_object *next_right = varve_incref(right_ref->object);
            varve_decref(left);
            varve_decref(right);
            left = next_left;
            right = next_right;
            if (!vv_is_weakref(left) || left->type_index != right->type_index) break;
        }
    }
    if (result < 0) result = vv_weak_equal(weak, left, right);
    varve_decref(left);
    varve_decref(right);
    return result;
}

/* The object at the end of a chain of weak references none of which knows its hash yet; NULL: it
 * ends at one that is dead, or *out_seal is what one of them knows. */
static varve_object *end_of_chain(struct vv_weakref *ref, uint64_t *out_seal) {
    *out_seal = 0;
    for (;;) {
        if (ref->hash != 0) *out_seal = ref->hash;
        if (ref->hash != 0 || ref->object == NULL) return NULL;
        if (!vv_is_weakref(ref->object)) return ref->object;
        ref = (struct vv_weakref *)ref->object;
    }
}

int vv_weakref_hash(varve_object *self, uint64_t *out_hash) {
    uint64_t hash, seal;
    varve_object *end = end_of_chain((struct vv_weakref *)self, &seal);
    if (end != NULL) {
        varve_incref(end);
        int error = varve_hash(end, &hash);
        varve_decref(end);
        if (error != 0) return error;
    } else {
        if (seal == 0) return -EOPNOTSUPP;
        hash = seal - HASH_SEAL;
    }
    for (struct vv_weakref *ref = (struct vv_weakref *)self; ref->hash == 0;
         ref = (struct vv_weakref *)ref->object) {
        ref->hash = hash + HASH_SEAL;
        if (ref->object == NULL || !vv_is_weakref(ref->object)) break;
    }
    *out_hash = hash;
    return 0;
}

const varve_type_spec vv_weakref_spec = {
    .name = "weakref",
    .basic_bytes = sizeof(struct vv_weakref),
    .flags = VV_TYPE_IS_WEAKREF,
    .traverse = vv_weakref_traverse,
    .clear = vv_weakref_clear,
    .equal = vv_weakref_equal,
    .hash = vv_weakref_hash,
};
