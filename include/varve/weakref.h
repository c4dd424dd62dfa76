/* SPDX-License-Identifier: MIT
 * varve/weakref.h - references that do not keep an object alive, and caches made of them.
 *
 * Semantics are those of CPython's weakref module. When an object goes, or is found to be garbage,
 * all weak references to it are cleared first; then their callbacks run, newest first; then
 * finalizers of garbage. Reading a weak reference gives a new strong one in one step. An object
 * without weak references has no byte for them; each weak reference takes 64 bytes, and each object
 * that has some 22 to 43 more, whatever their number.
 *
 * -EOPNOTSUPP (or NULL with that errno): the type of the object has no weak references (int, float,
 * str, bytes, tuple, None, bool; types with VARVE_TYPE_NO_WEAKREFS).
 *
 * All tables are objects and count as such for the collector. They may be changed and walked while
 * objects die: what dies during a walk is not shown, nothing else is skipped or shown twice, and
 * lengths count what lives. An entry whose object has gone leaves at once what it held strongly;
 * its place in the table is kept until the table grows. The caller of every function is inside the
 * world. Where nothing else is said, an operation takes 10 to 100 ns on what is in the
 * cache, and some 250 ns in tables of 200,000 entries. */
#ifndef VARVE_WEAKREF_H
#define VARVE_WEAKREF_H

#include <varve/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- references --- */

/* Called once, after the object has gone; `ref` is dead then. It may do anything but free the
 * world. Errors: varve_unraisable(ref, ...); the other callbacks run all the same. */
typedef void (*varve_weak_callback)(varve_object *ref, void *argument);

/* A new reference to a weak reference. Without callback and `held` the one that the object already
 * has is returned. `argument` is the program's; `held`, which may be NULL, is an object that the
 * weak reference owns as long as it exists, or until its callback has run (the collector sees it):
 * pass it as `argument`, too, for callbacks that need an object. A weak reference that dies first,
 * or is garbage itself, never calls. */
VARVE_API varve_object *varve_weakref_new(varve_object *object, varve_weak_callback callback,
                                          void *argument, varve_object *held);

/* The object, a new reference, or NULL when it has gone. */
VARVE_API varve_object *varve_weakref_get(const varve_object *ref);
VARVE_API bool varve_weakref_is_alive(const varve_object *ref);
VARVE_API bool varve_is_weakref(const varve_object *object);

/* The callback that is still to run, and its argument (which may be NULL here); NULL: none. */
VARVE_API varve_weak_callback varve_weakref_callback(const varve_object *ref, void **out_argument);

/* How many weak references the object has / a new list of them: the one without callback first,
 * then newest to oldest. Those that tables, methods and finalizers have are among them. The list is
 * NULL with ENOMEM. Cost: looks at each. */
VARVE_API size_t varve_weakref_count(const varve_object *object);
VARVE_API varve_object *varve_weakref_list(varve_object *object);

/* Weak references are equal when both are alive and their objects are equal, or when they are the
 * same; their hash is the object's, remembered after its death (-EOPNOTSUPP: never asked before).
 * varve_equal() and varve_hash() follow this. */

/* A weak reference to an object and what is to be called with it (Python's WeakMethod). `code`,
 * which may be NULL, is an object that the function needs, such as an interpreter's function; it is
 * referred to weakly, too, and the method dies, and calls back, with whichever goes first. Two are
 * equal when function and code are the same and their objects are equal. */
typedef int (*varve_method)(varve_object *self, varve_object *code, void *call_argument);
VARVE_API varve_object *varve_weak_method_new(varve_object *object, varve_method function,
                                              varve_object *code, varve_weak_callback callback,
                                              void *argument, varve_object *held);

/* Calls function(object, code, call_argument), which both live through the call, and returns its
 * result, or -ENOENT when the method is dead. get: 1 and new references; 0: dead. Outputs may be
 * NULL. */
VARVE_API int varve_weak_method_call(varve_object *method, void *call_argument);
VARVE_API int varve_weak_method_get(varve_object *method, varve_object **out_object,
                                    varve_object **out_code);

/* --- tables --- */

/* A dict whose values are weak: an entry goes with its value. set, get (1 and a *new* reference;
 * 0: none), delete (-ENOENT), length, next (1: new references in both outputs, either may be
 * NULL; 0: the end), clear. Position begins at 0 and grows. An equal key keeps the old key object.
 * Equality functions of keys may change the dict. */
VARVE_API varve_object *varve_weak_value_dict_new(varve_world *world);
VARVE_API int varve_weak_value_dict_set(varve_object *dict, varve_object *key, varve_object *value);
VARVE_API int varve_weak_value_dict_get(varve_object *dict, varve_object *key,
                                        varve_object **out_value);
VARVE_API int varve_weak_value_dict_delete(varve_object *dict, varve_object *key);
VARVE_API size_t varve_weak_value_dict_length(const varve_object *dict);
VARVE_API int varve_weak_value_dict_next(varve_object *dict, size_t *position,
                                         varve_object **out_key, varve_object **out_value);
VARVE_API void varve_weak_value_dict_clear(varve_object *dict);

/* A dict whose keys are weak: an entry goes with its key. With `by_identity` keys are compared by
 * address and need not be hashable. A value that refers to its own key keeps it alive: see
 * ephemerons below. */
VARVE_API varve_object *varve_weak_key_dict_new(varve_world *world, bool by_identity);
VARVE_API int varve_weak_key_dict_set(varve_object *dict, varve_object *key, varve_object *value);
VARVE_API int varve_weak_key_dict_get(varve_object *dict, varve_object *key,
                                      varve_object **out_value);
VARVE_API int varve_weak_key_dict_delete(varve_object *dict, varve_object *key);
VARVE_API size_t varve_weak_key_dict_length(const varve_object *dict);
VARVE_API int varve_weak_key_dict_next(varve_object *dict, size_t *position, varve_object **out_key,
                                       varve_object **out_value);
VARVE_API void varve_weak_key_dict_clear(varve_object *dict);

/* A set of weak references. add: 1 added, 0 was there. discard: 1 or 0. contains: 1 or 0; 0 also
 * for objects that have no weak references, but -EOPNOTSUPP for unhashable ones if not
 * `by_identity`. */
VARVE_API varve_object *varve_weak_set_new(varve_world *world, bool by_identity);
VARVE_API int varve_weak_set_add(varve_object *set, varve_object *item);
VARVE_API int varve_weak_set_discard(varve_object *set, varve_object *item);
VARVE_API int varve_weak_set_contains(varve_object *set, varve_object *item);
VARVE_API size_t varve_weak_set_length(const varve_object *set);
VARVE_API int varve_weak_set_next(varve_object *set, size_t *position, varve_object **out_item);
VARVE_API void varve_weak_set_clear(varve_object *set);

/* Changes a weak set by the items of a container: a weak set, set, list, tuple or dict (its keys).
 * One that fails midway has done a part of it. is_subset, is_disjoint: 1 or 0. A set that is its
 * own operand is allowed. -EOPNOTSUPP: not a container, or an item that cannot be in a weak set. */
typedef enum varve_set_operation {
    VARVE_SET_UNION,
    VARVE_SET_INTERSECTION,
    VARVE_SET_DIFFERENCE,
    VARVE_SET_SYMMETRIC_DIFFERENCE,
} varve_set_operation;
VARVE_API int varve_weak_set_update(varve_object *set, varve_set_operation operation,
                                    varve_object *container);
VARVE_API int varve_weak_set_is_subset(varve_object *set, varve_object *container);
VARVE_API int varve_weak_set_is_disjoint(varve_object *set, varve_object *container);

/* An ephemeron table: a weak-key dict by identity in which a value is kept alive by the table only
 * while its key is alive by other means; so a value may refer to its key. Only keys that can be
 * part of a cycle can be found dead behind their values: others count as alive as long as they
 * exist. The table must be in the generation that is collected, or an older one holds its values.
 */
VARVE_API varve_object *varve_ephemerons_new(varve_world *world);
VARVE_API int varve_ephemerons_set(varve_object *table, varve_object *key, varve_object *value);
VARVE_API int varve_ephemerons_get(varve_object *table, varve_object *key,
                                   varve_object **out_value);
VARVE_API int varve_ephemerons_delete(varve_object *table, varve_object *key);
VARVE_API size_t varve_ephemerons_length(const varve_object *table);
VARVE_API int varve_ephemerons_next(varve_object *table, size_t *position, varve_object **out_key,
                                    varve_object **out_value);
VARVE_API void varve_ephemerons_clear(varve_object *table);

/* For the three kinds of weak dicts (keys of ephemerons as said above). setdefault: 0: the key's
 * value, 1: there was none, and it is `value` now; a new reference in either case. take: 1 and the
 * value of an entry that is no more, 0: there was none. update: from a weak dict or a dict; one
 * that fails midway has done a part of it. */
VARVE_API int varve_weak_dict_setdefault(varve_object *dict, varve_object *key, varve_object *value,
                                         varve_object **out_value);
VARVE_API int varve_weak_dict_take(varve_object *dict, varve_object *key, varve_object **out_value);
VARVE_API int varve_weak_dict_update(varve_object *dict, varve_object *source);

/* For all weak tables. copy: a new table with the same living entries. refs: a new list of the
 * table's weak references, in order (Python's valuerefs and keyrefs). Both NULL with errno. pop: 1
 * and new references to the newest entry, which is no more; 0: the table is empty. Outputs may be
 * NULL; sets have no value. */
VARVE_API varve_object *varve_weak_table_copy(varve_object *table);
VARVE_API varve_object *varve_weak_table_refs(varve_object *table);
VARVE_API int varve_weak_table_pop(varve_object *table, varve_object **out_key,
                                   varve_object **out_value);

/* Weak tables of one kind are equal when their living entries are. They are not hashable. */

/* --- finalizers from outside --- */

/* Calls function(argument) once: when the object goes, when varve_finalize_call() is called, or,
 * unless at_exit is off, when the world is freed, newest first; those that are made meanwhile come
 * next. A new reference; the world keeps the finalizer alive until it has run. `held` may be NULL,
 * or an object that the finalizer owns until it has run. NULL with ENOMEM or EOPNOTSUPP. A
 * finalizer that is made after those of the world's end have run is dead. */
VARVE_API varve_object *varve_finalize_new(varve_object *object, void (*function)(void *argument),
                                           void *argument, varve_object *held);

/* 1: it has run now; 0: it was dead before. */
VARVE_API int varve_finalize_call(varve_object *finalizer);

/* Makes it dead without running. 1 and the object (a new reference) and the argument; 0: it was
 * dead. What it held it owns as long as it exists. peek: the same and it stays. Outputs may be
 * NULL. */
VARVE_API int varve_finalize_detach(varve_object *finalizer, varve_object **out_object,
                                    void **out_argument);
VARVE_API int varve_finalize_peek(varve_object *finalizer, varve_object **out_object,
                                  void **out_argument);
VARVE_API bool varve_finalize_is_alive(const varve_object *finalizer);

/* Whether it is alive and will run when the world is freed: at first it will. */
VARVE_API bool varve_finalize_get_at_exit(const varve_object *finalizer);
VARVE_API void varve_finalize_set_at_exit(varve_object *finalizer, bool at_exit);

#ifdef __cplusplus
}
#endif
#endif
