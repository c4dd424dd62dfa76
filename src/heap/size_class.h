/* SPDX-License-Identifier: MIT
 * heap/size_class.h - which class serves a request, and the arithmetic inside its pools. */
#ifndef VV_HEAP_SIZE_CLASS_H
#define VV_HEAP_SIZE_CLASS_H

#include "heap/geometry.h"

#include <stdatomic.h>

/* const after vv_classes_init() */
struct vv_class {
    uint32_t block_bytes;  /* multiple of the quantum */
    uint16_t capacity;     /* blocks in a pool */
    uint8_t granule_count; /* granules of a pool */
    uint8_t spare;
    uint32_t bin_room;   /* blocks of other pools that a bin accepts between two refills */
    uint64_t reciprocal; /* vv_reciprocal(block_bytes) */
};

#define VV_QUANTUM_SHIFT (__builtin_ctzll(VV_QUANTUM_BYTES))

/* Class index by (size + quantum - 1) / quantum. Relaxed: a thread may read it while another calls
 * vv_classes_init(), and whatever it gets is harmless: its bins are all empty until it has been
 * through a slow path. */
extern _Atomic uint8_t vv_class_of_quanta[(VV_SMALL_MAX_BYTES >> VV_QUANTUM_SHIFT) + 1];
extern struct vv_class vv_classes[VV_CLASS_COUNT];

/* Fills the tables. Called once, before any other thread exists or under the process lock. */
void vv_classes_init(void);

/* The class for `byte_count` <= VV_SMALL_MAX_BYTES; 0 bytes get the smallest block. */
static inline unsigned vv_class_of(size_t byte_count) {
    vv_assert(byte_count <= VV_SMALL_MAX_BYTES);
    size_t quanta = (byte_count + VV_QUANTUM_BYTES - 1) >> VV_QUANTUM_SHIFT;
    return atomic_load_explicit(&vv_class_of_quanta[quanta], memory_order_relaxed);
}

/* The first class that holds `byte_count` and whose blocks are all aligned to `alignment`
 * (a power of two, at most a granule), or VV_CLASS_COUNT when there is none. Pools begin on a
 * granule, so block i is aligned when the block size is a multiple of the alignment. */
unsigned vv_class_of_aligned(size_t byte_count, size_t alignment);

/* Block number of a byte offset in a pool of that class, without a division.
 *
 * Let r = ceil(2^40 / b), so r * b = 2^40 + e with 0 <= e < b. For offset = q * b + s, s < b:
 * offset * r / 2^40 = q + (q * e + s * r) / 2^40, and the fraction stays below 1 while
 * offset * e < 2^40. Offsets are below 2^18 and e below 2^15. tests/unit proves it exhaustively. */
#define VV_RECIPROCAL_SHIFT 40
static inline uint64_t vv_reciprocal(size_t block_bytes) {
    return (((uint64_t)1 << VV_RECIPROCAL_SHIFT) + block_bytes - 1) / block_bytes;
}

static inline uint32_t vv_class_block_index(unsigned class_index, size_t offset) {
    return (uint32_t)((offset * vv_classes[class_index].reciprocal) >> VV_RECIPROCAL_SHIFT);
}

#endif
