/* SPDX-License-Identifier: MIT
 * What a varve world costs: gc_world CASE [COUNT]. Prints "CASE: nanoseconds per object" and, where
 * there are pauses, their distribution. The graph is that of the CPython and bdwgc peers: nodes of
 * four attributes, three of which refer to random nodes (or to the nodes made before: `local`), and
 * a list that holds them all. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RUSAGE_THREAD */
#endif
#include "gc_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <varve/gc.h>

static void report(const char *name, uint64_t begin_ns, uint64_t end_ns, size_t count) {
    printf("%s: %.2f ns per object\n", name, (double)(end_ns - begin_ns) / (double)count);
}

static size_t resident_bytes(void) {
    char line[128];
    size_t resident = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fgets(line, sizeof line, file) != NULL && sscanf(line, "%zu %zu", &pages, &resident) != 2) {
        resident = 0;
    }
    fclose(file);
    return resident * 4096;
}

static varve_object *node_class(varve_world *world) {
    static const char *const names[] = {"a", "b", "c", "value", NULL};
    return varve_class_new(world, &(varve_class_spec){.name = "Node", .attributes = names});
}

/* The list that holds `count` nodes. */
static varve_object *make_graph(varve_world *world, size_t count, bool local) {
    varve_object *cls = node_class(world), *list = varve_list_new(world);
    for (size_t index = 0; index < count; index++) {
        varve_object *node = varve_instance_new(cls);
        varve_list_append(list, node);
        varve_decref(node);
    }
    for (size_t index = 0; index < count; index++) {
        varve_object *node = varve_list_get(list, index);
        for (unsigned place = 0; place < 3; place++) {
            size_t target = random_below(count);
            if (local) target = index > 10 ? index - 1 - random_below(10) : 0;
            varve_instance_set(node, place, varve_list_get(list, target));
        }
    }
    varve_decref(cls);
    return list;
}

static void full(varve_world *world, size_t count, bool local) {
    varve_object *list = make_graph(world, count, local);
    varve_gc_collect(world, 2);
    for (int round = 0; round < 5; round++) {
        uint64_t begin_ns = now_ns();
        varve_gc_collect(world, 2);
        report(local ? "full_local" : "full", begin_ns, now_ns(), count);
    }
    uint64_t begin_ns = now_ns();
    varve_decref(list);
    varve_gc_collect(world, 2);
    report("free_cyclic", begin_ns, now_ns(), count);
}

/* One node holds the others through the graph alone. */
static void rooted(varve_world *world, size_t count) {
    varve_object *list = make_graph(world, count, false);
    for (size_t index = 0; index + 1 < count; index++) { /* a chain in random order reaches all */
        varve_instance_set(varve_list_get(list, index), 3, varve_list_get(list, index + 1));
    }
    varve_object *root = varve_incref(varve_list_get(list, 0));
    varve_decref(list);
    varve_gc_collect(world, 2);
    for (int round = 0; round < 5; round++) {
        uint64_t begin_ns = now_ns();
        varve_gc_collect(world, 2);
        report("full_rooted", begin_ns, now_ns(), count);
    }
    varve_decref(root);
}

static void allocate(varve_world *world, size_t count) {
    varve_object *cls = node_class(world), **nodes = malloc(count * sizeof(varve_object *));
    size_t before = resident_bytes();
    memset(nodes, 0, count * sizeof nodes[0]);
    size_t array = resident_bytes() - before;
    varve_gc_disable(world);
    before = resident_bytes();
    uint64_t begin_ns = now_ns();
    for (size_t index = 0; index < count; index++) nodes[index] = varve_instance_new(cls);
    report("make", begin_ns, now_ns(), count);
    varve_gc_collect(world, 2);
    printf("resident: %.1f bytes per object of 40 (array %zu)\n",
           (double)(resident_bytes() - before) / (double)count, array);
    begin_ns = now_ns();
    for (size_t index = 0; index < count; index++) varve_decref(nodes[index]);
    report("drop", begin_ns, now_ns(), count);
    begin_ns = now_ns();
    for (size_t index = 0; index < count; index++) varve_decref(varve_instance_new(cls));
    report("make_and_drop", begin_ns, now_ns(), count);
    begin_ns = now_ns();
    for (size_t index = 0; index < count; index++) nodes[index] = varve_instance_new(cls);
    report("make_again", begin_ns, now_ns(), count);
    varve_gc_enable(world);
    begin_ns = now_ns();
    for (size_t index = 0; index < count; index++) varve_decref(nodes[index]);
    for (size_t index = 0; index < count; index++) nodes[index] = varve_instance_new(cls);
    report("drop_and_make_with_gc", begin_ns, now_ns(), count);
    free(nodes);
}

static void young(varve_world *world, size_t count) {
    varve_object *held[10000];
    if (count > 10000) count = 10000;
    varve_gc_disable(world);
    uint64_t sum_ns = 0;
    for (int round = 0; round < 200; round++) {
        for (size_t index = 0; index < count; index++) held[index] = varve_list_new(world);
        uint64_t begin_ns = now_ns();
        varve_gc_collect(world, 0);
        sum_ns += now_ns() - begin_ns;
        for (size_t index = 0; index < count; index++) varve_decref(held[index]);
    }
    report("young", 0, sum_ns / 200, count);
}

static void chain(varve_world *world, size_t count) {
    varve_object *head = varve_list_new(world); /* or no tuple would stay tracked */
    varve_gc_disable(world);
    for (size_t index = 0; index < count; index++) {
        varve_object *tuple = varve_tuple_new(world, 1, &head);
        varve_decref(head);
        head = tuple;
    }
    uint64_t begin_ns = now_ns();
    varve_gc_collect(world, 2);
    report("chain_collect", begin_ns, now_ns(), count);
    begin_ns = now_ns();
    varve_decref(head);
    report("chain_free", begin_ns, now_ns(), count);
}

/* --- pauses --- */

#define PAUSE_MAX_COUNT 1000000
static uint64_t pauses[PAUSE_MAX_COUNT];
static size_t pause_count;
static uint64_t pause_sum_ns;

static void note_pause(varve_world *world, varve_gc_phase phase, const varve_gc_info *info,
                       void *argument) {
    (void)world, (void)argument;
    static bool sliced; /* then the stop tells the sum */
    if (phase == VARVE_GC_SLICE) sliced = true;
    if (phase == VARVE_GC_START) return;
    if (phase == VARVE_GC_STOP && info->generation == 2 && sliced) {
        sliced = false;
        return;
    }
    if (pause_count < PAUSE_MAX_COUNT) pauses[pause_count++] = info->duration_ns;
    pause_sum_ns += info->duration_ns;
}

static int compare_pauses(const void *left, const void *right) {
    uint64_t one = *(const uint64_t *)left, two = *(const uint64_t *)right;
    return one < two ? -1 : one > two;
}

/* What the machine alone does to a pause: the longest of many equal pieces of work, in as much time
 * as all pauses took. A piece reads 300 objects of the graph at random; some 50 us. */
static uint64_t longest_piece_ns(const varve_object *list, size_t count, uint64_t duration_ns) {
    uint64_t longest_ns = 0, begin_ns = now_ns(), piece_ns = begin_ns;
    while (piece_ns - begin_ns < duration_ns) {
        for (int read = 0; read < 300; read++) {
            varve_object *node = varve_list_get(list, random_below(count));
            varve_decref(varve_incref(node));
        }
        uint64_t end_ns = now_ns();
        if (end_ns - piece_ns > longest_ns) longest_ns = end_ns - piece_ns;
        piece_ns = end_ns;
    }
    return longest_ns;
}

/* A server: a large live graph, a stream of objects of which some live on for a while in place of
 * others, cycles among them, links changed at random. */
static void serve(varve_world *world, size_t count, uint64_t pause_ns) {
    varve_object *list = make_graph(world, count, false);
    varve_object *cls = varve_instance_class(varve_list_get(list, 0));
    varve_gc_collect(world, 2);
    varve_gc_set_pause(world, pause_ns);
    varve_gc_add_callback(world, note_pause, NULL);
    size_t peak = 0;
    uint64_t begin_ns = now_ns();
    for (size_t step = 0; step < 4 * count; step++) {
        varve_object *node = varve_instance_new(cls);
        size_t place = random_below(count);
        varve_instance_set(node, 0, node);
        varve_instance_set(node, 1, varve_list_get(list, random_below(count)));
        if (step % 4 == 0) varve_list_set(list, place, node);
        if (step % 16 == 0) varve_instance_set(varve_list_get(list, place), 2, node);
        varve_decref(node);
        if (step % 65536 == 0 && resident_bytes() > peak) peak = resident_bytes();
    }
    uint64_t end_ns = now_ns();
    qsort(pauses, pause_count, sizeof pauses[0], compare_pauses);
    size_t last = pause_count > 0 ? pause_count - 1 : 0;
    varve_gc_stats stats[3];
    varve_gc_get_stats(world, stats);
    printf("serve: pause %.1f ms: %zu pauses, median %.0f us, 99 %% %.0f us, 99.9 %% %.0f us, "
           "longest %.0f us; collector %.0f ms of %.0f ms, peak %zu "
           "MiB, old collections %llu, "
           "collected %llu; work alone: longest %.0f us\n",
           (double)pause_ns / 1e6, pause_count, (double)pauses[last / 2] / 1e3,
           (double)pauses[last * 99 / 100] / 1e3, (double)pauses[last * 999 / 1000] / 1e3,
           (double)pauses[last] / 1e3, (double)pause_sum_ns / 1e6,
           (double)(end_ns - begin_ns) / 1e6, peak >> 20, (unsigned long long)stats[2].collections,
           (unsigned long long)stats[2].collected,
           (double)longest_piece_ns(list, count, pause_sum_ns) / 1e3);
    varve_decref(list);
}

int main(int argument_count, char **arguments) {
    const char *name = argument_count > 1 ? arguments[1] : "full";
    size_t count = argument_count > 2 ? strtoull(arguments[2], NULL, 10) : 1000000;
    varve_world *world = varve_world_new();
    if (world == NULL) return 2;
    if (strcmp(name, "full") == 0) full(world, count, false);
    if (strcmp(name, "local") == 0) full(world, count, true);
    if (strcmp(name, "rooted") == 0) rooted(world, count);
    if (strcmp(name, "make") == 0) allocate(world, count);
    if (strcmp(name, "young") == 0) young(world, count < 10000 ? count : 700);
    if (strcmp(name, "chain") == 0) chain(world, count);
    if (strcmp(name, "serve") == 0) serve(world, count, 0);
    if (strcmp(name, "serve_bounded") == 0) serve(world, count, 1000000);
    varve_world_free(world);
    return 0;
}
