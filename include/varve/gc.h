/* SPDX-License-Identifier: MIT
 * varve/gc.h - the collector: finding garbage that refers to itself.
 *
 * Semantics are those of CPython 3.11's gc module. Objects that can be part of a cycle are tracked
 * and belong to one of three generations; survivors of a collection move to the next. A collection
 * of generation g examines all generations up to g. It clears weak references to garbage, runs
 * finalizers (once in an object's life), spares what a finalizer saved, and frees the rest.
 *
 * Differences from CPython, each on purpose: within a collection, objects are treated in order of
 * address, not of creation; get_referrers also sees holders that are not tracked; the pause of the
 * oldest generation can be bounded (varve_gc_set_pause, varve_gc_step).
 *
 * The caller of every function is inside the world. None of them may be called from a traverse
 * function. */
#ifndef VARVE_GC_H
#define VARVE_GC_H

#include <varve/object.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VARVE_GC_GENERATIONS 3

/* --- collecting --- */

/* Collects generation 0, 1 or 2 (all) now, also when automatic collection is disabled. Returns
 * unreachable objects found: freed and uncollectable ones, and weak references that went by their
 * callbacks; 0 when a collection is already running; -EINVAL: no such generation. */
VARVE_API long varve_gc_collect(varve_world *world, int generation);

/* Automatic collections, which run when an object is made. Enabled at first. Both return whether
 * they were enabled before. */
VARVE_API bool varve_gc_enable(varve_world *world);
VARVE_API bool varve_gc_disable(varve_world *world);
VARVE_API bool varve_gc_is_enabled(const varve_world *world);

/* An automatic collection of generation 0 runs when more than threshold[0] tracked objects were
 * made than freed since the last; of generation n after more than threshold[n] collections of
 * n - 1; of the oldest only if, too, what is new in it is at least a quarter of what it held.
 * threshold[0] 0 disables. At first 700, 10, 10. */
VARVE_API void varve_gc_set_threshold(varve_world *world, const int threshold[3]);
VARVE_API void varve_gc_get_threshold(const varve_world *world, int out_threshold[3]);
VARVE_API void varve_gc_get_count(const varve_world *world, int out_count[3]);

/* --- objects --- */

/* Whether the collector watches the object now. Dicts and tuples that hold nothing that is watched
 * may not be. */
VARVE_API bool varve_gc_is_tracked(const varve_object *object);
VARVE_API bool varve_gc_is_finalized(const varve_object *object);

/* Begins / ends watching; both may be called twice. For types with VARVE_TYPE_TRACK_LATER. */
VARVE_API void varve_gc_track(varve_object *object);
VARVE_API void varve_gc_untrack(varve_object *object);

/* The generation of a tracked object; 3: frozen; -ENOENT: not tracked. */
VARVE_API int varve_gc_generation(const varve_object *object);

/* A new list of all tracked objects of a generation, or of all three with -1; frozen objects and
 * the list itself are not in it. NULL with ENOMEM or EINVAL. */
VARVE_API varve_object *varve_gc_get_objects(varve_world *world, int generation);

/* A new list of objects that directly refer to any of `count` objects / that they refer to. The
 * first looks at all objects of the world (about 15 ns each, more when `count` is large, since each
 * reference is compared with all of them); the second keeps duplicates. NULL with ENOMEM. */
VARVE_API varve_object *varve_gc_get_referrers(varve_world *world, size_t count,
                                               varve_object *const *objects);
VARVE_API varve_object *varve_gc_get_referents(varve_world *world, size_t count,
                                               varve_object *const *objects);

/* --- freezing: what exists now is never examined again, until unfrozen --- */

VARVE_API void varve_gc_freeze(varve_world *world);   /* counts become 0 */
VARVE_API void varve_gc_unfreeze(varve_world *world); /* into the oldest generation */
VARVE_API size_t varve_gc_get_freeze_count(const varve_world *world);

/* --- what happened --- */

/* One generation's account since the world began. */
typedef struct varve_gc_stats {
    uint64_t collections;
    uint64_t collected;
    uint64_t uncollectable;
    uint64_t candidates;  /* objects examined */
    uint64_t duration_ns; /* in all */
    uint64_t longest_ns;  /* longest time in which the program stood still */
} varve_gc_stats;

VARVE_API void varve_gc_get_stats(const varve_world *world,
                                  varve_gc_stats out_stats[VARVE_GC_GENERATIONS]);

typedef enum varve_gc_phase {
    VARVE_GC_START,
    VARVE_GC_STOP,
    VARVE_GC_SLICE, /* a slice of an incremental collection has ended: see duration_ns */
} varve_gc_phase;

typedef struct varve_gc_info {
    int generation;
    uint64_t collected; /* the numbers are 0 at the start */
    uint64_t uncollectable;
    uint64_t visited;     /* candidates examined */
    uint64_t duration_ns; /* of this collection or slice */
} varve_gc_info;

/* Calls `callback` at the start and the stop of each collection, in order of registration; an
 * incremental one that gives way to a whole collection, or for which there is no memory, has no
 * stop. It may do anything but free the world; collections and steps that it asks for do nothing.
 * add: -ENOMEM; remove: -ENOENT. */
typedef void (*varve_gc_callback)(varve_world *world, varve_gc_phase phase,
                                  const varve_gc_info *info, void *argument);
VARVE_API int varve_gc_add_callback(varve_world *world, varve_gc_callback callback, void *argument);
VARVE_API int varve_gc_remove_callback(varve_world *world, varve_gc_callback callback,
                                       void *argument);

/* The list of objects that were unreachable and not freed: all that were found while
 * VARVE_GC_DEBUG_SAVEALL was set. Borrowed. */
VARVE_API varve_object *varve_gc_garbage(varve_world *world);

enum {
    VARVE_GC_DEBUG_STATS = 1,
    VARVE_GC_DEBUG_COLLECTABLE = 2,
    VARVE_GC_DEBUG_UNCOLLECTABLE = 4,
    VARVE_GC_DEBUG_SAVEALL = 32,
    VARVE_GC_DEBUG_LEAK = 38, /* COLLECTABLE, UNCOLLECTABLE, SAVEALL */
};

/* What is written to stderr: "gc: collecting generation 2...", "gc: objects in each generation:
 * 1 3 11113", "gc: objects in permanent generation: 0", "gc: done, 1 unreachable, 0 uncollectable,
 * 0.0008s elapsed", "gc: collectable <list 0x7f...>". */
VARVE_API void varve_gc_set_debug(varve_world *world, int flags);
VARVE_API int varve_gc_get_debug(const varve_world *world);

/* Where those lines go instead; NULL: stderr. Each is passed without its newline. */
VARVE_API void varve_gc_set_debug_output(varve_world *world,
                                         void (*write)(const char *line, void *argument),
                                         void *argument);

/* --- bounded pauses and pacing --- */

typedef struct varve_gc_progress {
    bool done; /* a whole collection of the oldest generation has ended with this step */
    uint64_t visited;
    uint64_t collected; /* by this step */
} varve_gc_progress;

/* Works on a collection of the oldest generation for about `budget_ns`, beginning one when none is
 * in progress. Between steps the program goes on. Garbage that existed when it began is found; the
 * steps at its end check what was found once more, exactly, and free it. A cycle of n objects is
 * checked in one step, about 50 ns an object, whatever the budget. *out_progress may be NULL.
 * Returns 0, -EBUSY inside a collection, -ENOMEM. */
VARVE_API int varve_gc_step(varve_world *world, uint64_t budget_ns,
                            varve_gc_progress *out_progress);

/* Automatic collections of the oldest generation become a series of steps of at most `pause_ns`,
 * taken along with young collections; 0 (the default): all at once. Young collections then run when
 * more than threshold[0] tracked objects were made, even if as many were freed: else they would
 * have no bound where young objects replace old ones. varve_gc_collect(world, 2) always does it all
 * at once. */
VARVE_API void varve_gc_set_pause(varve_world *world, uint64_t pause_ns);

/* Tells of memory that objects hold and varve does not see (+ when taken, - when freed). When it
 * has grown since the last collection of the oldest generation by 1 MiB and by an eighth of what it
 * is, an automatic one runs, or a step of one when the pause is bounded. */
VARVE_API void varve_gc_adjust_external(varve_world *world, int64_t byte_count);
VARVE_API int64_t varve_gc_external_bytes(const varve_world *world);

#ifdef __cplusplus
}
#endif
#endif
