/* SPDX-License-Identifier: MIT */
#include "object/builtin.h"

varve_object *varve_bytes_new(varve_world *world, const void *data, size_t byte_count) {
    if (byte_count > VV_REGION_MAX_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    size_t object_bytes = offsetof(struct vv_bytes, data) + byte_count + 1;
    struct vv_bytes *bytes = (void *)vv_object_new(world->types[VV_TYPE_BYTES], object_bytes);
    if (bytes == NULL) return NULL;
    bytes->byte_count = byte_count;
    if (byte_count > 0) memcpy(bytes->data, data, byte_count); /* data may be NULL then */
    bytes->data[byte_count] = 0;
    return &bytes->head;
}

const void *varve_bytes_data(const varve_object *bytes) {
    VV_IS(bytes, VV_TYPE_BYTES, "bytes");
    return ((const struct vv_bytes *)bytes)->data;
}

const varve_type_spec vv_bytes_spec = {
    .name = "bytes",
    .basic_bytes = offsetof(struct vv_bytes, data) + 1,
    .item_bytes = 1,
    .flags = VARVE_TYPE_NO_WEAKREFS,
};
