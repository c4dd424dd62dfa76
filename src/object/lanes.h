/* SPDX-License-Identifier: MIT
 * object/lanes.h - the planes of an object pool, 16 objects at a time.
 *
 *   states  |s0 |s1 | ... |s15|     a byte each: one register of the processor
 *   refs    |r0 |r1 | ... |r15|     four bytes each: four registers
 *
 * Lanes are a register with a byte for each of 16 objects, all ones or all zeros as the answer to a
 * question; a mask is 16 bits of an unsigned, one for each. Planes begin at a multiple of 16 and
 * have room for the last 16, whose states are 0 where there is no block (object/object_pool.h). */
#ifndef VV_OBJECT_LANES_H
#define VV_OBJECT_LANES_H

#include "object/object_pool.h"

#include <emmintrin.h>
#include <string.h>

#define VV_LANES 16u

static inline __m128i vv_lanes_load(const struct vv_object_pool *pool, uint32_t index) {
    return _mm_load_si128((const __m128i *)(const void *)(pool->states + index));
}

static inline void vv_lanes_store(struct vv_object_pool *pool, uint32_t index, __m128i states) {
    _mm_store_si128((__m128i *)(void *)(pool->states + index), states);
}

/* The same byte in each lane. */
static inline __m128i vv_lanes_all(unsigned byte) {
    return _mm_set1_epi8((char)byte);
}

/* Lanes in which the bits of `care` are as in `wanted`. */
static inline __m128i vv_lanes_where(__m128i states, unsigned care, unsigned wanted) {
    return _mm_cmpeq_epi8(_mm_and_si128(states, vv_lanes_all(care)), vv_lanes_all(wanted));
}

/* Also of states: the sign is VV_STATE_CANDIDATE. */
static inline unsigned vv_lanes_mask(__m128i lanes) {
    _Static_assert(VV_STATE_CANDIDATE == 0x80, "the sign bit");
    return (unsigned)_mm_movemask_epi8(lanes);
}

/* Bits set in a mask; without the processor's instruction, which not every x86-64 has. */
static inline unsigned vv_lanes_count(unsigned mask) {
    mask -= mask >> 1 & 0x5555;
    mask = (mask & 0x3333) + (mask >> 2 & 0x3333);
    mask = (mask + (mask >> 4)) & 0x0f0f;
    return (mask + (mask >> 8)) & 0x1f;
}

/* Zeroes the refs of 16 objects; with `masked` only of those in the mask, since others are in use:
 * those of dying objects are links (lifetime.c), those of suspects belong to cycle.c. */
static inline void vv_lanes_zero_refs(struct vv_object_pool *pool, uint32_t index, unsigned mask,
                                      bool masked) {
    if (!masked) {
        memset(pool->refs + index, 0, VV_LANES * sizeof pool->refs[0]);
        return;
    }
    for (; mask != 0; mask &= mask - 1) pool->refs[index + vv_lowest_bit(mask)] = 0;
}

/* Lanes whose refs are zero. */
static inline __m128i vv_lanes_without_refs(const struct vv_object_pool *pool, uint32_t index) {
    const __m128i *refs = (const __m128i *)(const void *)(pool->refs + index);
    const __m128i zero = _mm_setzero_si128();
    __m128i low = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_load_si128(refs), zero),
                                  _mm_cmpeq_epi32(_mm_load_si128(refs + 1), zero));
    __m128i high = _mm_packs_epi32(_mm_cmpeq_epi32(_mm_load_si128(refs + 2), zero),
                                   _mm_cmpeq_epi32(_mm_load_si128(refs + 3), zero));
    return _mm_packs_epi16(low, high);
}

#endif
