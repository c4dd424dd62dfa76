/* SPDX-License-Identifier: MIT */
#include "inspect/graph.h"

#include "object/traverse.h"

#include <errno.h>
#include <string.h>

/* --- nodes --- */

static void *zeroed(varve_world *world, size_t count, size_t element_bytes) {
    size_t byte_count = vv_max(count, 1) * element_bytes;
    void *memory = vv_world_allocate(world, byte_count);
    return memory != NULL ? memset(memory, 0, byte_count) : NULL;
}

uint32_t *vv_graph_array(const struct vv_graph *graph, size_t count) {
    return zeroed(graph->world, count, sizeof(uint32_t));
}

static int number_nodes(struct vv_graph *graph) {
    const struct vv_pool_list *pools = &graph->world->pools;
    uint64_t count = 0;
    graph->first_nodes = vv_graph_array(graph, pools->count);
    if (graph->first_nodes == NULL) return -ENOMEM;
    for (size_t index = 0; index < pools->count; index++) {
        graph->first_nodes[index] = (uint32_t)count;
        count += pools->items[index]->carved_count;
        if (count > VV_GRAPH_NODE_LIMIT) return -ENOMEM;
    }
    graph->node_count = (uint32_t)count;
    graph->objects = zeroed(graph->world, count, sizeof *graph->objects);
    graph->is_root = zeroed(graph->world, count, sizeof *graph->is_root);
    graph->edge_begins = vv_graph_array(graph, count + 1);
    return graph->objects != NULL && graph->is_root != NULL && graph->edge_begins != NULL ? 0
                                                                                          : -ENOMEM;
}

static int note_object(varve_object *object, void *argument) {
    struct vv_graph *graph = argument;
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    graph->objects[graph->first_nodes[pool->pool_index] + vv_object_index(pool, object)] = object;
    return 0;
}

/* --- edges --- */

struct building {
    struct vv_graph *graph;
    uint32_t *owners; /* references found to each node */
    size_t capacity;  /* of graph->edges */
};

static VV_NOINLINE int grow_edges(struct building *building) {
    struct vv_graph *graph = building->graph;
    size_t capacity = building->capacity == 0 ? 1024 : building->capacity * 2;
    if (graph->edge_count >= VV_GRAPH_EDGE_LIMIT) return -ENOMEM;
    uint32_t *edges =
        vv_world_reallocate(graph->world, graph->edges, capacity * sizeof *graph->edges);
    if (edges == NULL) return -ENOMEM;
    graph->edges = edges;
    building->capacity = capacity;
    return 0;
}

/* The node of what an object refers to; VV_NO_NODE: it waits for its dealloc, or the program has
 * freed it with a reference that was another's, and maybe its pool is no more. */
VV_INLINE uint32_t live_node(const struct vv_graph *graph, const varve_object *child) {
    uint32_t index;
    const struct vv_object_pool *pool = vv_object_pool_at(child, &index);
    if (vv_unlikely(pool == NULL || pool->world != graph->world)) return VV_NO_NODE;
    uint32_t node = graph->first_nodes[pool->pool_index] + index;
    return graph->objects[node] == child ? node : VV_NO_NODE;
}

VV_INLINE int add_edge(varve_object *child, void *argument) {
    struct building *building = argument;
    struct vv_graph *graph = building->graph;
    uint32_t node = live_node(graph, child);
    if (vv_unlikely(node == VV_NO_NODE)) return 0;
    if (vv_unlikely(graph->edge_count == building->capacity) && grow_edges(building) < 0) {
        return -ENOMEM;
    }
    graph->edges[graph->edge_count++] = node;
    building->owners[node]++;
    return 0;
}

static int add_edges(struct building *building) {
    struct vv_graph *graph = building->graph;
    struct varve_type *const *types = graph->world->types;
    for (uint32_t node = 0; node < graph->node_count; node++) {
        graph->edge_begins[node] = (uint32_t)graph->edge_count;
        if (graph->objects[node] == NULL) continue;
        int result = vv_traverse_inline(graph->objects[node], types, /* with_classes */ true,
                                        add_edge, building);
        if (result < 0) return result;
    }
    graph->edge_begins[graph->node_count] = (uint32_t)graph->edge_count;
    return 0;
}

static void find_roots(struct vv_graph *graph, const uint32_t *owners) {
    for (uint32_t node = 0; node < graph->node_count; node++) {
        const varve_object *object = graph->objects[node];
        graph->is_root[node] = object != NULL && object->refcount > owners[node];
    }
}

/* Sorts the edges by what they lead to, by counting. */
static int add_back_edges(struct vv_graph *graph) {
    graph->back_begins = vv_graph_array(graph, (size_t)graph->node_count + 2);
    graph->back_edges = vv_graph_array(graph, graph->edge_count);
    if (graph->back_begins == NULL || graph->back_edges == NULL) return -ENOMEM;
    uint32_t *ends = graph->back_begins + 1; /* becomes back_begins as it is filled */
    for (size_t edge = 0; edge < graph->edge_count; edge++) ends[graph->edges[edge] + 1]++;
    for (uint32_t node = 0; node < graph->node_count; node++) ends[node + 1] += ends[node];
    for (uint32_t node = 0; node < graph->node_count; node++) {
        for (uint32_t edge = graph->edge_begins[node]; edge < graph->edge_begins[node + 1];
             edge++) {
            graph->back_edges[ends[graph->edges[edge]]++] = node;
        }
    }
    return 0;
}

/* --- all --- */

int vv_graph_init(struct vv_graph *graph, varve_world *world, bool with_back_edges) {
    *graph = (struct vv_graph){.world = world};
    vv_world_assert_inside(world);
    int result = number_nodes(graph);
    struct building building = {.graph = graph};
    if (result == 0) {
        vv_world_visit_objects(world, note_object, graph);
        building.owners = vv_graph_array(graph, graph->node_count);
        result = building.owners != NULL ? add_edges(&building) : -ENOMEM;
    }
    if (result == 0) find_roots(graph, building.owners);
    vv_world_release(world, building.owners);
    if (result == 0 && with_back_edges) result = add_back_edges(graph);
    if (result < 0) vv_graph_done(graph);
    return result;
}

void vv_graph_done(struct vv_graph *graph) {
    void *arrays[] = {graph->first_nodes, graph->objects,    graph->edge_begins, graph->edges,
                      graph->back_begins, graph->back_edges, graph->is_root};
    for (size_t index = 0; index < VV_ARRAY_COUNT(arrays); index++) {
        vv_world_release(graph->world, arrays[index]);
    }
    *graph = (struct vv_graph){.world = graph->world};
}

/* --- searching --- */

static bool is_start(const struct vv_graph *graph, const struct vv_search *search, uint32_t node) {
    if (search->from != VV_NO_NODE) return node == search->from;
    return graph->is_root[node] && node != search->ignored;
}

void vv_graph_search(const struct vv_graph *graph, const struct vv_search *search, uint32_t *queue,
                     uint32_t *out_distances, uint32_t *out_parents) {
    uint32_t queued_count = 0;
    for (uint32_t node = 0; node < graph->node_count; node++) {
        bool starts = is_start(graph, search, node) && node != search->avoided;
        out_distances[node] = starts ? 0 : VV_NO_NODE;
        if (out_parents != NULL) out_parents[node] = VV_NO_NODE;
        if (starts) queue[queued_count++] = node;
    }
    for (uint32_t next = 0; next < queued_count; next++) {
        uint32_t node = queue[next];
        for (uint32_t edge = graph->edge_begins[node]; edge < graph->edge_begins[node + 1];
             edge++) {
            uint32_t child = graph->edges[edge];
            if (out_distances[child] != VV_NO_NODE || child == search->avoided) continue;
            out_distances[child] = out_distances[node] + 1;
            if (out_parents != NULL) out_parents[child] = node;
            queue[queued_count++] = child;
        }
    }
}
