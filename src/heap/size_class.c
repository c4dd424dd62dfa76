/* SPDX-License-Identifier: MIT */
#include "heap/size_class.h"

_Atomic uint8_t vv_class_of_quanta[(VV_SMALL_MAX_BYTES >> VV_QUANTUM_SHIFT) + 1];
struct vv_class vv_classes[VV_CLASS_COUNT];

/* A pool may lose this share of its bytes behind its last block. */
#define WASTE_DIVISOR 32

static size_t next_block_bytes(size_t block_bytes) {
    if (block_bytes < VV_LINEAR_MAX_BYTES) return block_bytes + VV_QUANTUM_BYTES;
    size_t doubling_bytes = (size_t)1 << vv_log2(block_bytes);
    return block_bytes + doubling_bytes / VV_CLASSES_PER_DOUBLING;
}

/* The fewest granules that hold enough blocks and waste little. */
static unsigned pool_granules(size_t block_bytes) {
    size_t wanted_bytes = block_bytes * VV_POOL_MIN_BLOCKS;
    size_t granules = vv_max(VV_POOL_MIN_GRANULES, vv_divide_up(wanted_bytes, VV_GRANULE_BYTES));
    while (granules < VV_POOL_MAX_GRANULES) {
        size_t pool_bytes = granules * VV_GRANULE_BYTES;
        if (pool_bytes % block_bytes <= pool_bytes / WASTE_DIVISOR) break;
        granules++;
    }
    return (unsigned)granules;
}

/* A bin may hold back 256 KiB of other pools' blocks, but from 4 to 4096 of them. */
static uint32_t bin_room(size_t block_bytes) {
    return (uint32_t)vv_min(vv_max(262144 / block_bytes, 4), 4096);
}

static struct vv_class class_with(size_t block_bytes) {
    unsigned granules = pool_granules(block_bytes);
    return (struct vv_class){
        .block_bytes = (uint32_t)block_bytes,
        .capacity = (uint16_t)(granules * VV_GRANULE_BYTES / block_bytes),
        .granule_count = (uint8_t)granules,
        .bin_room = bin_room(block_bytes),
        .reciprocal = vv_reciprocal(block_bytes),
    };
}

void vv_classes_init(void) {
    size_t block_bytes = VV_QUANTUM_BYTES;
    size_t quanta = 0;
    for (unsigned index = 0; index < VV_CLASS_COUNT; index++) {
        vv_classes[index] = class_with(block_bytes);
        for (; quanta * VV_QUANTUM_BYTES <= block_bytes; quanta++) {
            atomic_store_explicit(&vv_class_of_quanta[quanta], (uint8_t)index,
                                  memory_order_relaxed);
        }
        block_bytes = next_block_bytes(block_bytes);
    }
}

unsigned vv_class_of_aligned(size_t byte_count, size_t alignment) {
    if (byte_count > VV_SMALL_MAX_BYTES || alignment > VV_GRANULE_BYTES) return VV_CLASS_COUNT;
    unsigned index = vv_class_of(byte_count);
    while (index < VV_CLASS_COUNT && vv_classes[index].block_bytes % alignment != 0) index++;
    return index;
}
