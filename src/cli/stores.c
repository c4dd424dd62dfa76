/* SPDX-License-Identifier: MIT */
#include "cli/stores.h"

#include <dirent.h>
#include <errno.h>
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

static int add(struct vv_stores *stores, const struct vv_store_name *name) {
    struct vv_store_name *grown = realloc(stores->names, (stores->count + 1) * sizeof *grown);
    if (grown == NULL) return -ENOMEM;
    stores->names = grown;
    stores->names[stores->count++] = *name;
    return 0;
}

static int read_folder(const char *folder, struct vv_stores *stores) {
    DIR *directory = opendir(folder);
    if (directory == NULL) return errno == ENOENT ? 0 : -errno;
    struct vv_store_name name;
    const struct dirent *entry;
    int error = 0;
    while (error == 0 && (errno = 0, entry = readdir(directory)) != NULL) {
        if (read_name(entry->d_name, &name)) error = add(stores, &name);
    }
    if (error == 0) error = -errno;
    closedir(directory);
    return error;
}

int vv_stores_list(const char *folder, struct vv_stores *out) {
    *out = (struct vv_stores){.count = 0};
    int error = read_folder(folder, out);
    if (out->count > 0) qsort(out->names, out->count, sizeof *out->names, by_process);
    for (unsigned index = 0; index + 1 < out->count; index++) {
        out->names[index].is_last = out->names[index].process != out->names[index + 1].process;
    }
    return error;
}

void vv_stores_free(struct vv_stores *stores) {
    free(stores->names);
    *stores = (struct vv_stores){.count = 0};
}

void vv_store_path(const char *folder, const struct vv_store_name *store,
                   char path[VV_STORE_PATH_BYTES]) {
    snprintf(path, VV_STORE_PATH_BYTES, "%s/%u-%u.store", folder, store->process, store->image);
}
