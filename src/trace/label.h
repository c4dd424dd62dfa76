/* SPDX-License-Identifier: MIT
 * trace/label.h - names in stacks: the innermost frame of a site of objects names their type.
 *
 * A label is a number for a name. It holds for the life of the process, whatever traces begin and
 * end; each store gets a copy of all names. */
#ifndef VV_TRACE_LABEL_H
#define VV_TRACE_LABEL_H

#include "trace/nodes.h"

/* The number of a name, the same for equal names (of which VV_LABEL_BYTES - 1 bytes count); 0:
 * there are too many, or no memory. Takes the sites lock. Cost: compares with all names; keep it.
 */
uint32_t vv_label_of(const char *name);

/* Writes all names into the store that was just opened. */
void vv_labels_open(void);

/* The site like `site` with the label as its innermost frame. */
uint32_t vv_label_site(uint32_t site, uint32_t label);

#endif
