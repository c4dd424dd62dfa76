/* SPDX-License-Identifier: MIT
 * inspect/describe.h - objects and references in words. */
#ifndef VV_INSPECT_DESCRIBE_H
#define VV_INSPECT_DESCRIBE_H

#include "base/text.h"
#include "object/world.h"

/* Adds "list of 3", "str 'Alice'", "int 30", "Node 0x7f...". */
void vv_describe_object(struct vv_text *text, const varve_object *object);

/* Adds "<list 0x7f...>". */
void vv_describe_address(struct vv_text *text, const varve_object *object);

/* Adds how `holder` refers to `child`: "[3]", "['name']", ".left", "key", or nothing. */
void vv_describe_reference(struct vv_text *text, const varve_object *holder,
                           const varve_object *child);

#endif
