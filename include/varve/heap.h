/* SPDX-License-Identifier: MIT
 * varve/heap.h - the allocator: a general-purpose malloc that can be asked about its blocks.
 *
 * Link with -lvarve to call these functions beside the C library's malloc; link with
 * -lvarve-malloc, or preload libvarve-malloc.so, to make malloc itself varve's.
 *
 * All sizes are in bytes. All functions may be called from any thread, before main() and while the
 * process exits. Allocation and freeing may also be called from a signal handler, even from one
 * that interrupts them; such an allocation is served from a small reserve and may fail. */
#ifndef VARVE_HEAP_H
#define VARVE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VARVE_API __attribute__((visibility("default")))
/* Of blocks that nobody but their owner looks into; the collector looks into objects. */
#define VARVE_MALLOC __attribute__((malloc, warn_unused_result))
#define VARVE_SIZE(argument) __attribute__((alloc_size(argument)))
#define VARVE_SIZES(count, size) __attribute__((alloc_size(count, size)))

/* --- blocks --- */

/* A block of at least `size` bytes, aligned for any type (16; 8 in the classic geometry), with
 * undefined contents. Size 0 gives a block of its own, too. NULL with errno ENOMEM when there is no
 * memory or `size` exceeds PTRDIFF_MAX. The caller frees it with varve_free(). Cost: about ten
 * instructions when the thread has a free block of that size. */
VARVE_API void *varve_malloc(size_t size) VARVE_MALLOC VARVE_SIZE(1);

/* The same with all bytes zero, for `count` elements of `size`. */
VARVE_API void *varve_calloc(size_t count, size_t size) VARVE_MALLOC VARVE_SIZES(1, 2);

/* Changes the size of a block and keeps its contents up to the smaller size. The result may be
 * another address; then the old one is freed. NULL with ENOMEM: the old block is unchanged.
 * varve_realloc(NULL, n) allocates; varve_realloc(block, 0) frees and returns NULL. */
VARVE_API void *varve_realloc(void *block, size_t size) __attribute__((warn_unused_result))
VARVE_SIZE(2);

/* A block whose address is a multiple of `alignment`, a power of two (else NULL with EINVAL). */
VARVE_API void *varve_aligned_alloc(size_t alignment, size_t size) VARVE_MALLOC VARVE_SIZE(2);

/* Frees a block from any function above, or nothing when it is NULL. Keeps errno. An address outside
 * varve's memory ends the process with a sentence; one that is no block, or was freed before, does
 * so with VARVE_DEBUG=1 and is undefined without. */
VARVE_API void varve_free(void *block);

/* Bytes that may be used in a live block, at least the requested size; 0 for NULL. */
VARVE_API size_t varve_usable_size(const void *block);

/* --- the whole heap --- */

/* Gives memory that is free now back to the system: what this thread's heap holds, what ended
 * threads left, and what rests for reuse. For a process that becomes idle. Returns the bytes given
 * back. Cost: microseconds to milliseconds. */
VARVE_API size_t varve_trim(void);

/* How the heap is divided. Constant for a build. */
typedef struct varve_geometry {
    const char *name; /* "default" or "classic" */
    size_t alignment; /* of every block */
    size_t arena_bytes;
    size_t pool_bytes;       /* of the smallest pool; classes of larger blocks have larger pools */
    size_t small_max_bytes;  /* larger blocks are not in pools with others */
    size_t medium_max_bytes; /* larger blocks are mappings of their own ("huge") */
    unsigned class_count;
} varve_geometry;

VARVE_API void varve_heap_geometry(varve_geometry *out_geometry);

/* The bytes of the blocks of a class, 0 <= index < class_count; 0 for another index. */
VARVE_API size_t varve_heap_class_size(unsigned class_index);

/* One size class, or the medium or the huge blocks. */
typedef struct varve_class_stats {
    size_t block_bytes; /* 0 for medium and huge blocks, which differ in size */
    size_t pools;
    size_t live_blocks;
    size_t live_bytes; /* as the heap gives them: with rounding up */
    size_t free_bytes; /* in free blocks whose memory is resident or will be on first use */
    size_t pool_bytes; /* address space of the pools */
} varve_class_stats;

#define VARVE_CLASS_MAX 128

typedef struct varve_heap_stats_data {
    uint32_t struct_bytes; /* size of this struct as the library knows it */
    uint32_t class_count;
    size_t live_blocks;
    size_t live_bytes;     /* sum over classes, medium and huge */
    size_t pool_bytes;     /* granules in small pools */
    size_t resting_bytes;  /* free, and resident until the purge or the next use */
    size_t returned_bytes; /* given back to the system so far */
    size_t metadata_bytes; /* the allocator's own memory */
    size_t arena_count;
    size_t arena_bytes;         /* address space of all arenas */
    size_t thread_count;        /* threads that have a heap */
    size_t orphan_heap_count;   /* heaps of ended threads that wait for a new thread */
    size_t peak_resident_bytes; /* of the process, as the kernel counts */
    size_t minor_faults;        /* of the process */
    size_t major_faults;
    bool malloc_is_bypassed; /* libvarve-malloc is loaded, but the program has a malloc of its own */
    varve_class_stats classes[VARVE_CLASS_MAX];
    varve_class_stats medium;
    varve_class_stats huge;
} varve_heap_stats_data;

/* Counts blocks and memory by walking all pools. Other threads may go on: what they change
 * meanwhile may be counted either way, and blocks on their way between threads count as live.
 * Cost: tens of nanoseconds a pool; nothing is counted while the program runs. */
VARVE_API void varve_heap_stats(varve_heap_stats_data *out_stats);

/* Writes the account that VARVE_STATS=1 prints at exit, in lines, by calling
 * `write(text, length, argument)`. Allocates nothing. */
VARVE_API void varve_heap_stats_write(const varve_heap_stats_data *stats,
                                      void (*write)(const char *text, size_t length,
                                                    void *argument),
                                      void *argument);

/* A live block as varve_heap_visit() shows it. */
typedef struct varve_block {
    void *address;
    size_t usable_bytes;
    size_t requested_bytes; /* 0 when it is not known: the block was not traced */
    uint32_t site;          /* for varve_trace functions; 0 when it is not known */
} varve_block;

/* Calls `visit` for every live block; a nonzero result ends the walk and is returned, else 0.
 * `visit` must not allocate, free, or call another function of this header. Blocks that other
 * threads allocate or free meanwhile may or may not be shown; a consistent picture needs them at
 * rest. */
VARVE_API int varve_heap_visit(int (*visit)(const varve_block *block, void *argument),
                               void *argument);

/* Checks the structure of this thread's heap, of ended threads' heaps and of the arenas. 0 when
 * all is well; -EFAULT when something is damaged: then *out_sentence, unless NULL, says what (a
 * constant string). */
VARVE_API int varve_heap_check(const char **out_sentence);

#ifdef __cplusplus
}
#endif
#endif
