/* SPDX-License-Identifier: MIT
 * object/world.h - an isolated heap of objects.
 *
 *   shelves[kind][class] -> pools of objects of one size        object/object_pool.h
 *   pools[]                 all of them, in order of creation
 *   young[g]                those that may have objects of generation g = 0, 1
 *   types[type_index]       object/type.h
 *
 * Invariant: a pool with a tracked object of generation g < 2 is in young[g]. Whatever needs memory
 * does so before it changes anything. */
#ifndef VV_OBJECT_WORLD_H
#define VV_OBJECT_WORLD_H

#include "object/type.h"
#include "varve/gc.h"

/* Objects may be freed within each other's dealloc to this depth; deeper ones wait. */
#define VV_DEALLOC_MAX_DEPTH 24

/* Small objects come in sizes of their own, larger ones in the heap's classes. */
#define VV_OBJECT_STEP_BYTES 8
#define VV_OBJECT_STEP_COUNT 16 /* sizes in steps, up to VV_OBJECT_DENSE_MAX_BYTES */
#define VV_SHELF_COUNT (VV_OBJECT_STEP_COUNT + 64)
#define VV_SMALL_INT_MIN (-5)
#define VV_SMALL_INT_MAX 256

struct vv_pool_list {
    struct vv_object_pool **items;
    size_t count;
    size_t capacity;
};

/* The collector's part of a world; see object/gc.c. */
struct vv_gc {
    bool enabled;
    bool collecting;
    int debug;
    int threshold[3];
    int count[3];
    int count_floor;           /* above which deaths lower count[0]: 0; with a pause threshold[0] */
    size_t long_lived_total;   /* objects that survived the last full collection */
    size_t long_lived_pending; /* and that came to the oldest generation since */
    size_t frozen_count;
    varve_gc_stats stats[3];
    struct vv_gc_observer *observers; /* registered callbacks */
    size_t observer_count;
    size_t observer_capacity;
    varve_object *garbage; /* list */
    void (*write)(const char *line, void *argument);
    void *write_argument;
    uint64_t pause_ns;         /* 0: the oldest generation is collected at once */
    struct vv_gc_cycle *cycle; /* incremental collection in progress; NULL: none */
    int64_t external_bytes;
    int64_t bytes_since; /* by which they grew since the last collection of the oldest generation */
    varve_object **stack; /* mark stack: VV_MARK_STACK_COUNT */
};

struct varve_world {
    struct vv_shelf shelves[VV_SHELF_KIND_COUNT][VV_SHELF_COUNT];
    struct varve_type **types;
    uint32_t type_count;
    uint32_t type_capacity;
    uint32_t first_free_type; /* no index from the built-in types to this one is free */
    struct vv_pool_list pools;
    struct vv_pool_list young[2];
    struct vv_pool_list work;           /* what a collection looks at; has room for all pools */
    struct vv_pool_list trash;          /* where it found garbage; the same */
    varve_object *const *trash_objects; /* the same garbage one by one; NULL: only by pools */
    size_t trash_object_count;
    struct vv_plane_slab *plane_slabs; /* the newest first */
    void *free_planes;                 /* linked; see object/plane_slab.c */
    size_t granule_count;              /* of all pools */
    size_t advised_arena;              /* the last that huge pages were asked for; 0: none */
    uint32_t pool_tick;                /* see heap/purge.h */
    uint32_t walk_count;               /* walks over planes in progress: pools must stay */
    bool has_empty_pools;              /* vv_object_pools_trim() has something to do */
    bool ending;                       /* varve_world_free() has begun to tear down */
    bool frees_in_bulk; /* what has VV_STATE_CANDIDATE is garbage that nobody may see */
    unsigned dealloc_depth;
    unsigned call_depth; /* finalizers, weak callbacks and at-exit functions that are running */
    varve_object *dying; /* objects that wait for their dealloc; see object/lifetime.c */
    struct vv_gc gc;
    struct vv_weak *weak;         /* object/weak.c */
    struct vv_interned *interned; /* object/str.c */
    varve_object *none, *truth[2], *empty_tuple;
    varve_object *small_ints[VV_SMALL_INT_MAX - VV_SMALL_INT_MIN + 1];
    _Atomic uint64_t owner; /* the thread that is inside; 0: none */
    uint32_t enter_count;
    uint64_t allocation_count;
    uint64_t fail_at;  /* allocations from this one on fail */
    uint32_t *no_refs; /* the refs of leaf pools */
    struct vv_exit_function *exit_functions;
    void (*on_leak)(const varve_leaked_object *leaked, void *argument);
    void *on_leak_argument;
    void (*leak_write)(const char *text, size_t length, void *argument); /* inspect/leak_report.c */
    void *leak_write_argument;
    bool leaks_are_told;
    void (*on_unraisable)(const char *where, varve_object *object, int error, void *argument);
    void *on_unraisable_argument;
};

/* Fatal: an object that was freed was used, or else what the sentence says. */
_Noreturn void vv_object_misused(const varve_object *object, const char *sentence);

/* As vv_check(), of something that is not true of a freed object either. */
#define VV_CHECK_OBJECT(condition, object, sentence)                                               \
    do {                                                                                           \
        if (vv_unlikely(!(condition))) vv_object_misused(object, sentence);                        \
    } while (0)

/* Fatal: the address is not that of an object, or of one that was freed. */
void vv_object_check_live(const varve_object *object);

static inline void vv_object_assert_live(const varve_object *object) {
#if VARVE_AUDIT
    vv_object_check_live(object);
#else
    (void)object;
#endif
}

static inline varve_world *vv_world_of(const varve_object *object) {
    return vv_object_pool_of(object)->world;
}

static inline void vv_assert_one_world(const varve_object *one, const varve_object *other,
                                       const char *sentence) {
#if VARVE_AUDIT
    vv_check(vv_world_of(one) == vv_world_of(other), sentence);
#else
    (void)one;
    (void)other;
    (void)sentence;
#endif
}

/* An object comes to be held by another, strongly or weakly / to be compared with it or with what
 * it holds. Both must be alive and of one world: audit builds see to it; in others
 * varve_world_check() finds what is held and should not be. */
static inline void vv_object_assert_stored(const varve_object *holder, const varve_object *item) {
    vv_object_assert_live(item);
    vv_assert_one_world(holder, item, "varve: an object was stored in one of another world");
}
static inline void vv_object_assert_compared(const varve_object *one, const varve_object *other) {
    vv_object_assert_live(one);
    vv_object_assert_live(other);
    vv_assert_one_world(one, other, "varve: an object was compared with one of another world");
}

/* One more owner, `holder`. The item may not be NULL / may be. */
static inline varve_object *vv_object_own(const varve_object *holder, varve_object *item) {
    vv_object_assert_stored(holder, item);
    return varve_incref(item);
}
static inline varve_object *vv_object_xown(const varve_object *holder, varve_object *item) {
    return item != NULL ? vv_object_own(holder, item) : NULL;
}

/* The same for a question that takes long anyway. Fatal: the object was freed. */
static inline varve_world *vv_world_of_live(const varve_object *object) {
    vv_object_check_live(object);
    return vv_world_of(object);
}

static inline struct varve_type *vv_type_of(const varve_object *object) {
    return vv_object_pool_of(object)->world->types[object->type_index];
}

/* The class of an instance; NULL: the object is none. */
static inline struct vv_class_object *vv_instance_class(const varve_object *object) {
    return vv_type_of(object)->cls;
}

/* The tables of a new world / what is left at its end. */
int vv_gc_init(varve_world *world);
void vv_gc_done(varve_world *world);
int vv_builtin_types_init(varve_world *world);
void vv_interned_done(varve_world *world);

/* The pool goes: an incremental collection in progress must not look at it any more. */
void vv_gc_cycle_forget_pool(struct vv_object_pool *pool);

/* An automatic collection is due. */
void vv_gc_automatic(varve_world *world);

/* The immortal objects of a new world. */
int vv_builtin_constants_init(varve_world *world);

/* Frees what a leaked object of a built-in type owns outside of its block. */
void vv_builtin_release_outer(varve_object *object);

/* Where objects of up to VV_OBJECT_SMALL_MAX_BYTES come from. */
static inline struct vv_shelf *vv_world_shelf(varve_world *world, unsigned kind,
                                              size_t byte_count) {
    size_t least = vv_max(byte_count, sizeof(struct vv_free_object));
    size_t index = least <= VV_OBJECT_DENSE_MAX_BYTES ? (least - 1) / VV_OBJECT_STEP_BYTES
                                                      : VV_OBJECT_STEP_COUNT + vv_class_of(least);
    return &world->shelves[kind][index];
}

/* Memory for a world's tables and its objects' items: varve_malloc and its kind, with the failures
 * that tests ask for. NULL with ENOMEM. */
void *vv_world_allocate(varve_world *world, size_t byte_count);
void *vv_world_reallocate(varve_world *world, void *memory, size_t byte_count);
void vv_world_release(varve_world *world, void *memory);

/* Whether the next allocation is to be failed by a test. Counts it. */
static inline bool vv_world_should_fail(varve_world *world) {
    return vv_unlikely(++world->allocation_count >= world->fail_at);
}

/* Fatal: another thread is inside. Called where memory is taken from the system. */
void vv_world_check_thread(const varve_world *world);

static inline void vv_world_assert_inside(const varve_world *world) {
#if VARVE_AUDIT
    vv_world_check_thread(world);
#else
    (void)world;
#endif
}

/* Makes room so that the next `count` pushes cannot fail. */
bool vv_pool_list_reserve(varve_world *world, struct vv_pool_list *list, size_t count);

/* Puts a pool on the list of those with objects of generation 0 or 1. Cannot fail. */
void vv_world_list_young(struct vv_object_pool *pool, unsigned generation);

/* --- objects (object/lifetime.c) --- */

/* A new object with `byte_count` in all, head filled in, the rest undefined; not tracked. Counts
 * towards automatic collection, which may run before the block is taken. NULL with ENOMEM. */
varve_object *vv_object_new(struct varve_type *type, size_t byte_count);

/* Begins / ends watching by the collector. Twice is harmless. */
static inline void vv_object_track(varve_object *object) {
    struct vv_object_pool *pool = vv_object_pool_of(object);
    uint8_t *state = &pool->states[vv_object_index(pool, object)];
    if ((*state & VV_STATE_TRACKED) != 0) return;
    vv_assert(pool->kind == VV_SHELF_CYCLIC);
    *state = (uint8_t)((*state & ~VV_STATE_GENERATION) | VV_STATE_TRACKED);
    if (vv_unlikely(!pool->is_listed[0])) vv_world_list_young(pool, 0);
}

static inline void vv_object_untrack(varve_object *object) {
    uint8_t *state = vv_object_state(object);
    *state &= (uint8_t)(VV_STATE_FINALIZED | VV_STATE_WEAKREF);
}

/* Runs the finalizer, clears weak references, ends what the object owns and gives back its block.
 * Its reference count is 0. */
void vv_object_die(varve_object *object);

/* Whether an object in that state has a finalizer that has not run. / Runs it: the caller owns a
 * reference. */
static inline bool vv_type_wants_finalize(const struct varve_type *type, uint8_t state) {
    return type->spec.finalize != NULL && (state & VV_STATE_FINALIZED) == 0;
}
void vv_object_finalize(varve_object *object);

/* Gives back the block of an object under construction, whose references have been ended. */
void vv_object_discard(varve_object *object);

/* Calls `visit` for every live object of the world, whether tracked or not; a nonzero result ends
 * the walk and is returned. Objects may be freed meanwhile; new ones may be shown or not. Objects
 * that wait for their dealloc are not shown. */
int vv_world_visit_objects(varve_world *world, int (*visit)(varve_object *object, void *argument),
                           void *argument);

/* Whether the object may ever be tracked (CPython's "is a GC object"). */
static inline bool vv_object_is_cyclic(const varve_object *object) {
    return vv_object_pool_of(object)->kind == VV_SHELF_CYCLIC;
}

/* Whether it may have to be watched now or later: all that can be, but for tuples that are not. */
static inline bool vv_object_may_be_tracked(const varve_object *object) {
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    if (pool->kind != VV_SHELF_CYCLIC) return false;
    if (object->type_index != VV_TYPE_TUPLE) return true;
    return (pool->states[vv_object_index(pool, object)] & VV_STATE_TRACKED) != 0;
}

/* Whether a block has an object that can be seen: live, and not on its way out. */
static inline bool vv_object_is_visible(const struct vv_object_pool *pool, uint32_t index) {
    if (vv_object_at(pool, index)->type_index == 0 || vv_object_is_dying(pool, index)) return false;
    return !pool->world->frees_in_bulk || (pool->states[index] & VV_STATE_CANDIDATE) == 0;
}

/* Fatal: a question to a world has an object of another one in it, or a freed one. */
static inline void vv_world_check_own(const varve_world *world, const varve_object *object) {
    vv_object_check_live(object);
    vv_check(vv_world_of(object) == world, "varve: a world was asked about an object of another");
}

/* Bytes that an object owns outside of its block. */
size_t vv_object_outer_bytes(const varve_object *object);

#endif
