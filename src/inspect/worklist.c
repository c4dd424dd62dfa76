/* SPDX-License-Identifier: MIT */
#include "inspect/worklist.h"

#define FIRST_CAPACITY 256

bool vv_worklist_grow(struct vv_worklist *list, varve_world *world) {
    size_t capacity = list->capacity == 0 ? FIRST_CAPACITY : list->capacity * 2;
    varve_object **items = vv_world_reallocate(world, list->items, capacity * sizeof *list->items);
    if (items == NULL) return false;
    list->items = items;
    list->capacity = capacity;
    return true;
}

void vv_worklist_done(struct vv_worklist *list, varve_world *world) {
    vv_world_release(world, list->items);
    *list = (struct vv_worklist){.items = NULL};
}
