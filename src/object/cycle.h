/* SPDX-License-Identifier: MIT
 * object/cycle.h - collecting the oldest generation in slices, while the program runs in between.
 *
 *   choose     all objects of generation 2 are suspects; refs = 0
 *   subtract   refs[o] += reference count of o, refs[t] -= 1 for each edge o -> t
 *   roots      refs != 0: reached
 *   mark       what a reached object refers to is reached; shown, it is no suspect any more
 *   gather     the suspects that are left become an array
 *   order      its strongly connected components, sources first (object/component.h)
 *   free       some components at a time: checked again, exactly and in one slice, and freed
 *
 * Why this is right. Garbage is out of the program's reach, so nothing about it changes between the
 * slices: what was garbage when the cycle began has refs == 0 and is not reached, and is found.
 * What is live may change, so some of it may be left among the suspects, too; the last phase sees
 * that something from outside refers to it. It checks a set of components whose predecessors it has
 * already freed, so a set is found to be garbage although other suspects are not looked at.
 *
 * A suspect is black, grey or white: no SUSPECT bit / SUSPECT and REACHED / SUSPECT alone. */
#ifndef VV_OBJECT_CYCLE_H
#define VV_OBJECT_CYCLE_H

#include "object/collect.h"
#include "object/subtract.h"

enum vv_cycle_phase {
    VV_CYCLE_CHOOSE,
    VV_CYCLE_SUBTRACT,
    VV_CYCLE_ROOTS,
    VV_CYCLE_MARK,
    VV_CYCLE_GATHER,
    VV_CYCLE_ORDER,
    VV_CYCLE_FREE,
    VV_CYCLE_DONE,
};

/* A suspect of the array; may have died since. */
struct vv_suspect {
    varve_object *object;
    uint32_t rank; /* see component.c */
};

struct vv_gc_cycle {
    varve_world *world;
    enum vv_cycle_phase phase;
    struct vv_object_pool **pools; /* own; NULL: gone meanwhile */
    size_t pool_count;
    size_t place; /* where the current phase has come to: pool, */
    uint32_t block;
    size_t edge;                       /* and edge of an object that is too large for one slice */
    struct vv_subtraction subtraction; /* settled between slices */
    struct vv_edge_ring ring;          /* marking; empty between slices */
    varve_object **stack;              /* own; grey objects behind the place */
    size_t stack_count;
    size_t old_count; /* of the stack, from its bottom: of earlier slices, may be dead */
    bool overflowed;
    varve_object *large;         /* grey object that is being shown */
    size_t white_count;          /* at most so many suspects are not reached */
    struct vv_suspect *suspects; /* own */
    size_t suspect_count;
    struct vv_component_search *search; /* own */
    uint32_t *order;                    /* own: suspects, components together, sources first */
    size_t order_at;
    uint64_t visited_count;
    uint64_t collected_count;
    uint64_t duration_ns;
};

/* How much of a slice is left: it ends with its time or with its work. Work is counted in visits
 * of an object, or of a stretch of a large one, and as what takes as long: some 60 ns. */
struct vv_budget {
    uint64_t end_ns;
    size_t visit_count;
    uint32_t until_clock; /* visits until the clock is read again */
};

struct vv_budget vv_budget_of(uint64_t budget_ns, size_t visit_count);

/* Counts a visit; true: the slice is over. */
bool vv_budget_is_spent(struct vv_budget *budget);

/* Lets the next visit read the clock, after something that took as long as all until then. */
static inline void vv_budget_look(struct vv_budget *budget) {
    budget->until_clock = 1;
}

/* The references of a large object one by one: 1 and *out_child, which may be NULL; 0: the end. */
int vv_edge_at(varve_object *object, size_t edge, varve_object **out_child);

/* Objects with more references are shown in several slices. */
#define VV_EDGE_STRETCH 256u
size_t vv_edge_count(const varve_object *object);

/* Whether the address is still that of a suspect of this world. */
bool vv_cycle_is_suspect(const struct vv_gc_cycle *cycle, const varve_object *object);

/* Works until the budget is spent or the marking is done (phase GATHER) / gathers (phase ORDER). */
void vv_cycle_mark_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget);
int vv_cycle_gather_slice(struct vv_gc_cycle *cycle, struct vv_budget *budget);

#endif
