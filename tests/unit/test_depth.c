/* SPDX-License-Identifier: MIT
 * Chains of objects, each of which holds the next, on a stack of 64 KiB. */
#include "harness.h"
#include "varve/gc.h"
#include "varve/weakref.h"

#include <pthread.h>

#if VARVE_GC_STRESS
#define DEEP_COUNT 3000
#elif VARVE_AUDIT || defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define DEEP_COUNT 100000
#else
#define DEEP_COUNT 1000000
#endif
#define DEEPEST_COUNT (DEEP_COUNT * (VARVE_THOROUGH ? 10 : 1))

/* Every test is a process. */
static varve_world *world;
static varve_type *node_type;
static varve_object *plain_class;
static varve_object *ending_class; /* with a finalizer */
static varve_object *refs;         /* a list */
static int finalizer_count, callback_count;

/* A type of the program's, which ends what it owns in its dealloc function. */
struct node {
    varve_object head;
    varve_object *next;
};

static int node_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct node *node = (struct node *)self;
    return node->next != NULL ? visit(node->next, argument) : 0;
}

static void node_clear(varve_object *self) {
    varve_clear_reference(&((struct node *)self)->next);
}

static void node_dealloc(varve_object *self) {
    varve_xdecref(((struct node *)self)->next);
}

static void count_finalizer(varve_object *self, void *argument) {
    (void)self;
    ++*(int *)argument;
}

static void count_callback(varve_object *ref, void *argument) {
    (void)ref;
    ++*(int *)argument;
}

static void begin(void) {
    static const char *const attributes[] = {"next", NULL};
    world = varve_world_new();
    REQUIRE(world != NULL);
    node_type = varve_type_new(world, &(varve_type_spec){.name = "node",
                                                         .basic_bytes = sizeof(struct node),
                                                         .traverse = node_traverse,
                                                         .clear = node_clear,
                                                         .dealloc = node_dealloc});
    varve_class_spec spec = {.name = "Plain", .attributes = attributes};
    plain_class = varve_class_new(world, &spec);
    spec = (varve_class_spec){.name = "Ending",
                              .attributes = attributes,
                              .finalize = count_finalizer,
                              .argument = &finalizer_count};
    ending_class = varve_class_new(world, &spec);
    refs = varve_list_new(world);
    REQUIRE(node_type != NULL && plain_class != NULL && ending_class != NULL && refs != NULL);
}

static void end(void) {
    varve_decref(plain_class);
    varve_decref(ending_class);
    varve_decref(refs);
    CHECK_EQ(varve_world_free(world), 0);
}

/* --- links: a new object that holds `next` --- */

static varve_object *new_list(varve_object *next) {
    varve_object *list = varve_list_new(world);
    CHECK_EQ(varve_list_append(list, next), 0);
    return list;
}

static varve_object *new_tuple(varve_object *next) {
    return varve_tuple_new(world, 1, &next);
}

static varve_object *new_dict(varve_object *next) {
    varve_object *dict = varve_dict_new(world);
    CHECK_EQ(varve_dict_set(dict, varve_none(world), next), 0);
    return dict;
}

static varve_object *new_instance(varve_object *next) {
    varve_object *instance = varve_instance_new(plain_class);
    varve_instance_set(instance, 0, next);
    return instance;
}

static varve_object *new_node(varve_object *next) {
    varve_object *node = varve_object_new(node_type);
    ((struct node *)node)->next = varve_incref(next);
    return node;
}

static varve_object *new_ending(varve_object *next) {
    varve_object *instance = varve_instance_new(ending_class);
    varve_instance_set(instance, 0, next);
    return instance;
}

/* Somebody hears of its death, too. */
static varve_object *new_watched(varve_object *next) {
    varve_object *instance = new_instance(next);
    varve_object *ref = varve_weakref_new(instance, count_callback, &callback_count, NULL);
    CHECK_EQ(varve_list_append(refs, ref), 0);
    varve_decref(ref);
    return instance;
}

/* A weak reference that holds what it refers to. */
static varve_object *new_holder(varve_object *next) {
    return varve_weakref_new(next, count_callback, &callback_count, next);
}

/* --- chains --- */

struct chain {
    varve_object *(*new_link)(varve_object *next);
    int count;
};

/* Takes over the reference to the end. */
static varve_object *make_chain(const struct chain *chain, varve_object *last) {
    for (int index = 0; index < chain->count; index++) {
        varve_object *link = chain->new_link(last);
        REQUIRE(link != NULL);
        varve_decref(last);
        last = link;
    }
    return last;
}

/* One chain goes by its count, another, whose end holds its beginning, by a collection. */
static void *end_chains(void *argument) {
    const struct chain *chain = argument;
    begin();
    varve_decref(make_chain(chain, varve_list_new(world)));
    varve_list_clear(refs);
    varve_gc_disable(world);
    varve_object *last = varve_list_new(world);
    varve_object *first = make_chain(chain, varve_incref(last));
    varve_list_append(last, first);
    varve_decref(last);
    varve_decref(first);
    CHECK_EQ(varve_gc_collect(world, 2), chain->count + 1);
    end();
    return NULL;
}

static void end_on_a_small_stack(varve_object *(*new_link)(varve_object *next), int count) {
    struct chain chain = {new_link, count};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstacksize(&attributes, 65536) == 0);
    REQUIRE(pthread_create(&thread, &attributes, end_chains, &chain) == 0);
    pthread_join(thread, NULL);
}

TEST(chains_of_lists_end_on_a_small_stack) {
    end_on_a_small_stack(new_list, DEEP_COUNT);
}

TEST(chains_of_tuples_end_on_a_small_stack) {
    end_on_a_small_stack(new_tuple, DEEPEST_COUNT);
}

TEST(chains_of_dicts_end_on_a_small_stack) {
    end_on_a_small_stack(new_dict, DEEP_COUNT);
}

TEST(chains_of_instances_end_on_a_small_stack) {
    end_on_a_small_stack(new_instance, DEEP_COUNT);
}

TEST(chains_of_a_type_of_the_program_end_on_a_small_stack) {
    end_on_a_small_stack(new_node, DEEP_COUNT);
}

TEST(chains_of_objects_with_finalizers_end_on_a_small_stack) {
    end_on_a_small_stack(new_ending, DEEP_COUNT);
    CHECK_EQ(finalizer_count, 2 * DEEP_COUNT);
}

TEST(chains_of_objects_with_callbacks_end_on_a_small_stack) {
    end_on_a_small_stack(new_watched, DEEP_COUNT);
    CHECK_EQ(callback_count, 2 * DEEP_COUNT);
}

TEST(chains_of_weak_references_end_on_a_small_stack) {
    end_on_a_small_stack(new_holder, DEEP_COUNT);
    CHECK_EQ(callback_count, 0);
}
