/* SPDX-License-Identifier: MIT
 * The dominator tree of a world, by the semi-NCA algorithm (Georgiadis, "Linear-Time Algorithms for
 * Dominators and Related Problems", 2005): near-linear in practice, no recursion, a few arrays of
 * numbers. Nodes are numbered anew, 1, 2, ... in the order of a depth-first search from all roots;
 * 0 is a root above them. */
#include "inspect/graph.h"
#include "inspect/own_bytes.h"
#include "varve/inspect.h"

#include <errno.h>
#include <string.h>

struct varve_dominators {
    struct vv_graph graph;
    uint32_t *numbers;  /* by node; 0: not reached */
    uint32_t *vertices; /* node by number */
    uint32_t *holders;  /* immediate dominator by number; below the number itself */
    size_t *bytes;      /* retained, by number */
    uint32_t *objects;
    uint32_t count; /* reached nodes */
};

/* What the computation needs beyond its result; by number. */
struct work {
    uint32_t *parents;   /* in the search tree; compressed later */
    uint32_t *semis;     /* semidominators */
    uint32_t *labels;    /* the number with the smallest semidominator on the way up */
    uint32_t *edge_next; /* of the search; then a stack of numbers */
};

/* --- the search --- */

static void enter(varve_dominators *tree, struct work *work, uint32_t node, uint32_t parent) {
    uint32_t number = ++tree->count;
    tree->numbers[node] = number;
    tree->vertices[number] = node;
    work->parents[number] = parent;
    work->edge_next[number] = tree->graph.edge_begins[node];
}

/* Depth first from one root; the way back leads over parents. */
static void search_from(varve_dominators *tree, struct work *work, uint32_t root) {
    const struct vv_graph *graph = &tree->graph;
    enter(tree, work, root, 0);
    for (uint32_t number = tree->count; number != 0;) {
        uint32_t node = tree->vertices[number];
        if (work->edge_next[number] == graph->edge_begins[node + 1]) {
            number = work->parents[number];
            continue;
        }
        uint32_t child = graph->edges[work->edge_next[number]++];
        if (tree->numbers[child] != 0) continue;
        enter(tree, work, child, number);
        number = tree->count;
    }
}

static void search(varve_dominators *tree, struct work *work) {
    for (uint32_t node = 0; node < tree->graph.node_count; node++) {
        if (tree->graph.is_root[node] && tree->numbers[node] == 0) search_from(tree, work, node);
    }
}

/* --- semidominators --- */

/* The number with the smallest semidominator on the way from `number` up to, not including, the
 * first one below `linked`. Shortens that way. */
static uint32_t best_above(struct work *work, uint32_t number, uint32_t linked) {
    uint32_t *stack = work->edge_next;
    uint32_t depth = 0;
    while (work->parents[number] >= linked) {
        stack[depth++] = number;
        number = work->parents[number];
    }
    uint32_t above = number;
    uint32_t best = work->labels[above];
    while (depth > 0) {
        number = stack[--depth];
        work->parents[number] = work->parents[above];
        if (work->semis[best] < work->semis[work->labels[number]]) {
            work->labels[number] = best;
        } else {
            best = work->labels[number];
        }
        above = number;
    }
    return best;
}

static void find_semidominators(const varve_dominators *tree, struct work *work) {
    const struct vv_graph *graph = &tree->graph;
    for (uint32_t number = 1; number <= tree->count; number++) {
        work->semis[number] = work->labels[number] = number;
    }
    for (uint32_t number = tree->count; number > 0; number--) {
        uint32_t node = tree->vertices[number];
        uint32_t semi = graph->is_root[node] ? 0 : work->parents[number];
        for (uint32_t edge = graph->back_begins[node]; edge < graph->back_begins[node + 1];
             edge++) {
            uint32_t referrer = tree->numbers[graph->back_edges[edge]];
            if (referrer == 0) continue; /* garbage */
            uint32_t candidate = work->semis[best_above(work, referrer, number + 1)];
            if (candidate < semi) semi = candidate;
        }
        work->semis[number] = semi;
    }
}

static void find_holders(varve_dominators *tree, const struct work *work) {
    for (uint32_t number = 1; number <= tree->count; number++) {
        uint32_t holder = tree->holders[number];
        while (holder > work->semis[number]) holder = tree->holders[holder];
        tree->holders[number] = holder;
    }
}

/* --- sums --- */

static void sum_up(varve_dominators *tree, bool requested) {
    for (uint32_t number = tree->count; number > 0; number--) {
        tree->bytes[number] += varve_sizeof(tree->graph.objects[tree->vertices[number]], requested);
        tree->objects[number]++;
        tree->bytes[tree->holders[number]] += tree->bytes[number];
        tree->objects[tree->holders[number]] += tree->objects[number];
    }
}

/* --- all --- */

static bool take_arrays(varve_dominators *tree, struct work *work) {
    const struct vv_graph *graph = &tree->graph;
    size_t count = (size_t)graph->node_count + 1;
    tree->numbers = vv_graph_array(graph, count);
    tree->vertices = vv_graph_array(graph, count);
    tree->holders = vv_graph_array(graph, count);
    tree->objects = vv_graph_array(graph, count);
    tree->bytes = vv_world_allocate(graph->world, count * sizeof *tree->bytes);
    work->parents = vv_graph_array(graph, count);
    work->semis = vv_graph_array(graph, count);
    work->labels = vv_graph_array(graph, count);
    work->edge_next = vv_graph_array(graph, count);
    if (tree->bytes != NULL) memset(tree->bytes, 0, count * sizeof *tree->bytes);
    return tree->numbers != NULL && tree->vertices != NULL && tree->holders != NULL &&
           tree->objects != NULL && tree->bytes != NULL && work->parents != NULL &&
           work->semis != NULL && work->labels != NULL && work->edge_next != NULL;
}

static void drop_work(const varve_dominators *tree, struct work *work) {
    void *arrays[] = {work->parents, work->semis, work->labels, work->edge_next};
    for (size_t index = 0; index < VV_ARRAY_COUNT(arrays); index++) {
        vv_world_release(tree->graph.world, arrays[index]);
    }
}

void varve_dominators_free(varve_dominators *tree) {
    if (tree == NULL) return;
    varve_world *world = tree->graph.world;
    void *arrays[] = {tree->numbers, tree->vertices, tree->holders, tree->objects, tree->bytes};
    for (size_t index = 0; index < VV_ARRAY_COUNT(arrays); index++) {
        vv_world_release(world, arrays[index]);
    }
    vv_graph_done(&tree->graph);
    vv_world_release(world, tree);
}

int varve_dominators_new(varve_world *world, bool requested, varve_dominators **out_tree) {
    varve_dominators *tree = vv_world_allocate(world, sizeof *tree);
    struct work work = {.parents = NULL};
    if (tree == NULL) return -ENOMEM;
    *tree = (varve_dominators){.count = 0};
    int result = vv_graph_init(&tree->graph, world, /* with_back_edges */ true);
    if (result == 0 && !take_arrays(tree, &work)) result = -ENOMEM;
    if (result == 0) {
        search(tree, &work);
        memcpy(tree->holders, work.parents, ((size_t)tree->count + 1) * sizeof *tree->holders);
        find_semidominators(tree, &work);
        find_holders(tree, &work);
        sum_up(tree, requested);
    }
    drop_work(tree, &work);
    if (result < 0) {
        varve_dominators_free(tree);
        return result;
    }
    *out_tree = tree;
    return 0;
}

/* --- answers --- */

/* 0: garbage. */
static uint32_t number_of(const varve_dominators *tree, const varve_object *object) {
    return tree->numbers[vv_graph_node(&tree->graph, object)];
}

int varve_dominators_retained(const varve_dominators *tree, const varve_object *object,
                              varve_deep_size *out_size) {
    uint32_t number = number_of(tree, object);
    if (number == 0) return -ENOENT;
    *out_size = (varve_deep_size){.bytes = tree->bytes[number], .objects = tree->objects[number]};
    return 0;
}

varve_object *varve_dominators_holder(const varve_dominators *tree, const varve_object *object) {
    uint32_t number = number_of(tree, object);
    uint32_t holder = number != 0 ? tree->holders[number] : 0;
    return holder != 0 ? tree->graph.objects[tree->vertices[holder]] : NULL;
}

/* Keeps the places of `out_objects` in order, most first: for the small counts that people ask for,
 * inserting is quick. */
size_t varve_dominators_largest(const varve_dominators *tree, size_t capacity,
                                varve_object **out_objects) {
    size_t count = 0;
    for (uint32_t number = 1; number <= tree->count && capacity > 0; number++) {
        varve_object *object = tree->graph.objects[tree->vertices[number]];
        size_t bytes = tree->bytes[number];
        if (count == capacity) {
            if (bytes <= tree->bytes[number_of(tree, out_objects[count - 1])]) continue;
            count--;
        }
        size_t place = count++;
        for (; place > 0 && tree->bytes[number_of(tree, out_objects[place - 1])] < bytes; place--) {
            out_objects[place] = out_objects[place - 1];
        }
        out_objects[place] = object;
    }
    return count;
}

/* --- one object --- */

static void sum_what_only_it_holds(const struct vv_graph *graph, uint32_t node, bool requested,
                                   const uint32_t *held_otherwise, uint32_t *queue,
                                   uint32_t *distances, varve_deep_size *out_size) {
    struct vv_search from_it = {.from = node, .ignored = VV_NO_NODE, .avoided = VV_NO_NODE};
    vv_graph_search(graph, &from_it, queue, distances, NULL);
    *out_size = (varve_deep_size){.bytes = 0};
    for (uint32_t other = 0; other < graph->node_count; other++) {
        if (distances[other] == VV_NO_NODE || held_otherwise[other] != VV_NO_NODE) continue;
        out_size->bytes += varve_sizeof(graph->objects[other], requested);
        out_size->objects++;
    }
}

/* What the roots do not reach without passing the object is dominated by it: two searches say so
 * without a tree. */
int varve_retained_sizeof(varve_object *object, bool requested, varve_deep_size *out_size) {
    struct vv_graph graph;
    varve_world *world = vv_world_of_live(object);
    int result = vv_graph_init(&graph, world, /* with_back_edges */ false);
    if (result < 0) return result;
    uint32_t *queue = vv_graph_array(&graph, graph.node_count);
    uint32_t *otherwise = vv_graph_array(&graph, graph.node_count);
    uint32_t *distances = vv_graph_array(&graph, graph.node_count);
    if (queue != NULL && otherwise != NULL && distances != NULL) {
        uint32_t node = vv_graph_node(&graph, object);
        struct vv_search without = {.from = VV_NO_NODE, .ignored = node, .avoided = node};
        vv_graph_search(&graph, &without, queue, otherwise, NULL);
        sum_what_only_it_holds(&graph, node, requested, otherwise, queue, distances, out_size);
    } else {
        result = -ENOMEM;
    }
    vv_world_release(world, distances);
    vv_world_release(world, otherwise);
    vv_world_release(world, queue);
    vv_graph_done(&graph);
    return result;
}
