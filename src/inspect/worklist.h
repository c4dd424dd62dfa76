/* SPDX-License-Identifier: MIT
 * inspect/worklist.h - objects that are still to be looked at: what nothing recurses with. */
#ifndef VV_INSPECT_WORKLIST_H
#define VV_INSPECT_WORKLIST_H

#include "object/world.h"

struct vv_worklist {
    varve_object **items; /* own */
    size_t count;
    size_t capacity;
};

/* Makes room for one more. False: no memory, nothing changed. */
bool vv_worklist_grow(struct vv_worklist *list, varve_world *world);
void vv_worklist_done(struct vv_worklist *list, varve_world *world);

/* False: no memory. */
VV_INLINE bool vv_worklist_push(struct vv_worklist *list, varve_world *world,
                                varve_object *object) {
    if (vv_unlikely(list->count == list->capacity) && !vv_worklist_grow(list, world)) return false;
    list->items[list->count++] = object;
    return true;
}

#endif
