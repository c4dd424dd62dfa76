/* SPDX-License-Identifier: MIT
 * Retained sizes and dominators, against the definition on random graphs. */
#include "harness.h"

#include "varve/gc.h"
#include "varve/inspect.h"

#include <errno.h>
#include <string.h>

enum { NODE_MAX = 24 };

/* Lists that refer to each other at random; the program holds some of them. */
struct graph {
    varve_world *world;
    varve_object *nodes[NODE_MAX];
    bool edges[NODE_MAX][NODE_MAX];
    bool held[NODE_MAX];
    unsigned count;
};

static void build(struct graph *graph, uint64_t *random) {
    *graph = (struct graph){.world = varve_world_new()};
    REQUIRE(graph->world != NULL);
    varve_gc_disable(graph->world);
    graph->count = 2 + (unsigned)test_random_below(random, NODE_MAX - 2);
    for (unsigned node = 0; node < graph->count; node++) {
        graph->nodes[node] = varve_list_new(graph->world);
    }
    unsigned edge_count = (unsigned)test_random_below(random, graph->count * 3);
    for (unsigned edge = 0; edge < edge_count; edge++) {
        unsigned from = (unsigned)test_random_below(random, graph->count);
        unsigned to = (unsigned)test_random_below(random, graph->count);
        graph->edges[from][to] = true;
        CHECK_EQ(varve_list_append(graph->nodes[from], graph->nodes[to]), 0);
    }
    for (unsigned node = 0; node < graph->count; node++) {
        graph->held[node] = test_random_below(random, 4) == 0;
    }
    /* Those that would be freed at once are held: the picture needs them. */
    for (unsigned node = 0; node < graph->count; node++) {
        if (varve_refcount(graph->nodes[node]) == 1) graph->held[node] = true;
    }
    for (unsigned node = 0; node < graph->count; node++) {
        if (!graph->held[node]) varve_decref(graph->nodes[node]);
    }
}

static void drop(struct graph *graph) {
    for (unsigned node = 0; node < graph->count; node++) {
        if (graph->held[node]) varve_decref(graph->nodes[node]);
    }
    varve_gc_collect(graph->world, 2);
    CHECK_EQ(varve_world_free(graph->world), 0);
}

static void spread(const struct graph *graph, unsigned node, unsigned without, bool *reached) {
    if (node == without || reached[node]) return;
    reached[node] = true;
    for (unsigned other = 0; other < graph->count; other++) {
        if (graph->edges[node][other]) spread(graph, other, without, reached);
    }
}

/* What the held nodes reach when `without` is not there. */
static void reach(const struct graph *graph, unsigned without, bool *reached) {
    memset(reached, 0, NODE_MAX * sizeof *reached);
    for (unsigned node = 0; node < graph->count; node++) {
        if (graph->held[node]) spread(graph, node, without, reached);
    }
}

/* By the definition: what is not reached any more without it. */
static size_t retained_by(const struct graph *graph, unsigned node, size_t *out_bytes) {
    bool with[NODE_MAX], without[NODE_MAX];
    size_t count = 0;
    reach(graph, NODE_MAX, with);
    reach(graph, node, without);
    *out_bytes = 0;
    for (unsigned other = 0; other < graph->count; other++) {
        if (!with[other] || without[other]) continue;
        count++;
        *out_bytes += varve_sizeof(graph->nodes[other], true);
    }
    return count;
}

/* The nearest: of all that dominate it, the one that all the others dominate, hence with the fewest
 * retained. NODE_MAX: none. */
static unsigned holder_of(const struct graph *graph, unsigned node) {
    unsigned nearest = NODE_MAX;
    size_t fewest = SIZE_MAX;
    for (unsigned other = 0; other < graph->count; other++) {
        bool without[NODE_MAX], with[NODE_MAX];
        reach(graph, NODE_MAX, with);
        reach(graph, other, without);
        size_t bytes;
        if (other == node || !with[node] || without[node]) continue;
        size_t count = retained_by(graph, other, &bytes);
        if (count < fewest) {
            fewest = count;
            nearest = other;
        }
    }
    return nearest;
}

static void compare(const struct graph *graph, const varve_dominators *tree, unsigned node) {
    bool with[NODE_MAX];
    varve_deep_size size = {0, 0}, alone = {0, 0};
    size_t bytes;
    reach(graph, NODE_MAX, with);
    if (!with[node]) {
        CHECK_EQ(varve_dominators_retained(tree, graph->nodes[node], &size), -ENOENT);
        CHECK_EQ_PTR(varve_dominators_holder(tree, graph->nodes[node]), NULL);
        return;
    }
    size_t objects = retained_by(graph, node, &bytes);
    CHECK_EQ(varve_dominators_retained(tree, graph->nodes[node], &size), 0);
    CHECK_EQ(size.objects, objects);
    CHECK_EQ(size.bytes, bytes);
    CHECK_EQ(varve_retained_sizeof(graph->nodes[node], true, &alone), 0);
    CHECK_EQ(alone.bytes, bytes);
    CHECK_GE(alone.objects, objects);
    unsigned holder = holder_of(graph, node);
    CHECK_EQ_PTR(varve_dominators_holder(tree, graph->nodes[node]),
                 holder == NODE_MAX ? NULL : graph->nodes[holder]);
}

TEST(retained_sizes_and_holders_are_those_of_the_definition) {
    uint64_t random = test_seed(7);
    for (int round = 0; round < 400; round++) {
        struct graph graph;
        varve_dominators *tree = NULL;
        build(&graph, &random);
        REQUIRE(varve_dominators_new(graph.world, true, &tree) == 0);
        for (unsigned node = 0; node < graph.count; node++) compare(&graph, tree, node);
        varve_dominators_free(tree);
        drop(&graph);
    }
}

TEST(the_largest_come_first) {
    varve_world *world = varve_world_new();
    varve_object *small = varve_list_new(world);
    varve_object *big = varve_list_new(world);
    for (int index = 0; index < 1000; index++) {
        varve_object *number = varve_float_new(world, index);
        varve_list_append(index < 10 ? small : big, number);
        varve_decref(number);
    }
    varve_dominators *tree;
    REQUIRE(varve_dominators_new(world, false, &tree) == 0);
    varve_object *largest[3] = {NULL};
    CHECK_EQ(varve_dominators_largest(tree, 2, largest), 2);
    CHECK_EQ_PTR(largest[0], big);
    CHECK_EQ_PTR(largest[2], NULL);
    varve_deep_size size;
    CHECK_EQ(varve_dominators_retained(tree, big, &size), 0);
    CHECK_EQ(size.objects, 991);
    CHECK_EQ_PTR(varve_dominators_holder(tree, varve_list_get(big, 5)), big);
    varve_dominators_free(tree);
    varve_dominators_free(NULL);
    varve_decref(big);
    varve_decref(small);
    varve_world_free(world);
}

TEST(what_two_hold_neither_retains) {
    varve_world *world = varve_world_new();
    varve_object *left = varve_list_new(world);
    varve_object *right = varve_list_new(world);
    varve_object *shared = varve_list_new(world);
    varve_list_append(left, shared);
    varve_list_append(right, shared);
    varve_decref(shared);
    varve_deep_size size;
    CHECK_EQ(varve_retained_sizeof(left, false, &size), 0);
    CHECK_EQ(size.objects, 1);
    varve_list_clear(right);
    CHECK_EQ(varve_retained_sizeof(left, false, &size), 0);
    CHECK_EQ(size.objects, 2);
    CHECK_EQ(size.bytes, varve_sizeof(left, false) + varve_sizeof(shared, false));
    varve_decref(left);
    varve_decref(right);
    varve_world_free(world);
}

TEST(without_memory_there_are_no_dominators_and_nothing_is_lost) {
    struct graph graph;
    uint64_t random = 3;
    int failures = 0;
    build(&graph, &random);
    for (uint64_t fail_at = 0; fail_at < 100; fail_at++) {
        varve_dominators *tree = NULL;
        varve_deep_size size;
        varve_world_fail_after(graph.world, fail_at);
        int result = varve_dominators_new(graph.world, false, &tree);
        varve_world_fail_after(graph.world, fail_at);
        int retained = varve_retained_sizeof(graph.nodes[0], false, &size);
        varve_world_fail_never(graph.world);
        varve_dominators_free(tree);
        CHECK(retained == 0 || retained == -ENOMEM);
        if (result == 0) break;
        failures++;
        CHECK_EQ(result, -ENOMEM);
        CHECK_EQ_PTR(tree, NULL);
    }
    CHECK_GE(failures, 10);
    drop(&graph);
}
