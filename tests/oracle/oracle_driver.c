/* SPDX-License-Identifier: MIT
 * oracle_driver.c - runs the programs of program.py in a varve world; cpython.py is its twin, which
 * says what the lines mean. Reads programs from stdin, writes their lines to stdout.
 *
 *   oracle_driver [--lie KIND] [--steps]
 *
 * --lie: so that the test can be tested, see `lie`; --steps: see `stepping`. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_tables.h"

/* Works on an incremental collection after each operation; full collections end one. */
static bool stepping;

static const char *const lie_names[] = {"truth",     "count",   "leak",  "callback",
                                        "finalizer", "tracked", "entry", "outside"};

/* --- operations: they make --- */

static void make_dict(const int *words) {
    varve_object *dict = must(varve_dict_new(run.world));
    varve_object *key = must(varve_int_new(run.world, -1)), *canary = canary_new(run.number);
    if (varve_dict_set(dict, key, canary) != 0) stop("dict");
    varve_decref(key);
    varve_decref(canary);
    register_object(dict, 'D', run.number, 0);
    put(&run.slots[words[0]], dict);
}

static void make_set(const int *words) {
    varve_object *set = must(varve_set_new(run.world));
    varve_object *canary = canary_new(run.number);
    if (varve_set_add(set, canary) != 1) stop("set");
    varve_decref(canary);
    register_object(set, 'S', run.number, 0);
    put(&run.slots[words[0]], set);
}

static void make_tuple(const int *words) {
    varve_object *items[4] = {canary_new(run.number)};
    size_t count = 1;
    int hashable = 1;
    for (int index = 1; index <= 3; index++) {
        varve_object *item = run.slots[words[index]];
        char kind = kind_of(item);
        if (kind == 0 || kind == 't') continue;
        items[count++] = item;
        int item_hashable = kind == 'W' ? -1 : run.hashables[number_of(item)];
        if (item_hashable == -1 || hashable == -1) {
            hashable = -1;
        } else if (item_hashable == 0) {
            hashable = 0;
        }
    }
    varve_object *tuple = must(varve_tuple_new(run.world, count, items));
    varve_decref(items[0]);
    register_object(tuple, count > 1 ? 'T' : 't', run.number, hashable);
    put(&run.slots[words[0]], tuple);
}

static void make_weakref(const int *words) {
    varve_object *target = run.slots[words[1]];
    if (kind_of(target) == 'T') {
        varve_object *ref = varve_weakref_new(target, NULL, NULL, NULL);
        note(ref == NULL ? "=unsupported" : "=supported");
        varve_xdecref(ref);
    } else if (can_have_refs(target)) {
        run.actions[run.number] = words[2];
        run.asked[run.number] = words[3];
        varve_object *ref = ref_new(target, run.number);
        if (words[2] >= KEPT) put(&run.saved[run.number], varve_incref(ref));
        put(&run.slots[words[0]], ref);
    }
}

static void make_plain_ref(const int *words) {
    varve_object *target = run.slots[words[1]];
    if (!can_have_refs(target)) return;
    put(&run.slots[words[0]], must(varve_weakref_new(target, NULL, NULL, NULL)));
}

/* --- operations: they change --- */

static void note_result(int result) {
    if (result == -EOPNOTSUPP) {
        note("=unhashable");
    } else if (result < 0) {
        note("=error%d", result);
    }
}

static void link_objects(const int *words) {
    varve_object *holder = run.slots[words[0]], *object = run.slots[words[1]];
    if (object == NULL) return;
    switch (kind_of(holder)) {
    case 'I':
    case 'F': varve_instance_set(holder, (unsigned)words[2] % 3, object); return;
    case 'L': note_result(varve_list_append(holder, object)); return;
    case 'D':
        if (words[2] % 2 == 0) {
            varve_object *key = must(varve_int_new(run.world, words[2] / 2 % 4));
            note_result(varve_dict_set(holder, key, object));
            varve_decref(key);
        } else if (can_be_key(run.slots[words[3]])) {
            note_result(varve_dict_set(holder, run.slots[words[3]], object));
        }
        return;
    case 'S':
        if (run.automatic ? is_hashable(object) : can_be_key(object)) {
            note_result(varve_set_add(holder, object));
        }
        return;
    default: return;
    }
}

static void unlink_from_dict(varve_object *dict, const int *words) {
    int result = 0;
    if (words[2] % 2 == 0) {
        varve_object *key = must(varve_int_new(run.world, words[2] / 2 % 4));
        result = varve_dict_delete(dict, key);
        varve_decref(key);
    } else if (is_hashable(run.slots[words[1]])) {
        result = varve_dict_delete(dict, run.slots[words[1]]);
    }
    if (result != -ENOENT) note_result(result);
}

static void unlink_objects(const int *words) {
    varve_object *holder = run.slots[words[0]];
    switch (kind_of(holder)) {
    case 'I':
    case 'F': varve_instance_set(holder, (unsigned)words[2] % 3, NULL); return;
    case 'L': {
        size_t count = varve_list_length(holder);
        if (count < 2) return;
        note_result(varve_list_remove(holder, 1 + (size_t)words[2] % (count - 1)));
        return;
    }
    case 'D': unlink_from_dict(holder, words); return;
    case 'S':
        if (is_hashable(run.slots[words[1]])) {
            note_result(varve_set_discard(holder, run.slots[words[1]]));
        }
        return;
    default: return;
    }
}

static varve_object *child_of(varve_object *holder, size_t index) {
    varve_object *child = NULL;
    switch (kind_of(holder)) {
    case 'I':
    case 'F': return varve_instance_get(holder, (unsigned)(index % 3));
    case 'L': {
        size_t count = varve_list_length(holder);
        return count < 2 ? NULL : varve_list_get(holder, 1 + index % (count - 1));
    }
    case 'T': {
        size_t count = varve_tuple_length(holder);
        return count < 2 ? NULL : varve_tuple_get(holder, 1 + index % (count - 1));
    }
    case 'D': {
        varve_object *key = must(varve_int_new(run.world, (int64_t)(index / 2 % 4)));
        if (varve_dict_get(holder, key, &child) != 1) child = NULL;
        varve_decref(key);
        return child;
    }
    default: return NULL;
    }
}

static void load(const int *words) {
    varve_object *child = child_of(run.slots[words[1]], (size_t)words[2]);
    if (child != NULL) put(&run.slots[words[0]], varve_incref(child));
}

static void drop(const int *words) {
    if (lie == LIE_LEAK && run.number % 7 == 0) varve_xincref(run.slots[words[0]]);
    put(&run.slots[words[0]], NULL);
}

/* The c-th saved object, modulo their count. -1: there is none. */
static int saved_number(int c) {
    int numbers[NUMBER_COUNT], count = 0;
    for (int number = 0; number < NUMBER_COUNT; number++) {
        if (run.saved[number] != NULL) numbers[count++] = number;
    }
    return count == 0 ? -1 : numbers[c % count];
}

/* --- operations: they ask --- */

static void show_objects(void) {
    int counts[3];
    varve_gc_get_count(run.world, counts);
    note("=counts=%d,%d", counts[1], counts[2]);
    for (int number = 0; number < NUMBER_COUNT; number++) {
        if (!run.alive[number]) continue;
        const varve_object *object = run.objects[number];
        int generation = varve_gc_is_tracked(object) ? varve_gc_generation(object) : -1;
        if (lie == LIE_TRACKED && generation < 0 && run.kinds[number] == 't') generation = 0;
        bool finalized = run.kinds[number] == 'F' && varve_gc_is_finalized(object);
        note("=%d:%c%s*%u", number, generation < 0 ? 'u' : '0' + generation, finalized ? "f" : "",
             varve_refcount(object));
        if (strchr("VKE", run.kinds[number]) != NULL) show_table(object);
    }
}

/* Ends the incremental collection in progress, which may not know the newest garbage, and another.
 */
static long collect_in_steps(void) {
    long count = 0;
    for (int round = 0; round < 2; round++) {
        varve_gc_progress progress = {.done = false};
        while (!progress.done) {
            if (varve_gc_step(run.world, 1, &progress) != 0) stop("a step failed");
            count += (long)progress.collected;
        }
    }
    return count;
}

static void collect(int generation) {
    run.collecting = true;
    run.exact = generation == 2 && !run.frozen;
    long count = stepping ? collect_in_steps() : varve_gc_collect(run.world, generation);
    run.collecting = run.exact = false;
    note("=collected=%ld", count + (lie == LIE_COUNT && count > 2));
    if (run.automatic) return;
    refresh_tables();
    show_objects();
}

static void freeze(void) {
    varve_gc_freeze(run.world);
    run.frozen = true;
    if (run.frozen_base_known) {
        note("=frozen=%zu", varve_gc_get_freeze_count(run.world) - run.frozen_base);
    }
    show_objects();
}

static void unfreeze(void) {
    varve_gc_unfreeze(run.world);
    run.frozen = run.frozen_base_known = false;
    note("=frozen=%zu", varve_gc_get_freeze_count(run.world));
    show_objects();
}

static void ask(varve_object *ref) {
    char kind = kind_of(ref);
    if (kind != 'W' && kind != 'R') return;
    varve_object *object = varve_weakref_get(ref);
    note("=%d", number_of(object));
    varve_xdecref(object);
}

static void show_referents(varve_object *object) {
    if (object == NULL) return;
    varve_object *list = must(varve_gc_get_referents(run.world, 1, &object));
    int numbers[NUMBER_COUNT];
    size_t count = 0;
    for (size_t index = 0; index < varve_list_length(list); index++) {
        const varve_object *referent = varve_list_get(list, index);
        char kind = kind_of(referent);
        if (kind != 0 && kind != 'W') numbers[count++] = number_of(referent);
    }
    varve_decref(list);
    note("=refers=");
    add_numbers(numbers, count);
}

static void run_operation(enum operation code, const int *words) {
    int number;
    switch (code) {
    case INSTANCE: put(&run.slots[words[0]], make_instance(run.instance_class, 'I')); return;
    case FINALIZED:
        run.actions[run.number] = words[2];
        put(&run.slots[words[0]], make_instance(run.finalized_class, 'F'));
        return;
    case LIST: put(&run.slots[words[0]], list_new(run.number)); return;
    case DICT: make_dict(words); return;
    case SET: make_set(words); return;
    case TUPLE: make_tuple(words); return;
    case LINK: link_objects(words); return;
    case UNLINK: unlink_objects(words); return;
    case DROP: drop(words); return;
    case COPY: put(&run.slots[words[0]], varve_xincref(run.slots[words[1]])); return;
    case LOAD: load(words); return;
    case WEAKREF: make_weakref(words); return;
    case PLAIN_REF: make_plain_ref(words); return;
    case ASK: ask(run.slots[words[0]]); return;
    case COUNT_REFS:
        if (!can_have_refs(run.slots[words[0]])) return;
        note("=%zu", varve_weakref_count(run.slots[words[0]]));
        return;
    case COLLECT: collect(words[0]); return;
    case FREEZE: freeze(); return;
    case UNFREEZE: unfreeze(); return;
    case FORGET:
        number = saved_number(words[2]);
        if (number >= 0) put(&run.saved[number], NULL);
        return;
    case RECALL:
        number = saved_number(words[2]);
        if (number >= 0) put(&run.slots[words[0]], varve_incref(run.saved[number]));
        return;
    case REFERENTS: show_referents(run.slots[words[0]]); return;
    default: run_table_operation(code, words); return;
    }
}

/* --- whole programs --- */

static void begin(bool automatic, const int threshold[3]) {
    static const char *const attributes[] = {"a", "b", "c", "canary", NULL};
    static const varve_type_spec canary_spec = {
        .name = "canary", .basic_bytes = sizeof(struct canary), .dealloc = canary_dies};
    memset(&run, 0, sizeof run);
    run.world = varve_world_new();
    if (run.world == NULL) stop("no memory");
    run.automatic = automatic;
    varve_gc_disable(run.world);
    varve_world_on_unraisable(run.world, failed, NULL);
    run.canary_type = varve_type_new(run.world, &canary_spec);
    if (run.canary_type == NULL) stop("no memory");
    varve_class_spec class_spec = {.name = "Instance", .attributes = attributes};
    run.instance_class = must(varve_class_new(run.world, &class_spec));
    class_spec.name = "Finalized";
    class_spec.finalize = finalize;
    run.finalized_class = must(varve_class_new(run.world, &class_spec));
    run.anchor = must(varve_instance_new(run.instance_class));
    varve_gc_freeze(run.world);
    varve_gc_collect(run.world, 2);
    run.frozen_base = varve_gc_get_freeze_count(run.world);
    run.frozen_base_known = true;
    if (automatic) {
        varve_gc_set_threshold(run.world, threshold);
        varve_gc_enable(run.world);
    }
}

static void show_stats(void) {
    varve_gc_stats stats[VARVE_GC_GENERATIONS];
    varve_gc_get_stats(run.world, stats);
    for (int generation = 0; generation < VARVE_GC_GENERATIONS; generation++) {
        uint64_t begin_count = generation == 2 ? 1 : 0; /* that of begin() */
        printf("stats %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", generation,
               stats[generation].collections - begin_count, stats[generation].collected,
               stats[generation].uncollectable);
    }
}

static void finish(void) {
    if (run.automatic) {
        int counts[3];
        varve_gc_get_count(run.world, counts);
        varve_gc_disable(run.world);
        note("=count=%d,%d,%d", counts[0], counts[1], counts[2]);
        show_objects();
        end_line("end");
    }
    for (int slot = 0; slot < SLOT_COUNT; slot++) {
        put(&run.slots[slot], NULL);
    }
    detach_all();
    end_line("slots");
    if (run.frozen) varve_gc_unfreeze(run.world);
    for (int round = 0; round < 4; round++) {
        for (int number = 0; number < NUMBER_COUNT; number++) {
            put(&run.saved[number], NULL);
        }
        end_line("saved");
        run.collecting = true;
        note("=collected=%ld", varve_gc_collect(run.world, 2));
        run.collecting = false;
        end_line("finish");
    }
    int alive = 0;
    for (int number = 0; number < NUMBER_COUNT; number++) {
        alive += run.alive[number];
    }
    printf("alive %d\n", alive);
    show_stats();
    varve_decref(run.anchor);
    varve_decref(run.instance_class);
    varve_decref(run.finalized_class);
    long leaked = varve_world_free(run.world);
    if (leaked != 0) printf("leaked %ld\n", leaked);
}

/* Reads one program's operations up to its "E" and runs them. */
static void run_program(void) {
    char text[128];
    int code, words[4];
    while (fgets(text, sizeof text, stdin) != NULL && text[0] != 'E') {
        if (sscanf(text, "%d %d %d %d %d", &code, &words[0], &words[1], &words[2], &words[3]) !=
                5 ||
            code < 0 || code >= OPERATION_COUNT) {
            stop("not an operation");
        }
        run_operation((enum operation)code, words);
        if (stepping && varve_gc_step(run.world, 1, NULL) != 0) stop("a step failed");
        char name[16];
        snprintf(name, sizeof name, "%d", run.number++);
        end_line(name);
    }
}

int main(int argc, char **argv) {
    if (argc >= 3 && strcmp(argv[1], "--lie") == 0) {
        for (int kind = 0; kind < LIE_KIND_COUNT; kind++) {
            if (strcmp(argv[2], lie_names[kind]) == 0) lie = (enum lie)kind;
        }
    }
    stepping = strcmp(argv[argc - 1], "--steps") == 0;
    char text[128];
    while (fgets(text, sizeof text, stdin) != NULL) {
        int automatic, threshold[3];
        unsigned long long seed;
        if (sscanf(text, "P %llu %d %d %d %d", &seed, &automatic, &threshold[0], &threshold[1],
                   &threshold[2]) != 5) {
            stop("not a program");
        }
        printf("P %llu\n", seed);
        begin(automatic != 0, threshold);
        run_program();
        finish();
        printf("E\n");
        fflush(stdout); /* what was before a crash is to be seen */
    }
    return 0;
}
