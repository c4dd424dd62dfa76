/* SPDX-License-Identifier: MIT
 * object/traverse.h - the references that an object owns. */
#ifndef VV_OBJECT_TRAVERSE_H
#define VV_OBJECT_TRAVERSE_H

#include "object/layout.h"
#include "object/world.h"

/* Calls `visit` for each reference that the object owns, with duplicates. Nonzero ends it. */
int vv_traverse(varve_object *object, varve_visit visit, void *argument);

/* The parts of it, to be inlined into the passes of the collector; `visit` is a constant there. */
VV_INLINE int vv_traverse_items(varve_object *const *items, size_t count, varve_visit visit,
                                void *argument) {
    for (size_t index = 0; index < count; index++) {
        if (items[index] == NULL) continue;
        int result = visit(items[index], argument);
        if (result != 0) return result;
    }
    return 0;
}

VV_INLINE int vv_traverse_table(const struct vv_table *table, varve_visit visit, void *argument) {
    for (uint32_t index = 0; index < table->entry_count; index++) {
        const struct vv_entry *entry = &table->entries[index];
        if (entry->key == NULL) continue;
        int result = visit(entry->key, argument);
        if (result == 0 && entry->value != NULL) result = visit(entry->value, argument);
        if (result != 0) return result;
    }
    return 0;
}

/* `with_classes`: also from instances to their classes, which are in no cycle. */
VV_INLINE int vv_traverse_inline(varve_object *object, struct varve_type *const *types,
                                 bool with_classes, varve_visit visit, void *argument) {
    switch (object->type_index) {
    case VV_TYPE_LIST: {
        const struct vv_list *list = (const struct vv_list *)object;
        return vv_traverse_items(list->items, list->count, visit, argument);
    }
    case VV_TYPE_TUPLE: {
        const struct vv_tuple *tuple = (const struct vv_tuple *)object;
        return vv_traverse_items(tuple->items, tuple->count, visit, argument);
    }
    case VV_TYPE_DICT:
    case VV_TYPE_SET:
        return vv_traverse_table(&((const struct vv_dict *)object)->table, visit, argument);
    default: {
        const struct varve_type *type = types[object->type_index];
        if (vv_likely(type->cls != NULL)) {
            const struct vv_instance *instance = (const struct vv_instance *)object;
            uint32_t count = type->value_count; /* the class may go with this last reference */
            int result = with_classes ? visit((varve_object *)type->cls, argument) : 0;
            if (result != 0) return result;
            return vv_traverse_items(instance->values, count, visit, argument);
        }
        int (*traverse)(varve_object *, varve_visit, void *) = type->spec.traverse;
        return traverse != NULL ? traverse(object, visit, argument) : 0;
    }
    }
}

#endif
