/* SPDX-License-Identifier: MIT */
#include "object/builtin.h"

static struct vv_tuple *tuple_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_TUPLE, "tuple");
    return (struct vv_tuple *)(uintptr_t)object;
}

varve_object *varve_tuple_new(varve_world *world, size_t count, varve_object *const *items) {
    if (count > VV_REGION_MAX_BYTES / sizeof items[0]) {
        errno = ENOMEM;
        return NULL;
    }
    size_t object_bytes = sizeof(struct vv_tuple) + count * sizeof items[0];
    struct vv_tuple *tuple = (void *)vv_object_new(world->types[VV_TYPE_TUPLE], object_bytes);
    if (tuple == NULL) return NULL;
    tuple->count = count;
    for (size_t index = 0; index < count; index++) {
        varve_object *item = items != NULL ? items[index] : NULL;
        tuple->items[index] = vv_object_xown(&tuple->head, item);
    }
    if (count > 0) vv_object_track(&tuple->head); /* the collector finds out whether it must be */
    return &tuple->head;
}

size_t varve_tuple_length(const varve_object *tuple) {
    return tuple_of(tuple)->count;
}

varve_object *varve_tuple_get(const varve_object *object, size_t index) {
    struct vv_tuple *tuple = tuple_of(object);
    vv_check(index < tuple->count, "varve: index beyond the end of a tuple");
    return tuple->items[index];
}

int varve_tuple_init(varve_object *object, size_t index, varve_object *item) {
    struct vv_tuple *tuple = tuple_of(object);
    if (index >= tuple->count) return -ERANGE;
    if (tuple->items[index] != NULL) return -EEXIST;
    tuple->items[index] = vv_object_own(object, item);
    if (vv_object_may_be_tracked(item)) vv_object_track(object);
    return 0;
}

/* --- the type --- */

static void dealloc(varve_object *self) {
    struct vv_tuple *tuple = (struct vv_tuple *)self;
    for (size_t index = tuple->count; index-- > 0;) varve_xdecref(tuple->items[index]);
}

/* No `clear`: something in every cycle but one of tuples alone has one, and a tuple should not
 * change in anybody's eyes. The collector calls vv_tuple_clear() for that last case. */
void vv_tuple_clear(varve_object *self) {
    struct vv_tuple *tuple = (struct vv_tuple *)self;
    for (size_t index = tuple->count; index-- > 0;) varve_clear_reference(&tuple->items[index]);
}

const varve_type_spec vv_tuple_spec = {
    .name = "tuple",
    .basic_bytes = sizeof(struct vv_tuple),
    .item_bytes = sizeof(varve_object *),
    .flags = VARVE_TYPE_NO_WEAKREFS,
    .traverse = vv_builtin_traverse,
    .dealloc = dealloc,
};
