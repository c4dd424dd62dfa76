/* SPDX-License-Identifier: MIT */
#include "inspect/marks.h"

#include "os/pages.h"

#include <errno.h>
#include <string.h>

#define BYTES_PER_POOL (VV_OBJECT_POOL_BLOCKS / 8)
#define FROM_HEAP_MAX_BYTES ((size_t)64 * 1024) /* clearing more costs more than a mapping */

int vv_marks_init(struct vv_marks *marks, varve_world *world) {
    size_t byte_count = vv_max(world->pools.count, 1) * BYTES_PER_POOL;
    void *words = NULL;
    if (byte_count <= FROM_HEAP_MAX_BYTES) {
        words = vv_world_allocate(world, byte_count);
        if (words != NULL) memset(words, 0, byte_count);
    } else if (!vv_world_should_fail(world)) {
        byte_count = vv_align_up(byte_count, VV_PAGE_BYTES);
        words = vv_pages_map(byte_count, VV_PAGE_BYTES);
    }
    if (words == NULL) return -ENOMEM;
    *marks = (struct vv_marks){.words = words, .byte_count = byte_count, .world = world};
    return 0;
}

void vv_marks_done(struct vv_marks *marks) {
    if (marks->words == NULL) return;
    if (marks->byte_count <= FROM_HEAP_MAX_BYTES) {
        vv_world_release(marks->world, marks->words);
    } else {
        vv_pages_unmap(marks->words, marks->byte_count);
    }
    marks->words = NULL;
}
