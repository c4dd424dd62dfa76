/* SPDX-License-Identifier: MIT
 * Calls without memory: each public function that needs some fails cleanly at every request that it
 * makes, but for those that have such a test beside their other tests. */
#include "weak_helper.h"

#include "os/pages.h"
#include "varve/heap.h"
#include "varve/inspect.h"

#include <sys/wait.h>
#include <unistd.h>

/* Blocks of the heap are back, too, when a test ends. */
static size_t blocks_before;

static size_t heap_blocks(void) {
    varve_heap_stats_data stats;
    varve_heap_stats(&stats);
    return stats.live_blocks;
}

static varve_type *var_type;
static varve_object *list, *dict, *instance, *cls, *key, *result;

static void set_up(void) {
    static const varve_class_spec spec = {.name = "Open", .open = true};
    const varve_type_spec var_spec = {
        .name = "var", .basic_bytes = sizeof(varve_var_object), .item_bytes = 1};
    blocks_before = heap_blocks();
    begin();
    var_type = varve_type_new(world, &var_spec);
    list = varve_list_new(world);
    dict = varve_dict_new(world);
    cls = varve_class_new(world, &spec);
    instance = varve_instance_new(cls);
    key = varve_str_of(world, "key");
    REQUIRE(var_type != NULL && list != NULL && dict != NULL && instance != NULL && key != NULL);
}

static void tear_down(void) {
    varve_decref(list);
    varve_decref(dict);
    varve_decref(instance);
    varve_decref(cls);
    varve_decref(key);
    end();
    CHECK_EQ(heap_blocks(), blocks_before);
}

/* --- constructors --- */

static int made(varve_object *object) {
    result = object;
    return object != NULL ? 0 : -errno;
}

static int make_float(void) {
    return made(varve_float_new(world, 1.5));
}

static int make_int(void) {
    return made(varve_int_new(world, 1000));
}

static int make_str(void) {
    return made(varve_str_new(world, "text", 4));
}

static int make_interned(void) {
    return made(varve_str_intern(key));
}

static int make_bytes(void) {
    static const char bytes[5000];
    return made(varve_bytes_new(world, bytes, sizeof bytes));
}

static int make_tuple(void) {
    return made(varve_tuple_new(world, 1, &list));
}

static int make_list(void) {
    return made(varve_list_new(world));
}

static int make_dict(void) {
    return made(varve_dict_new(world));
}

static int make_set(void) {
    return made(varve_set_new(world));
}

static int make_class(void) {
    static const char *const names[] = {"a", "b", NULL};
    return made(varve_class_new(world, &(varve_class_spec){.name = "C", .attributes = names}));
}

static int make_instance(void) {
    return made(varve_instance_new(cls));
}

static int make_object(void) {
    return made(varve_object_new(plain_type));
}

static int make_var_object(void) {
    return made(varve_object_new_var(var_type, 10));
}

static int make_weak_set(void) {
    return made(varve_weak_set_new(world, /* by_identity */ true));
}

static int get_objects(void) {
    return made(varve_gc_get_objects(world, -1));
}

static int get_referrers(void) {
    return made(varve_gc_get_referrers(world, 1, &cls));
}

static int get_referents(void) {
    return made(varve_gc_get_referents(world, 1, &instance));
}

static void check_world(void) {
    CHECK_EQ(varve_world_check(world, NULL, NULL), 0);
}

static void drop_result(void) {
    varve_clear_reference(&result);
}

TEST(constructors_fail_at_every_request_and_leave_nothing) {
    int (*const constructors[])(void) = {
        make_float,    make_int,        make_str,    make_interned, make_bytes,    make_tuple,
        make_list,     make_dict,       make_set,    make_class,    make_instance, make_object,
        make_weak_set, make_var_object, get_objects, get_referrers, get_referents,
    };
    set_up();
    for (size_t index = 0; index < VV_ARRAY_COUNT(constructors); index++) {
        fail_everywhere(constructors[index], check_world, drop_result);
    }
    tear_down();
}

/* In a process that has allocated nothing yet. Ends it: 0 made, 1 refused. */
static void make_world_without_pages(uint64_t allowed) {
    vv_pages_fail_after(allowed);
    varve_world *failing = varve_world_new();
    bool failed = failing == NULL;
    if (failed && errno != ENOMEM) _exit(2);
    vv_pages_fail_never();
    if (varve_world_free(failing) != 0) _exit(3);
    failing = varve_world_new();
    if (failing == NULL || varve_world_free(failing) != 0) _exit(4);
    _exit(failed ? 1 : 0);
}

TEST(a_new_world_fails_at_every_call_to_the_system_and_the_next_is_whole) {
    int failures = 0, status = -1;
    for (uint64_t allowed = 0; allowed < 100 && status != 0; allowed++) {
        pid_t child = fork();
        if (child == 0) make_world_without_pages(allowed);
        REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status));
        CHECK_LE(WEXITSTATUS(status), 1);
        failures += WEXITSTATUS(status) == 1;
    }
    CHECK_EQ(status, 0);
    CHECK_GT(failures, 0);
}

/* --- changes --- */

static int insert_in_list(void) {
    return varve_list_insert(list, 0, key);
}

static void remove_from_list(void) {
    CHECK_EQ(varve_list_remove(list, 0), 0);
}

static int set_text(void) {
    return varve_dict_set_text(dict, "other", list);
}

static int get_text(void) {
    varve_object *found;
    int found_count = varve_dict_get_text(dict, "key", &found);
    return found_count < 0 ? found_count : 0;
}

static void clear_dict(void) {
    varve_dict_clear(dict);
}

static int set_attribute(void) {
    return varve_set_attribute(instance, "attribute", key);
}

static int get_attribute(void) {
    varve_object *found;
    return varve_get_attribute(instance, "attribute", &found);
}

static int delete_attribute(void) {
    return varve_set_attribute(instance, "attribute", NULL);
}

static void do_nothing(void) {
}

static void remove_attribute(void) {
    CHECK_EQ(varve_set_attribute(instance, "attribute", NULL), 0);
}

TEST(changes_fail_at_every_request_and_change_nothing) {
    set_up();
    fail_everywhere(insert_in_list, check_world, remove_from_list);
    fail_everywhere(set_text, check_world, do_nothing);
    fail_everywhere(get_text, check_world, clear_dict);
    CHECK_EQ(set_attribute(), 0);
    remove_attribute(); /* the instance has its dict for others now */
    fail_everywhere(set_attribute, check_world, do_nothing);
    fail_everywhere(get_attribute, check_world, do_nothing);
    fail_everywhere(delete_attribute, check_world, do_nothing);
    tear_down();
}

/* --- what is registered --- */

static void observe(varve_world *observed, varve_gc_phase phase, const varve_gc_info *info,
                    void *argument) {
    (void)observed, (void)phase, (void)info;
    ++*(int *)argument;
}

static int observed_count, exit_count;

static int add_callback(void) {
    return varve_gc_add_callback(world, observe, &observed_count);
}

static void remove_callback(void) {
    CHECK_EQ(varve_gc_remove_callback(world, observe, &observed_count), 0);
}

static void count_exit(void *argument) {
    ++*(int *)argument;
}

static int register_exit(void) {
    return varve_world_at_exit(world, count_exit, &exit_count);
}

static int make_type(void) {
    varve_type_spec spec = {.name = "made", .basic_bytes = sizeof(varve_object)};
    return varve_type_new(world, &spec) != NULL ? 0 : -errno;
}

TEST(what_could_not_be_registered_is_not) {
    set_up();
    fail_everywhere(add_callback, check_world, remove_callback);
    varve_gc_collect(world, 2);
    CHECK_EQ(observed_count, 0);
    fail_everywhere(register_exit, check_world, do_nothing);
    for (int round = 0; round < 40; round++) fail_everywhere(make_type, check_world, do_nothing);
    tear_down();
    CHECK_EQ(exit_count, 1);
}

/* --- updates of weak tables, which may do a part --- */

enum { ENTRIES = 40 };

static varve_object *target, *source, *kept; /* `kept` is in the target from the beginning */

static void set_in(varve_object *table, varve_object *weak, varve_object *strong) {
    int error = -EOPNOTSUPP;
    switch (table->type_index) {
    case VV_TYPE_WEAK_VALUE_DICT: error = varve_weak_value_dict_set(table, strong, weak); break;
    case VV_TYPE_WEAK_KEY_DICT: error = varve_weak_key_dict_set(table, weak, strong); break;
    case VV_TYPE_EPHEMERONS: error = varve_ephemerons_set(table, weak, strong); break;
    case VV_TYPE_DICT: error = varve_dict_set(table, weak, strong); break;
    default: error = varve_weak_set_add(table, weak) == 1 ? 0 : -EEXIST;
    }
    CHECK_EQ(error, 0);
}

/* Entries for the first `count` objects of the list. */
static void fill(varve_object *table, size_t count) {
    for (size_t index = 0; index < count; index++) {
        varve_object *strong = varve_int_new(world, (int64_t)index);
        bool by_value =
            table->type_index == VV_TYPE_DICT && target->type_index == VV_TYPE_WEAK_VALUE_DICT;
        varve_object *weak = varve_list_get(list, index);
        set_in(table, by_value ? strong : weak, by_value ? weak : strong);
        varve_decref(strong);
    }
}

static size_t length_of(varve_object *table) {
    const struct vv_weak_table *inner = (const struct vv_weak_table *)table;
    return vv_is_weak_table(table) ? vv_weak_table_length(inner) : (size_t)varve_length(table);
}

static bool has_kept(void) {
    varve_object *found = NULL;
    if (target->type_index == VV_TYPE_WEAK_SET) return varve_weak_set_contains(target, kept) == 1;
    bool by_value = target->type_index == VV_TYPE_WEAK_VALUE_DICT;
    bool has = by_value ? varve_weak_value_dict_get(target, key, &found) == 1
               : target->type_index == VV_TYPE_WEAK_KEY_DICT
                   ? varve_weak_key_dict_get(target, kept, &found) == 1
                   : varve_ephemerons_get(target, kept, &found) == 1;
    CHECK_EQ_PTR(found, by_value ? kept : key);
    varve_xdecref(found);
    return has;
}

static void check_update(void) {
    check_world();
    CHECK(vv_weak_table_check((struct vv_weak_table *)target) == NULL);
    CHECK_EQ(length_of(source), ENTRIES);
    CHECK_LE(length_of(target), ENTRIES + 1);
}

static void check_dict_update(void) {
    check_update();
    CHECK(has_kept());
}

static void reset_target(void) {
    vv_weak_table_clear((struct vv_weak_table *)target);
    set_in(target, kept, key);
}

static varve_object *new_table(uint32_t type_index) {
    switch (type_index) {
    case VV_TYPE_WEAK_VALUE_DICT: return varve_weak_value_dict_new(world);
    case VV_TYPE_WEAK_KEY_DICT: return varve_weak_key_dict_new(world, /* by_identity */ false);
    case VV_TYPE_EPHEMERONS: return varve_ephemerons_new(world);
    case VV_TYPE_DICT: return varve_dict_new(world);
    default: return varve_weak_set_new(world, /* by_identity */ false);
    }
}

static void begin_update(uint32_t target_type) {
    set_up();
    for (int index = 0; index < ENTRIES; index++) {
        varve_object *object = new_plain();
        varve_list_append(list, object);
        varve_decref(object);
    }
    kept = new_plain();
    target = new_table(target_type);
    REQUIRE(target != NULL);
    set_in(target, kept, key);
}

static void end_update(void) {
    varve_decref(source);
    varve_decref(target);
    varve_decref(kept);
    tear_down();
}

static int update_dict(void) {
    return varve_weak_dict_update(target, source);
}

TEST(an_update_of_a_weak_dict_that_fails_midway_loses_nothing) {
    const uint32_t types[] = {VV_TYPE_WEAK_VALUE_DICT, VV_TYPE_WEAK_KEY_DICT, VV_TYPE_EPHEMERONS};
    for (size_t index = 0; index < VV_ARRAY_COUNT(types); index++) {
        for (int from_dict = 0; from_dict < 2; from_dict++) {
            begin_update(types[index]);
            source = new_table(from_dict ? VV_TYPE_DICT : types[index]);
            fill(source, ENTRIES);
            CHECK_GT(fail_midway(update_dict, check_dict_update, reset_target), ENTRIES);
            CHECK_EQ(update_dict(), 0);
            CHECK_EQ(length_of(target), ENTRIES + 1);
            end_update();
        }
    }
}

static varve_set_operation set_operation;

static int update_set(void) {
    return varve_weak_set_update(target, set_operation, source);
}

static void reset_set(void) {
    reset_target();
    fill(target, 2);
}

/* All of the list, as another container. */
static varve_object *new_container(varve_kind kind) {
    varve_object *items[ENTRIES], *container = NULL;
    for (size_t index = 0; index < ENTRIES; index++) items[index] = varve_list_get(list, index);
    switch (kind) {
    case VARVE_KIND_LIST: return varve_incref(list);
    case VARVE_KIND_TUPLE: return varve_tuple_new(world, ENTRIES, items);
    case VARVE_KIND_SET:
        container = varve_set_new(world);
        for (size_t index = 0; index < ENTRIES; index++) varve_set_add(container, items[index]);
        return container;
    default:
        container = new_table(kind == VARVE_KIND_DICT ? VV_TYPE_DICT : VV_TYPE_WEAK_SET);
        fill(container, ENTRIES);
        return container;
    }
}

/* Whether the operation needs memory: to add, or for a weak set of its own to look into. */
static bool needs_memory(varve_kind kind) {
    if (set_operation == VARVE_SET_DIFFERENCE) return false;
    return set_operation != VARVE_SET_INTERSECTION || kind != VARVE_KIND_OTHER;
}

TEST(an_update_of_a_weak_set_that_fails_midway_loses_nothing) {
    const varve_kind kinds[] = {VARVE_KIND_OTHER, VARVE_KIND_LIST, VARVE_KIND_TUPLE, VARVE_KIND_SET,
                                VARVE_KIND_DICT};
    for (int operation = VARVE_SET_UNION; operation <= VARVE_SET_SYMMETRIC_DIFFERENCE;
         operation++) {
        for (size_t index = 0; index < VV_ARRAY_COUNT(kinds); index++) {
            begin_update(VV_TYPE_WEAK_SET);
            set_operation = (varve_set_operation)operation;
            source = new_container(kinds[index]);
            reset_set();
            unsigned failures = fail_midway(update_set, check_update, reset_set);
            CHECK_EQ(failures > 0, needs_memory(kinds[index]));
            end_update();
        }
    }
}

static int set_default_ephemeron(void) {
    int error = varve_weak_dict_setdefault(target, list, key, &result);
    return error < 0 ? error : 0;
}

static void undo_default(void) {
    varve_clear_reference(&result);
    CHECK_EQ(varve_ephemerons_delete(target, list), 0);
}

static int copy_target(void) {
    return made(varve_weak_table_copy(target));
}

static int list_refs_of_target(void) {
    return made(varve_weak_table_refs(target));
}

TEST(copies_and_lists_of_tables_without_a_test_of_their_own_fail_at_every_request) {
    const uint32_t types[] = {VV_TYPE_EPHEMERONS, VV_TYPE_WEAK_SET};
    for (size_t index = 0; index < VV_ARRAY_COUNT(types); index++) {
        begin_update(types[index]);
        source = varve_incref(list);
        fail_everywhere(copy_target, check_update, drop_result);
        fail_everywhere(list_refs_of_target, check_update, drop_result);
        if (types[index] == VV_TYPE_EPHEMERONS) {
            for (int round = 0; round < 20; round++) {
                fail_everywhere(set_default_ephemeron, check_dict_update, undo_default);
            }
        }
        end_update();
    }
}

/* --- what needs no memory --- */

TEST(asking_a_table_and_taking_away_from_it_need_no_memory) {
    varve_object *found;
    size_t position = 0;
    begin_update(VV_TYPE_WEAK_SET);
    varve_object *dicts[] = {new_table(VV_TYPE_WEAK_KEY_DICT), new_table(VV_TYPE_EPHEMERONS)};
    fill(target, 10);
    varve_object *item = varve_list_get(list, 0);
    for (int index = 0; index < 2; index++) fill(dicts[index], 10);
    varve_world_fail_after(world, 0);
    CHECK_EQ(varve_weak_set_contains(target, item), 1);
    CHECK_EQ(varve_weak_set_is_disjoint(target, list), 0);
    CHECK_EQ(varve_weak_set_discard(target, item), 1);
    CHECK_EQ(varve_weak_set_next(target, &position, &found), 1);
    varve_decref(found);
    CHECK_EQ(varve_weak_table_pop(target, NULL, NULL), 1);
    for (int index = 0; index < 2; index++) {
        CHECK_EQ(varve_weak_dict_take(dicts[index], item, &found), 1);
        varve_decref(found);
        CHECK_EQ(varve_weak_dict_take(dicts[index], item, &found), 0);
        CHECK_EQ(varve_weak_table_pop(dicts[index], NULL, NULL), 1);
        CHECK_EQ(length_of(dicts[index]), 8);
        varve_decref(dicts[index]);
    }
    varve_weak_set_clear(target);
    CHECK_EQ(varve_list_remove(list, 0), 0);
    varve_world_fail_never(world);
    source = varve_incref(list);
    end_update();
}

/* --- what asks the heap, and no world --- */

TEST(growth_by_type_without_memory_is_refused) {
    size_t name_bytes = (size_t)1 << 26, count = 1;
    char *name = varve_malloc(name_bytes);
    REQUIRE(name != NULL);
    memset(name, 'x', name_bytes);
    name[name_bytes - 1] = '\0';
    const varve_type_count after = {.name = name, .objects = 1, .bytes = 1};
    varve_type_growth *growth = NULL;
    vv_pages_fail_after(0);
    CHECK_EQ(varve_growth_by_type(NULL, 0, &after, 1, &growth, &count), -ENOMEM);
    vv_pages_fail_never();
    CHECK_EQ_PTR(growth, NULL);
    CHECK_EQ(count, 1);
    CHECK_EQ(varve_growth_by_type(NULL, 0, &after, 1, &growth, &count), 0);
    varve_free(growth);
    varve_free(name);
}
