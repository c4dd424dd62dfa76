/* SPDX-License-Identifier: MIT
 * inspect/marks.h - which objects of a world were seen: a bit for each place in its pools.
 *
 *   bit of an object = pool_index * VV_OBJECT_POOL_BLOCKS + index in the pool
 *
 * So an object's bit is found without hashing and without touching the object. In a large world the
 * bits are pages from the system, of which only those that are needed come into being. The world
 * must not change while there are marks. */
#ifndef VV_INSPECT_MARKS_H
#define VV_INSPECT_MARKS_H

#include "object/world.h"

struct vv_marks {
    uint64_t *words; /* own */
    size_t byte_count;
    varve_world *world;
};

/* No object is marked. 0 or -ENOMEM. */
int vv_marks_init(struct vv_marks *marks, varve_world *world);
void vv_marks_done(struct vv_marks *marks);

/* Marks an object of the pool. Whether it was not marked before; not for one of another world, to
 * which only a mistake leads: varve_world_check() tells of it. */
VV_INLINE bool vv_marks_add(struct vv_marks *marks, const struct vv_object_pool *pool,
                            const varve_object *object) {
    if (vv_unlikely(pool->world != marks->world)) return false;
    size_t bit = (size_t)pool->pool_index * VV_OBJECT_POOL_BLOCKS + vv_object_index(pool, object);
    uint64_t mask = (uint64_t)1 << (bit & 63);
    uint64_t *word = &marks->words[bit >> 6];
    if ((*word & mask) != 0) return false;
    *word |= mask;
    return true;
}

#endif
