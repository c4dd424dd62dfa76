/* SPDX-License-Identifier: MIT
 * heap/geometry.h - the sizes of the layers, and the nouns of this room.
 *
 *   region   one stretch of address space, reserved at start; every small and medium block is in it
 *   arena    an aligned piece of the region, made usable by one call to the system
 *   granule  the unit in which an arena is divided; each has one record (struct vv_pool)
 *   pool     a run of granules with blocks of one class, or with one medium block
 *   block    what malloc returns
 *   class    a block size; requests up to VV_SMALL_MAX_BYTES round up to one
 *   heap     the pools of one thread, with a bin per class
 *   bin      the free blocks of the pool that the thread is taking from: its lease
 *   huge     a block too big for the arenas: a mapping of its own
 *
 * Two geometries of the same code. `classic` is the one of the teaching text about CPython's
 * allocator; `default` was chosen by measurement (ARCHITECTURE.md says which). */
#ifndef VV_HEAP_GEOMETRY_H
#define VV_HEAP_GEOMETRY_H

#include "base/bits.h"
#include "base/check.h"
#include "os/pages.h"

#ifndef VARVE_CLASSIC
#define VARVE_CLASSIC 0
#endif

#if VARVE_CLASSIC
#define VV_GRANULE_SHIFT 12
#define VV_ARENA_SHIFT 18
#define VV_REGION_SHIFT 36
#define VV_QUANTUM_BYTES ((size_t)8)      /* blocks are aligned to it, classes differ by it */
#define VV_LINEAR_MAX_BYTES ((size_t)512) /* classes differ by the quantum up to here */
#define VV_SMALL_MAX_BYTES ((size_t)512)
#define VV_POOL_MIN_BLOCKS 8
#define VV_POOL_MIN_GRANULES 1
#define VV_POOL_MAX_GRANULES 1
#else
#define VV_GRANULE_SHIFT 14
#define VV_ARENA_SHIFT 21
#define VV_REGION_SHIFT 38
#define VV_QUANTUM_BYTES ((size_t)16)
#define VV_LINEAR_MAX_BYTES ((size_t)512)
#define VV_SMALL_MAX_BYTES ((size_t)32768)
#define VV_POOL_MIN_BLOCKS 4
#define VV_POOL_MIN_GRANULES 1
#define VV_POOL_MAX_GRANULES 16
#endif

/* Above the linear part each doubling of size has this many classes: at most 1/8 is lost. */
#define VV_CLASSES_PER_DOUBLING 8

#define VV_GRANULE_BYTES ((size_t)1 << VV_GRANULE_SHIFT)
#define VV_ARENA_BYTES ((size_t)1 << VV_ARENA_SHIFT)
#define VV_ARENA_GRANULE_COUNT ((unsigned)(VV_ARENA_BYTES / VV_GRANULE_BYTES))

/* The most address space that is ever reserved for the region. */
#define VV_REGION_MAX_BYTES ((size_t)1 << VV_REGION_SHIFT)
#define VV_REGION_MAX_GRANULES (VV_REGION_MAX_BYTES / VV_GRANULE_BYTES)
#define VV_REGION_MAX_ARENAS (VV_REGION_MAX_BYTES / VV_ARENA_BYTES)

/* Bigger blocks are huge: mappings of their own. */
#define VV_MEDIUM_MAX_BYTES (VV_ARENA_BYTES * 16)

/* A medium block that realloc makes bigger than this becomes huge, since mremap then grows it
 * without copying. */
#define VV_MEDIUM_GROWN_MAX_BYTES (VV_ARENA_BYTES * 2)

#define VV_DOUBLINGS (__builtin_ctzll(VV_SMALL_MAX_BYTES) - __builtin_ctzll(VV_LINEAR_MAX_BYTES))
#define VV_CLASS_COUNT                                                                             \
    ((unsigned)(VV_LINEAR_MAX_BYTES / VV_QUANTUM_BYTES) +                                          \
     (unsigned)VV_DOUBLINGS * VV_CLASSES_PER_DOUBLING)

_Static_assert(VV_GRANULE_BYTES % VV_PAGE_BYTES == 0, "a granule is made of pages");
_Static_assert(VV_ARENA_GRANULE_COUNT <= 128, "arena bitmaps have 128 bits");
_Static_assert(VV_CLASS_COUNT <= 255, "a class index is one byte");
_Static_assert((VV_SMALL_MAX_BYTES & (VV_SMALL_MAX_BYTES - 1)) == 0, "a power of two");

#endif
