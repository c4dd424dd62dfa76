/* SPDX-License-Identifier: MIT
 * A world without weak references. */
#include "object/weak.h"

int vv_weak_init(varve_world *world) {
    (void)world;
    return 0;
}

void vv_weak_done(varve_world *world) {
    (void)world;
}

void vv_weak_object_dies(varve_object *object) {
    (void)object;
}

void vv_weak_trash(varve_object *object) {
    (void)object;
}

size_t vv_weak_run_callbacks(varve_world *world) {
    (void)world;
    return 0;
}

bool vv_ephemerons_visit_reached(varve_object *table, varve_visit visit, void *argument) {
    (void)table, (void)visit, (void)argument;
    return false;
}
