/* SPDX-License-Identifier: MIT */
#include "heap/meta.h"

#include "base/check.h"
#include "os/pages.h"

#include <string.h>

struct vv_lock vv_meta_lock = VV_LOCK(VV_RANK_META);

#define CHUNK_BYTES ((size_t)256 * 1024)
#define MIN_SHIFT 6  /* a cache line */
#define MAX_SHIFT 17 /* larger pieces are mappings of their own */

struct piece {
    struct piece *next;
};

/* meta lock */
static struct piece *free_pieces[MAX_SHIFT + 1];
static char *chunk_at;
static char *chunk_end;
static size_t mapped_bytes;

static unsigned shift_for(size_t byte_count) {
    if (byte_count <= (size_t)1 << MIN_SHIFT) return MIN_SHIFT;
    return vv_log2(byte_count - 1) + 1;
}

static void *map_locked(size_t byte_count) {
    void *memory = vv_pages_map(byte_count, VV_PAGE_BYTES);
    if (memory != NULL) mapped_bytes += byte_count;
    return memory;
}

static void *cut_locked(size_t piece_bytes) {
    if ((size_t)(chunk_end - chunk_at) < piece_bytes) {
        char *chunk = map_locked(CHUNK_BYTES);
        if (chunk == NULL) return NULL;
        chunk_at = chunk;
        chunk_end = chunk + CHUNK_BYTES;
    }
    char *piece = chunk_at;
    chunk_at += piece_bytes;
    return piece;
}

static void *take_locked(unsigned shift) {
    struct piece *piece = free_pieces[shift];
    if (piece == NULL) return cut_locked((size_t)1 << shift);
    free_pieces[shift] = piece->next;
    memset(piece, 0, (size_t)1 << shift);
    return piece;
}

void *vv_meta_allocate(size_t byte_count) {
    unsigned shift = shift_for(byte_count);
    vv_lock(&vv_meta_lock);
    void *memory = shift <= MAX_SHIFT ? take_locked(shift)
                                      : map_locked(vv_align_up(byte_count, VV_PAGE_BYTES));
    vv_unlock(&vv_meta_lock);
    return memory;
}

void vv_meta_free(void *memory, size_t byte_count) {
    if (memory == NULL) return;
    unsigned shift = shift_for(byte_count);
    vv_lock(&vv_meta_lock);
    if (shift <= MAX_SHIFT) {
        struct piece *piece = memory;
        piece->next = free_pieces[shift];
        free_pieces[shift] = piece;
    } else {
        vv_pages_unmap(memory, vv_align_up(byte_count, VV_PAGE_BYTES));
        mapped_bytes -= vv_align_up(byte_count, VV_PAGE_BYTES);
    }
    vv_unlock(&vv_meta_lock);
}

size_t vv_meta_mapped_bytes(void) {
    vv_lock(&vv_meta_lock);
    size_t byte_count = mapped_bytes;
    vv_unlock(&vv_meta_lock);
    return byte_count;
}
