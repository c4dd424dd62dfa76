/* SPDX-License-Identifier: MIT
 * Whether a world is as it should be. Nothing that an object refers to is touched before it is
 * known to be a live object of the world. */
#include "base/text.h"
#include "inspect/describe.h"
#include "object/traverse.h"
#include "varve/inspect.h"

#include <errno.h>
#include <string.h>

#define SENTENCE_BYTES 320

struct check {
    varve_world *world;
    uint32_t *first_nodes; /* as in inspect/graph.h */
    uint32_t *found;       /* references found to each object */
    varve_object *holder;  /* whose references are being shown */
    uint32_t *shown;       /* the same by one holder alone; 0 between holders */
    long problem_count;
    void (*report)(const char *sentence, const varve_object *object, void *argument);
    void *argument;
};

/* --- sentences --- */

static void send(struct check *check, struct vv_text *text, const varve_object *object) {
    check->problem_count++;
    if (check->report != NULL) check->report(vv_text_end(text), object, check->argument);
}

static void report_state(struct check *check, const varve_object *object, const char *what) {
    char buffer[SENTENCE_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: ");
    vv_describe_address(&text, object);
    vv_text_add(&text, what);
    send(check, &text, object);
}

static void report_count(struct check *check, const varve_object *object, uint32_t found) {
    char buffer[SENTENCE_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: reference count of ");
    vv_describe_address(&text, object);
    vv_text_add(&text, " is ");
    vv_text_add_decimal(&text, object->refcount);
    vv_text_add(&text, ", but ");
    vv_text_add_decimal(&text, found);
    vv_text_add(&text, found == 1 ? " reference to it was found" : " references to it were found");
    send(check, &text, object);
}

static void report_foreign(struct check *check, const void *child, bool is_other_world) {
    char buffer[SENTENCE_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: ");
    vv_describe_address(&text, check->holder);
    vv_text_add(&text, " refers to ");
    vv_text_add_hex(&text, (uintptr_t)child);
    vv_text_add(&text,
                is_other_world ? ", an object of another world" : ", which is no live object");
    send(check, &text, check->holder);
}

static void report_hidden(struct check *check, const varve_object *child) {
    char buffer[SENTENCE_BYTES];
    struct vv_text text = vv_text_in(buffer, sizeof buffer);
    vv_text_add(&text, "varve: traverse of ");
    vv_describe_address(&text, check->holder);
    vv_text_add(&text, " does not show its reference to ");
    vv_describe_address(&text, child);
    send(check, &text, check->holder);
}

/* --- addresses --- */

/* The pool of the live object at an address of which nothing is known; NULL: there is none. */
static const struct vv_object_pool *pool_at(const void *address) {
    uint32_t index;
    const struct vv_object_pool *pool = vv_object_pool_at(address, &index);
    if (pool == NULL || vv_object_at(pool, index) != address) return NULL;
    return ((const varve_object *)address)->type_index != 0 ? pool : NULL;
}

static bool has_known_type(const varve_world *world, const varve_object *object) {
    return object->type_index < world->type_count && world->types[object->type_index] != NULL;
}

static uint32_t *found_of(struct check *check, const struct vv_object_pool *pool,
                          const varve_object *object) {
    return &check->found[check->first_nodes[pool->pool_index] + vv_object_index(pool, object)];
}

/* --- first pass: what is referred to --- */

static int find_reference(varve_object *child, void *argument) {
    struct check *check = argument;
    const struct vv_object_pool *pool = pool_at(child);
    if (pool == NULL || pool->world != check->world) {
        report_foreign(check, child, pool != NULL);
    } else {
        (*found_of(check, pool, child))++;
    }
    return 0;
}

static void check_state(struct check *check, const struct vv_object_pool *pool,
                        const varve_object *object) {
    uint8_t state = pool->states[vv_object_index(pool, object)];
    if ((state & VV_STATE_TRACKED) != 0 && pool->kind != VV_SHELF_CYCLIC) {
        report_state(check, object, " is tracked, but its type is acyclic");
    }
    /* a collection that untracks a tuple or dict moves it to the next generation all the same */
    bool may_be_untracked =
        object->type_index == VV_TYPE_TUPLE || object->type_index == VV_TYPE_DICT;
    if ((state & VV_STATE_TRACKED) == 0 && (state & VV_STATE_GENERATION) != 0 &&
        !may_be_untracked) {
        report_state(check, object, " is not tracked, but has a generation");
    }
    if ((state & VV_STATE_CANDIDATE) != 0 && !check->world->gc.collecting) {
        report_state(check, object, " is in the set of a collection, but none is running");
    }
}

static int examine(varve_object *object, void *argument) {
    struct check *check = argument;
    if (!has_known_type(check->world, object)) {
        char buffer[SENTENCE_BYTES];
        struct vv_text text = vv_text_in(buffer, sizeof buffer);
        vv_text_add(&text, "varve: the type of the object at ");
        vv_text_add_hex(&text, (uintptr_t)object);
        vv_text_add(&text, " is unknown");
        send(check, &text, object);
        return 0;
    }
    check->holder = object;
    check_state(check, vv_object_pool_of(object), object);
    vv_traverse(object, find_reference, check);
    return 0;
}

/* --- second pass: counts, and references that no traverse function shows ---
 *
 * An object with more owners than were found is held by the program, or by an object whose
 * traverse function leaves that out. Then its address stands in that object's block more often than
 * it was shown. */

/* The place in check->shown of an object of this world; NULL: it is none. */
static uint32_t *shown_of(struct check *check, const void *address) {
    const struct vv_object_pool *pool = pool_at(address);
    if (pool == NULL || pool->world != check->world) return NULL;
    return check->shown + (found_of(check, pool, address) - check->found);
}

static int count_shown(varve_object *child, void *argument) {
    uint32_t *shown = shown_of(argument, child);
    if (shown != NULL) ++*shown;
    return 0;
}

static int forget_shown(varve_object *child, void *argument) {
    uint32_t *shown = shown_of(argument, child);
    if (shown != NULL) *shown = 0;
    return 0;
}

/* Whether an object of this world has an owner who is not known. */
static bool is_unexplained(struct check *check, const varve_object *object) {
    if (object->refcount >= VARVE_IMMORTAL || !has_known_type(check->world, object)) return false;
    return object->refcount > *found_of(check, vv_object_pool_of(object), object);
}

static bool may_hide(const struct varve_type *type) {
    return type->index >= VV_TYPE_BUILT_IN_COUNT &&
           (type->spec.flags & (VARVE_TYPE_BORROWS | VV_TYPE_IS_WEAKREF | VV_TYPE_IS_EPHEMERONS)) ==
               0;
}

static void find_hidden(struct check *check, varve_object *holder, const struct varve_type *type) {
    size_t byte_count = type->spec.basic_bytes;
    if (type->is_variable) {
        byte_count += ((const varve_var_object *)holder)->item_count * type->spec.item_bytes;
    }
    void *const *words = (void *const *)holder;
    size_t word_count = byte_count / sizeof *words;
    check->holder = holder;
    vv_traverse(holder, count_shown, check);
    for (size_t word = sizeof(varve_object) / sizeof *words; word < word_count; word++) {
        uint32_t *shown = shown_of(check, words[word]);
        if (shown == NULL) continue;
        if (*shown > 0) {
            --*shown;
        } else if (is_unexplained(check, words[word])) {
            report_hidden(check, words[word]);
        }
    }
    vv_traverse(holder, forget_shown, check);
}

static int examine_counts(varve_object *object, void *argument) {
    struct check *check = argument;
    const struct vv_object_pool *pool = vv_object_pool_of(object);
    uint32_t found = *found_of(check, pool, object);
    if (!has_known_type(check->world, object)) return 0;
    if (object->refcount < VARVE_IMMORTAL && (object->refcount < found || object->refcount == 0)) {
        report_count(check, object, found);
    }
    const struct varve_type *type = check->world->types[object->type_index];
    if (may_hide(type)) find_hidden(check, object, type);
    return 0;
}

/* --- all --- */

static void check_pools(struct check *check) {
    for (size_t index = 0; index < check->world->pools.count; index++) {
        const char *sentence = vv_object_pool_check(check->world->pools.items[index]);
        if (sentence == NULL) continue;
        check->problem_count++;
        if (check->report != NULL) check->report(sentence, NULL, check->argument);
    }
}

static bool take_arrays(struct check *check) {
    const struct vv_pool_list *pools = &check->world->pools;
    size_t node_count = 0;
    check->first_nodes =
        vv_world_allocate(check->world, (pools->count + 1) * sizeof *check->first_nodes);
    if (check->first_nodes == NULL) return false;
    for (size_t index = 0; index < pools->count; index++) {
        check->first_nodes[index] = (uint32_t)node_count;
        node_count += pools->items[index]->carved_count;
    }
    size_t byte_count = (node_count + 1) * sizeof *check->found * 2;
    check->found = vv_world_allocate(check->world, byte_count);
    if (check->found == NULL) return false;
    memset(check->found, 0, byte_count);
    check->shown = check->found + node_count + 1;
    return true;
}

long varve_world_check(varve_world *world,
                       void (*report)(const char *sentence, const varve_object *object,
                                      void *argument),
                       void *argument) {
    struct check check = {.world = world, .report = report, .argument = argument};
    vv_world_assert_inside(world);
    long result = -ENOMEM;
    if (take_arrays(&check)) {
        check_pools(&check);
        vv_world_visit_objects(world, examine, &check);
        vv_world_visit_objects(world, examine_counts, &check);
        result = check.problem_count;
    }
    vv_world_release(world, check.found);
    vv_world_release(world, check.first_nodes);
    return result;
}
