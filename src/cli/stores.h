/* SPDX-License-Identifier: MIT
 * cli/stores.h - the stores that the processes of a run leave in its folder: PROCESS-IMAGE.store, a
 * new image for each exec. */
#ifndef VV_CLI_STORES_H
#define VV_CLI_STORES_H

#include "cli/program.h"

struct vv_store_name {
    unsigned process;
    unsigned image;
    bool is_last; /* of its process's images */
};

struct vv_stores {
    struct vv_store_name *names; /* own; by process, then image */
    unsigned count;
};

/* What is in the folder now; nothing when there is no folder. 0 or -errno, *out is to be freed in
 * any case. */
int vv_stores_list(const char *folder, struct vv_stores *out);
void vv_stores_free(struct vv_stores *stores);

#define VV_STORE_PATH_BYTES (VV_PATH_BYTES + 64)
void vv_store_path(const char *folder, const struct vv_store_name *store,
                   char path[VV_STORE_PATH_BYTES]);

#endif
