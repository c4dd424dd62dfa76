/* SPDX-License-Identifier: MIT
 * The functions of varve/heap.h. */
#include "varve/heap.h"

#include "heap/arena.h"
#include "heap/entry.h"
#include "heap/hooks.h"
#include "heap/process.h"
#include "heap/purge.h"
#include "heap/walk.h"

void *varve_malloc(size_t size) {
    return vv_entry_malloc(size);
}

void *varve_calloc(size_t count, size_t size) {
    return vv_entry_calloc(count, size);
}

void *varve_realloc(void *block, size_t size) {
    return vv_entry_realloc(block, size);
}

void *varve_aligned_alloc(size_t alignment, size_t size) {
    return vv_entry_aligned(alignment, size);
}

void varve_free(void *block) {
    vv_entry_free(block);
}

size_t varve_usable_size(const void *block) {
    return vv_usable_bytes(block);
}

/* --- the whole heap --- */

size_t varve_trim(void) {
    struct vv_thread *thread = vv_thread_enter(VV_FRAME());
    if (thread == NULL) return 0;
    vv_remote_flush(&thread->remote);
    for (int lane = 0; lane < VV_LANE_COUNT; lane++) {
        if (thread->heaps[lane] != NULL) vv_heap_flush(thread->heaps[lane]);
    }
    vv_orphans_flush();
    size_t given_bytes = vv_purge_all();
    vv_thread_leave();
    return given_bytes;
}

void varve_heap_geometry(varve_geometry *out_geometry) {
    *out_geometry = (varve_geometry){
        .name = VARVE_CLASSIC ? "classic" : "default",
        .alignment = VV_QUANTUM_BYTES,
        .arena_bytes = VV_ARENA_BYTES,
        .pool_bytes = VV_GRANULE_BYTES * VV_POOL_MIN_GRANULES,
        .small_max_bytes = VV_SMALL_MAX_BYTES,
        .medium_max_bytes = VV_MEDIUM_MAX_BYTES,
        .class_count = VV_CLASS_COUNT,
    };
}

size_t varve_heap_class_size(unsigned class_index) {
    if (class_index >= VV_CLASS_COUNT || !vv_process_init()) return 0;
    return vv_classes[class_index].block_bytes;
}

struct public_visit {
    int (*visit)(const varve_block *block, void *argument);
    void *argument;
};

static int visit_place(const struct vv_place *place, void *argument) {
    const struct public_visit *visit = argument;
    struct vv_fact fact = vv_place_get_fact(place);
    varve_block block = {
        .address = place->block,
        .usable_bytes = vv_place_usable_bytes(place),
        .requested_bytes = fact.requested_bytes,
        .site = fact.site > VV_SITE_UNKNOWN ? fact.site : 0,
    };
    return visit->visit(&block, visit->argument);
}

int varve_heap_visit(int (*visit)(const varve_block *block, void *argument), void *argument) {
    struct public_visit public = {visit, argument};
    struct vv_thread *thread = vv_thread_enter(VV_FRAME());
    if (thread != NULL) {
        vv_remote_flush(&thread->remote); /* else blocks that this thread has freed look live */
        vv_thread_leave();
    }
    return vv_walk_blocks(visit_place, &public);
}

static void check_orphan(struct vv_heap *heap, void *argument) {
    const char **wrong = argument;
    if (*wrong == NULL) *wrong = vv_heap_check(heap);
}

int varve_heap_check(const char **out_sentence) {
    const char *wrong = vv_arena_check();
    struct vv_thread *thread = vv_thread_enter(VV_FRAME());
    if (thread != NULL) {
        for (int lane = 0; lane < VV_LANE_COUNT && wrong == NULL; lane++) {
            if (thread->heaps[lane] != NULL) wrong = vv_heap_check(thread->heaps[lane]);
        }
        vv_orphans_visit(check_orphan, &wrong);
        vv_thread_leave();
    }
    if (wrong == NULL) return 0;
    if (out_sentence != NULL) *out_sentence = wrong;
    return -EFAULT;
}
