/* SPDX-License-Identifier: MIT
 * heap/stats.h - the account of the heap for programs; see varve/heap.h for the one for people. */
#ifndef VV_HEAP_STATS_H
#define VV_HEAP_STATS_H

#include "varve/heap.h"

/* One JSON object in one line, schema varve.stat/1: the fields of varve_heap_stats_data by name. */
void vv_heap_stats_write_json(const varve_heap_stats_data *stats,
                              void (*write)(const char *text, size_t length, void *argument),
                              void *argument);

#endif
