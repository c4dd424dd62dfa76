/* SPDX-License-Identifier: MIT
 * What a world leaked, in words, told while varve_world_free() tears it down: all objects are whole
 * then, weak tables too, and the first call of on_leak tells of all of them. */
#include "inspect/describe.h"
#include "inspect/graph.h"
#include "os/environment.h"
#include "varve/inspect.h"

#define VV_LEAKS_TOLD_LIMIT 20u
#define VV_LEAK_HOLDERS_LIMIT 4u
#define LINE_BYTES 512
#define STACK_BYTES 4096

struct telling {
    struct vv_graph graph;
    uint32_t leaked_count;
    uint32_t told_count;
};

static void send_bytes(const varve_world *world, const char *bytes, size_t byte_count) {
    if (world->leak_write != NULL) {
        world->leak_write(bytes, byte_count, world->leak_write_argument);
    } else {
        vv_write_all(2, bytes, byte_count);
    }
}

/* The buffer has one byte more than line_in() says, so that the line's end fits. */
static void send_line(const varve_world *world, struct vv_text *text) {
    *text->at++ = '\n';
    send_bytes(world, text->begin, (size_t)(text->at - text->begin));
}

static struct vv_text line_in(char *buffer) {
    return vv_text_in(buffer, LINE_BYTES - 1);
}

static void add_count(struct vv_text *text, uint32_t count, const char *what) {
    vv_text_add_decimal(text, count);
    vv_text_add(text, what);
    if (count != 1) vv_text_add(text, "s");
}

/* --- one object --- */

static void tell_stack(const varve_object *object) {
    static const char *const heads[] = {"  allocated at ", "  "};
    char stack[STACK_BYTES];
    const varve_world *world = vv_world_of(object);
    size_t length = varve_describe_allocation(object, stack, sizeof stack), end;
    for (size_t begin = 0; begin < length; begin = end + 1) {
        char buffer[LINE_BYTES];
        struct vv_text text = line_in(buffer);
        for (end = begin; end < length && stack[end] != '\n'; end++) continue;
        vv_text_add(&text, heads[begin > 0]);
        vv_text_add_bytes(&text, stack + begin, end - begin);
        send_line(world, &text);
    }
}

static void tell_holder(const varve_object *holder, const varve_object *object) {
    char buffer[LINE_BYTES], reference[160];
    struct vv_text text = line_in(buffer);
    vv_text_add(&text, "  held by ");
    vv_describe_address(&text, holder);
    if (varve_describe_reference(holder, object, reference, sizeof reference) > 0) {
        vv_text_add(&text, " ");
        vv_text_add(&text, reference);
    }
    send_line(vv_world_of(object), &text);
}

/* What refers to an object twice is one holder; back edges are in order of their nodes. */
static void tell_holders(const struct vv_graph *graph, uint32_t node) {
    uint32_t previous = VV_NO_NODE, holder_count = 0;
    for (uint32_t edge = graph->back_begins[node]; edge < graph->back_begins[node + 1]; edge++) {
        uint32_t holder = graph->back_edges[edge];
        if (holder == previous) continue;
        previous = holder;
        if (holder_count++ >= VV_LEAK_HOLDERS_LIMIT) continue;
        tell_holder(graph->objects[holder], graph->objects[node]);
    }
    if (holder_count <= VV_LEAK_HOLDERS_LIMIT) return;
    char buffer[LINE_BYTES];
    struct vv_text text = line_in(buffer);
    vv_text_add(&text, "  held by ");
    add_count(&text, holder_count - VV_LEAK_HOLDERS_LIMIT, " more object");
    send_line(graph->world, &text);
}

static void tell_object(const struct vv_graph *graph, uint32_t node) {
    const varve_object *object = graph->objects[node];
    uint32_t found = graph->back_begins[node + 1] - graph->back_begins[node];
    char buffer[LINE_BYTES];
    struct vv_text text = line_in(buffer);
    vv_text_add(&text, "varve: leaked ");
    vv_describe_address(&text, object);
    if (object->refcount > found) {
        vv_text_add(&text, " with ");
        add_count(&text, object->refcount - found, " reference");
        vv_text_add(&text, " that nobody gives back");
    } else {
        vv_text_add(&text, ", held by other objects only");
    }
    send_line(graph->world, &text);
    tell_stack(object);
    tell_holders(graph, node);
}

/* --- all of them --- */

static bool is_leaked(const varve_object *object) {
    return object != NULL && object->refcount < VARVE_IMMORTAL;
}

/* Those that are roots, or those that are not, as far as the limit allows. */
static void tell_some(struct telling *telling, bool roots) {
    const struct vv_graph *graph = &telling->graph;
    for (uint32_t node = 0; node < graph->node_count; node++) {
        if (!is_leaked(graph->objects[node]) || (graph->is_root[node] != 0) != roots) continue;
        telling->leaked_count++;
        if (telling->told_count == VV_LEAKS_TOLD_LIMIT) continue;
        telling->told_count++;
        tell_object(graph, node);
    }
}

static int count_leaked(varve_object *object, void *argument) {
    *(uint32_t *)argument += is_leaked(object);
    return 0;
}

static void tell_number(varve_world *world) {
    uint32_t count = 0;
    char buffer[LINE_BYTES];
    struct vv_text text = line_in(buffer);
    vv_world_visit_objects(world, count_leaked, &count);
    vv_text_add(&text, "varve: leaked ");
    add_count(&text, count, " object");
    vv_text_add(&text, ", no memory to describe them");
    send_line(world, &text);
}

static void tell_more(const struct telling *telling) {
    uint32_t more = telling->leaked_count - telling->told_count;
    if (more == 0) return;
    char buffer[LINE_BYTES];
    struct vv_text text = line_in(buffer);
    vv_text_add(&text, "varve: leaked ");
    add_count(&text, more, " more object");
    send_line(telling->graph.world, &text);
}

static void tell_all(const varve_leaked_object *leaked, void *argument) {
    (void)argument;
    varve_world *world = vv_world_of(leaked->object);
    if (world->leaks_are_told) return;
    world->leaks_are_told = true;
    struct telling telling = {.leaked_count = 0};
    if (vv_graph_init(&telling.graph, world, /* with_back_edges */ true) < 0) {
        tell_number(world);
        return;
    }
    tell_some(&telling, /* roots */ true);
    tell_some(&telling, /* roots */ false);
    tell_more(&telling);
    vv_graph_done(&telling.graph);
}

void varve_world_report_leaks(varve_world *world,
                              void (*write)(const char *text, size_t length, void *argument),
                              void *argument) {
    vv_world_assert_inside(world);
    world->leak_write = write;
    world->leak_write_argument = argument;
    varve_world_on_leak(world, tell_all, NULL);
}
