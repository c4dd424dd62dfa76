/* SPDX-License-Identifier: MIT
 * report/json.h - reports for programs: schemas varve.report/1 and varve.diff/1. */
#ifndef VV_REPORT_JSON_H
#define VV_REPORT_JSON_H

#include "report/load.h"
#include "snapshot/grouping.h"

#include <stdio.h>

/* Writes one JSON object. False: it could not be made or written. */
bool vv_write_report_json(FILE *out, const struct vv_loaded *loaded,
                          const struct vv_grouping *grouping, const struct vv_groups *groups,
                          size_t top);
bool vv_write_diff_json(FILE *out, const struct vv_loaded *old, const struct vv_loaded *new,
                        const struct vv_grouping *grouping, const struct vv_groups *groups,
                        size_t top);

#endif
