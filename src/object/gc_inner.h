/* SPDX-License-Identifier: MIT
 * object/gc_inner.h - what the files of the collector share. */
#ifndef VV_OBJECT_GC_INNER_H
#define VV_OBJECT_GC_INNER_H

#include "object/collect.h"
#include "varve/gc.h"

/* Clears weak references to the garbage in world->trash, runs callbacks and finalizers, spares what
 * was saved (it gets `generation`), frees the rest. world->walk_count is not 0. Returns how many
 * objects and weak references went. */
uint64_t vv_gc_handle_trash(varve_world *world, unsigned generation, uint64_t trash_count);

/* Frees the garbage in world->trash, all of it of built-in types and without weak references, at
 * once: see trash.c. */
void vv_trash_free(varve_world *world);

/* Tells the registered callbacks. */
void vv_gc_tell(varve_world *world, varve_gc_phase phase, const varve_gc_info *info);

/* Adds to the statistics: a collection / a time in which the program stood still. */
void vv_gc_account(varve_world *world, const varve_gc_info *info);
void vv_gc_account_pause(varve_world *world, int generation, uint64_t duration_ns);

/* Tracked objects by generation; the last is that of the frozen ones. */
void vv_gc_count_generations(const varve_world *world, size_t out_counts[4]);

/* Ends an incremental collection without a result / takes a step of one, beginning it if need be.
 */
void vv_gc_cycle_abandon(varve_world *world);
void vv_gc_cycle_automatic(varve_world *world);

#endif
