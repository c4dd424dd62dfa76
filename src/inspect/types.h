/* SPDX-License-Identifier: MIT
 * inspect/types.h - live objects by type. */
#ifndef VV_INSPECT_TYPES_H
#define VV_INSPECT_TYPES_H

#include "varve/inspect.h"

/* varve_count_by_type(), with bytes as varve_sizeof() says with `requested`. */
int vv_count_by_type(varve_world *world, bool requested, varve_type_count **out_counts,
                     size_t *out_count);

#endif
