/* SPDX-License-Identifier: MIT
 * object/object_pool.h - blocks for objects of one size, and the planes beside them.
 *
 *   base                                      granules of the arenas
 *   |obj 0|obj 1|free |obj 3| not carved ... |
 *   states [ s0 ][ s1 ][ 0  ][ s3 ]            one byte: what the collector knows of the object
 *   refs   [ r0 ][ r1 ][ -  ][ r3 ]            four bytes: scratch counts of a collection
 *
 * A pool of small blocks has VV_OBJECT_POOL_BLOCKS of them, so that planes are whole pages and no
 * byte is lost (or, where that is no whole number of granules, somewhat fewer); larger ones have
 * fewer, and an object above VV_OBJECT_SMALL_MAX_BYTES has a pool of its own. The record of each of
 * the pool's granules (heap/pool.h) is of the kind OBJECTS and its `plane` leads here, so the pool
 * of an object is two shifts and a load away.
 *
 * A free block has type_index 0 and the next free one behind its head.
 *
 * Invariant: live_count + |free| == carved_count <= capacity; states[i] == 0 for free blocks. */
#ifndef VV_OBJECT_OBJECT_POOL_H
#define VV_OBJECT_OBJECT_POOL_H

#include "heap/pool.h"
#include "varve/object.h"

/* What states[] holds of an object. All zero: free, or live and not tracked. */
enum {
    VV_STATE_TRACKED = 1 << 0,
    VV_STATE_GENERATION = 3 << 1, /* 0, 1, 2; 3: frozen */
    VV_STATE_FINALIZED = 1 << 3,  /* its finalizer has run */
    VV_STATE_WEAKREF = 1 << 4,    /* there are weak references to it: see object/weak.h */
    VV_STATE_SUSPECT = 1 << 5,    /* in the set of an incremental collection */
    VV_STATE_REACHED = 1 << 6,    /* candidate that something outside refers to, directly or not */
    VV_STATE_CANDIDATE = 1 << 7,  /* in the set of the current collection */
};
#define VV_STATE_GENERATION_SHIFT 1
#define VV_GENERATION_FROZEN 3

#define VV_OBJECT_POOL_BLOCKS 1024u
#define VV_OBJECT_DENSE_MAX_BYTES 128u /* blocks up to this size come 1024 in a pool */
#define VV_OBJECT_POOL_MAX_BYTES ((size_t)128 * 1024)
#define VV_OBJECT_SMALL_MAX_BYTES (VARVE_CLASSIC ? (size_t)512 : (size_t)1024)

/* What kind of objects a pool has: that is never mixed. */
enum vv_shelf_kind {
    VV_SHELF_LEAF,    /* no references inside */
    VV_SHELF_ACYCLIC, /* references, but never part of a cycle */
    VV_SHELF_CYCLIC,  /* candidates for the collector */
    VV_SHELF_KIND_COUNT,
};

enum vv_object_pool_place {
    VV_PLACE_CURRENT, /* its shelf allocates from it */
    VV_PLACE_USABLE,  /* on its shelf's list */
    VV_PLACE_FULL,    /* on no list */
};

struct vv_free_object {
    varve_object head; /* type_index 0 */
    struct vv_free_object *next;
};

/* The first cache line is what an edge needs. */
struct vv_object_pool {
    char *base;                  /* const */
    uint64_t reciprocal;         /* const: as in heap/size_class.h; 0 for a pool of one object */
    uint8_t *states;             /* const */
    uint32_t *refs;              /* const; of leaf pools: a page that nobody reads */
    struct varve_world *world;   /* const */
    struct vv_free_object *free; /* LIFO */
    struct vv_object_pool *next; /* usable list of the shelf */
    struct vv_object_pool *previous;
    struct vv_shelf *shelf; /* const; NULL for a pool of one object */
    uint32_t block_bytes;   /* const; of a pool of one object see vv_object_block_bytes() */
    uint32_t granule_count; /* const */
    uint32_t pool_index;    /* in world->pools */
    uint16_t capacity;      /* const */
    uint16_t carved_count;
    uint16_t live_count;
    uint16_t event_count; /* live_count at which a free changes the pool's place */
    uint8_t place;
    uint8_t kind;         /* const: enum vv_shelf_kind */
    bool is_listed[2];    /* in world->young[generation] */
    bool fresh;           /* const: blocks not carved yet read as zero */
    uint32_t position;    /* in the list that a collection walks */
    uint32_t cycle_place; /* in the list of an incremental one, plus 1; 0: in none */
    /* the planes of a pool of one object; planes are read 16 objects at a time */
    uint8_t own_states[16] __attribute__((aligned(16)));
    uint32_t own_refs[16] __attribute__((aligned(16)));
    /* the trace's plane: see object/traced.h; NULL: none */
    uint32_t *facts;
    uint64_t fact_session;
    uint32_t own_site; /* of a pool of one object */
    size_t own_requested_bytes;
} __attribute__((aligned(VV_CACHE_LINE_BYTES)));

/* Where a world takes objects of one size and kind from. */
struct vv_shelf {
    struct vv_object_pool *current; /* NULL: none yet */
    struct vv_object_pool *usable;  /* linked by next and previous */
    uint32_t block_bytes;           /* const */
    uint64_t reciprocal;            /* const: of block_bytes */
    uint8_t kind;                   /* const: enum vv_shelf_kind */
};

/* The pool of a live object. */
static inline struct vv_object_pool *vv_object_pool_of(const void *object) {
    return vv_pool_record(object)->plane;
}

static inline uint32_t vv_object_index(const struct vv_object_pool *pool, const void *object) {
    size_t offset = (size_t)((const char *)object - pool->base);
    return (uint32_t)((offset * pool->reciprocal) >> VV_RECIPROCAL_SHIFT);
}

static inline varve_object *vv_object_at(const struct vv_object_pool *pool, uint32_t index) {
    return (varve_object *)(void *)(pool->base + (size_t)index * pool->block_bytes);
}

/* Bytes of each block; that of a pool of one object may be too large for the field. */
static inline size_t vv_object_block_bytes(const struct vv_object_pool *pool) {
    if (vv_likely(pool->block_bytes != UINT32_MAX)) return pool->block_bytes;
    return (size_t)pool->granule_count * VV_GRANULE_BYTES;
}

/* The pool whose block has an address of which nothing is known, and the block's index; NULL: there
 * is none. The block may be free, and the address in its midst. */
static inline const struct vv_object_pool *vv_object_pool_at(const void *address,
                                                             uint32_t *out_index) {
    if (!vv_region_contains(address)) return NULL;
    const struct vv_pool *record = vv_pool_record(address);
    if (record->kind != VV_POOL_OBJECTS) return NULL;
    const struct vv_object_pool *pool = record->plane;
    *out_index = vv_object_index(pool, address);
    return *out_index < pool->carved_count ? pool : NULL;
}

/* The state of a live object. */
static inline uint8_t *vv_object_state(const varve_object *object) {
    struct vv_object_pool *pool = vv_object_pool_of(object);
    return &pool->states[vv_object_index(pool, object)];
}

/* An object whose references are being ended, or that waits for it: dead in everybody's eyes. */
#define VV_STATE_DYING VV_STATE_SUSPECT /* without TRACKED */
static inline bool vv_object_is_dying(const struct vv_object_pool *pool, uint32_t index) {
    return pool->states[index] == VV_STATE_DYING;
}

static inline unsigned vv_state_generation(uint8_t state) {
    return (state & VV_STATE_GENERATION) >> VV_STATE_GENERATION_SHIFT;
}

/* When the current pool has no block. */
varve_object *vv_object_take_slow(struct vv_shelf *shelf, struct varve_world *world);

/* Takes a block for an object of the shelf, or one of `byte_count` above the small sizes. NULL: no
 * memory. Contents are undefined, state is 0. */
static inline varve_object *vv_object_take(struct vv_shelf *shelf, struct varve_world *world) {
    struct vv_object_pool *pool = shelf->current;
    if (vv_likely(pool != NULL && pool->free != NULL)) {
        struct vv_free_object *block = pool->free;
        pool->free = block->next;
        pool->live_count++;
        return &block->head;
    }
    return vv_object_take_slow(shelf, world);
}
varve_object *vv_object_take_large(struct varve_world *world, enum vv_shelf_kind kind,
                                   size_t byte_count);

/* Gives the block `index` back; its state becomes 0. While world->walk_count is not 0 pools stay,
 * so a walk over planes may free what it likes. */
void vv_object_give(struct vv_object_pool *pool, uint32_t index, varve_object *object);

/* Every live object of the pool is garbage whose references have been ended: all blocks are free
 * at once, without being touched. Inside a walk. */
void vv_object_give_all(struct vv_object_pool *pool);

/* Gives back pools that became empty during a walk. */
void vv_object_pools_trim(struct varve_world *world);

/* Gives back all pools, whatever is in them. */
void vv_object_pools_free_all(struct varve_world *world);

/* NULL, or what is wrong. */
const char *vv_object_pool_check(const struct vv_object_pool *pool);

#endif
