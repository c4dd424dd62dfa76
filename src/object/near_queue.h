/* SPDX-License-Identifier: MIT
 * object/near_queue.h - objects whose cache lines are on their way, between the mark stack and
 * their turn. Zeroed, a queue is empty. */
#ifndef VV_OBJECT_NEAR_QUEUE_H
#define VV_OBJECT_NEAR_QUEUE_H

#include "base/bits.h"
#include "varve/object.h"

#define VV_NEAR_COUNT 8u

struct vv_near_queue {
    varve_object *objects[VV_NEAR_COUNT];
    unsigned first, count;
};

static inline bool vv_near_queue_has_room(const struct vv_near_queue *queue) {
    return queue->count < VV_NEAR_COUNT;
}

static inline void vv_near_queue_put(struct vv_near_queue *queue, varve_object *object) {
    __builtin_prefetch(object);
    __builtin_prefetch((const char *)object + VV_CACHE_LINE_BYTES - 1);
    queue->objects[(queue->first + queue->count++) % VV_NEAR_COUNT] = object;
}

/* The object that has waited longest, or NULL. */
static inline varve_object *vv_near_queue_take(struct vv_near_queue *queue) {
    if (queue->count == 0) return NULL;
    queue->count--;
    return queue->objects[queue->first++ % VV_NEAR_COUNT];
}

#endif
