/* SPDX-License-Identifier: MIT
 * From a block to an object and back.
 *
 * The end of an object, in order: its finalizer (which may save it), its weak references and their
 * callbacks, then its type's dealloc, which ends further objects, to VV_DEALLOC_MAX_DEPTH frames.
 * Deeper ones are linked into world->dying, through their reference count and scratch count, which
 * have no other use any more, and are ended when the frames have unwound. So a list of any length
 * goes in constant stack space, and shallow structures go in the order of CPython. */
#include "object/builtin.h"
#include "object/traced.h"
#include "object/traverse.h"
#include "object/weak.h"
#include "object/world.h"

/* --- birth --- */

static bool gc_is_due(const struct vv_gc *gc) {
    return gc->count[0] > gc->threshold[0] && gc->threshold[0] != 0 && gc->enabled &&
           !gc->collecting;
}

#ifndef VARVE_GC_STRESS
#define VARVE_GC_STRESS 0 /* 1: collect at every allocation, everything at every 16th */
#endif

static void count_birth(varve_world *world) {
    world->gc.count[0]++;
    if (VARVE_GC_STRESS && world->gc.enabled && !world->gc.collecting) {
        varve_gc_collect(world, world->allocation_count % 16 == 0 ? 2 : 0);
    } else if (vv_unlikely(gc_is_due(&world->gc))) {
        vv_gc_automatic(world);
    }
}

static void count_death(varve_world *world) {
    if (world->gc.count[0] > world->gc.count_floor) world->gc.count[0]--;
}

VV_INLINE varve_object *take(struct varve_type *type, size_t byte_count) {
    varve_world *world = type->world;
    if (vv_unlikely(vv_world_should_fail(world))) return NULL;
    if (byte_count > VV_OBJECT_SMALL_MAX_BYTES) {
        return vv_object_take_large(world, type->kind, byte_count);
    }
    struct vv_shelf *shelf = type->is_variable || type->shelf == NULL
                                 ? vv_world_shelf(world, type->kind, byte_count)
                                 : type->shelf;
    return vv_object_take(shelf, world);
}

/* An object of `byte_count` in a block of at least `block_bytes`. */
VV_INLINE varve_object *new_in_block(struct varve_type *type, size_t byte_count,
                                     size_t block_bytes) {
    vv_world_assert_inside(type->world);
    if (type->kind == VV_SHELF_CYCLIC) count_birth(type->world);
    varve_object *object = take(type, block_bytes);
    if (vv_unlikely(object == NULL)) {
        if (type->kind == VV_SHELF_CYCLIC) count_death(type->world);
        errno = ENOMEM;
        return NULL;
    }
    object->refcount = 1;
    object->type_index = type->index;
    if (vv_objects_are_traced()) {
        vv_object_note_birth(object, byte_count, &type->label, type->spec.name);
    }
    return object;
}

varve_object *vv_object_new(struct varve_type *type, size_t byte_count) {
    return new_in_block(type, byte_count, byte_count);
}

/* For types of the program. A block whose size is a multiple of 16 is aligned to 16. */
static varve_object *new_zeroed(varve_type *type, size_t byte_count) {
    size_t alignment = type->spec.basic_bytes % 16 == 0 ? 16 : 8;
    varve_object *object = new_in_block(type, byte_count, vv_align_up(byte_count, alignment));
    if (object == NULL) return NULL;
    memset(object + 1, 0, byte_count - sizeof *object);
    bool later = (type->spec.flags & VARVE_TYPE_TRACK_LATER) != 0;
    if (type->kind == VV_SHELF_CYCLIC && !later) vv_object_track(object);
    return object;
}

varve_object *varve_object_new(varve_type *type) {
    vv_check(!type->is_variable, "varve: varve_object_new() with a type that has items");
    return new_zeroed(type, type->spec.basic_bytes);
}

varve_object *varve_object_new_var(varve_type *type, size_t item_count) {
    vv_check(type->is_variable, "varve: varve_object_new_var() with a type that has no items");
    size_t byte_count;
    if (__builtin_mul_overflow(item_count, type->spec.item_bytes, &byte_count) ||
        __builtin_add_overflow(byte_count, type->spec.basic_bytes, &byte_count) ||
        byte_count > VV_REGION_MAX_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    varve_object *object = new_zeroed(type, byte_count);
    if (object != NULL) ((varve_var_object *)object)->item_count = item_count;
    return object;
}

void vv_object_discard(varve_object *object) {
    struct vv_object_pool *pool = vv_object_pool_of(object);
    if (pool->kind == VV_SHELF_CYCLIC) count_death(pool->world);
    vv_object_give(pool, vv_object_index(pool, object), object);
}

/* --- finalizers --- */

void vv_object_finalize(varve_object *object) {
    varve_world *world = vv_world_of(object);
    *vv_object_state(object) |= VV_STATE_FINALIZED;
    world->call_depth++;
    vv_type_of(object)->spec.finalize(object);
    world->call_depth--;
}

/* Runs the finalizer of an object without references. False: it lives on. */
static bool finalize_and_die(varve_object *object) {
    object->refcount = 1;
    vv_object_finalize(object);
    if (object->refcount == 1) {
        object->refcount = 0;
        return true;
    }
    if (object->refcount < VARVE_IMMORTAL) object->refcount--;
    return false;
}

/* An object that its finalizer saved begins anew, as in CPython: it is of the youngest generation,
 * and no candidate of the collection in whose course it died. */
static void begin_anew(struct vv_object_pool *pool, uint8_t *state) {
    if ((*state & VV_STATE_TRACKED) == 0) return;
    *state &= VV_STATE_TRACKED | VV_STATE_FINALIZED | VV_STATE_WEAKREF;
    vv_world_list_young(pool, 0);
}

/* --- death --- */

static void link_dying(varve_world *world, struct vv_object_pool *pool, varve_object *object) {
    uint64_t next = (uintptr_t)world->dying;
    object->refcount = (uint32_t)(next >> 32);
    pool->refs[vv_object_index(pool, object)] = (uint32_t)next;
    world->dying = object;
}

static varve_object *unlink_dying(varve_world *world) {
    varve_object *object = world->dying;
    struct vv_object_pool *pool = vv_object_pool_of(object);
    uint64_t next = (uint64_t)object->refcount << 32;
    next |= pool->refs[vv_object_index(pool, object)];
    world->dying = (varve_object *)(uintptr_t)next;
    object->refcount = 0;
    return object;
}

/* Ends what the object owns and gives back its block. */
static inline void dealloc(struct vv_object_pool *pool, uint32_t index,
                           const struct varve_type *type, varve_object *object) {
    varve_world *world = pool->world;
    world->dealloc_depth++;
    if (type->cls != NULL) { /* the most frequent: no look-up of what is known here */
        vv_instance_dealloc(type, object);
    } else if (type->spec.dealloc != NULL) {
        type->spec.dealloc(object);
    } else if (type->spec.clear != NULL) {
        type->spec.clear(object);
    }
    world->dealloc_depth--;
    if (pool->kind == VV_SHELF_CYCLIC) count_death(world);
    vv_object_give(pool, index, object);
}

/* Those that waited for the frames to unwind. */
static VV_NOINLINE void dealloc_dying(varve_world *world) {
    while (world->dying != NULL) {
        varve_object *next = unlink_dying(world);
        struct vv_object_pool *pool = vv_object_pool_of(next);
        dealloc(pool, vv_object_index(pool, next), world->types[next->type_index], next);
    }
}

void vv_object_die(varve_object *object) {
    struct vv_object_pool *pool = vv_object_pool_of(object);
    uint32_t index = vv_object_index(pool, object);
    vv_check(index < pool->carved_count, "varve: an object was used after it was freed");
    uint8_t *state = &pool->states[index];
    varve_world *world = pool->world;
    const struct varve_type *type = world->types[object->type_index];
    if (vv_type_wants_finalize(type, *state) && !finalize_and_die(object)) {
        begin_anew(pool, state);
        return;
    }
    if (vv_unlikely((*state & VV_STATE_WEAKREF) != 0)) {
        *state = VV_STATE_DYING | VV_STATE_WEAKREF; /* callbacks that look at all objects skip it */
        vv_weak_object_dies(object);
    }
    if (pool->kind == VV_SHELF_LEAF) {
        if (object->type_index == VV_TYPE_STR) vv_str_forget(object);
        vv_object_give(pool, index, object);
        return;
    }
    *state = VV_STATE_DYING;
    if (vv_unlikely(world->dealloc_depth >= VV_DEALLOC_MAX_DEPTH)) {
        link_dying(world, pool, object);
        return;
    }
    dealloc(pool, index, type, object);
    if (vv_unlikely(world->dying != NULL) && world->dealloc_depth == 0) dealloc_dying(world);
}

/* --- misuse --- */

/* Whether the address is that of an object's block, which a wild pointer may not be. */
VV_INLINE bool is_object(const varve_object *object) {
    return vv_region_contains(object) && vv_pool_record(object)->kind == VV_POOL_OBJECTS;
}

/* Whether there was an object once: the block is free, or was given back with its whole pool, or
 * the pool's memory was. */
static bool is_freed(const varve_object *object) {
    if (!vv_region_contains(object)) return false;
    const struct vv_pool *record = vv_pool_record(object);
    if (record->kind == VV_POOL_NONE) return true;
    if (record->kind != VV_POOL_OBJECTS) return false;
    const struct vv_object_pool *pool = record->plane;
    return vv_object_index(pool, object) >= pool->carved_count || object->type_index == 0;
}

void vv_object_misused(const varve_object *object, const char *sentence) {
    vv_check(!is_freed(object), "varve: an object was used after it was freed");
    vv_fatal(sentence);
}

void vv_object_check_live(const varve_object *object) {
    if (is_object(object) && !is_freed(object)) return;
    vv_object_misused(object, "varve: an address that is no object was used as one");
}

void varve_object_unreferenced(varve_object *object) {
    VV_CHECK_OBJECT(is_object(object), object,
                    "varve: reference ended to an address that is no object");
    if (object->refcount >= VARVE_IMMORTAL && object->type_index != 0) return;
    VV_CHECK_OBJECT(object->refcount == 1 && object->type_index != 0, object,
                    "varve: the reference count of an object fell below zero");
    vv_world_assert_inside(vv_object_pool_of(object)->world);
    int saved_errno = errno;
    object->refcount = 0;
    vv_object_die(object);
    errno = saved_errno;
}

/* --- questions --- */

int vv_traverse(varve_object *object, varve_visit visit, void *argument) {
    return vv_traverse_inline(object, vv_object_pool_of(object)->world->types,
                              /* with_classes */ true, visit, argument);
}

size_t vv_object_outer_bytes(const varve_object *object) {
    size_t (*outer_bytes)(const varve_object *) = vv_type_of(object)->spec.outer_bytes;
    return outer_bytes != NULL ? outer_bytes(object) : 0;
}
