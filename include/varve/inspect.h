/* SPDX-License-Identifier: MIT
 * varve/inspect.h - how big is an object really, and who holds it?
 *
 * Questions to a world at rest: none of these functions runs code of the program other than
 * traverse and outer_bytes functions. Results that are objects are new references; lists that a
 * question itself makes are not counted by it. Nothing recurses. The caller is inside the world. */
#ifndef VARVE_INSPECT_H
#define VARVE_INSPECT_H

#include <varve/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- sizes --- */

/* Bytes of one object, without what it refers to: its block and what it owns outside (items of a
 * list, table of a dict). `requested`: as asked for; else as the heap gives them, with rounding and
 * collector state. */
VARVE_API size_t varve_sizeof(const varve_object *object, bool requested);

typedef struct varve_deep_sizeof_options {
    bool requested;                /* as in varve_sizeof() */
    unsigned max_depth;            /* edges from the object; 0: no limit */
    const varve_type *const *stop; /* types that are neither counted nor followed */
    size_t stop_count;
    varve_object *const *exclude; /* objects that are neither counted nor followed */
    size_t exclude_count;
} varve_deep_sizeof_options;

typedef struct varve_deep_size {
    size_t bytes;
    size_t objects;
} varve_deep_size;

/* The object and all that it reaches, each once. Classes and types are not followed from their
 * instances. `options` may be NULL. -ENOMEM. Cost: about 20 ns an object. */
VARVE_API int varve_deep_sizeof(varve_object *object, const varve_deep_sizeof_options *options,
                                varve_deep_size *out_size);

/* What would go with the object: the object and all that only it keeps alive (its dominator tree
 * below the roots, which are the objects that the program itself refers to). -ENOMEM. Cost: looks
 * at the whole world. */
VARVE_API int varve_retained_sizeof(varve_object *object, bool requested,
                                    varve_deep_size *out_size);

/* --- holders --- */

/* The shortest path of references from a root to the object: a new list, root first. A root is an
 * object with more owners than the world's objects explain (the program holds it), or `from` when
 * it is not NULL. NULL with ENOENT: there is none (the object is garbage), or ENOMEM. */
VARVE_API varve_object *varve_path_to(varve_object *object, varve_object *from);

/* Up to `max_count` paths without repeated objects, shortest first: a new list of lists. */
VARVE_API varve_object *varve_paths_to(varve_object *object, varve_object *from, size_t max_count);

/* Writes a picture of the holders, up to `depth` edges away and `max_objects` objects, in the
 * language of Graphviz, by calling `write`. -ENOMEM. */
VARVE_API int varve_write_holders(varve_object *object, unsigned depth, size_t max_objects,
                                  void (*write)(const char *text, size_t length, void *argument),
                                  void *argument);

/* --- counts by type --- */

typedef struct varve_type_count {
    const varve_type *type;
    const char *name; /* of the type; of the class for instances */
    size_t objects;
    size_t bytes;
} varve_type_count;

/* Live objects by type, most bytes first: an array of the caller's, who frees it with
 * varve_free(). -ENOMEM. */
VARVE_API int varve_count_by_type(varve_world *world, varve_type_count **out_counts,
                                  size_t *out_count);

/* What has grown since an earlier count, most bytes first: differences in `objects` and `bytes`
 * as signed numbers. A free of the result as above. */
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

/* Checks every object of the world: its type is known, its reference count is at least the number
 * of references that traverse functions show, what it refers to is live and of this world, the
 * collector's state agrees. Calls `report` with a sentence ("varve: reference count of <list 0x..>
 * is 1, but 2 references to it were found") for each problem. Returns how many there were, or
 * -ENOMEM. `report` may be NULL. */
VARVE_API long varve_world_check(varve_world *world,
                                 void (*report)(const char *sentence, const varve_object *object,
                                                void *argument),
                                 void *argument);

#ifdef __cplusplus
}
#endif
#endif
