/* SPDX-License-Identifier: MIT */
#include "os/scratch.h"

#include "os/pages.h"

#include <string.h>

/* Chunks are chained, newest first; each begins with this. */
struct chunk {
    struct chunk *next;
    size_t byte_count; /* of the whole mapping */
};

struct vv_scratch {
    struct chunk *chunks;
    char *at; /* in the newest chunk */
    char *limit;
    size_t next_bytes; /* size of the next chunk; doubles */
};

#define ALIGNMENT 16
#define FIRST_BYTES ((size_t)256 << 10)
#define LARGEST_BYTES ((size_t)64 << 20)

static bool add_chunk(struct vv_scratch *scratch, size_t needed_bytes) {
    size_t wanted = vv_max(scratch->next_bytes, needed_bytes + sizeof(struct chunk) + ALIGNMENT);
    wanted = vv_align_up(wanted, VV_PAGE_BYTES);
    struct chunk *chunk = vv_pages_map(wanted, VV_PAGE_BYTES);
    if (chunk == NULL) return false;
    chunk->next = scratch->chunks;
    chunk->byte_count = wanted;
    scratch->chunks = chunk;
    scratch->at = (char *)chunk + vv_align_up(sizeof *chunk, ALIGNMENT);
    scratch->limit = (char *)chunk + wanted;
    scratch->next_bytes = vv_min(scratch->next_bytes * 2, LARGEST_BYTES);
    return true;
}

struct vv_scratch *vv_scratch_new(void) {
    struct vv_scratch first = {.next_bytes = FIRST_BYTES};
    if (!add_chunk(&first, sizeof first)) return NULL;
    struct vv_scratch *scratch = (void *)first.at;
    first.at += vv_align_up(sizeof first, ALIGNMENT);
    *scratch = first;
    return scratch;
}

/* The scratch itself lies in the oldest chunk, which is unmapped last. */
void vv_scratch_free(struct vv_scratch *scratch) {
    if (scratch == NULL) return;
    struct chunk *chunk = scratch->chunks;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        vv_pages_unmap(chunk, chunk->byte_count);
        chunk = next;
    }
}

void *vv_scratch_take(struct vv_scratch *scratch, size_t byte_count) {
    if (byte_count > PTRDIFF_MAX) return NULL;
    byte_count = vv_align_up(byte_count, ALIGNMENT);
    if ((size_t)(scratch->limit - scratch->at) < byte_count && !add_chunk(scratch, byte_count)) {
        return NULL;
    }
    void *place = scratch->at;
    scratch->at += byte_count;
    return place;
}

void *vv_scratch_take_array(struct vv_scratch *scratch, size_t count, size_t element_bytes) {
    size_t byte_count;
    if (__builtin_mul_overflow(count, element_bytes, &byte_count)) return NULL;
    return vv_scratch_take(scratch, byte_count);
}

void *vv_scratch_grow(struct vv_scratch *scratch, void *place, size_t used_bytes,
                      size_t byte_count) {
    if (byte_count > PTRDIFF_MAX) return NULL;
    if (place == NULL) return vv_scratch_take(scratch, byte_count);
    char *end = (char *)place + vv_align_up(used_bytes, ALIGNMENT);
    size_t wanted = vv_align_up(byte_count, ALIGNMENT);
    if (end == scratch->at && scratch->limit >= (char *)place &&
        (size_t)(scratch->limit - (char *)place) >= wanted) {
        scratch->at = (char *)place + wanted;
        return place;
    }
    void *grown = vv_scratch_take(scratch, byte_count);
    if (grown != NULL && used_bytes > 0) memcpy(grown, place, used_bytes);
    return grown;
}

char *vv_scratch_copy_text(struct vv_scratch *scratch, const char *text, size_t length) {
    char *copy = length < PTRDIFF_MAX ? vv_scratch_take(scratch, length + 1) : NULL;
    if (copy != NULL) memcpy(copy, text, length);
    return copy;
}
