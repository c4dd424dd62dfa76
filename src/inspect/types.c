/* SPDX-License-Identifier: MIT */
#include "inspect/types.h"

#include "inspect/own_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- counting --- */

struct counting {
    varve_world *world;
    varve_type_count *types; /* by type index */
    bool requested;
};

static int count_object(varve_object *object, void *argument) {
    struct counting *counting = argument;
    varve_type_count *row = &counting->types[object->type_index];
    row->objects++;
    struct varve_type *const *types = counting->world->types;
    row->bytes += counting->requested ? vv_own_requested_bytes(object, types[object->type_index])
                                      : vv_own_heap_bytes(object, vv_object_pool_of(object), types);
    return 0;
}

/* --- results: an array, and behind it copies of the names --- */

static int by_bytes(const void *left_row, const void *right_row) {
    const varve_type_count *left = left_row;
    const varve_type_count *right = right_row;
    if (left->bytes != right->bytes) return left->bytes < right->bytes ? 1 : -1;
    return strcmp(left->name, right->name);
}

static size_t add_row(varve_type_count *rows, size_t count, varve_type_count row, char **names) {
    size_t length = strlen(row.name) + 1;
    rows[count] = row;
    rows[count].name = memcpy(*names, row.name, length);
    *names += length;
    return count + 1;
}

static size_t measure(const struct counting *counting, size_t *out_name_bytes) {
    size_t count = 0;
    for (uint32_t index = 0; index < counting->world->type_count; index++) {
        if (counting->types[index].objects == 0) continue;
        *out_name_bytes += strlen(counting->types[index].name) + 1;
        count++;
    }
    return count;
}

static int publish(const struct counting *counting, varve_type_count **out_counts,
                   size_t *out_count) {
    size_t name_bytes = 0;
    size_t row_count = measure(counting, &name_bytes);
    varve_type_count *rows =
        vv_world_allocate(counting->world, row_count * sizeof *rows + name_bytes + 1);
    if (rows == NULL) return -ENOMEM;
    char *names = (char *)(rows + row_count);
    size_t count = 0;
    for (uint32_t index = 0; index < counting->world->type_count; index++) {
        if (counting->types[index].objects == 0) continue;
        count = add_row(rows, count, counting->types[index], &names);
    }
    if (count > 0) qsort(rows, count, sizeof *rows, by_bytes);
    *out_counts = rows;
    *out_count = count;
    return 0;
}

int vv_count_by_type(varve_world *world, bool requested, varve_type_count **out_counts,
                     size_t *out_count) {
    struct counting counting = {.world = world, .requested = requested};
    size_t type_bytes = world->type_count * sizeof *counting.types;
    vv_world_assert_inside(world);
    counting.types = vv_world_allocate(world, type_bytes);
    int result = counting.types != NULL ? 0 : -ENOMEM;
    if (result == 0) {
        memset(counting.types, 0, type_bytes);
        for (uint32_t index = 1; index < world->type_count; index++) {
            if (world->types[index] == NULL) continue;
            counting.types[index].type = world->types[index];
            counting.types[index].name = world->types[index]->spec.name;
        }
        result = vv_world_visit_objects(world, count_object, &counting);
    }
    if (result == 0) result = publish(&counting, out_counts, out_count);
    vv_world_release(world, counting.types);
    return result;
}

int varve_count_by_type(varve_world *world, varve_type_count **out_counts, size_t *out_count) {
    return vv_count_by_type(world, /* requested */ false, out_counts, out_count);
}

/* --- growth --- */

static bool is_same(const varve_type_count *left, const varve_type_count *right) {
    return strcmp(left->name, right->name) == 0;
}

/* Two types of one name are one row. */
static void sum_rows(const varve_type_count *counts, size_t count, const varve_type_count *wanted,
                     int64_t sign, varve_type_growth *growth) {
    for (size_t index = 0; index < count; index++) {
        if (!is_same(&counts[index], wanted)) continue;
        growth->objects += sign * (int64_t)counts[index].objects;
        growth->bytes += sign * (int64_t)counts[index].bytes;
    }
}

static bool comes_earlier(const varve_type_count *counts, size_t index) {
    for (size_t earlier = 0; earlier < index; earlier++) {
        if (is_same(&counts[earlier], &counts[index])) return true;
    }
    return false;
}

static int by_growth(const void *left_row, const void *right_row) {
    const varve_type_growth *left = left_row;
    const varve_type_growth *right = right_row;
    if (left->bytes != right->bytes) return left->bytes < right->bytes ? 1 : -1;
    return strcmp(left->name, right->name);
}

int varve_growth_by_type(const varve_type_count *before, size_t before_count,
                         const varve_type_count *after, size_t after_count,
                         varve_type_growth **out_growth, size_t *out_count) {
    size_t name_bytes = 0;
    for (size_t index = 0; index < after_count; index++) {
        name_bytes += strlen(after[index].name) + 1;
    }
    varve_type_growth *rows = varve_malloc(after_count * sizeof *rows + name_bytes + 1);
    if (rows == NULL) return -ENOMEM;
    char *names = (char *)(rows + after_count);
    size_t count = 0;
    for (size_t index = 0; index < after_count; index++) {
        varve_type_growth growth = {.type = after[index].type, .name = names};
        if (comes_earlier(after, index)) continue;
        sum_rows(after, after_count, &after[index], 1, &growth);
        sum_rows(before, before_count, &after[index], -1, &growth);
        if (growth.bytes <= 0 && growth.objects <= 0) continue;
        size_t length = strlen(after[index].name) + 1;
        memcpy(names, after[index].name, length);
        names += length;
        rows[count++] = growth;
    }
    if (count > 0) qsort(rows, count, sizeof *rows, by_growth);
    *out_growth = rows;
    *out_count = count;
    return 0;
}
