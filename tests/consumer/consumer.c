/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <varve/varve.h>

int main(void) {
    varve_geometry geometry;
    varve_heap_geometry(&geometry);
    if (varve_trace_start(0) != 0) return 1;
    void *block = varve_malloc(100);
    size_t current;
    varve_trace_memory(&current, NULL);
    if (block == NULL || current != 100) return 2;
    varve_snapshot *snapshot;
    varve_statistics *statistics;
    if (varve_snapshot_take(&snapshot) != 0) return 3;
    if (varve_snapshot_statistics(snapshot, VARVE_KEY_FUNCTION, false, &statistics) != 0) return 4;
    printf("%s %zu\n", geometry.name, statistics->items[0].size);
    varve_statistics_free(statistics);
    varve_snapshot_free(snapshot);
    varve_free(block);
    return 0;
}
