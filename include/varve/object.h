/* SPDX-License-Identifier: MIT
 * varve/object.h - worlds of reference-counted objects with types, containers and equality.
 *
 * An object lives as long as somebody owns a reference to it: varve_incref() adds an owner,
 * varve_decref() ends one, and with the last one the object is gone at once. Objects that refer to
 * each other in a circle are found by the collector (varve/gc.h). The rules are CPython's.
 *
 * References. A function that makes or returns a *new* reference gives it to the caller, who ends
 * it with varve_decref(). A *borrowed* reference belongs to somebody else and is good until the
 * container changes. Functions that store an object take a reference of their own; the caller
 * keeps his.
 *
 * Errors. Constructors return NULL and set errno (ENOMEM unless stated). Other functions return 0
 * or a positive answer, or a negative errno. A failed call has changed nothing. Misuse (a count
 * below zero, an object or a world used after it was freed, two threads in one world, and, in audit
 * builds, an object stored in one of another world, weakly or not, or compared with one) ends the
 * process with one sentence that begins with "varve: ". That an object was freed is seen, as long
 * as its memory was not used again, when a reference to it ends, a function wants it to be of a
 * kind, varve/inspect.h is asked about it, or its referrers or referents are asked for; in audit
 * builds also when it is stored, compared, hashed, asked for its type, kind, world or generation,
 * tracked or untracked, and when a collection comes to it. That a world was freed is seen when it
 * is freed again or entered.
 *
 * Threads. A world has one thread inside at a time; see varve_world_enter(). Different worlds are
 * independent: any number of threads, each in its own. */
#ifndef VARVE_OBJECT_H
#define VARVE_OBJECT_H

#include <varve/heap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- worlds --- */

/* An isolated heap of objects with its own types, generations and weak references. */
typedef struct varve_world varve_world;

/* A new world with the built-in types; the calling thread is inside. NULL with ENOMEM. Costs some
 * tens of microseconds and about 100 KiB. */
VARVE_API varve_world *varve_world_new(void);

/* Ends a world: runs what varve_world_at_exit() registered, collects, and frees everything. What
 * is still referenced then is leaked; its finalizers do not run. Returns how many objects were
 * leaked (and what leaked objects hold is leaked, too), or -EBUSY from within a finalizer, a
 * dealloc, a callback or an exit function. varve_world_report_leaks() (varve/inspect.h) has them
 * described. The caller is inside. Accepts NULL. */
VARVE_API long varve_world_free(varve_world *world);

/* What varve_world_free() would call a leak, one object. */
typedef struct varve_leaked_object {
    const struct varve_object *object;
    const char *type_name;
    uint32_t refcount;
} varve_leaked_object;

/* Sets who is told of leaked objects when the world is freed; NULL (the default): nobody. `report`
 * must not change the world. */
VARVE_API void varve_world_on_leak(varve_world *world,
                                   void (*report)(const varve_leaked_object *leaked,
                                                  void *argument),
                                   void *argument);

/* Functions that run at the beginning of varve_world_free(), newest first; one that registers
 * further ones has them run next. -ENOMEM. */
VARVE_API int varve_world_at_exit(varve_world *world, void (*function)(void *argument),
                                  void *argument);

/* The calling thread comes in / goes out, to hand the world to another thread. Entering a world in
 * which another thread is ends the process. Entering is nested: leave as often. Cost: one atomic
 * operation. In audit builds every operation checks that its thread is inside, in others those
 * that need memory from the system do. */
VARVE_API void varve_world_enter(varve_world *world);
VARVE_API void varve_world_leave(varve_world *world);

/* What a world has, for programs. */
typedef struct varve_world_counts {
    size_t live_objects;
    size_t tracked_objects; /* that the collector watches */
    size_t object_bytes;    /* blocks of live objects, as the heap gives them */
    size_t pool_bytes;      /* memory that those blocks lie in */
    size_t plane_bytes;     /* collector state beside them */
} varve_world_counts;

/* Cost: walks all pools, about 1 ns an object. */
VARVE_API void varve_world_count(const varve_world *world, varve_world_counts *out_counts);

/* Where errors go that happen when nobody can be told: in callbacks, finalizers, at-exit
 * functions. The default writes "varve: exception ignored in WHERE: error E" to stderr. */
VARVE_API void varve_world_on_unraisable(varve_world *world,
                                         void (*report)(const char *where,
                                                        struct varve_object *object, int error,
                                                        void *argument),
                                         void *argument);

/* Reports an error that happened in a callback or finalizer, to be called from there. */
VARVE_API void varve_unraisable(struct varve_object *object, const char *where, int error);

/* --- objects --- */

/* The head of every object; what follows depends on the type. Touch the fields by the functions
 * below only. */
typedef struct varve_object {
    uint32_t refcount;   /* from VARVE_IMMORTAL on: never freed, never changes */
    uint32_t type_index; /* in the world's table of types; 0: not a live object */
} varve_object;

/* The head of an object of a variable number of items. */
typedef struct varve_var_object {
    varve_object head;
    size_t item_count;
} varve_var_object;

#define VARVE_IMMORTAL 0x80000000u

/* Takes the last reference's consequences: frees the object, or names misuse. Called by
 * varve_decref(); runs finalizers, clears weak references, frees what the object alone held.
 * Neither this nor anything else recurses deeper than a fixed number of frames. */
VARVE_API void varve_object_unreferenced(varve_object *object);

/* One more owner. Returns the object. Cost: one branch and one addition. */
static inline varve_object *varve_incref(varve_object *object) {
    if ((int32_t)object->refcount >= 0) object->refcount++;
    return object;
}

/* One owner less. Keeps errno. */
static inline void varve_decref(varve_object *object) {
    if ((int32_t)object->refcount > 1) {
        object->refcount--;
    } else {
        varve_object_unreferenced(object);
    }
}

/* The same for a pointer that may be NULL. */
static inline varve_object *varve_xincref(varve_object *object) {
    return object != NULL ? varve_incref(object) : NULL;
}
static inline void varve_xdecref(varve_object *object) {
    if (object != NULL) varve_decref(object);
}

/* Sets the variable to NULL before the reference ends, so that whatever runs then finds it empty:
 * what a type's clear function does to each field. */
static inline void varve_clear_reference(varve_object **variable) {
    varve_object *object = *variable;
    *variable = NULL;
    varve_xdecref(object);
}

static inline uint32_t varve_refcount(const varve_object *object) {
    return object->refcount;
}

/* The world of an object. Cost: two loads. */
VARVE_API varve_world *varve_world_of(const varve_object *object);

/* --- types --- */

/* A type of one world; lives as long as the world. Each class has one for its instances, with its
 * name, which goes with the class. */
typedef struct varve_type varve_type;

/* Called by a traverse function for each object that it refers to. A nonzero result ends the
 * traversal and is returned. */
typedef int (*varve_visit)(varve_object *child, void *argument);

enum {
    /* Objects of this type never take part in a cycle: no candidates for the collector, even when
     * they hold references. A promise; varve_world_check() cannot see it broken. */
    VARVE_TYPE_ACYCLIC = 1u << 0,
    /* No weak references to objects of this type. */
    VARVE_TYPE_NO_WEAKREFS = 1u << 1,
    /* Objects are not tracked until varve_gc_track(): for constructors that can run other code
     * before the object is whole. */
    VARVE_TYPE_TRACK_LATER = 1u << 2,
    /* Objects keep addresses of others in their block that they do not own, a pointer back to a
     * parent for example. varve_world_check() then does not take them for references that the
     * traverse function forgets. */
    VARVE_TYPE_BORROWS = 1u << 3,
};

/* What a type is. All functions may be NULL. `self` is never NULL. */
typedef struct varve_type_spec {
    const char *name; /* copied */
    size_t
        basic_bytes; /* of an object without items, with its head; at least sizeof(varve_object) */
    size_t item_bytes; /* of each item of a varve_var_object; 0: not variable */
    unsigned flags;    /* VARVE_TYPE_ */

    /* Calls `visit` for each reference that the object owns, and does nothing else. Without it the
     * type counts as acyclic. */
    int (*traverse)(varve_object *self, varve_visit visit, void *argument);

    /* Ends each reference that can be part of a cycle, by varve_clear_reference(). Called for
     * garbage; the object may be used afterwards by what still refers to it. NULL: a cycle of such
     * objects alone is never freed, and found and counted by each collection, as in CPython. */
    void (*clear)(varve_object *self);

    /* Called at most once in an object's life, before it goes, while all that it refers to is
     * whole. It may do anything, also make the object live on by storing a reference. */
    void (*finalize)(varve_object *self);

    /* Ends all references and frees all memory that the object owns, not the object's own block.
     * NULL: calls `clear`. Nobody can see the object any more. */
    void (*dealloc)(varve_object *self);

    /* Bytes that the object owns outside of its block. */
    size_t (*outer_bytes)(const varve_object *self);

    /* Equality: 1 equal, 0 not, negative errno. NULL: identity. `other` is of the same type. */
    int (*equal)(varve_object *self, varve_object *other);

    /* 0 or -EOPNOTSUPP (unhashable). Equal objects have equal hashes. NULL: by identity when
     * `equal` is NULL, else unhashable. */
    int (*hash)(varve_object *self, uint64_t *out_hash);
} varve_type_spec;

/* Registers a type. NULL with ENOMEM, or EINVAL: sizes that make no sense, flags that there are
 * not, no name. */
VARVE_API varve_type *varve_type_new(varve_world *world, const varve_type_spec *spec);

VARVE_API varve_type *varve_type_of(const varve_object *object);
VARVE_API const char *varve_type_name(const varve_type *type);
VARVE_API const varve_type_spec *varve_type_get_spec(const varve_type *type);
VARVE_API varve_world *varve_type_world(const varve_type *type);

/* A new object of a type with `basic_bytes`, all zero behind the head, or one with `item_count`
 * items, too. NULL with ENOMEM. Tracked by the collector when its type has a traverse function.
 * May run an automatic collection before it takes the block. Aligned to 16 bytes if `basic_bytes`
 * is a multiple of 16, as it is of a struct with such members, else to 8. Cost: about 10 ns. */
VARVE_API varve_object *varve_object_new(varve_type *type) __attribute__((warn_unused_result));
VARVE_API varve_object *varve_object_new_var(varve_type *type, size_t item_count)
    __attribute__((warn_unused_result));

/* --- equality and hash, for all types --- */

/* 1 equal, 0 not, or negative errno of a type's function; -ELOOP: nested more than 100 deep.
 * Numbers are equal across int and float (1 == 1.0). Within containers what is identical counts as
 * equal, even NaN. */
VARVE_API int varve_equal(varve_object *left, varve_object *right);

/* 0, or -EOPNOTSUPP: the object is unhashable (list, dict, set, or a tuple with one inside);
 * -ELOOP: tuples nested more than 100 deep; or a negative errno of a type's function. */
VARVE_API int varve_hash(varve_object *object, uint64_t *out_hash);

/* --- iteration --- */

/* The next item of a list, tuple, set or dict (its keys); *position begins at 0 and belongs to the
 * iteration. 1: *out_item is a borrowed reference; 0: there is none; -EOPNOTSUPP: not a container.
 * The container may change meanwhile: an item may then be shown twice or not at all, no more. */
VARVE_API int varve_next(varve_object *container, size_t *position, varve_object **out_item);

/* Items of a container, bytes of a str or bytes; -EOPNOTSUPP otherwise. */
VARVE_API long varve_length(const varve_object *object);

/* --- built-in types --- */

typedef enum varve_kind {
    VARVE_KIND_OTHER, /* of a type of the program's, or of varve's weak references */
    VARVE_KIND_NONE,
    VARVE_KIND_BOOL,
    VARVE_KIND_INT,
    VARVE_KIND_FLOAT,
    VARVE_KIND_STR,
    VARVE_KIND_BYTES,
    VARVE_KIND_LIST,
    VARVE_KIND_TUPLE,
    VARVE_KIND_DICT,
    VARVE_KIND_SET,
    VARVE_KIND_CLASS,
    VARVE_KIND_INSTANCE,
} varve_kind;

VARVE_API varve_kind varve_kind_of(const varve_object *object);

/* The immortal objects of a world: borrowed references that never end. */
VARVE_API varve_object *varve_none(varve_world *world);
VARVE_API varve_object *varve_bool(varve_world *world, bool value);

/* Numbers. Ints from -5 to 256 are made once for each world. */
VARVE_API varve_object *varve_int_new(varve_world *world, int64_t value);
VARVE_API int64_t varve_int_value(const varve_object *object); /* also of bool */
VARVE_API varve_object *varve_float_new(varve_world *world, double value);
VARVE_API double varve_float_value(const varve_object *object);

/* Text in UTF-8 and bytes: immutable, with a zero byte behind them. NULL with EILSEQ when `text`
 * is not UTF-8; no bytes may come from NULL. varve_str_of() takes a C string. */
VARVE_API varve_object *varve_str_new(varve_world *world, const char *text, size_t byte_count);
VARVE_API varve_object *varve_str_of(varve_world *world, const char *text);
VARVE_API const char *varve_str_text(const varve_object *str);
VARVE_API size_t varve_str_bytes(const varve_object *str);
VARVE_API varve_object *varve_bytes_new(varve_world *world, const void *bytes, size_t byte_count);
VARVE_API const void *varve_bytes_data(const varve_object *bytes);

/* The one interned str with this text, a new reference; makes `str` that one when there is none.
 * NULL with ENOMEM. An interned str dies like any other. */
VARVE_API varve_object *varve_str_intern(varve_object *str);

/* Lists. Indexes count from 0; -ERANGE: beyond the end, which for varve_list_get(), as for
 * varve_tuple_get(), is misuse. */
VARVE_API varve_object *varve_list_new(varve_world *world);
VARVE_API size_t varve_list_length(const varve_object *list);
VARVE_API varve_object *varve_list_get(const varve_object *list, size_t index); /* borrowed */
VARVE_API int varve_list_set(varve_object *list, size_t index, varve_object *item);
VARVE_API int varve_list_append(varve_object *list, varve_object *item);
VARVE_API int varve_list_insert(varve_object *list, size_t index, varve_object *item);
VARVE_API int varve_list_remove(varve_object *list, size_t index);
VARVE_API void varve_list_clear(varve_object *list);

/* Tuples: immutable, but for varve_tuple_init(), which fills an empty place of a new tuple that
 * was made with items NULL (-EEXIST: the place is taken). Such a place reads as NULL. */
VARVE_API varve_object *varve_tuple_new(varve_world *world, size_t count,
                                        varve_object *const *items);
VARVE_API size_t varve_tuple_length(const varve_object *tuple);
VARVE_API varve_object *varve_tuple_get(const varve_object *tuple, size_t index); /* borrowed */
VARVE_API int varve_tuple_init(varve_object *tuple, size_t index, varve_object *item);

/* Dicts keep the order of insertion. Keys are any hashable objects. varve_dict_get: 1 and a
 * borrowed reference; 0: no such key; negative: from hash or equality. varve_dict_delete:
 * -ENOENT: no such key. */
VARVE_API varve_object *varve_dict_new(varve_world *world);
VARVE_API size_t varve_dict_length(const varve_object *dict);
VARVE_API int varve_dict_get(varve_object *dict, varve_object *key, varve_object **out_value);
VARVE_API int varve_dict_set(varve_object *dict, varve_object *key, varve_object *value);
VARVE_API int varve_dict_delete(varve_object *dict, varve_object *key);
VARVE_API void varve_dict_clear(varve_object *dict);

/* The next entry, as varve_next(). Either output may be NULL. */
VARVE_API int varve_dict_next(varve_object *dict, size_t *position, varve_object **out_key,
                              varve_object **out_value);

/* The same with a C string as the key. */
VARVE_API int varve_dict_get_text(varve_object *dict, const char *key, varve_object **out_value);
VARVE_API int varve_dict_set_text(varve_object *dict, const char *key, varve_object *value);

/* Sets of hashable objects, in order of insertion. add: 1 added, 0 was there. discard: 1 removed,
 * 0 was not there. contains: 1 or 0. */
VARVE_API varve_object *varve_set_new(varve_world *world);
VARVE_API size_t varve_set_length(const varve_object *set);
VARVE_API int varve_set_add(varve_object *set, varve_object *item);
VARVE_API int varve_set_discard(varve_object *set, varve_object *item);
VARVE_API int varve_set_contains(varve_object *set, varve_object *item);
VARVE_API void varve_set_clear(varve_object *set);

/* --- classes and instances: objects with named attributes --- */

/* What a class is. Every instance has a place in its block for each name in `attributes`; with
 * `open`, others may be set, too, and live in a dict that the instance then has. */
typedef struct varve_class_spec {
    const char *name;
    const char *const *attributes; /* ends with NULL; NULL: none */
    bool open;
    void (*finalize)(varve_object *self, void *argument); /* as in varve_type_spec; may be NULL */
    void *argument;
} varve_class_spec;

/* A class is an object: whoever made it, and each of its instances, own a reference. EINVAL: more
 * than 255 attributes, or no name. */
VARVE_API varve_object *varve_class_new(varve_world *world, const varve_class_spec *spec);
VARVE_API const char *varve_class_name(const varve_object *cls);

/* A new instance without attributes. */
VARVE_API varve_object *varve_instance_new(varve_object *cls);
VARVE_API varve_object *varve_instance_class(const varve_object *instance); /* borrowed */

/* Attributes by name: 0 and a borrowed reference, -ENOENT: not set. A value of NULL deletes (and
 * is -ENOENT when there is none). Setting a name that the class has not: -ENOENT unless open. */
VARVE_API int varve_get_attribute(varve_object *instance, const char *name,
                                  varve_object **out_value);
VARVE_API int varve_set_attribute(varve_object *instance, const char *name, varve_object *value);

/* The same by the attribute's place in the class, which is what an interpreter caches. place:
 * -ENOENT. get: NULL when not set. A place that the class has not is misuse. */
VARVE_API int varve_class_place(const varve_object *cls, const char *name);
VARVE_API varve_object *varve_instance_get(const varve_object *instance, unsigned place);
VARVE_API void varve_instance_set(varve_object *instance, unsigned place, varve_object *value);

/* The dict of attributes that the class does not name, borrowed; NULL: none yet. */
VARVE_API varve_object *varve_instance_dict(const varve_object *instance);

/* --- tests --- */

/* The next `count` internal allocations in the world succeed, all later ones fail, until
 * varve_world_fail_never(). Returns nothing; varve_world_allocations() counts those made. */
VARVE_API void varve_world_fail_after(varve_world *world, uint64_t count);
VARVE_API void varve_world_fail_never(varve_world *world);
VARVE_API uint64_t varve_world_allocations(const varve_world *world);

#ifdef __cplusplus
}
#endif
#endif
