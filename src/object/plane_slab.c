/* SPDX-License-Identifier: MIT */
#include "object/plane_slab.h"

#include "heap/medium.h"
#include "heap/meta.h"
#include "object/world.h"

#include <string.h>

#define SMALL_SLAB_BYTES (12 * VV_PLANE_PIECE_BYTES)
#define LARGE_SLAB_BYTES ((size_t)2 << 20)

/* A world whose pools have this much takes large slabs: what may lie idle is then an eighth. */
#define LARGE_LEAST_GRANULES (((size_t)16 << 20) / VV_GRANULE_BYTES)

struct free_piece {
    struct free_piece *next;
};

/* Memory in huge pages, if the system gives any; it is touched bit by bit anyway. */
static bool fill_large(struct vv_plane_slab *slab) {
    bool untouched;
    struct vv_pool *pool = vv_medium_new(LARGE_SLAB_BYTES, LARGE_SLAB_BYTES, &untouched);
    if (pool == NULL) return false;
    slab->memory = vv_pool_base(pool);
    slab->piece_count = LARGE_SLAB_BYTES / VV_PLANE_PIECE_BYTES;
    slab->is_large = true;
    vv_pages_advise_huge(slab->memory, LARGE_SLAB_BYTES);
    if (!untouched) memset(slab->memory, 0, LARGE_SLAB_BYTES);
    return true;
}

static bool fill_small(struct vv_plane_slab *slab) {
    slab->memory = vv_meta_allocate(SMALL_SLAB_BYTES);
    slab->piece_count = SMALL_SLAB_BYTES / VV_PLANE_PIECE_BYTES;
    return slab->memory != NULL;
}

static struct vv_plane_slab *slab_new(struct varve_world *world) {
    struct vv_plane_slab *slab = vv_meta_allocate(sizeof *slab);
    if (slab == NULL) return NULL;
    *slab = (struct vv_plane_slab){.next = world->plane_slabs};
    bool large = !VARVE_CLASSIC && world->granule_count >= LARGE_LEAST_GRANULES;
    if (!(large && fill_large(slab)) && !fill_small(slab)) {
        vv_meta_free(slab, sizeof *slab);
        return NULL;
    }
    world->plane_slabs = slab;
    return slab;
}

void *vv_plane_piece_take(struct varve_world *world) {
    struct free_piece *piece = world->free_planes;
    if (piece != NULL) {
        world->free_planes = piece->next;
        return memset(piece, 0, VV_PLANE_PIECE_BYTES);
    }
    struct vv_plane_slab *slab = world->plane_slabs;
    if (slab == NULL || slab->used_count == slab->piece_count) slab = slab_new(world);
    if (slab == NULL) return NULL;
    return slab->memory + slab->used_count++ * VV_PLANE_PIECE_BYTES;
}

void vv_plane_piece_give(struct varve_world *world, void *memory) {
    struct free_piece *piece = memory;
    piece->next = world->free_planes;
    world->free_planes = piece;
}

void vv_plane_slabs_free(struct varve_world *world) {
    while (world->plane_slabs != NULL) {
        struct vv_plane_slab *slab = world->plane_slabs;
        world->plane_slabs = slab->next;
        if (slab->is_large) {
            vv_medium_free(vv_pool_record(slab->memory));
        } else {
            vv_meta_free(slab->memory, SMALL_SLAB_BYTES);
        }
        vv_meta_free(slab, sizeof *slab);
    }
    world->free_planes = NULL;
}
