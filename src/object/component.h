/* SPDX-License-Identifier: MIT
 * object/component.h - strongly connected components of the suspects, in slices.
 *
 * Pearce's form of Tarjan's algorithm ("A space-efficient algorithm for finding strongly connected
 * components", 2016): one number for each suspect. `rank` is 0 before the visit, the order of the
 * visit during it (lowered to the lowest that is reached back to), and the component's number after
 * it: n for the first that is complete, then falling. Components complete after those that they
 * refer to, so filling `order` from its end puts sources first.
 *
 * Suspects may die between slices; they count as having no references then. */
#ifndef VV_OBJECT_COMPONENT_H
#define VV_OBJECT_COMPONENT_H

#include "object/cycle.h"

/* Begins. -ENOMEM. */
int vv_components_begin(struct vv_gc_cycle *cycle);

/* Works until the budget is spent; true: cycle->order is complete. */
bool vv_components_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget);

/* Accepts a cycle that has not begun. */
void vv_components_end(struct vv_gc_cycle *cycle);

#endif
