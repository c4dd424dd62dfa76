/* SPDX-License-Identifier: MIT
 * inspect/graph.h - a world's objects and references at one moment, as arrays of small numbers.
 *
 *   node of an object = first_nodes[pool_index] + index in the pool      no hashing
 *   edges[edge_begins[node] ... edge_begins[node + 1])                   what it refers to
 *   back_edges[back_begins[node] ... back_begins[node + 1])              what refers to it
 *
 * Nodes of free blocks have no object and no edges. About 20 bytes a node and 4 or 8 an edge. The
 * world must not change while there is a graph of it. */
#ifndef VV_INSPECT_GRAPH_H
#define VV_INSPECT_GRAPH_H

#include "object/world.h"

#define VV_NO_NODE UINT32_MAX
#define VV_GRAPH_NODE_LIMIT (UINT32_MAX / 2)
#define VV_GRAPH_EDGE_LIMIT ((size_t)UINT32_MAX)

struct vv_graph {
    varve_world *world;
    uint32_t *first_nodes;
    varve_object **objects; /* NULL: no live object */
    uint32_t *edge_begins;  /* node_count + 1 */
    uint32_t *edges;
    uint32_t *back_begins; /* NULL unless asked for */
    uint32_t *back_edges;
    uint8_t *is_root; /* held by the program: more owners than references were found; immortal */
    uint32_t node_count;
    size_t edge_count;
};

/* 0 or -ENOMEM, also when there are more objects or references than numbers. */
int vv_graph_init(struct vv_graph *graph, varve_world *world, bool with_back_edges);
void vv_graph_done(struct vv_graph *graph);

/* The object is live and of the world: else fatal. */
static inline uint32_t vv_graph_node(const struct vv_graph *graph, const varve_object *object) {
    vv_object_check_live(object);
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    vv_check(pool->world == graph->world, "varve: a world was asked about an object of another");
    return graph->first_nodes[pool->pool_index] + vv_object_index(pool, object);
}

/* An array of `count` numbers, zeroed, from the world's memory. NULL: no memory. */
uint32_t *vv_graph_array(const struct vv_graph *graph, size_t count);

/* Distance of each node from the roots that are not `ignored`, or from the node `from` alone
 * unless it is VV_NO_NODE; VV_NO_NODE for what cannot be reached without passing `avoided`.
 * out_parents, unless NULL, gets the node before it on a shortest way, VV_NO_NODE for a root.
 * `queue` is room for node_count numbers. */
struct vv_search {
    uint32_t from;
    uint32_t ignored;
    uint32_t avoided;
};
void vv_graph_search(const struct vv_graph *graph, const struct vv_search *search, uint32_t *queue,
                     uint32_t *out_distances, uint32_t *out_parents);

#endif
