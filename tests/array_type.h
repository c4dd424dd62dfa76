/* SPDX-License-Identifier: MIT
 * tests/array_type.h - a type of a program's that owns any number of objects. */
#ifndef VARVE_TESTS_ARRAY_TYPE_H
#define VARVE_TESTS_ARRAY_TYPE_H

#include "varve/object.h"

struct array {
    varve_var_object head;
    varve_object *items[]; /* may be NULL */
};

/* What it owns from place `first` on. */
static inline int visit_array_from(varve_object *self, size_t first, varve_visit visit,
                                   void *argument) {
    struct array *array = (struct array *)(void *)self;
    for (size_t index = first; index < array->head.item_count; index++) {
        int result = array->items[index] != NULL ? visit(array->items[index], argument) : 0;
        if (result != 0) return result;
    }
    return 0;
}

static inline int traverse_array(varve_object *self, varve_visit visit, void *argument) {
    return visit_array_from(self, 0, visit, argument);
}

static inline void clear_array(varve_object *self) {
    struct array *array = (struct array *)(void *)self;
    for (size_t index = 0; index < array->head.item_count; index++) {
        varve_clear_reference(&array->items[index]);
    }
}

#endif
