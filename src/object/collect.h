/* SPDX-License-Identifier: MIT
 * object/collect.h - which objects of a set does nothing outside of the set refer to?
 *
 * Trial deletion on planes. The set is what has VV_STATE_CANDIDATE in the pools of world->work.
 *
 *   subtract   refs[o] += reference count of o, and refs[t] -= 1 for each edge o -> t inside the
 *              set: what remains are the references from outside
 *   find roots refs != 0: VV_STATE_REACHED
 *   propagate  what a reached object refers to is reached
 *
 * Both first passes go through the planes in order of address, the second reads no object at all.
 * The third ends as soon as nothing is left to be reached, which for a heap without garbage is
 * soon. Nothing allocates and nothing recurses: the mark stack is of a fixed size, and when it is
 * full the planes are walked once more. No code of the program runs but traverse functions. */
#ifndef VV_OBJECT_COLLECT_H
#define VV_OBJECT_COLLECT_H

#include "object/world.h"

#define VV_MARK_STACK_COUNT 32768u

struct vv_collection {
    varve_world *world;
    bool whole;         /* the set is all that can be: targets need no test */
    bool untrack_dicts; /* besides tuples, which each collection untracks where it can */
    bool keep_tracked;  /* garbage that was saved stays tracked */
    size_t candidate_count;
    size_t pending_count; /* candidates not reached yet; at the end: garbage */
};

/* Fills world->work with the pools that may have objects up to that generation. */
void vv_collect_choose_pools(varve_world *world, int generation);

/* Makes all tracked objects up to that generation candidates. */
void vv_collect_choose(struct vv_collection *collection, int generation);

/* Zeroes the scratch counts of candidates that are chosen already and counts them. */
void vv_collect_rechoose(struct vv_collection *collection);

/* The three passes. */
void vv_collect_reach(struct vv_collection *collection);

/* What was reached gets that generation and is no candidate any more; what was not stays one, and
 * its pools are put on world->trash. Returns how many were reached and are tracked. */
size_t vv_collect_keep_reached(struct vv_collection *collection, unsigned generation);

/* Calls `function` for each garbage object in the pools of world->trash, which may free any. */
void vv_collect_each_trash(varve_world *world,
                           void (*function)(varve_object *object, void *argument), void *argument);

#endif
