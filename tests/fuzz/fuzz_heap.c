/* SPDX-License-Identifier: MIT
 * tests/fuzz/fuzz_heap.c - streams of heap operations against a shadow of every block.
 *
 *   stream = operation*        operation = kind u8, slot u8, size u24
 *
 * Found: overlaps and lost contents (each block has a pattern of its own), wrong alignment or
 * usable size, calloc that is not zero, a heap that does not pass its own check. */
#include "os/pages.h"
#include "varve/heap.h"
#include "varve/trace.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOT_COUNT 256

static struct slot {
    unsigned char *block;
    size_t size;
} slots[SLOT_COUNT];

static void require(bool condition) {
    if (!condition) abort();
}

static unsigned char pattern_of(size_t slot) {
    return (unsigned char)(slot * 31 + 7);
}

/* Big blocks are looked at where they begin and end. */
static void fill(size_t slot) {
    size_t size = slots[slot].size;
    memset(slots[slot].block, pattern_of(slot), size < 8192 ? size : 4096);
    if (size >= 8192) memset(slots[slot].block + size - 4096, pattern_of(slot), 4096);
}

static void check_bytes(size_t slot, size_t byte_count) {
    const unsigned char *block = slots[slot].block;
    for (size_t index = 0; index < byte_count && index < 4096; index++) {
        require(block[index] == pattern_of(slot));
    }
}

static void check(size_t slot) {
    if (slots[slot].block == NULL) return;
    size_t size = slots[slot].size;
    check_bytes(slot, size);
    if (size > 0) require(slots[slot].block[size - 1] == pattern_of(slot));
    require(varve_usable_size(slots[slot].block) >= size);
}

static void put(size_t slot, void *block, size_t size, size_t alignment) {
    if (block == NULL) return; /* memory was made to fail */
    require((uintptr_t)block % alignment == 0);
    slots[slot] = (struct slot){block, size};
    fill(slot);
}

static void drop(size_t slot) {
    check(slot);
    varve_free(slots[slot].block);
    slots[slot].block = NULL;
}

static void change_size(size_t slot, size_t size) {
    check(slot);
    size_t old_size = slots[slot].block != NULL ? slots[slot].size : 0;
    void *block = varve_realloc(slots[slot].block, size);
    if (block == NULL) {
        if (size == 0) slots[slot].block = NULL;
        return;
    }
    slots[slot] = (struct slot){block, size};
    check_bytes(slot, old_size < size ? old_size : size);
    fill(slot);
}

static void check_zero(const unsigned char *block, size_t size) {
    if (block == NULL || size == 0) return;
    require(block[0] == 0 && memcmp(block, block + 1, size - 1) == 0);
}

static void operate(unsigned kind, size_t slot, size_t size) {
    static const size_t alignments[] = {16, 32, 64, 256, 4096, 65536};
    void *block;
    switch (kind % 12) {
    case 0:
    case 1:
        drop(slot);
        put(slot, varve_malloc(size), size, 16);
        break;
    case 2:
        drop(slot);
        block = varve_calloc(1, size);
        check_zero(block, size);
        put(slot, block, size, 16);
        break;
    case 3: {
        size_t alignment = alignments[size % 6];
        drop(slot);
        put(slot, varve_aligned_alloc(alignment, size), size, alignment);
        break;
    }
    case 4:
    case 5: change_size(slot, size); break;
    case 6: varve_trim(); break;
    case 7:
        if (size % 16 == 0) varve_trace_start((unsigned)size / 16 % 4);
        break;
    case 8: varve_trace_stop(); break;
    case 9: vv_pages_fail_after(size % 8); break;
    case 10: vv_pages_fail_never(); break;
    default: drop(slot); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    for (; size >= 5; data += 5, size -= 5) {
        size_t number = data[2] | (size_t)data[3] << 8 | (size_t)data[4] << 16;
        /* Small ones mostly, up to 4 MiB. */
        size_t block_size = (data[0] & 0x80) != 0 ? number >> 2 : number % 2048;
        operate(data[0] & 0x7f, data[1], block_size);
    }
    vv_pages_fail_never();
    varve_trace_stop();
    const char *sentence = NULL;
    require(varve_heap_check(&sentence) == 0);
    for (size_t slot = 0; slot < SLOT_COUNT; slot++) drop(slot);
    require(varve_heap_check(&sentence) == 0);
    return 0;
}
