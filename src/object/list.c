/* SPDX-License-Identifier: MIT */
#include "object/builtin.h"

static struct vv_list *list_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_LIST, "list");
    return (struct vv_list *)(uintptr_t)object;
}

varve_object *varve_list_new(varve_world *world) {
    struct vv_list *list = (void *)vv_object_new(world->types[VV_TYPE_LIST], sizeof *list);
    if (list == NULL) return NULL;
    list->count = list->capacity = 0;
    list->items = NULL;
    vv_object_track(&list->head);
    return &list->head;
}

size_t varve_list_length(const varve_object *list) {
    return list_of(list)->count;
}

static struct vv_list *checked(const varve_object *object, size_t index) {
    struct vv_list *list = list_of(object);
    vv_check(index < list->count, "varve: index beyond the end of a list");
    return list;
}

varve_object *varve_list_get(const varve_object *list, size_t index) {
    return checked(list, index)->items[index];
}

int varve_list_set(varve_object *object, size_t index, varve_object *item) {
    struct vv_list *list = list_of(object);
    if (index >= list->count) return -ERANGE;
    varve_object *old = list->items[index];
    list->items[index] = vv_object_own(object, item);
    varve_decref(old);
    return 0;
}

/* Room for one more, growing by an eighth and some. */
static int reserve(struct vv_list *list) {
    if (vv_likely(list->count < list->capacity)) return 0;
    size_t capacity = (list->capacity + (list->capacity >> 3) + 8) & ~(size_t)3;
    void *items = vv_world_reallocate(vv_world_of(&list->head), list->items,
                                      capacity * sizeof list->items[0]);
    if (items == NULL) return -ENOMEM;
    list->items = items;
    list->capacity = capacity;
    return 0;
}

int varve_list_append(varve_object *object, varve_object *item) {
    struct vv_list *list = list_of(object);
    int error = reserve(list);
    if (error != 0) return error;
    list->items[list->count++] = vv_object_own(object, item);
    return 0;
}

int varve_list_insert(varve_object *object, size_t index, varve_object *item) {
    struct vv_list *list = list_of(object);
    if (index > list->count) return -ERANGE;
    int error = reserve(list);
    if (error != 0) return error;
    varve_object **place = list->items + index;
    memmove(place + 1, place, (list->count - index) * sizeof *place);
    *place = vv_object_own(object, item);
    list->count++;
    return 0;
}

int varve_list_remove(varve_object *object, size_t index) {
    struct vv_list *list = list_of(object);
    if (index >= list->count) return -ERANGE;
    varve_object **place = list->items + index;
    varve_object *old = *place;
    list->count--;
    memmove(place, place + 1, (list->count - index) * sizeof *place);
    varve_decref(old);
    return 0;
}

/* Last item first, as CPython; the list is empty before the first reference ends. */
static void clear(varve_object *self) {
    struct vv_list *list = (struct vv_list *)self;
    varve_object **items = list->items;
    size_t count = list->count;
    list->items = NULL;
    list->count = list->capacity = 0;
    while (count-- > 0) varve_decref(items[count]);
    vv_world_release(vv_world_of(self), items);
}

void varve_list_clear(varve_object *list) {
    clear(&list_of(list)->head);
}

/* --- the type --- */

static size_t outer_bytes(const varve_object *self) {
    return ((const struct vv_list *)self)->capacity * sizeof(varve_object *);
}

const varve_type_spec vv_list_spec = {
    .name = "list",
    .basic_bytes = sizeof(struct vv_list),
    .traverse = vv_builtin_traverse,
    .clear = clear,
    .outer_bytes = outer_bytes,
};
