/* SPDX-License-Identifier: MIT
 * report/load.h - captures from files, with names and lines. */
#ifndef VV_REPORT_LOAD_H
#define VV_REPORT_LOAD_H

#include "capture/capture.h"
#include "symbols/symbols.h"

/* Reads a capture or a store, and looks up what names it does not carry. NULL after a sentence on
 * stderr. The caller frees it. */
struct vv_capture *vv_load(const char *path);

/* Several captures, which must be of one run. */
struct vv_loaded {
    struct vv_capture **captures;
    unsigned count;
};
bool vv_load_run(char *const *paths, unsigned count, struct vv_loaded *out);
void vv_loaded_free(struct vv_loaded *loaded);

/* Looks up the names of a capture that was just made from a store. Says on stderr, once for a
 * module, whose file is gone. */
bool vv_name_locations(struct vv_capture *capture, struct vv_symbols *symbols);

#endif
