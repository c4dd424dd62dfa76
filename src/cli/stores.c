/* SPDX-License-Identifier: MIT */
#include "cli/stores.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static int by_process(const void *left_store, const void *right_store) {
    const struct vv_store_name *left = left_store;
    const struct vv_store_name *right = right_store;
    if (left->process != right->process) return left->process < right->process ? -1 : 1;
    return (left->image > right->image) - (left->image < right->image);
}

static bool read_name(const char *name, struct vv_store_name *out) {
    int end = 0;
    *out = (struct vv_store_name){.is_last = true};
    return sscanf(name, "%u-%u.store%n", &out->process, &out->image, &end) == 2 && end != 0;
}

static bool add(struct vv_stores *stores, const struct vv_store_name *name) {
    struct vv_store_name *grown = realloc(stores->names, (stores->count + 1) * sizeof *grown);
    if (grown == NULL) return false;
    stores->names = grown;
    stores->names[stores->count++] = *name;
    return true;
}

struct vv_stores vv_stores_list(const char *folder) {
    struct vv_stores stores = {.count = 0};
    struct vv_store_name name;
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (read_name(entry->d_name, &name) && !add(&stores, &name)) break;
    }
    if (directory != NULL) closedir(directory);
    if (stores.count > 0) qsort(stores.names, stores.count, sizeof *stores.names, by_process);
    for (unsigned index = 0; index + 1 < stores.count; index++) {
        stores.names[index].is_last =
            stores.names[index].process != stores.names[index + 1].process;
    }
    return stores;
}

void vv_stores_free(struct vv_stores *stores) {
    free(stores->names);
    *stores = (struct vv_stores){.count = 0};
}

void vv_store_path(const char *folder, const struct vv_store_name *store,
                   char path[VV_STORE_PATH_BYTES]) {
    snprintf(path, VV_STORE_PATH_BYTES, "%s/%u-%u.store", folder, store->process, store->image);
}
