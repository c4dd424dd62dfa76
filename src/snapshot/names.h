/* SPDX-License-Identifier: MIT
 * snapshot/names.h - names and lines within the traced process. */
#ifndef VV_SNAPSHOT_NAMES_H
#define VV_SNAPSHOT_NAMES_H

#include "base/text.h"
#include "capture/capture.h"

/* Fills in the symbols of a capture, by libvarve-symbols.so or else by dladdr(), which sees only
 * the dynamic symbols of what this process has loaded; without those, "program+0x1234". 0 or
 * -ENOMEM. Calls malloc. What was read stays for the next call. */
int vv_names_find(struct vv_capture *capture);

/* Adds the stack of a site of the trace, a line for each function, innermost first: "main
 * file.c:12", "main in program", "program+0x1234". What allocates for others
 * (snapshot/allocator_frames.h) at its inner end is left out. Calls malloc. */
void vv_names_describe_site(uint32_t site, struct vv_text *text);

#endif
