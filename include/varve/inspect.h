/* SPDX-License-Identifier: MIT
 * varve/inspect.h - how big is an object really, and who holds it?
 *
 * Questions to a world at rest: none of these functions runs code of the program other than
 * traverse and outer_bytes functions. Results that are objects are new references; lists that a
 * question itself makes are not counted by it. Nothing recurses. The caller is inside the world;
 * an argument that is of another world, or that was freed and whose memory was not used again, ends
 * the process, in every build. Within a finalizer or callback, objects
 * that are being freed are not there any more. */
#ifndef VARVE_INSPECT_H
#define VARVE_INSPECT_H

#include <varve/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- sizes --- */

/* Bytes of one object, without what it refers to: its block and what it owns outside (items of a
 * list, table of a dict). `requested`: as asked for; else as the heap gives them, with rounding and
 * collector state (of what a type of the program's owns outside, as its outer_bytes says). */
VARVE_API size_t varve_sizeof(const varve_object *object, bool requested);

typedef struct varve_deep_sizeof_options {
    bool requested;                /* as in varve_sizeof() */
    unsigned max_depth;            /* references from the object; 0: no limit */
    const varve_type *const *stop; /* types whose objects are neither counted nor followed */
    size_t stop_count;
    varve_object *const *exclude; /* objects that are neither counted nor followed */
    size_t exclude_count;
} varve_deep_sizeof_options;

typedef struct varve_deep_size {
    size_t bytes;
    size_t objects;
} varve_deep_size;

/* The object and all that it reaches, each once. Classes are not followed from their instances.
 * `options` may be NULL. -ENOMEM. Cost: 10 to 20 ns an object, a bit for each place in the world's
 * pools, and 8 bytes for each object that waits. */
VARVE_API int varve_deep_sizeof(varve_object *object, const varve_deep_sizeof_options *options,
                                varve_deep_size *out_size);

/* What would go with the object, if all who hold it let go: the object and all that only it keeps
 * alive. Roots are the objects that the program itself refers to: those with more owners than the
 * world's objects explain, and the immortal ones. The strong half of a weak table's entry counts as
 * the table's, not as the weak half's, with which it would go: the value of a weak-key dict or of
 * ephemerons is in the retained size of the table and not in that of the key. -ENOMEM. Cost: looks
 * at the whole world, 100 to 400 ns an object. */
VARVE_API int varve_retained_sizeof(varve_object *object, bool requested,
                                    varve_deep_size *out_size);

/* The same for all objects at once: the dominator tree of the world as it is now. Good until the
 * world changes; free it with varve_dominators_free(), which accepts NULL. -ENOMEM. Cost: 1 to
 * 3 us in a large random graph, and about 60 bytes, an object. */
typedef struct varve_dominators varve_dominators;
VARVE_API int varve_dominators_new(varve_world *world, bool requested,
                                   varve_dominators **out_dominators);
VARVE_API void varve_dominators_free(varve_dominators *dominators);

/* As varve_retained_sizeof(). -ENOENT: no root reaches the object, it is garbage. */
VARVE_API int varve_dominators_retained(const varve_dominators *dominators,
                                        const varve_object *object, varve_deep_size *out_size);

/* The nearest object that all paths from roots to this one pass, which alone keeps it alive;
 * borrowed. NULL: there is no single one. */
VARVE_API varve_object *varve_dominators_holder(const varve_dominators *dominators,
                                                const varve_object *object);

/* The objects that retain most, most first, borrowed. Returns how many, at most `capacity`. */
VARVE_API size_t varve_dominators_largest(const varve_dominators *dominators, size_t capacity,
                                          varve_object **out_objects);

/* --- holders --- */

/* The shortest path of references from a root (or from `from` when it is not NULL) to the object:
 * a new list, root first, the object last. The object itself counts as a root only when there is
 * no other way to it, since whoever asks has a reference. NULL with ENOENT: there is no path (the
 * object is garbage), or ENOMEM. */
VARVE_API varve_object *varve_path_to(varve_object *object, varve_object *from);

/* Up to `max_count` paths without repeated objects, shortest first: a new list of lists. Errors as
 * above. Gives up after a million steps, or some tenths of a second, and returns what it has; the
 * shortest path is always there. */
VARVE_API varve_object *varve_paths_to(varve_object *object, varve_object *from, size_t max_count);

/* Writes a picture of the holders, up to `depth` references away and `max_objects` objects, in the
 * language of Graphviz, by calling `write`: the object in orange, roots in blue. -ENOMEM. */
VARVE_API int varve_write_holders(varve_object *object, unsigned depth, size_t max_objects,
                                  void (*write)(const char *text, size_t length, void *argument),
                                  void *argument);

/* An object in words ("list of 3", "str 'Alice'", "int 30", the name of an instance's class) / how
 * `holder` refers to `child` ("[3]", "['name']", ".left", "key", "class", "item"; of a weak table
 * also "value", when the key has gone, and "weak reference"; "" when it is not known). Writes at
 * most capacity - 1 bytes and a zero byte, and returns how many were written. `capacity` is at
 * least 1. */
VARVE_API size_t varve_describe(const varve_object *object, char *buffer, size_t capacity);
VARVE_API size_t varve_describe_reference(const varve_object *holder, const varve_object *child,
                                          char *buffer, size_t capacity);

/* The stack that made a live object, without what varve itself called, a line for each frame
 * ("main program.c:12", "main in program", "program+0x1234"), as above; "" when the trace
 * (varve/trace.h) was not on then. Names are looked up as in varve/snapshot.h. */
VARVE_API size_t varve_describe_allocation(const varve_object *object, char *buffer,
                                           size_t capacity);

/* --- counts by type --- */

typedef struct varve_type_count {
    const varve_type *type; /* of instances: goes with the class */
    const char *name;       /* of the type, in the same block as the array */
    size_t objects;
    size_t bytes; /* as varve_sizeof() without `requested` */
} varve_type_count;

/* Live objects by type, most bytes first: an array of the caller's, who frees it with
 * varve_free(). -ENOMEM. Cost: about 5 ns an object. */
VARVE_API int varve_count_by_type(varve_world *world, varve_type_count **out_counts,
                                  size_t *out_count);

/* What there is more of than at an earlier count, most bytes first: an array as above. Types with
 * the same name count as one. */
typedef struct varve_type_growth {
    const varve_type *type;
    const char *name;
    int64_t objects;
    int64_t bytes;
} varve_type_growth;
VARVE_API int varve_growth_by_type(const varve_type_count *before, size_t before_count,
                                   const varve_type_count *after, size_t after_count,
                                   varve_type_growth **out_growth, size_t *out_count);

/* --- checking --- */

/* Has varve_world_free() describe what was leaked: for each object a sentence, below it where it
 * was made (when the trace was on then) and up to 4 of those that hold it:
 *
 *   varve: leaked <list 0x..> with 1 reference that nobody gives back
 *     allocated at FRAME
 *     FRAME
 *     held by <dict 0x..> ['name']
 *   varve: leaked <float 0x..>, held by other objects only
 *     held by <list 0x..> [0]
 *   varve: leaked 12 more objects
 *
 * Those that the program itself did not let go of come first; 20 objects are told in all. The text
 * comes in whole lines by `write`, which must not change the world; NULL: stderr. Takes the place
 * of varve_world_on_leak(). Costs nothing before the end; then as varve_path_to(). Without memory
 * for that it says "varve: leaked N objects, no memory to describe them". */
VARVE_API void varve_world_report_leaks(varve_world *world,
                                        void (*write)(const char *text, size_t length,
                                                      void *argument),
                                        void *argument);

/* Checks every object of the world: its type is known, what it refers to is live and of this world,
 * its reference count is at least the number of references that traverse functions show, the
 * collector's state agrees, the pools are whole. An object of a type of the program's whose block
 * has the address of an object that its traverse function does not show, while that object has an
 * owner who is not known, counts as a problem, too (see VARVE_TYPE_BORROWS). Calls `report`, which
 * may be NULL, with a sentence for each problem:
 *
 *   varve: reference count of <list 0x..> is 1, but 2 references to it were found
 *   varve: traverse of <node 0x..> does not show its reference to <list 0x..>
 *   varve: <list 0x..> refers to 0x.., which is no live object (or: an object of another world)
 *
 * Returns how many there were, or -ENOMEM. `report` must not change the world. */
VARVE_API long varve_world_check(varve_world *world,
                                 void (*report)(const char *sentence, const varve_object *object,
                                                void *argument),
                                 void *argument);

#ifdef __cplusplus
}
#endif
#endif
