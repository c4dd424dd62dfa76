/* SPDX-License-Identifier: MIT */
#include "inspect/graph.h"
#include "object/layout.h"
#include "varve/gc.h"
#include "varve/inspect.h"

#include <errno.h>

/* --- results --- */

/* A list of objects is made while no collection may free one of them. */
static bool begin_lists(varve_world *world) {
    return varve_gc_disable(world);
}

static void end_lists(varve_world *world, bool was_enabled) {
    if (was_enabled) varve_gc_enable(world);
}

static varve_object *no_result(int error) {
    errno = error;
    return NULL;
}

/* --- the shortest path --- */

struct shortest {
    struct vv_graph graph;
    uint32_t *queue;
    uint32_t *distances;
    uint32_t *parents;
};

static void reverse(struct vv_list *list) {
    for (size_t left = 0, right = list->count; left + 1 < right; left++) {
        varve_object *item = list->items[left];
        list->items[left] = list->items[--right];
        list->items[right] = item;
    }
}

/* A list of the nodes from the root to `node`. */
static varve_object *list_parents(const struct shortest *search, uint32_t node) {
    varve_object *list = varve_list_new(search->graph.world);
    for (; list != NULL && node != VV_NO_NODE; node = search->parents[node]) {
        if (varve_list_append(list, search->graph.objects[node]) < 0) {
            varve_decref(list);
            return NULL;
        }
    }
    if (list != NULL) reverse((struct vv_list *)list);
    return list;
}

static bool take_arrays(struct shortest *search) {
    size_t count = search->graph.node_count;
    search->queue = vv_graph_array(&search->graph, count);
    search->distances = vv_graph_array(&search->graph, count);
    search->parents = vv_graph_array(&search->graph, count);
    return search->queue != NULL && search->distances != NULL && search->parents != NULL;
}

static void drop_arrays(struct shortest *search) {
    vv_world_release(search->graph.world, search->queue);
    vv_world_release(search->graph.world, search->distances);
    vv_world_release(search->graph.world, search->parents);
}

/* Distances from the roots. The object asked about is one only when there is no other way to it:
 * whoever asks has a reference, too. False: there is no way to it. */
static bool search_to(struct shortest *search, uint32_t node, uint32_t from) {
    struct vv_search wanted = {.from = from, .ignored = node, .avoided = VV_NO_NODE};
    vv_graph_search(&search->graph, &wanted, search->queue, search->distances, search->parents);
    return search->distances[node] != VV_NO_NODE ||
           (from == VV_NO_NODE && search->graph.is_root[node]);
}

varve_object *varve_path_to(varve_object *object, varve_object *from) {
    struct shortest search = {.queue = NULL};
    varve_world *world = vv_world_of_live(object);
    if (vv_graph_init(&search.graph, world, /* with_back_edges */ false) < 0) {
        return no_result(ENOMEM);
    }
    varve_object *path = NULL;
    int error = ENOMEM;
    bool was_enabled = begin_lists(world);
    if (take_arrays(&search)) {
        uint32_t node = vv_graph_node(&search.graph, object);
        uint32_t from_node = from != NULL ? vv_graph_node(&search.graph, from) : VV_NO_NODE;
        if (search_to(&search, node, from_node)) {
            path = list_parents(&search, node);
        } else {
            error = ENOENT;
        }
    }
    end_lists(world, was_enabled);
    drop_arrays(&search);
    vv_graph_done(&search.graph);
    return path != NULL ? path : no_result(error);
}

/* --- many paths, shortest first ---
 *
 * A* backwards from the object: a part of a path is worth its length plus the distance of its first
 * node from the roots, which is never too much; so whole paths come out in order of length. */

#define VV_PATH_PARTS_LIMIT ((size_t)1 << 20)
#define VV_PATH_COMPARISONS_LIMIT ((size_t)1 << 26)

struct part {
    uint32_t node;
    uint32_t next; /* part behind it, towards the object; VV_NO_NODE: it is the object */
    uint32_t length;
    uint32_t worth;
    uint32_t least_distance; /* of its nodes from the roots */
};

struct many {
    struct shortest search;
    uint32_t from;
    uint32_t target;
    struct part *parts;
    size_t part_count;
    size_t part_capacity;
    uint32_t *heap; /* parts that wait, the least worth first; as many as there are parts */
    size_t heap_count;
    varve_object *paths;
    size_t found_count;
    size_t comparison_count;
};

static bool is_before(const struct many *many, uint32_t left, uint32_t right) {
    uint32_t left_worth = many->parts[left].worth;
    uint32_t right_worth = many->parts[right].worth;
    return left_worth != right_worth ? left_worth < right_worth : left < right;
}

static void heap_push(struct many *many, uint32_t part) {
    size_t place = many->heap_count++;
    for (; place > 0 && is_before(many, part, many->heap[(place - 1) / 2]);
         place = (place - 1) / 2) {
        many->heap[place] = many->heap[(place - 1) / 2];
    }
    many->heap[place] = part;
}

static uint32_t heap_pop(struct many *many) {
    uint32_t least = many->heap[0];
    uint32_t last = many->heap[--many->heap_count];
    size_t place = 0;
    for (size_t child; (child = 2 * place + 1) < many->heap_count; place = child) {
        if (child + 1 < many->heap_count &&
            is_before(many, many->heap[child + 1], many->heap[child])) {
            child++;
        }
        if (!is_before(many, many->heap[child], last)) break;
        many->heap[place] = many->heap[child];
    }
    many->heap[place] = last;
    return least;
}

static int grow_parts(struct many *many) {
    size_t capacity = many->part_capacity == 0 ? 64 : many->part_capacity * 2;
    varve_world *world = many->search.graph.world;
    struct part *parts = vv_world_reallocate(world, many->parts, capacity * sizeof *parts);
    if (parts == NULL) return -ENOMEM;
    many->parts = parts;
    uint32_t *heap = vv_world_reallocate(world, many->heap, capacity * sizeof *heap);
    if (heap == NULL) return -ENOMEM;
    many->heap = heap;
    many->part_capacity = capacity;
    return 0;
}

static int add_part(struct many *many, uint32_t node, uint32_t next) {
    if (many->part_count == many->part_capacity && grow_parts(many) < 0) return -ENOMEM;
    uint32_t length = next == VV_NO_NODE ? 0 : many->parts[next].length + 1;
    uint32_t distance = many->search.distances[node];
    many->parts[many->part_count] = (struct part){
        .node = node,
        .next = next,
        .length = length,
        .worth = length + distance,
        .least_distance = next == VV_NO_NODE || distance < many->parts[next].least_distance
                              ? distance
                              : many->parts[next].least_distance,
    };
    heap_push(many, (uint32_t)many->part_count++);
    return 0;
}

/* What is nearer to the roots than all of the part is not in it: so a chain takes linear time. */
static bool contains(struct many *many, uint32_t part, uint32_t node) {
    if (many->search.distances[node] < many->parts[part].least_distance) return false;
    for (; part != VV_NO_NODE; part = many->parts[part].next) {
        many->comparison_count++;
        if (many->parts[part].node == node) return true;
    }
    return false;
}

/* A part for each of what refers to the first node of a part; what refers to it twice counts once,
 * and back edges are in order of their nodes. */
static int extend(struct many *many, uint32_t part) {
    const struct vv_graph *graph = &many->search.graph;
    uint32_t node = many->parts[part].node;
    uint32_t previous = VV_NO_NODE;
    for (uint32_t edge = graph->back_begins[node]; edge < graph->back_begins[node + 1]; edge++) {
        uint32_t referrer = graph->back_edges[edge];
        if (referrer == previous || many->search.distances[referrer] == VV_NO_NODE ||
            contains(many, part, referrer)) {
            continue;
        }
        previous = referrer;
        if (add_part(many, referrer, part) < 0) return -ENOMEM;
    }
    return 0;
}

/* The first path when that is too long for the search, or the object alone, held by nobody but the
 * program. */
static int emit_shortest(struct many *many) {
    varve_object *path = list_parents(&many->search, many->target);
    if (path == NULL) return -ENOMEM;
    int result = varve_list_append(many->paths, path);
    varve_decref(path);
    return result;
}

static int emit(struct many *many, uint32_t part) {
    varve_object *path = varve_list_new(many->search.graph.world);
    if (path == NULL) return -ENOMEM;
    int result = 0;
    for (; part != VV_NO_NODE && result == 0; part = many->parts[part].next) {
        result = varve_list_append(path, many->search.graph.objects[many->parts[part].node]);
    }
    if (result == 0) result = varve_list_append(many->paths, path);
    varve_decref(path);
    many->found_count++;
    return result;
}

static bool begins_path(const struct many *many, uint32_t node) {
    if (many->from != VV_NO_NODE) return node == many->from;
    return many->search.graph.is_root[node] && node != many->target;
}

static int find_paths(struct many *many, size_t max_count) {
    int result = add_part(many, many->target, VV_NO_NODE);
    while (result == 0 && many->heap_count > 0 && many->found_count < max_count &&
           many->part_count < VV_PATH_PARTS_LIMIT &&
           many->comparison_count < VV_PATH_COMPARISONS_LIMIT) {
        uint32_t part = heap_pop(many);
        uint32_t node = many->parts[part].node;
        if (begins_path(many, node)) result = emit(many, part);
        if (result == 0 && node != many->from) result = extend(many, part);
    }
    bool is_empty = many->found_count == 0 && max_count > 0;
    return result == 0 && is_empty ? emit_shortest(many) : result;
}

static int search_many(struct many *many, varve_object *object, varve_object *from,
                       size_t max_count) {
    const struct vv_graph *graph = &many->search.graph;
    if (!take_arrays(&many->search)) return -ENOMEM;
    many->target = vv_graph_node(graph, object);
    many->from = from != NULL ? vv_graph_node(graph, from) : VV_NO_NODE;
    if (!search_to(&many->search, many->target, many->from)) return -ENOENT;
    many->paths = varve_list_new(graph->world);
    return many->paths != NULL ? find_paths(many, max_count) : -ENOMEM;
}

varve_object *varve_paths_to(varve_object *object, varve_object *from, size_t max_count) {
    struct many many = {.part_count = 0};
    varve_world *world = vv_world_of_live(object);
    if (vv_graph_init(&many.search.graph, world, /* with_back_edges */ true) < 0) {
        return no_result(ENOMEM);
    }
    bool was_enabled = begin_lists(world);
    int result = search_many(&many, object, from, max_count);
    if (result < 0) varve_xdecref(many.paths);
    end_lists(world, was_enabled);
    vv_world_release(world, many.parts);
    vv_world_release(world, many.heap);
    drop_arrays(&many.search);
    vv_graph_done(&many.search.graph);
    return result == 0 ? many.paths : no_result(-result);
}
