/* SPDX-License-Identifier: MIT
 * The holders of an object as a picture: breadth first from the object towards the roots. */
#include "inspect/describe.h"
#include "inspect/graph.h"
#include "varve/inspect.h"

#include <errno.h>

struct picture {
    struct vv_graph graph;
    uint32_t *queue;
    uint32_t *distances; /* edges to the object; VV_NO_NODE: not in the picture */
    uint32_t count;
    void (*write)(const char *text, size_t length, void *argument);
    void *argument;
};

/* --- what is in it --- */

/* Returns whether there are holders that did not fit. */
static bool find_holders(struct picture *picture, uint32_t target, unsigned depth,
                         size_t max_objects) {
    const struct vv_graph *graph = &picture->graph;
    bool is_cut = false;
    for (uint32_t node = 0; node < graph->node_count; node++) picture->distances[node] = VV_NO_NODE;
    picture->distances[target] = 0;
    picture->queue[picture->count++] = target;
    for (uint32_t next = 0; next < picture->count; next++) {
        uint32_t node = picture->queue[next];
        for (uint32_t edge = graph->back_begins[node]; edge < graph->back_begins[node + 1];
             edge++) {
            uint32_t holder = graph->back_edges[edge];
            if (picture->distances[holder] != VV_NO_NODE) continue;
            if (picture->distances[node] >= depth || picture->count >= max_objects) {
                is_cut = true;
                continue;
            }
            picture->distances[holder] = picture->distances[node] + 1;
            picture->queue[picture->count++] = holder;
        }
    }
    return is_cut;
}

/* --- text --- */

static void send(const struct picture *picture, struct vv_text *text) {
    vv_text_end(text);
    picture->write(text->begin, (size_t)(text->at - text->begin), picture->argument);
}

static void send_line(const struct picture *picture, const char *line) {
    char buffer[160];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, line);
    send(picture, &text);
}

/* With what Graphviz wants escaped in a string. */
static void add_escaped(struct vv_text *text, const struct vv_text *label) {
    for (const char *at = label->begin; at < label->at; at++) {
        if (*at == '"' || *at == '\\') vv_text_add(text, "\\");
        vv_text_add_bytes(text, at, 1);
    }
}

static void add_node_name(struct vv_text *text, uint32_t index) {
    vv_text_add(text, "o");
    vv_text_add_decimal(text, index);
}

static void send_node(const struct picture *picture, uint32_t index) {
    char buffer[1024], name[256];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    struct vv_text label = vv_text_in(name, sizeof name);
    uint32_t node = picture->queue[index];
    const varve_object *object = picture->graph.objects[node];
    vv_describe_object(&label, object);
    vv_text_add(&text, "  ");
    add_node_name(&text, index);
    vv_text_add(&text, " [label=\"");
    add_escaped(&text, &label);
    vv_text_add(&text, "\\n");
    vv_text_add_size(&text, varve_sizeof(object, /* requested */ false));
    vv_text_add(&text, "\"");
    if (index == 0) {
        vv_text_add(&text, ", style=filled, fillcolor=\"#ffd080\"");
    } else if (picture->graph.is_root[node]) {
        vv_text_add(&text, ", style=filled, fillcolor=\"#a0c8ff\"");
    }
    vv_text_add(&text, "];\n");
    send(picture, &text);
}

/* The references to one object, each holder once. `places` has each node's index in the queue. */
static void send_edges(const struct picture *picture, const uint32_t *places, uint32_t index) {
    const struct vv_graph *graph = &picture->graph;
    uint32_t node = picture->queue[index];
    uint32_t previous = VV_NO_NODE;
    for (uint32_t edge = graph->back_begins[node]; edge < graph->back_begins[node + 1]; edge++) {
        char buffer[512], name[160];
        struct vv_text text = vv_text_in(buffer, sizeof buffer);
        struct vv_text label = vv_text_in(name, sizeof name);
        uint32_t holder = graph->back_edges[edge];
        if (picture->distances[holder] == VV_NO_NODE || holder == previous) continue;
        previous = holder;
        vv_describe_reference(&label, graph->objects[holder], graph->objects[node]);
        vv_text_add(&text, "  ");
        add_node_name(&text, places[holder]);
        vv_text_add(&text, " -> ");
        add_node_name(&text, index);
        if (label.at > label.begin) {
            vv_text_add(&text, " [label=\"");
            add_escaped(&text, &label);
            vv_text_add(&text, "\"]");
        }
        vv_text_add(&text, ";\n");
        send(picture, &text);
    }
}

static void send_all(const struct picture *picture, uint32_t *places, bool is_cut) {
    send_line(picture, "digraph holders {\n  node [shape=box, fontname=\"sans-serif\"];\n"
                       "  edge [fontname=\"sans-serif\", fontsize=10];\n");
    for (uint32_t index = 0; index < picture->count; index++) {
        places[picture->queue[index]] = index;
        send_node(picture, index);
    }
    for (uint32_t index = 0; index < picture->count; index++) send_edges(picture, places, index);
    if (is_cut) send_line(picture, "  more [label=\"further holders\", shape=plaintext];\n");
    send_line(picture, "}\n");
}

int varve_write_holders(varve_object *object, unsigned depth, size_t max_objects,
                        void (*write)(const char *text, size_t length, void *argument),
                        void *argument) {
    struct picture picture = {.write = write, .argument = argument};
    varve_world *world = vv_world_of_live(object);
    int result = vv_graph_init(&picture.graph, world, /* with_back_edges */ true);
    if (result < 0) return result;
    picture.queue = vv_graph_array(&picture.graph, picture.graph.node_count);
    picture.distances = vv_graph_array(&picture.graph, picture.graph.node_count);
    uint32_t *places = vv_graph_array(&picture.graph, picture.graph.node_count);
    if (picture.queue != NULL && picture.distances != NULL && places != NULL) {
        uint32_t target = vv_graph_node(&picture.graph, object);
        bool is_cut = find_holders(&picture, target, depth, vv_max(max_objects, 1));
        send_all(&picture, places, is_cut);
    } else {
        result = -ENOMEM;
    }
    vv_world_release(world, places);
    vv_world_release(world, picture.distances);
    vv_world_release(world, picture.queue);
    vv_graph_done(&picture.graph);
    return result;
}
