/* SPDX-License-Identifier: MIT
 * A random program all of whose callbacks act: finalizers, deallocs, weak callbacks, equality
 * functions and the collector's callbacks make, link and drop objects, ask all questions, and step
 * the collector. The world must stay sound, and nothing may be left at its end. Uses the public
 * interface alone. */
#include "array_type.h"
#include "base/check.h"
#include "harness.h"
#include "varve/inspect.h"
#include "varve/varve.h"

#include <errno.h>
#include <string.h>

#define SLOT_COUNT 64
#define CALL_MAX_DEPTH 2
#define PROGRAM_COUNT (VARVE_AUDIT ? 40 : 200)
#define PROGRAM_LENGTH 2000

static uint64_t seed;
static varve_world *world;
static varve_object *slots[SLOT_COUNT]; /* own; NULL: empty */
static varve_object *open_class, *plain_class, *saving_class;
static varve_type *leaf_type, *key_type, *array_type;
static unsigned call_depth;
static bool memory_fails; /* now and then, in this program */
static bool ending;       /* what is saved now would be a leak */

static size_t below(size_t limit) {
    return (size_t)test_random_below(&seed, limit);
}

static bool one_in(size_t count) {
    return below(count) == 0;
}

/* A new reference, or NULL. */
static varve_object *any(void) {
    return varve_xincref(slots[below(SLOT_COUNT)]);
}

/* Takes over the reference. */
static void put(varve_object *object) {
    if (object == NULL) return;
    varve_object **slot = &slots[below(SLOT_COUNT)], *old = *slot;
    *slot = object;
    varve_xdecref(old);
}

static void say(const char *sentence, const varve_object *object, void *argument) {
    (void)object;
    (void)argument;
    test_fail(__FILE__, __LINE__, "%s", sentence);
}

static void check_world(void) {
    long problem_count = varve_world_check(world, say, NULL);
    REQUIRE(problem_count == 0 || (memory_fails && problem_count == -ENOMEM));
}

static void operate(void);

/* What every function that the world calls does. */
static void act(void) {
    if (call_depth >= CALL_MAX_DEPTH) return;
    call_depth++;
    for (size_t count = below(4); count > 0; count--) operate();
    call_depth--;
}

/* --- the types --- */

static void finalize_leaf(varve_object *self) {
    if (!ending && one_in(4)) put(varve_incref(self));
    act();
}

static void dealloc_leaf(varve_object *self) {
    (void)self;
    act();
}

static void finalize_instance(varve_object *self, void *argument) {
    (void)argument;
    finalize_leaf(self);
}

struct key {
    varve_object head;
    uint64_t number;
};

static int equal_keys(varve_object *left, varve_object *right) {
    if (one_in(16)) act();
    if (one_in(200)) return -EIO;
    return ((struct key *)(void *)left)->number == ((struct key *)(void *)right)->number;
}

static int hash_key(varve_object *self, uint64_t *out_hash) {
    *out_hash = ((struct key *)(void *)self)->number;
    return 0;
}

static void make_types(void) {
    static const char *const attributes[] = {"a", "b", NULL};
    varve_class_spec plain = {.name = "Plain", .attributes = attributes};
    varve_class_spec saving = {
        .name = "Saving", .attributes = attributes, .finalize = finalize_instance};
    plain_class = varve_class_new(world, &plain);
    saving_class = varve_class_new(world, &saving);
    open_class = varve_class_new(world, &(varve_class_spec){.name = "Open", .open = true});
    varve_type_spec leaf = {
        .name = "leaf", .basic_bytes = 24, .finalize = finalize_leaf, .dealloc = dealloc_leaf};
    varve_type_spec key = {
        .name = "key", .basic_bytes = sizeof(struct key), .equal = equal_keys, .hash = hash_key};
    varve_type_spec array = {.name = "array",
                             .basic_bytes = sizeof(struct array),
                             .item_bytes = sizeof(varve_object *),
                             .traverse = traverse_array,
                             .clear = clear_array};
    leaf_type = varve_type_new(world, &leaf);
    key_type = varve_type_new(world, &key);
    array_type = varve_type_new(world, &array);
    REQUIRE(plain_class && saving_class && open_class && leaf_type && key_type && array_type);
}

/* --- making --- */

static varve_object *new_key(void) {
    varve_object *key = varve_object_new(key_type);
    if (key != NULL) ((struct key *)(void *)key)->number = below(4);
    return key;
}

static varve_object *new_str(void) {
    static const char *const texts[] = {"a", "b", "c", "d"};
    varve_object *str = varve_str_of(world, texts[below(4)]);
    if (str == NULL || one_in(2)) return str;
    varve_object *interned = varve_str_intern(str);
    varve_decref(str);
    return interned;
}

static varve_object *new_tuple(void) {
    varve_object *items[] = {any(), any(), NULL};
    varve_object *tuple = varve_tuple_new(world, below(4), items);
    varve_xdecref(items[0]);
    varve_xdecref(items[1]);
    return tuple;
}

static void make(void) {
    switch (below(16)) {
    case 0: put(varve_list_new(world)); break;
    case 1: put(varve_dict_new(world)); break;
    case 2: put(varve_set_new(world)); break;
    case 3: put(varve_instance_new(plain_class)); break;
    case 4: put(varve_instance_new(saving_class)); break;
    case 5: put(varve_instance_new(open_class)); break;
    case 6: put(varve_object_new(leaf_type)); break;
    case 7: put(new_key()); break;
    case 8: put(varve_object_new_var(array_type, one_in(8) ? below(300) : below(10))); break;
    case 9: put(varve_weak_value_dict_new(world)); break;
    case 10: put(varve_weak_key_dict_new(world, one_in(2))); break;
    case 11: put(varve_weak_set_new(world, one_in(2))); break;
    case 12: put(varve_ephemerons_new(world)); break;
    case 13: put(new_tuple()); break;
    case 14: put(varve_int_new(world, (int64_t)below(2000))); break;
    default: put(new_str());
    }
}

/* --- linking --- */

static bool is_of(const varve_object *object, const char *type_name) {
    return strcmp(varve_type_name(varve_type_of(object)), type_name) == 0;
}

static void link_list(varve_object *list, varve_object *item) {
    size_t length = varve_list_length(list);
    switch (below(4)) {
    case 0: varve_list_append(list, item); break;
    case 1: varve_list_insert(list, below(length + 1), item); break;
    case 2: varve_list_set(list, below(length + 1), item); break;
    default: varve_list_remove(list, below(length + 1));
    }
}

static void link_array(varve_object *object, varve_object *item) {
    struct array *array = (struct array *)(void *)object;
    if (array->head.item_count == 0) return;
    varve_object **place = &array->items[below(array->head.item_count)], *old = *place;
    *place = varve_incref(item);
    varve_xdecref(old);
}

static void link_weak(varve_object *table, varve_object *key, varve_object *value) {
    bool sets = !one_in(3);
    if (is_of(table, "weak_value_dict")) {
        (void)(sets ? varve_weak_value_dict_set(table, key, value)
                    : varve_weak_value_dict_delete(table, key));
    } else if (is_of(table, "weak_key_dict")) {
        (void)(sets ? varve_weak_key_dict_set(table, key, value)
                    : varve_weak_key_dict_delete(table, key));
    } else if (is_of(table, "weak_set")) {
        (void)(sets ? varve_weak_set_add(table, key) : varve_weak_set_discard(table, key));
    } else if (is_of(table, "ephemerons")) {
        (void)(sets ? varve_ephemerons_set(table, key, value)
                    : varve_ephemerons_delete(table, key));
    }
}

static void link_objects(varve_object *holder, varve_object *key, varve_object *value) {
    static const char *const names[] = {"a", "b", "x", "y"};
    switch (varve_kind_of(holder)) {
    case VARVE_KIND_LIST: link_list(holder, value); break;
    case VARVE_KIND_TUPLE: varve_tuple_init(holder, below(3), value); break;
    case VARVE_KIND_DICT:
        (void)(one_in(3) ? varve_dict_delete(holder, key) : varve_dict_set(holder, key, value));
        break;
    case VARVE_KIND_SET:
        (void)(one_in(3) ? varve_set_discard(holder, key) : varve_set_add(holder, key));
        break;
    case VARVE_KIND_INSTANCE:
        varve_set_attribute(holder, names[below(4)], one_in(3) ? NULL : value);
        break;
    default:
        if (varve_type_of(holder) == array_type) {
            link_array(holder, value);
        } else {
            link_weak(holder, key, value);
        }
    }
}

static void link_some(void) {
    varve_object *holder = any(), *key = any(), *value = any();
    if (holder != NULL && key != NULL && value != NULL) link_objects(holder, key, value);
    varve_xdecref(holder);
    varve_xdecref(key);
    varve_xdecref(value);
}

static void drop(void) {
    varve_clear_reference(&slots[below(SLOT_COUNT)]);
}

/* --- weak references --- */

static void called(varve_object *ref, void *argument) {
    (void)argument;
    if (one_in(8)) varve_unraisable(ref, "called", EIO);
    act();
}

static void finalized(void *argument) {
    (void)argument;
    act();
}

static void refer_weakly(void) {
    varve_object *object = any(), *held = one_in(3) ? any() : NULL;
    if (object != NULL) {
        put(one_in(4) ? varve_finalize_new(object, finalized, NULL, held)
                      : varve_weakref_new(object, one_in(3) ? NULL : called, NULL, held));
    }
    varve_xdecref(object);
    varve_xdecref(held);
}

static void read_weakly(void) {
    varve_object *ref = any(), *object = NULL;
    if (ref != NULL && is_of(ref, "finalizer")) {
        (void)(one_in(2) ? varve_finalize_call(ref) : varve_finalize_detach(ref, &object, NULL));
        put(object);
    } else if (ref != NULL && varve_is_weakref(ref)) {
        put(varve_weakref_get(ref));
    } else if (ref != NULL && varve_weakref_count(ref) > 0) {
        put(varve_weakref_list(ref));
    }
    varve_xdecref(ref);
}

static bool is_weak_table(const varve_object *object) {
    return is_of(object, "weak_value_dict") || is_of(object, "weak_key_dict") ||
           is_of(object, "weak_set") || is_of(object, "ephemerons");
}

static void use_table(varve_object *table, varve_object *other) {
    varve_object *key = NULL, *value = NULL;
    switch (below(4)) {
    case 0:
        varve_weak_table_pop(table, &key, &value);
        put(key);
        put(value);
        break;
    case 1: put(varve_weak_table_copy(table)); break;
    case 2: put(varve_weak_table_refs(table)); break;
    default:
        if (is_of(table, "weak_set")) {
            varve_weak_set_update(table, (varve_set_operation)below(4), other);
        } else {
            varve_weak_dict_update(table, other);
        }
    }
}

static void use_some_table(void) {
    varve_object *table = any(), *other = any();
    if (table != NULL && other != NULL && is_weak_table(table)) use_table(table, other);
    varve_xdecref(table);
    varve_xdecref(other);
}

/* --- walking, comparing --- */

static void walk(void) {
    varve_object *object = any(), *key, *value;
    size_t position = 0;
    if (object != NULL && is_of(object, "weak_value_dict")) {
        while (varve_weak_value_dict_next(object, &position, &key, &value) > 0) {
            if (one_in(4)) act();
            varve_decref(key);
            varve_decref(value);
        }
    } else if (object != NULL) {
        while (varve_next(object, &position, &value) > 0) {
            if (one_in(4)) act();
        }
    }
    varve_xdecref(object);
}

static void compare(void) {
    varve_object *left = any(), *right = any();
    uint64_t hash;
    if (left != NULL && right != NULL) varve_equal(left, right);
    if (left != NULL) varve_hash(left, &hash);
    varve_xdecref(left);
    varve_xdecref(right);
}

/* --- questions --- */

/* Keeps one of what a list shows, now and then. */
static void keep_some(varve_object *list) {
    if (list == NULL) return;
    size_t length = varve_list_length(list);
    if (length > 0 && one_in(3)) put(varve_incref(varve_list_get(list, below(length))));
    varve_decref(list);
}

static void ask_collector(void) {
    varve_object *object = any();
    if (object != NULL) {
        keep_some(varve_gc_get_referrers(world, 1, &object));
        keep_some(varve_gc_get_referents(world, 1, &object));
    }
    keep_some(varve_gc_get_objects(world, (int)below(4) - 1));
    varve_xdecref(object);
}

static void measure(void) {
    varve_object *object = any();
    varve_deep_size size;
    varve_dominators *dominators;
    varve_type_count *counts;
    size_t count;
    if (object != NULL) {
        varve_deep_sizeof(object, NULL, &size);
        varve_retained_sizeof(object, false, &size);
        varve_xdecref(varve_path_to(object, NULL));
        varve_xdecref(varve_paths_to(object, NULL, 5));
    }
    if (varve_dominators_new(world, false, &dominators) == 0) {
        if (object != NULL) varve_dominators_retained(dominators, object, &size);
        varve_dominators_free(dominators);
    }
    if (varve_count_by_type(world, &counts, &count) == 0) varve_free(counts);
    varve_xdecref(object);
}

/* --- the collector --- */

static void collect(void) {
    switch (below(8)) {
    case 0: varve_gc_freeze(world); break;
    case 1: varve_gc_unfreeze(world); break;
    case 2: varve_gc_set_pause(world, one_in(2) ? 0 : below(100000)); break;
    case 3: varve_gc_adjust_external(world, (int64_t)below(1 << 20) - (1 << 18)); break;
    case 4: varve_gc_collect(world, (int)below(3)); break;
    case 5:
        varve_gc_set_debug(world, one_in(20) ? VARVE_GC_DEBUG_SAVEALL : 0);
        varve_list_clear(varve_gc_garbage(world));
        break;
    default: varve_gc_step(world, below(3) * 20000, NULL);
    }
}

static void collector_called(varve_world *own, varve_gc_phase phase, const varve_gc_info *info,
                             void *argument) {
    (void)own;
    (void)phase;
    (void)info;
    (void)argument;
    if (one_in(3)) act();
}

static void lose_memory(void) {
    if (memory_fails) varve_world_fail_after(world, below(8));
}

/* --- a program --- */

static void operate(void) {
    static void (*const operations[])(void) = {
        make,         make,        make,           make,        link_some, link_some,
        link_some,    link_some,   link_some,      drop,        drop,      refer_weakly,
        refer_weakly, read_weakly, use_some_table, walk,        compare,   ask_collector,
        measure,      collect,     collect,        lose_memory,
    };
    if (memory_fails && one_in(5)) varve_world_fail_never(world);
    operations[below(sizeof operations / sizeof operations[0])]();
}

static void drop_all(void) {
    for (size_t index = 0; index < SLOT_COUNT; index++) varve_clear_reference(&slots[index]);
}

static void be_silent(const char *where, varve_object *object, int error, void *argument) {
    (void)where;
    (void)object;
    (void)error;
    (void)argument;
}

/* Finalizers may save what is dropped, once for each object, so this is repeated. */
static void end_program(void) {
    varve_world_fail_never(world);
    varve_gc_set_debug(world, 0);
    varve_list_clear(varve_gc_garbage(world));
    varve_gc_unfreeze(world);
    call_depth = CALL_MAX_DEPTH; /* who is told that a class dies makes no instance of it */
    varve_decref(open_class);
    varve_decref(plain_class);
    varve_decref(saving_class);
    varve_world_counts counts;
    size_t before = SIZE_MAX;
    for (bool changes = true; changes;) {
        drop_all();
        varve_gc_collect(world, 2);
        varve_world_count(world, &counts);
        changes = counts.live_objects != before;
        before = counts.live_objects;
        for (size_t index = 0; index < SLOT_COUNT; index++) changes |= slots[index] != NULL;
    }
    check_world();
    varve_world_report_leaks(world, NULL, NULL);
    ending = true; /* finalizers at exit let go of what they hold */
    CHECK_EQ(varve_world_free(world), 0);
}

static void run_program(void) {
    world = varve_world_new();
    REQUIRE(world != NULL);
    call_depth = 0;
    ending = false;
    varve_world_on_unraisable(world, be_silent, NULL);
    make_types();
    int thresholds[] = {(int)below(20) + 1, (int)below(4) + 1, (int)below(4) + 1};
    varve_gc_set_threshold(world, thresholds);
    if (one_in(2)) varve_gc_add_callback(world, collector_called, NULL);
    if (one_in(4)) varve_gc_disable(world);
    for (int index = 0; index < PROGRAM_LENGTH; index++) {
        operate();
        if (index % 256 == 0) check_world();
    }
    end_program();
}

static void run_programs(bool with_failures) {
    memory_fails = with_failures;
    uint64_t first_seed = test_seed(1);
    for (uint64_t program = 0; program < PROGRAM_COUNT; program++) {
        seed = (first_seed + program) * 0x9e3779b97f4a7c15u | 1;
        run_program();
    }
}

TEST(a_world_stays_sound_whatever_its_callbacks_do) {
    run_programs(/* with_failures */ false);
}

TEST(a_world_stays_sound_whatever_its_callbacks_do_when_memory_fails) {
    run_programs(/* with_failures */ true);
}
