/* SPDX-License-Identifier: MIT
 * heap/hooks.h - the only way in which the heap calls the layers above it.
 *
 * The trace layer, where it is built in, is told of every allocation of the facts lane. All
 * functions are called inside an operation of the thread (`busy` is set), except where stated;
 * they must not call malloc. */
#ifndef VV_HEAP_HOOKS_H
#define VV_HEAP_HOOKS_H

#include "base/text.h"
#include "heap/plane.h"
#include "heap/request.h"

struct vv_thread;

struct vv_hooks {
    /* Whether the process shall be recorded although it may never allocate. */
    bool (*wants_process)(void);

    /* Once, before the first allocation of the process is served. Reads the environment and may
     * choose the lane. Not inside an operation. */
    void (*process_started)(void);

    /* Once, when the process exits in an orderly way. Not inside an operation. */
    void (*process_ended)(void);

    void (*thread_ended)(struct vv_thread *thread);

    /* The common cases at once, from and to the calling thread's heap that keeps facts, in
     * src/trace/fast.h: a small block with its fact set; a small block freed, which may be NULL.
     * NULL, false: it must go the long way, and nothing has happened. Not inside an operation. */
    void *(*allocate_small)(const struct vv_request *request);
    bool (*release_small)(void *block);

    /* A block was allocated; returns its site, not VV_SITE_NONE. `thread` is NULL when the
     * allocation interrupts an operation of its own thread: then nothing of the thread's state
     * may be touched and no lock be taken. */
    uint32_t (*allocated)(struct vv_thread *thread, const void *block,
                          const struct vv_request *request);

    /* A block with facts is about to be freed. */
    void (*freed)(struct vv_thread *thread, const void *block, struct vv_fact fact);

    /* realloc changed a block with facts, perhaps moved it; returns the new site. */
    uint32_t (*resized)(struct vv_thread *thread, const void *new_block, struct vv_fact old_fact,
                        const struct vv_request *request);

    /* The number of a type's name, to be kept; 0: none. */
    uint32_t (*label)(const char *name);

    /* As `allocated`, for an object of a world whose type has that label. Its end is `freed`. */
    uint32_t (*object_allocated)(struct vv_thread *thread, const void *block,
                                 const struct vv_request *request, uint32_t label);

    /* Says whether a site that was kept still means something: a number that changes when it does
     * not; 0: nothing is recorded. Not inside an operation, too. */
    uint64_t (*session)(void);

    /* Appends the stack of a site to a sentence about misuse, a line for each frame; without the
     * names of lines, which would take malloc. */
    void (*describe_site)(uint32_t site, struct vv_text *text);

    /* Around fork(), with the registry and all heaps locked. Not inside an operation. */
    void (*before_fork)(void);
    void (*after_fork_in_parent)(void);
    void (*after_fork_in_child)(void);
};

/* NULL in a build without the trace layer. */
extern const struct vv_hooks *const vv_hooks;

/* Whether the trace layer wants to hear of allocations. Facts are also kept for debug mode. */
extern _Atomic bool vv_tracing;

#endif
