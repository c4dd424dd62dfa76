/* SPDX-License-Identifier: MIT */
#include "object/gc_inner.h"

#include <errno.h>

void vv_gc_cycle_abandon(varve_world *world) {
    (void)world;
}

void vv_gc_cycle_automatic(varve_world *world) {
    varve_gc_collect(world, 2);
}

int varve_gc_step(varve_world *world, uint64_t budget_ns, varve_gc_progress *out_progress) {
    (void)budget_ns;
    if (world->gc.collecting) return -EBUSY;
    long collected = varve_gc_collect(world, 2);
    if (out_progress != NULL) *out_progress = (varve_gc_progress){true, 0, (uint64_t)collected};
    return 0;
}
