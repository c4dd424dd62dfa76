/* SPDX-License-Identifier: MIT
 * snapshot/names.h - names and lines within the traced process. */
#ifndef VV_SNAPSHOT_NAMES_H
#define VV_SNAPSHOT_NAMES_H

#include "capture/capture.h"

/* Fills in the symbols of a capture, by libvarve-symbols.so or else by dladdr(), which sees only
 * what this process has loaded. 0 or -ENOMEM. Calls malloc. */
int vv_names_find(struct vv_capture *capture);

#endif
