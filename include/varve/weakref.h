/* SPDX-License-Identifier: MIT
 * varve/weakref.h - references that do not keep an object alive, and caches made of them.
 *
 * Semantics are those of CPython's weakref module. When an object goes, or is found to be garbage,
 * all weak references to it are cleared first; then their callbacks run, newest first; then
 * finalizers. Reading a weak reference gives a new strong one in one step. An object without weak
 * references has no byte for them. -EOPNOTSUPP (or NULL with that errno): the type of the object
 * has no weak references (int, float, str, bytes, tuple, None, bool; VARVE_TYPE_NO_WEAKREFS).
 *
 * All tables are objects. They may be changed and walked while objects die: what dies during a walk
 * is not shown, and nothing else is skipped. The caller of every function is inside the world. */
#ifndef VARVE_WEAKREF_H
#define VARVE_WEAKREF_H

#include <varve/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- references --- */

/* Called once, after the object has gone; `ref` is dead then. Errors: varve_unraisable(). */
typedef void (*varve_weak_callback)(varve_object *ref, void *argument);

/* A new reference to a weak reference. Without a callback the one that the object already has is
 * returned. `argument` is the program's; `held`, which may be NULL, is an object that the weak
 * reference owns for as long as it exists (the collector sees it): pass it as `argument`, too, for
 * callbacks that need an object. A weak reference that dies first never calls. */
VARVE_API varve_object *varve_weakref_new(varve_object *object, varve_weak_callback callback,
                                          void *argument, varve_object *held);

/* The object, a new reference, or NULL when it has gone. */
VARVE_API varve_object *varve_weakref_get(const varve_object *ref);
VARVE_API bool varve_weakref_is_alive(const varve_object *ref);
VARVE_API bool varve_is_weakref(const varve_object *object);

/* How many weak references the object has / a new list of them: the one without callback first,
 * then newest to oldest. */
VARVE_API size_t varve_weakref_count(const varve_object *object);
VARVE_API varve_object *varve_weakref_list(varve_object *object);

/* Weak references are equal when both are alive and their objects are equal, or when they are the
 * same; their hash is the object's, remembered after its death (-EOPNOTSUPP: never asked before).
 * varve_equal() and varve_hash() follow this. */

/* A weak pair of an object and a function, which dies with the object (Python's WeakMethod); `held`
 * as above belongs to the pair. varve_weak_method_call() calls function(object, argument of the
 * call) and returns its result, or -ENOENT when the object has gone. */
typedef int (*varve_method)(varve_object *self, void *call_argument);
VARVE_API varve_object *varve_weak_method_new(varve_object *object, varve_method function,
                                              varve_weak_callback callback, void *argument);
VARVE_API int varve_weak_method_call(const varve_object *method, void *call_argument);

/* --- tables --- */

/* A dict whose values are weak: an entry goes with its value. set, get (1 and a *new* reference;
 * 0: none), delete (-ENOENT), length, next (1: new references in both outputs, either may be
 * NULL; 0: the end), clear. Position begins at 0. An equal key keeps the old key object. */
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

/* A set of weak references. add: 1 added, 0 was there. discard: 1 or 0. contains: 1 or 0. */
VARVE_API varve_object *varve_weak_set_new(varve_world *world, bool by_identity);
VARVE_API int varve_weak_set_add(varve_object *set, varve_object *item);
VARVE_API int varve_weak_set_discard(varve_object *set, varve_object *item);
VARVE_API int varve_weak_set_contains(varve_object *set, varve_object *item);
VARVE_API size_t varve_weak_set_length(const varve_object *set);
VARVE_API int varve_weak_set_next(varve_object *set, size_t *position, varve_object **out_item);
VARVE_API void varve_weak_set_clear(varve_object *set);

/* An ephemeron table: a weak-key dict by identity in which a value is kept alive by the table only
 * while its key is alive by other means; so a value may refer to its key. */
VARVE_API varve_object *varve_ephemerons_new(varve_world *world);
VARVE_API int varve_ephemerons_set(varve_object *table, varve_object *key, varve_object *value);
VARVE_API int varve_ephemerons_get(varve_object *table, varve_object *key,
                                   varve_object **out_value);
VARVE_API int varve_ephemerons_delete(varve_object *table, varve_object *key);
VARVE_API size_t varve_ephemerons_length(const varve_object *table);

/* --- finalizers from outside --- */

/* Calls function(argument) once: when the object goes, when varve_finalize_call() is called, or,
 * unless at_exit is off, when the world is freed, newest first. A new reference; the world keeps
 * the finalizer alive until it has run. */
VARVE_API varve_object *varve_finalize_new(varve_object *object, void (*function)(void *argument),
                                           void *argument);

/* 1: it has run now; 0: it was dead before. */
VARVE_API int varve_finalize_call(varve_object *finalizer);

/* Makes it dead without running. 1 and the object (a new reference) and the argument; 0: it was
 * dead. peek: the same and it stays. Outputs may be NULL. */
VARVE_API int varve_finalize_detach(varve_object *finalizer, varve_object **out_object,
                                    void **out_argument);
VARVE_API int varve_finalize_peek(varve_object *finalizer, varve_object **out_object,
                                  void **out_argument);
VARVE_API bool varve_finalize_is_alive(const varve_object *finalizer);
VARVE_API void varve_finalize_set_at_exit(varve_object *finalizer, bool at_exit);

#ifdef __cplusplus
}
#endif
#endif
