/* SPDX-License-Identifier: MIT
 * The cases of gc_world.c for bdwgc, the collector of Debian's libgc1: gc_bdwgc CASE [COUNT]. Nodes
 * have four words, as many as the attributes there. */
#include "gc_bench.h"

#include "bench.h"

#include <time.h>

#include <gc/gc.h>

struct node {
    struct node *links[3];
    void *value;
};

static struct node **nodes; /* the root; in memory that bdwgc scans */

static void report(const char *name, uint64_t begin_ns, size_t count) {
    printf("%s: %.2f ns per object\n", name, (double)(now_ns() - begin_ns) / (double)count);
}

static size_t resident_bytes(void) {
    size_t pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu %zu", &pages, &resident) != 2) bench_fail("statm");
    fclose(file);
    return resident * BENCH_PAGE_BYTES;
}

static struct node *new_node(void) {
    struct node *node = GC_MALLOC(sizeof *node);
    if (node == NULL) bench_fail("GC_MALLOC returned NULL");
    return node;
}

static void make_graph(size_t count, bool local) {
    struct bench_random random = bench_random_new(1);
    for (size_t index = 0; index < count; index++) nodes[index] = new_node();
    for (size_t index = 0; index < count; index++) {
        for (size_t link = 0; link < 3; link++) {
            size_t target = local ? (index > 10 ? index - 1 - bench_random_below(&random, 10) : 0)
                                  : bench_random_below(&random, count);
            nodes[index]->links[link] = nodes[target];
        }
    }
}

static void full(size_t count, bool local) {
    make_graph(count, local);
    GC_gcollect();
    for (int round = 0; round < 5; round++) {
        uint64_t begin_ns = now_ns();
        GC_gcollect();
        report(local ? "full_local" : "full", begin_ns, count);
    }
    nodes = NULL;
    uint64_t begin_ns = now_ns();
    GC_gcollect();
    GC_gcollect(); /* finishes the sweep of the first, which is lazy */
    report("free_cyclic", begin_ns, count);
}

static void make(size_t count) {
    size_t before_bytes = resident_bytes();
    uint64_t begin_ns = now_ns();
    for (size_t index = 0; index < count; index++) nodes[index] = new_node();
    report("make", begin_ns, count);
    printf("resident: %.1f bytes per object\n",
           (double)(resident_bytes() - before_bytes) / (double)count);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "full";
    size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    GC_INIT();
    nodes = GC_MALLOC_IGNORE_OFF_PAGE(count * sizeof nodes[0]);
    if (nodes == NULL) bench_fail("no memory");
    memset(nodes, 0, count * sizeof nodes[0]);
    if (strcmp(name, "full") == 0) full(count, false);
    if (strcmp(name, "local") == 0) full(count, true);
    if (strcmp(name, "make") == 0) make(count);
    return 0;
}
