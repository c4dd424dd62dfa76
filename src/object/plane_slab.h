/* SPDX-License-Identifier: MIT
 * object/plane_slab.h - where the planes of dense pools come from: many at a time, side by side.
 *
 * A plane piece is the refs and the states of a pool of VV_OBJECT_POOL_BLOCKS objects. A small
 * world takes slabs of 60 KiB; a large one takes 2 MiB in a huge page, so that the random accesses
 * of a collection miss few translations. Slabs go when the world goes. */
#ifndef VV_OBJECT_PLANE_SLAB_H
#define VV_OBJECT_PLANE_SLAB_H

#include "object/object_pool.h"

#define VV_PLANE_REFS_BYTES (VV_OBJECT_POOL_BLOCKS * sizeof(uint32_t))
#define VV_PLANE_PIECE_BYTES (VV_PLANE_REFS_BYTES + VV_OBJECT_POOL_BLOCKS)

struct vv_plane_slab {
    struct vv_plane_slab *next;
    char *memory;
    uint32_t used_count; /* pieces */
    uint32_t piece_count;
    bool is_large;
};

/* A zeroed piece, or NULL. The caller is inside the allocator; also below. */
void *vv_plane_piece_take(struct varve_world *world);
void vv_plane_piece_give(struct varve_world *world, void *piece);

/* Gives all slabs back; no piece is in use. */
void vv_plane_slabs_free(struct varve_world *world);

#endif
