/* SPDX-License-Identifier: MIT
 * Random operations on ephemeron tables, beside a model that is as simple as can be: references are
 * counted by looking for them, and what is reached is found by going over everything until nothing
 * changes. Tables are nodes like other objects: keys, values, parts of cycles. */
#include "weak_helper.h"

#include "varve/inspect.h"

enum { NODES = 16, SLOTS = 3, NONE = -1 };

struct node {
    bool is_alive;
    bool is_held; /* by the test */
    bool is_table;
    bool is_reached;
    int slots[SLOTS];  /* of what is no table: numbers of nodes */
    int values[NODES]; /* of a table: by key */
    varve_object *object;
    varve_object *watch; /* own; a weak reference */
};

static struct node nodes[NODES];

/* --- the model --- */

static unsigned references_to(int number) {
    unsigned count = nodes[number].is_held;
    for (int from = 0; from < NODES; from++) {
        if (!nodes[from].is_alive) continue;
        for (int slot = 0; slot < SLOTS; slot++) count += nodes[from].slots[slot] == number;
        for (int key = 0; key < NODES; key++) count += nodes[from].values[key] == number;
    }
    return count;
}

static void empty(struct node *node) {
    for (int slot = 0; slot < SLOTS; slot++) node->slots[slot] = NONE;
    for (int key = 0; key < NODES; key++) node->values[key] = NONE;
}

static unsigned entry_count(const struct node *node) {
    unsigned count = 0;
    for (int key = 0; key < NODES; key++) count += node->values[key] != NONE;
    return count;
}

/* A node goes, with its references and the entries that it is the key of. Returns how many entries
 * of tables went. */
static unsigned end_node(int number) {
    unsigned count = entry_count(&nodes[number]);
    empty(&nodes[number]);
    nodes[number].is_alive = false;
    for (int table = 0; table < NODES; table++) {
        count += nodes[table].values[number] != NONE;
        nodes[table].values[number] = NONE;
    }
    return count;
}

/* What has no references any more goes. */
static void end_unreferenced(void) {
    for (int number = 0; number < NODES; number++) {
        if (!nodes[number].is_alive || references_to(number) > 0) continue;
        end_node(number);
        number = -1; /* all over again */
    }
}

static bool is_reached_from(const struct node *from, int number) {
    bool found = false;
    for (int slot = 0; slot < SLOTS; slot++) found |= from->slots[slot] == number;
    for (int key = 0; key < NODES; key++) {
        found |= from->values[key] == number && nodes[key].is_reached;
    }
    return found;
}

static void find_reached(void) {
    bool changed = true;
    for (int number = 0; number < NODES; number++) nodes[number].is_reached = nodes[number].is_held;
    while (changed) {
        changed = false;
        for (int pair = 0; pair < NODES * NODES; pair++) {
            const struct node *from = &nodes[pair / NODES];
            struct node *to = &nodes[pair % NODES];
            if (!from->is_reached || to->is_reached) continue;
            changed |= to->is_reached = is_reached_from(from, pair % NODES);
        }
    }
}

/* What is not reached goes. Returns how many objects that are, with the weak references of entries.
 */
static long end_unreached(void) {
    long count = 0;
    find_reached();
    for (int number = 0; number < NODES; number++) {
        if (!nodes[number].is_alive || nodes[number].is_reached) continue;
        count += 1 + end_node(number);
    }
    return count;
}

/* --- both --- */

static void make(int number, bool is_table) {
    struct node *node = &nodes[number];
    varve_xdecref(node->watch);
    empty(node);
    node->is_alive = node->is_held = true;
    node->is_table = is_table;
    node->object = is_table ? varve_ephemerons_new(world) : new_plain();
    REQUIRE(node->object != NULL);
    node->watch = varve_weakref_new(node->object, NULL, NULL, NULL);
    REQUIRE(node->watch != NULL);
}

static void hold(int number, bool is_held) {
    struct node *node = &nodes[number];
    if (node->is_held == is_held) return;
    node->is_held = is_held;
    if (is_held) {
        varve_incref(node->object);
    } else {
        varve_decref(node->object);
    }
}

/* A table's entry, or a slot of another: to what is alive, or to nothing. */
static void connect(int from, int at, int to) {
    struct node *node = &nodes[from];
    varve_object *object = nodes[to].is_alive ? nodes[to].object : NULL;
    int number = object != NULL ? to : NONE;
    varve_object *holder = varve_incref(node->object); /* which may go with what it loses */
    if (!node->is_table) {
        node->slots[at % SLOTS] = number;
        set_slot(holder, (unsigned)(at % SLOTS), object);
    } else if (nodes[at].is_alive) {
        int expected = node->values[at] == NONE ? -ENOENT : 0;
        node->values[at] = number;
        if (object != NULL) {
            CHECK_EQ(varve_ephemerons_set(holder, nodes[at].object, object), 0);
        } else {
            CHECK_EQ(varve_ephemerons_delete(holder, nodes[at].object), expected);
        }
    }
    varve_decref(holder);
}

static void check_entry(const struct node *table, int key) {
    varve_object *found = NULL;
    int value = table->values[key];
    if (!nodes[key].is_alive) return;
    CHECK_EQ(varve_ephemerons_get(table->object, nodes[key].object, &found), value != NONE);
    CHECK_EQ_PTR(found, value != NONE ? nodes[value].object : NULL);
    varve_xdecref(found);
}

static void check_all(void) {
    for (int number = 0; number < NODES; number++) {
        const struct node *node = &nodes[number];
        if (node->watch == NULL) continue;
        CHECK_EQ(varve_weakref_is_alive(node->watch), node->is_alive);
        if (!node->is_alive || !node->is_table) continue;
        CHECK(vv_weak_table_check((struct vv_weak_table *)node->object) == NULL);
        CHECK_EQ(varve_ephemerons_length(node->object), entry_count(node));
        for (int key = 0; key < NODES; key++) check_entry(node, key);
    }
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
}

/* A collection that need not find everything: what is reached must live, and the model learns what
 * of the rest does. */
static void collect_some(uint64_t kind) {
    if (kind < 2) {
        varve_gc_collect(world, (int)kind);
    } else {
        CHECK_EQ(varve_gc_step(world, 1, NULL), 0);
    }
    find_reached();
    for (int number = 0; number < NODES; number++) {
        if (!nodes[number].is_alive || varve_weakref_is_alive(nodes[number].watch)) continue;
        CHECK(!nodes[number].is_reached);
        end_node(number);
    }
}

static void step(uint64_t *seed) {
    int from = (int)test_random_below(seed, NODES), at = (int)test_random_below(seed, NODES);
    int to = (int)test_random_below(seed, NODES);
    uint64_t kind = test_random_below(seed, 40);
    if (kind == 0) {
        CHECK_EQ(varve_gc_collect(world, 2), end_unreached());
    } else if (kind < 4) {
        collect_some(kind - 1);
    } else if (!nodes[from].is_alive) {
        make(from, at % 3 == 0);
    } else if (kind < 16) {
        hold(from, kind == 4);
    } else {
        connect(from, at, to);
    }
    end_unreferenced();
    check_all();
}

static void end_all(void) {
    for (int number = 0; number < NODES; number++) {
        if (nodes[number].is_alive) hold(number, false);
        end_unreferenced();
    }
    varve_gc_collect(world, 2);
    for (int number = 0; number < NODES; number++) {
        if (nodes[number].watch == NULL) continue;
        CHECK(!varve_weakref_is_alive(nodes[number].watch));
        varve_clear_reference(&nodes[number].watch);
        nodes[number] = (struct node){.is_alive = false};
    }
}

TEST_SLOW(random_operations_on_ephemerons_agree_with_a_model, 400) {
    uint64_t seed = test_seed(17);
    for (int round = 0; round < (VARVE_AUDIT || VARVE_GC_STRESS ? 100 : 1000); round++) {
        begin();
        varve_gc_disable(world);
        for (int number = 0; number < NODES; number++) empty(&nodes[number]);
        for (int count = 0; count < 300; count++) step(&seed);
        end_all();
        end();
    }
}
