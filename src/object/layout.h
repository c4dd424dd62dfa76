/* SPDX-License-Identifier: MIT
 * object/layout.h - how the built-in types lie in memory. */
#ifndef VV_OBJECT_LAYOUT_H
#define VV_OBJECT_LAYOUT_H

#include "varve/object.h"

struct vv_int { /* also bool */
    varve_object head;
    int64_t value;
};

struct vv_float {
    varve_object head;
    double value;
};

struct vv_str {
    varve_object head;
    uint64_t hash; /* 0: not computed yet */
    uint32_t byte_count;
    bool is_interned;
    char text[]; /* ends with a zero byte */
};

struct vv_bytes {
    varve_object head;
    size_t byte_count;
    char data[];
};

struct vv_list {
    varve_object head;
    size_t count;
    size_t capacity;
    varve_object **items; /* own */
};

struct vv_tuple {
    varve_object head;
    size_t count;
    varve_object *items[]; /* NULL: not filled yet */
};

/* An entry of a dict or set, in order of insertion. key NULL: deleted; then the hash is the number
 * of a later one before which there are only deleted ones. */
struct vv_entry {
    varve_object *key;
    varve_object *value; /* sets: NULL */
    uint64_t hash;
};

/* entries[] in order of insertion, and an open-addressing table of their indexes: 1, 2 or 4 bytes
 * each as the size needs, VV_SLOT_EMPTY or VV_SLOT_DELETED or the index.
 *
 *   table: | slots: slot_count numbers | entries: usable_count of them |
 *
 * Invariant: used_count entries have a key; entry_count >= used_count places are filled; slots is
 * NULL exactly when slot_shift is 0. */
struct vv_table {
    uint32_t slot_shift;  /* slot_count is 1 << slot_shift; 0: no table yet */
    uint32_t entry_count; /* places used, including deleted ones */
    uint32_t used_count;
    uint32_t usable_count; /* places there are */
    void *slots;           /* own; entries follow the slots */
    struct vv_entry *entries;
};

struct vv_dict { /* also set: values are NULL there */
    varve_object head;
    struct vv_table table;
};

/* An instance has `place_count` attribute places, then, when its class is open, a dict. Its type is
 * that of its class (object/type.h), so it needs no pointer to own the class that it owns. The
 * class refers to no object, so it takes no part in cycles. */
struct vv_class_object {
    varve_object head;
    struct varve_type *type; /* own: of the instances */
    uint32_t place_count;
    bool is_open;
    void (*finalize)(varve_object *self, void *argument);
    void *argument;
    const char **names; /* own: by place; the texts lie behind */
};

struct vv_instance {
    varve_object head;
    varve_object *values[]; /* type->value_count; may be NULL */
};

#endif
