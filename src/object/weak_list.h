/* SPDX-License-Identifier: MIT
 * object/weak_list.h - the weak references of each object that has some.
 *
 *   world->weak->slots: object, first --> shared <-> newest <-> ... <-> oldest
 *
 * `shared` is the one without callback that all who ask for it get; it may be missing. The links
 * lie in the weak references, so an object can die and a collection can clear without memory.
 *
 * Invariant: an object's state has VV_STATE_WEAKREF if and only if it has a slot, and each weak
 * reference in its list, and no other, has it as `object`. */
#ifndef VV_OBJECT_WEAK_LIST_H
#define VV_OBJECT_WEAK_LIST_H

#include "object/world.h"
#include "varve/weakref.h"

/* The head of every kind of weak reference (VV_TYPE_WEAKREF to VV_TYPE_FINALIZER). */
struct vv_weakref {
    varve_object head;
    varve_object *object;    /* borrowed; NULL: it has gone */
    struct vv_weakref *next; /* in the list of its object, then among those whose callback waits */
    struct vv_weakref *previous;
    uint64_t hash;                /* of the object, by vv_weakref_seal_hash(); 0: never asked */
    varve_weak_callback callback; /* NULL: none, or it has been called */
    void *argument;               /* of a member: its table */
    union {
        varve_object *held; /* own; may be NULL */
        size_t place;       /* of a member of a weak table: number of its entry */
    };
};

struct vv_weak_slot {
    varve_object *object; /* NULL: empty */
    struct vv_weakref *first;
};

/* The world's part in weak references. */
struct vv_weak {
    struct vv_weak_slot *slots; /* own; open addressing; NULL: none yet */
    uint32_t slot_shift;        /* 1 << slot_shift of them */
    size_t used_count;
    struct vv_weakref *pending; /* cleared by a collection; their callbacks are to run */
    struct vv_weakref *pending_last;
    struct vv_weakref *dropped; /* what they held ends when the stack is shallow again */
    unsigned drop_depth;
    unsigned equal_depth;        /* comparisons within each other */
    struct vv_finalizer *newest; /* all that are alive */
    bool exit_is_registered;
    bool is_over;            /* the world is at its end: finalizers run no more */
    size_t table_count;      /* weak tables there are */
    size_t ephemerons_count; /* and how many of them are of ephemerons */
};

static inline bool vv_is_weakref(const varve_object *object) {
    return object->type_index >= VV_TYPE_WEAKREF && object->type_index <= VV_TYPE_FINALIZER;
}

/* Whether there can be weak references to the object. */
static inline bool vv_can_be_weak(const varve_object *object) {
    vv_object_assert_live(object);
    return (vv_type_of(object)->spec.flags & VARVE_TYPE_NO_WEAKREFS) == 0;
}

/* Whether its own end has begun: it must not be handed out, nor called. */
static inline bool vv_weakref_is_dying(const struct vv_weakref *ref) {
    return ref->head.refcount == 0 || *vv_object_state(&ref->head) == VV_STATE_DYING;
}

/* The one without callback that is shared. */
static inline bool vv_weakref_is_shared(const struct vv_weakref *ref) {
    return ref->head.type_index == VV_TYPE_WEAKREF && ref->callback == NULL && ref->held == NULL;
}

/* The first weak reference of an object; NULL: it has none. */
struct vv_weakref *vv_weak_list_first(const varve_object *object);

/* Puts a weak reference into the list of an object: the shared one first, others behind it.
 * -ENOMEM. */
int vv_weak_list_add(struct vv_weakref *ref, varve_object *object);

/* Takes it out; its `object` becomes NULL. Harmless when it is in none. */
void vv_weak_list_remove(struct vv_weakref *ref);

/* The whole list, by `next`; the object has none then. Each is still to be forgotten. */
struct vv_weakref *vv_weak_list_take(varve_object *object);

/* NULL, or what is wrong. */
const char *vv_weak_list_check(const varve_object *object);

/* A new weak reference of a type to an object, with everything else zero. NULL with ENOMEM or
 * EOPNOTSUPP. Whether it becomes the shared one is decided by callback and held, given here. */
struct vv_weakref *vv_weakref_make(uint32_t type_index, varve_object *object,
                                   varve_weak_callback callback, void *argument,
                                   varve_object *held);

/* The functions of weak references' types that others build upon. */
int vv_weakref_traverse(varve_object *self, varve_visit visit, void *argument);
void vv_weakref_clear(varve_object *self);
int vv_weakref_equal(varve_object *left, varve_object *right);
int vv_weakref_hash(varve_object *self, uint64_t *out_hash);

/* varve_equal() of what a weak reference or table refers to; -ELOOP when nested too deeply. */
int vv_weak_equal(struct vv_weak *weak, varve_object *left, varve_object *right);

extern const varve_type_spec vv_weakref_spec, vv_weak_member_spec, vv_weak_method_spec,
    vv_finalizer_spec, vv_weak_value_dict_spec, vv_weak_key_dict_spec, vv_weak_set_spec,
    vv_ephemerons_spec;

#endif
