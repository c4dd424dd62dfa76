/* SPDX-License-Identifier: MIT */
#include "inspect/marks.h"
#include "inspect/own_bytes.h"
#include "inspect/worklist.h"
#include "object/traverse.h"
#include "varve/inspect.h"

#include <errno.h>
#include <string.h>

/* --- own bytes --- */

static size_t requested_block_bytes(const varve_object *object, const struct varve_type *type) {
    switch (object->type_index) {
    case VV_TYPE_NONE:
    case VV_TYPE_BOOL:
    case VV_TYPE_INT: return sizeof(struct vv_int);
    case VV_TYPE_FLOAT: return sizeof(struct vv_float);
    case VV_TYPE_STR:
        return offsetof(struct vv_str, text) + ((const struct vv_str *)object)->byte_count + 1;
    case VV_TYPE_BYTES:
        return sizeof(struct vv_bytes) + ((const struct vv_bytes *)object)->byte_count + 1;
    case VV_TYPE_LIST: return sizeof(struct vv_list);
    case VV_TYPE_TUPLE:
        return sizeof(struct vv_tuple) +
               ((const struct vv_tuple *)object)->count * sizeof(varve_object *);
    case VV_TYPE_DICT:
    case VV_TYPE_SET: return sizeof(struct vv_dict);
    case VV_TYPE_CLASS: return sizeof(struct vv_class_object);
    default: break;
    }
    size_t bytes = type->spec.basic_bytes;
    if (type->is_variable) {
        bytes += ((const varve_var_object *)object)->item_count * type->spec.item_bytes;
    }
    return bytes;
}

size_t vv_own_requested_bytes(const varve_object *object, const struct varve_type *type) {
    return requested_block_bytes(object, type) + vv_object_outer_bytes(object);
}

size_t vv_outer_heap_bytes(const varve_object *object, const struct varve_type *type) {
    return type->spec.outer_bytes != NULL ? type->spec.outer_bytes(object) : 0;
}

size_t varve_sizeof(const varve_object *object, bool requested) {
    vv_object_check_live(object);
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    struct varve_type *const *types = pool->world->types;
    if (requested) return vv_own_requested_bytes(object, types[object->type_index]);
    return vv_own_heap_bytes(object, pool, types);
}

/* --- deep size ---
 *
 * An object is marked when it is first seen and waits in `pending`; leaves, whose size is their
 * block's, are counted when they are seen and not touched at all. */

#define AHEAD_COUNT 16 /* objects that are on their way into the cache; a power of two */

struct walk {
    struct vv_marks marks;
    struct vv_worklist pending;
    varve_world *world;
    struct varve_type *const *types;
    bool *is_stopped; /* by type index; NULL: no type is */
    bool requested;
    bool counts_leaves_at_once;
    uint64_t
        rich_leaf_sizes; /* sizes of leaves that may own more than their block: see rich_bit() */
    varve_deep_size size;
};

/* A bit for a block size; sizes that share one are treated alike. */
VV_INLINE uint64_t rich_bit(size_t block_bytes) {
    return (uint64_t)1 << (block_bytes / 16 & 63);
}

VV_INLINE int see(varve_object *object, void *argument) {
    struct walk *walk = argument;
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    if (!vv_marks_add(&walk->marks, pool, object)) return 0;
    if (pool->kind == VV_SHELF_LEAF && walk->counts_leaves_at_once &&
        (walk->rich_leaf_sizes & rich_bit(vv_object_block_bytes(pool))) == 0) {
        walk->size.bytes += vv_block_and_plane_bytes(pool);
        walk->size.objects++;
        return 0;
    }
    return vv_likely(vv_worklist_push(&walk->pending, walk->world, object)) ? 0 : -ENOMEM;
}

/* Whether the object counts. */
VV_INLINE bool count(struct walk *walk, const varve_object *object) {
    if (walk->is_stopped != NULL && walk->is_stopped[object->type_index]) return false;
    walk->size.bytes += walk->requested
                            ? vv_own_requested_bytes(object, walk->types[object->type_index])
                            : vv_own_heap_bytes(object, vv_object_pool_of(object), walk->types);
    walk->size.objects++;
    return true;
}

VV_INLINE int see_referents(struct walk *walk, varve_object *object) {
    return vv_traverse_inline(object, walk->types, /* with_classes */ false, see, walk);
}

/* The object is in the cache by now; what its references lie in is fetched next. */
VV_INLINE void fetch_outer(const varve_object *object) {
    if (object->type_index == VV_TYPE_LIST) {
        __builtin_prefetch(((const struct vv_list *)object)->items);
    } else if (object->type_index == VV_TYPE_DICT || object->type_index == VV_TYPE_SET) {
        const struct vv_table *table = &((const struct vv_dict *)object)->table;
        __builtin_prefetch(table->entries);
        __builtin_prefetch((const char *)table->entries + VV_CACHE_LINE_BYTES);
    }
}

/* Depth first, through a short queue of objects that are being fetched. */
static int walk_all(struct walk *walk) {
    varve_object *ahead[AHEAD_COUNT];
    unsigned first = 0;
    unsigned ahead_count = 0;
    struct vv_worklist *pending = &walk->pending;
    while (ahead_count > 0 || pending->count > 0) {
        while (ahead_count < AHEAD_COUNT && pending->count > 0) {
            varve_object *object = pending->items[--pending->count];
            __builtin_prefetch(object);
            ahead[(first + ahead_count++) % AHEAD_COUNT] = object;
        }
        if (ahead_count > AHEAD_COUNT / 2) {
            fetch_outer(ahead[(first + AHEAD_COUNT / 2) % AHEAD_COUNT]);
        }
        varve_object *object = ahead[first];
        first = (first + 1) % AHEAD_COUNT;
        ahead_count--;
        if (!count(walk, object)) continue;
        int result = see_referents(walk, object);
        if (vv_unlikely(result < 0)) return result;
    }
    return 0;
}

/* Breadth first, so that an object's depth is its distance. */
static int walk_to_depth(struct walk *walk, unsigned max_depth) {
    size_t next = 0;
    for (unsigned depth = 0; next < walk->pending.count; depth++) {
        for (size_t end = walk->pending.count; next < end; next++) {
            varve_object *object = walk->pending.items[next];
            if (!count(walk, object) || depth == max_depth) continue;
            int result = see_referents(walk, object);
            if (result < 0) return result;
        }
    }
    return 0;
}

/* The sizes of leaves that own something outside of their block. */
static uint64_t find_rich_leaves(const varve_world *world) {
    uint64_t sizes = 0;
    for (uint32_t index = 1; index < world->type_count; index++) {
        const struct varve_type *type = world->types[index];
        if (type == NULL || type->kind != VV_SHELF_LEAF || type->spec.outer_bytes == NULL) continue;
        sizes |= type->is_variable || type->shelf == NULL ? UINT64_MAX
                                                          : rich_bit(type->shelf->block_bytes);
    }
    return sizes;
}

static int begin_walk(struct walk *walk, const varve_deep_sizeof_options *options) {
    if (vv_marks_init(&walk->marks, walk->world) < 0) return -ENOMEM;
    if (options == NULL) return 0;
    if (options->stop_count > 0) {
        walk->is_stopped = vv_world_allocate(walk->world, walk->world->type_count);
        if (walk->is_stopped == NULL) return -ENOMEM;
        memset(walk->is_stopped, 0, walk->world->type_count);
        for (size_t index = 0; index < options->stop_count; index++) {
            const varve_type *type = options->stop[index];
            vv_check(type->world == walk->world,
                     "varve: a world was asked about a type of another");
            walk->is_stopped[type->index] = true;
        }
    }
    for (size_t index = 0; index < options->exclude_count; index++) {
        const varve_object *object = options->exclude[index];
        vv_object_check_live(object);
        vv_world_check_own(walk->world, object);
        vv_marks_add(&walk->marks, vv_object_pool_of(object), object);
    }
    return 0;
}

int varve_deep_sizeof(varve_object *object, const varve_deep_sizeof_options *options,
                      varve_deep_size *out_size) {
    varve_world *world = vv_world_of_live(object);
    struct walk walk = {.world = world, .types = world->types};
    walk.requested = options != NULL && options->requested;
    walk.counts_leaves_at_once = !walk.requested && (options == NULL || options->stop_count == 0);
    walk.rich_leaf_sizes = find_rich_leaves(world);
    vv_world_assert_inside(world);
    int result = begin_walk(&walk, options);
    if (result == 0) result = see(object, &walk);
    if (result == 0) {
        result = options != NULL && options->max_depth > 0
                     ? walk_to_depth(&walk, options->max_depth)
                     : walk_all(&walk);
    }
    vv_world_release(world, walk.is_stopped);
    vv_worklist_done(&walk.pending, world);
    vv_marks_done(&walk.marks);
    if (result == 0) *out_size = walk.size;
    return result;
}
