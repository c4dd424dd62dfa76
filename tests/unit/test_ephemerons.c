/* SPDX-License-Identifier: MIT
 * Ephemeron tables, which CPython has not. */
#include "varve/inspect.h"
#include "weak_helper.h"

static varve_object *new_table(void) {
    varve_object *table = varve_ephemerons_new(world);
    REQUIRE(table != NULL);
    return table;
}

static void check_table(varve_object *table, size_t length) {
    CHECK(vv_weak_table_check((struct vv_weak_table *)table) == NULL);
    CHECK_EQ(varve_ephemerons_length(table), length);
}

TEST(keys_are_compared_by_identity_and_values_are_kept_with_them) {
    begin();
    varve_object *table = new_table(), *key = new_object(1), *equal = new_object(1), *got;
    varve_object *value = new_plain();
    CHECK_EQ(varve_ephemerons_set(table, key, value), 0);
    CHECK_EQ(varve_ephemerons_get(table, equal, &got), 0);
    CHECK_EQ(varve_ephemerons_get(table, key, &got), 1);
    CHECK_EQ_PTR(got, value);
    varve_decref(got);
    varve_decref(value);
    varve_gc_collect(world, 2);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_ephemerons_get(table, key, &got), 1);
    varve_decref(got);
    CHECK_EQ(varve_ephemerons_delete(table, equal), -ENOENT);
    CHECK_EQ(varve_ephemerons_delete(table, key), 0);
    check_table(table, 0);
    varve_decref(equal);
    varve_decref(key);
    varve_decref(table);
    end();
}

TEST(an_entry_goes_with_its_key) {
    begin();
    varve_object *table = new_table(), *key = new_plain(), *value = new_plain();
    varve_object *watch = varve_weakref_new(value, count_call, NULL, NULL);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    CHECK_EQ(called_count, 0);
    varve_decref(key);
    CHECK_EQ(called_count, 1);
    check_table(table, 0);
    varve_decref(watch);
    varve_decref(table);
    end();
}

/* value -> key, and nothing else refers to the key. */
TEST(a_value_that_refers_to_its_key_does_not_keep_it_alive) {
    begin();
    varve_object *table = new_table(), *key = new_plain(), *value = new_plain();
    varve_object *watch = varve_weakref_new(value, count_call, NULL, NULL);
    set_slot(value, 0, key);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_gc_collect(world, 2);
    check_table(table, 1); /* the test refers to the key */
    CHECK_EQ(called_count, 0);
    varve_decref(key);
    CHECK_EQ(called_count, 0);
    CHECK_GT(varve_gc_collect(world, 2), 0);
    CHECK_EQ(called_count, 1);
    check_table(table, 0);
    varve_decref(watch);
    varve_decref(table);
    end();
}

/* Garbage goes by the callback of the table's weak reference, which counts, too. */
TEST(what_a_table_held_for_a_garbage_key_counts_as_collected) {
    for (int in_cycle = 0; in_cycle < 2; in_cycle++) {
        begin();
        varve_gc_disable(world);
        varve_object *table = new_table(), *key = in_cycle ? new_cycle() : new_plain();
        varve_object *value = new_plain();
        set_slot(value, 0, key);
        varve_ephemerons_set(table, key, value);
        varve_decref(value);
        varve_decref(key);
        CHECK_EQ(varve_gc_collect(world, 2), 3);
        varve_gc_stats stats[VARVE_GC_GENERATIONS];
        varve_gc_get_stats(world, stats);
        CHECK_EQ(stats[2].collected, 3);
        varve_decref(table);
        end();
    }
}

TEST(young_entries_of_an_old_table_wait_for_its_generation) {
    begin();
    varve_object *table = new_table();
    varve_gc_collect(world, 2);
    varve_object *key = new_plain(), *value = new_plain();
    set_slot(value, 0, key);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_decref(key);
    varve_gc_collect(world, 0);
    check_table(table, 1);
    varve_gc_collect(world, 2);
    check_table(table, 0);
    varve_decref(table);
    end();
}

TEST(a_key_that_is_never_watched_keeps_its_entry) {
    begin();
    varve_type_spec spec = {.name = "leaf", .basic_bytes = sizeof(varve_object)};
    varve_type *leaf_type = varve_type_new(world, &spec);
    varve_object *table = new_table(), *key = varve_object_new(leaf_type), *value = new_plain();
    set_slot(value, 0, key);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_decref(key);
    varve_gc_collect(world, 2);
    check_table(table, 1);
    varve_ephemerons_clear(table);
    check_table(table, 0);
    varve_decref(table);
    end();
}

/* Each value refers to the next key, as far as `kept`. The entries are made in an order that the
 * collector's walk does not like. */
static void check_chain(int count, bool backwards, bool many_tables) {
    begin();
    varve_gc_disable(world);
    varve_object *tables = varve_list_new(world), *keys = varve_list_new(world);
    for (int index = 0; index <= count; index++) {
        varve_object *key = new_plain();
        varve_list_append(keys, key);
        varve_decref(key);
    }
    varve_object *table = NULL;
    for (int index = 0; index < count; index++) {
        if (table == NULL || many_tables) {
            table = new_table();
            varve_list_append(tables, table);
            varve_decref(table);
        }
        size_t place = (size_t)(backwards ? count - 1 - index : index);
        varve_object *value = new_plain();
        set_slot(value, 0, varve_list_get(keys, place + 1));
        set_slot(value, 1, varve_list_get(keys, place)); /* and to its own key */
        varve_ephemerons_set(table, varve_list_get(keys, place), value);
        varve_decref(value);
    }
    varve_object *first = varve_incref(varve_list_get(keys, 0));
    varve_decref(keys);
    size_t before = live_count();
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    CHECK_EQ(live_count(), before);
    varve_decref(first);
    varve_gc_collect(world, 2);
    for (size_t index = 0; index < varve_list_length(tables); index++) {
        check_table(varve_list_get(tables, index), 0);
    }
    varve_decref(tables);
    end();
}

TEST(chains_of_entries_are_followed) {
    for (int backwards = 0; backwards < 2; backwards++) check_chain(100, backwards, false);
}

TEST(chains_through_many_tables_are_followed) {
    for (int backwards = 0; backwards < 2; backwards++) check_chain(100, backwards, true);
}

/* Minutes, if every link took a walk over the table or the heap. */
TEST_SLOW(long_chains_take_linear_time, 400) {
    for (int backwards = 0; backwards < 2; backwards++) {
        check_chain(VARVE_AUDIT ? 20000 : 200000, backwards, false);
    }
}

/* Nothing leads to the inner table but a value of the outer one, so it is reached last. */
TEST(a_table_that_is_a_key_keeps_its_value) {
    begin();
    varve_object *outer = new_table(), *inner = new_table(), *key = new_plain(), *got;
    varve_object *value = new_plain();
    varve_object *watch = varve_weakref_new(value, NULL, NULL, NULL);
    CHECK_EQ(varve_ephemerons_set(outer, inner, value), 0);
    CHECK_EQ(varve_ephemerons_set(outer, key, inner), 0);
    varve_decref(value);
    varve_decref(inner);
    CHECK_EQ(varve_gc_collect(world, 2), 0);
    CHECK(varve_weakref_is_alive(watch));
    REQUIRE(varve_ephemerons_get(outer, inner, &got) == 1);
    varve_decref(got);
    check_table(outer, 2);
    varve_decref(key);
    CHECK(!varve_weakref_is_alive(watch));
    varve_decref(watch);
    varve_decref(outer);
    end();
}

TEST(a_table_that_is_garbage_goes_with_its_entries) {
    begin();
    varve_object *table = new_table(), *key = new_cycle(), *value = new_plain();
    set_slot(value, 0, table);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_decref(table);
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_weakref_count(key), 0);
    varve_decref(key);
    varve_gc_collect(world, 2);
    end();
}

static varve_object *saved;

static void save(struct thing *self) {
    saved = varve_incref(&self->head);
}

TEST(a_key_that_a_finalizer_saves_has_lost_its_entry) {
    begin();
    varve_object *table = new_table(), *key = new_cycle(), *value = new_plain(), *got;
    ((struct thing *)key)->finalize = save;
    set_slot(value, 0, key);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_decref(key);
    varve_gc_collect(world, 2);
    CHECK_EQ_PTR(saved, key);
    CHECK_EQ(varve_ephemerons_get(table, key, &got), 0);
    check_table(table, 0);
    varve_decref(saved);
    varve_gc_collect(world, 2);
    varve_decref(table);
    end();
}

static void note_finalized(struct thing *self) {
    note(self->slots[0] != NULL ? "whole" : "cleared");
}

TEST(values_are_whole_when_their_finalizers_run) {
    begin();
    varve_object *table = new_table(), *key = new_plain(), *value = new_plain();
    ((struct thing *)value)->finalize = note_finalized;
    set_slot(value, 0, key);
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_decref(key);
    varve_gc_collect(world, 2);
    CHECK_EQ_STR(events, "whole");
    varve_decref(table);
    end();
}

/* Random graphs: an entry stays if and only if its key is reached from the roots, where a value
 * counts only with its key. */
enum { NODES = 40, ENTRIES = 30 };

struct graph {
    varve_object *nodes[NODES]; /* borrowed once the roots are chosen */
    int edges[NODES][2];        /* -1: none */
    int keys[ENTRIES], values[ENTRIES];
    bool is_root[NODES], reached[NODES];
};

static void reach_all(struct graph *graph) {
    for (bool changed = true; changed;) {
        changed = false;
        for (int node = 0; node < NODES; node++) {
            bool reached = graph->is_root[node];
            for (int from = 0; from < NODES; from++) {
                if (!graph->reached[from]) continue;
                reached |= graph->edges[from][0] == node || graph->edges[from][1] == node;
            }
            for (int entry = 0; entry < ENTRIES; entry++) {
                reached |= graph->values[entry] == node && graph->keys[entry] >= 0 &&
                           graph->reached[graph->keys[entry]];
            }
            changed |= reached && !graph->reached[node];
            graph->reached[node] |= reached;
        }
    }
}

/* A whole collection, in steps or at once. */
static void collect_all(bool in_steps) {
    if (!in_steps) {
        varve_gc_collect(world, 2);
        return;
    }
    varve_gc_progress progress = {.done = false};
    for (int step = 0; !progress.done; step++) {
        REQUIRE(step < 100000);
        REQUIRE(varve_gc_step(world, /* budget_ns */ 1000, &progress) == 0);
    }
}

/* value -> inner table, which is the value's key in the outer one. */
TEST(garbage_tables_that_are_keys_go_in_steps_and_at_once) {
    for (int in_steps = 0; in_steps < 2; in_steps++) {
        begin();
        varve_object *outer = new_table(), *inner = new_table(), *value = new_plain();
        set_slot(value, 0, inner);
        CHECK_EQ(varve_ephemerons_set(outer, inner, value), 0);
        varve_gc_collect(world, 2);
        varve_decref(inner);
        varve_decref(value);
        for (int round = 0; round < 8; round++) collect_all(in_steps != 0);
        check_table(outer, 0);
        varve_decref(outer);
        end();
    }
}

static void check_random_graph(uint64_t *seed, bool in_steps) {
    struct graph graph = {.is_root = {false}};
    varve_object *tables[2] = {new_table(), new_table()}, *refs[NODES];
    for (int node = 0; node < NODES; node++) {
        graph.nodes[node] = new_plain();
        refs[node] = varve_weakref_new(graph.nodes[node], NULL, NULL, NULL);
        graph.is_root[node] = test_random_below(seed, 8) == 0;
    }
    for (int node = 0; node < NODES; node++) {
        for (unsigned edge = 0; edge < 2; edge++) {
            int to = (int)test_random_below(seed, NODES * 3);
            graph.edges[node][edge] = to < NODES ? to : -1;
            if (to < NODES) set_slot(graph.nodes[node], edge, graph.nodes[to]);
        }
    }
    for (int entry = 0; entry < ENTRIES; entry++) {
        int key = (int)test_random_below(seed, NODES);
        for (int other = 0; other < entry; other++) {
            if (graph.keys[other] == key) key = -1;
        }
        graph.keys[entry] = key;
        graph.values[entry] = key >= 0 ? (int)test_random_below(seed, NODES) : -1;
        if (key < 0) continue;
        varve_ephemerons_set(tables[entry % 2], graph.nodes[key], graph.nodes[graph.values[entry]]);
    }
    reach_all(&graph);
    if (in_steps) varve_gc_collect(world, 2); /* steps are for what is old */
    for (int node = 0; node < NODES; node++) {
        if (!graph.is_root[node]) varve_decref(graph.nodes[node]);
    }
    /* what is held for a key in another component may need a second collection in steps */
    for (int round = 0; round < (in_steps ? 8 : 1); round++) collect_all(in_steps);
    for (int node = 0; node < NODES; node++) {
        CHECK_EQ(varve_weakref_is_alive(refs[node]), graph.reached[node]);
        varve_decref(refs[node]);
    }
    varve_decref(tables[0]);
    varve_decref(tables[1]);
    for (int node = 0; node < NODES; node++) {
        if (graph.is_root[node]) varve_decref(graph.nodes[node]);
    }
}

TEST(random_graphs_keep_exactly_what_is_reached) {
    begin();
    uint64_t seed = test_seed(11);
    for (int round = 0; round < 500; round++) check_random_graph(&seed, false);
    varve_gc_collect(world, 2);
    end();
}

TEST(random_graphs_collected_in_steps_keep_exactly_what_is_reached) {
    begin();
    uint64_t seed = test_seed(13);
    for (int round = 0; round < 100; round++) check_random_graph(&seed, true);
    varve_gc_collect(world, 2);
    end();
}

static varve_object *subject, *new_key, *result;

static int set_entry(void) {
    return varve_ephemerons_set(subject, new_key, new_key);
}

static int make_table(void) {
    result = varve_ephemerons_new(world);
    return result != NULL ? 0 : -errno;
}

static void check_subject(void) {
    check_table(subject, varve_weakref_count(new_key));
}

static void undo(void) {
    if (result != NULL) varve_clear_reference(&result);
    varve_ephemerons_delete(subject, new_key);
}

TEST(every_failure_of_memory_leaves_ephemerons_as_they_were) {
    begin();
    subject = new_table();
    new_key = new_plain();
    for (int round = 0; round < 20; round++) fail_everywhere(set_entry, check_subject, undo);
    fail_everywhere(make_table, check_subject, undo);
    CHECK_EQ(varve_refcount(new_key), 1);
    varve_decref(new_key);
    varve_decref(subject);
    end();
}

TEST_ABORTS(what_is_no_ephemeron_table_is_named,
            "varve: an object that is no ephemeron table was used as one") {
    begin();
    varve_ephemerons_clear(varve_weak_key_dict_new(world, true));
}

/* The key is found to live after its table's entries were looked at, or before. */
static void check_table_as_key(int distance, bool key_is_older, bool in_steps) {
    begin();
    varve_object *first = new_table(), *second = new_table(), *got;
    varve_object *table = key_is_older ? second : first, *key = key_is_older ? first : second;
    varve_object *value = new_plain();
    CHECK_EQ(varve_ephemerons_set(table, key, value), 0);
    CHECK_EQ(varve_ephemerons_set(key, value, value), 0);
    varve_decref(value);
    varve_object *holder = key;
    for (int index = 0; index < distance; index++) {
        varve_object *next = varve_list_new(world);
        varve_list_append(next, holder);
        varve_decref(holder);
        holder = next;
    }
    for (int round = 0; round < 3; round++) {
        varve_gc_progress progress = {.done = false};
        if (!in_steps) varve_gc_collect(world, round);
        while (in_steps && !progress.done) REQUIRE(varve_gc_step(world, 1, &progress) == 0);
        CHECK_EQ(varve_ephemerons_get(table, key, &got), 1);
        CHECK_EQ(varve_refcount(got), 3); /* got, and in both tables */
        varve_decref(got);
        check_table(table, 1);
        check_table(key, 1);
    }
    varve_decref(holder);
    if (distance == 0) varve_gc_collect(world, 2);
    check_table(table, 0);
    varve_decref(table);
    end();
}

TEST(a_table_may_be_a_key) {
    for (int distance = 0; distance < 40; distance++) {
        for (int way = 0; way < 4; way++) {
            check_table_as_key(distance, (way & 1) != 0, (way & 2) != 0);
        }
    }
}

static void collect_when_called(varve_object *ref, void *argument) {
    (void)ref;
    varve_object *table = argument;
    varve_gc_collect(world, 2);
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
    CHECK(vv_weak_table_check((struct vv_weak_table *)table) == NULL);
}

/* The newer weak reference's callback comes first, when the key is dead and the entry still there.
 */
TEST(a_collection_between_a_keys_death_and_its_entrys_end_leaves_the_value_alone) {
    begin();
    varve_object *table = new_table(), *key = new_plain(), *value = varve_list_new(world);
    varve_list_append(value, value); /* only a collection could free it too early */
    varve_ephemerons_set(table, key, value);
    varve_decref(value);
    varve_object *ref = varve_weakref_new(key, collect_when_called, table, NULL);
    varve_decref(key);
    check_table(table, 0);
    CHECK_EQ(varve_gc_collect(world, 2), 1);
    varve_decref(ref);
    varve_decref(table);
    end();
}
