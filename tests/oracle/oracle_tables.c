/* SPDX-License-Identifier: MIT
 * Operations on weak tables and on finalizers from outside; tables.py is their twin. */
#include "oracle_tables.h"

#include <errno.h>
#include <string.h>

/* --- what an object is --- */

static bool is_one_of(const varve_object *object, const char *kinds) {
    char kind = kind_of(object);
    return kind != 0 && strchr(kinds, kind) != NULL;
}

/* The table in the slot, borrowed; NULL: there is none. */
static varve_object *table_in(int slot, const char *kinds) {
    const varve_object *holder = run.slots[slot];
    return is_one_of(holder, kinds) ? varve_instance_get(holder, HELD_PLACE) : NULL;
}

static bool is_weak(const varve_object *object) {
    return is_one_of(object, "IFSVKEXTt") && can_be_key(object);
}

struct text {
    char text[16];
};

/* What a table gave: a number, or an object's; those without have none. */
static struct text text_of(const varve_object *found) {
    struct text text;
    if (varve_kind_of(found) == VARVE_KIND_INT) {
        snprintf(text.text, sizeof text.text, "=%d", (int)varve_int_value(found));
    } else {
        int number = kind_of(found) == 'W' ? -1 : number_of(found);
        snprintf(text.text, sizeof text.text, "=<%d>", number);
    }
    return text;
}

/* --- making --- */

/* A new instance with a table or finalizer, which is taken over, in a slot. */
static void hold(varve_object *object, char kind, int slot) {
    varve_object *holder = make_instance(run.instance_class, kind);
    varve_instance_set(holder, HELD_PLACE, must(object));
    varve_decref(object);
    put(&run.slots[slot], holder);
}

static void make_table(const int *words) {
    switch (words[2] % 3) {
    case 0: hold(varve_weak_value_dict_new(run.world), 'V', words[0]); return;
    case 1:
        hold(varve_weak_key_dict_new(run.world, /* by_identity */ false), 'K', words[0]);
        return;
    default: hold(varve_weak_set_new(run.world, /* by_identity */ false), 'E', words[0]); return;
    }
}

static void copy_table(const int *words) {
    varve_object *table = table_in(words[1], "VKE");
    if (table == NULL) return;
    hold(varve_weak_table_copy(table), kind_of(run.slots[words[1]]), words[0]);
}

/* --- entries --- */

/* What is strong in an entry: a number, or an object; a new reference. */
static varve_object *strong_of(const int *words) {
    if (words[2] % 2 == 0) return must(varve_int_new(run.world, words[2] / 2 % 4));
    return varve_xincref(run.slots[words[3]]);
}

struct entry {
    varve_object *key, *value; /* own */
};

/* What an operation asks for or sets; false: the program has none. */
static bool entry_of(const int *words, struct entry *out_entry) {
    varve_object *strong = strong_of(words), *weak = run.slots[words[1]];
    bool by_value = kind_of(run.slots[words[0]]) == 'V';
    bool usable = strong != NULL && is_weak(weak);
    if (by_value && words[2] % 2 != 0) usable = usable && can_be_key(strong);
    if (!usable) {
        varve_xdecref(strong);
        return false;
    }
    varve_incref(weak);
    *out_entry = by_value ? (struct entry){strong, weak} : (struct entry){weak, strong};
    return true;
}

static void end_entry(struct entry entry) {
    varve_decref(entry.key);
    varve_decref(entry.value);
}

/* The key that is asked for or deleted, a new reference; NULL: the program has none. */
static varve_object *key_of(const int *words) {
    if (kind_of(run.slots[words[0]]) != 'V') {
        return is_weak(run.slots[words[1]]) ? varve_incref(run.slots[words[1]]) : NULL;
    }
    varve_object *key = strong_of(words);
    if (words[2] % 2 == 0 || can_be_key(key)) return key;
    varve_xdecref(key);
    return NULL;
}

/* Notes an error; returns whether there is none. */
static bool is_fine(int result) {
    if (result >= 0) return true;
    if (result == -EOPNOTSUPP) {
        note("=unsupported");
    } else if (result == -ENOENT) {
        note("=none");
    } else {
        note("=error%d", result);
    }
    return false;
}

/* Notes what was found, a reference that ends here, or that nothing was. */
static void note_found(int result, varve_object *found) {
    if (!is_fine(result == 0 ? -ENOENT : result)) return;
    note("%s", text_of(found).text);
    varve_decref(found);
}

static int set_entry(varve_object *table, char kind, struct entry entry) {
    if (lie == LIE_ENTRY && run.number % 5 == 0) return 0;
    if (kind == 'V') return varve_weak_value_dict_set(table, entry.key, entry.value);
    return varve_weak_key_dict_set(table, entry.key, entry.value);
}

static void set(const int *words) {
    varve_object *table = table_in(words[0], "VKE");
    char kind = kind_of(run.slots[words[0]]);
    struct entry entry;
    if (table == NULL) return;
    if (kind == 'E') {
        varve_object *item = key_of(words);
        if (item == NULL) return;
        is_fine(varve_weak_set_add(table, item));
        varve_decref(item);
    } else if (entry_of(words, &entry)) {
        is_fine(set_entry(table, kind, entry));
        end_entry(entry);
    }
}

static int delete_key(varve_object *table, char kind, varve_object *key) {
    if (kind == 'V') return varve_weak_value_dict_delete(table, key);
    if (kind == 'K') return varve_weak_key_dict_delete(table, key);
    int result = varve_weak_set_discard(table, key);
    return result == 0 ? -ENOENT : result;
}

static void get(varve_object *table, char kind, varve_object *key) {
    varve_object *found;
    if (kind == 'E') {
        int result = varve_weak_set_contains(table, key);
        if (is_fine(result)) note("=%d", result);
    } else {
        int result = kind == 'V' ? varve_weak_value_dict_get(table, key, &found)
                                 : varve_weak_key_dict_get(table, key, &found);
        note_found(result, found);
    }
}

/* The operations that have a key. */
static void with_key(enum operation code, const int *words) {
    varve_object *table = table_in(words[0], code == TABLE_TAKE ? "VK" : "VKE");
    varve_object *key = table != NULL ? key_of(words) : NULL, *found;
    char kind = kind_of(run.slots[words[0]]);
    if (key == NULL) return;
    if (code == TABLE_DELETE) {
        is_fine(delete_key(table, kind, key));
    } else if (code == TABLE_GET) {
        get(table, kind, key);
    } else {
        int result = varve_weak_dict_take(table, key, &found);
        note_found(result, found);
    }
    varve_decref(key);
}

static void set_default(const int *words) {
    varve_object *table = table_in(words[0], "VK"), *found;
    struct entry entry;
    if (table == NULL || !entry_of(words, &entry)) return;
    int result = varve_weak_dict_setdefault(table, entry.key, entry.value, &found);
    note_found(result < 0 ? result : 1, found);
    end_entry(entry);
}

static void pop(const int *words) {
    varve_object *table = table_in(words[0], "VK");
    struct entry entry;
    if (table == NULL) return;
    if (varve_weak_table_pop(table, &entry.key, &entry.value) == 0) {
        note("=none");
        return;
    }
    note("%s%s", text_of(entry.key).text, text_of(entry.value).text);
    end_entry(entry);
}

/* --- whole tables --- */

static void update(const int *words) {
    varve_object *table = table_in(words[0], "VKE"), *other = table_in(words[1], "VKE");
    char kind = kind_of(run.slots[words[0]]);
    if (table == NULL || other == NULL || kind != kind_of(run.slots[words[1]])) return;
    if (kind == 'E') {
        is_fine(varve_weak_set_update(table, (varve_set_operation)(words[2] % 4), other));
    } else {
        is_fine(varve_weak_dict_update(table, other));
    }
}

static void compare(const int *words) {
    varve_object *left = table_in(words[0], "E"), *right = table_in(words[1], "E");
    if (left == NULL || right == NULL) return;
    note("=%d%d%d", varve_weak_set_is_subset(left, right), varve_weak_set_is_disjoint(left, right),
         varve_equal(left, right));
}

static int next_entry(varve_object *table, char kind, size_t *position, struct entry *out_entry) {
    return kind == 'V'
               ? varve_weak_value_dict_next(table, position, &out_entry->key, &out_entry->value)
               : varve_weak_key_dict_next(table, position, &out_entry->key, &out_entry->value);
}

static void show_set(varve_object *set) {
    int numbers[NUMBER_COUNT];
    size_t count = 0, position = 0;
    varve_object *item;
    while (varve_weak_set_next(set, &position, &item) > 0) {
        numbers[count++] = number_of(item);
        varve_decref(item);
    }
    add_numbers(numbers, count);
}

void show_table(const varve_object *holder) {
    varve_object *table = varve_instance_get(holder, HELD_PLACE);
    char kind = kind_of(holder);
    size_t position = 0;
    struct entry entry;
    note("=%c%d:%zu:", kind, number_of(holder),
         kind == 'V'   ? varve_weak_value_dict_length(table)
         : kind == 'K' ? varve_weak_key_dict_length(table)
                       : varve_weak_set_length(table));
    if (kind == 'E') {
        show_set(table);
        return;
    }
    while (next_entry(table, kind, &position, &entry) > 0) {
        add("%s%s", text_of(entry.key).text, text_of(entry.value).text);
        end_entry(entry);
    }
}

/* Whether all that the dict holds itself is numbers. */
static bool holds_numbers(varve_object *dict, char kind) {
    size_t position = 0;
    struct entry entry;
    bool result = true;
    while (next_entry(dict, kind, &position, &entry) > 0) {
        if (varve_kind_of(kind == 'V' ? entry.key : entry.value) != VARVE_KIND_INT) result = false;
        end_entry(entry);
    }
    return result;
}

static void walk(const int *words) {
    varve_object *dict = table_in(words[0], "VK"), *last = NULL;
    char kind = kind_of(run.slots[words[0]]);
    size_t position = 0;
    struct entry entry;
    if (dict == NULL || !holds_numbers(dict, kind)) return;
    varve_incref(dict);
    for (int count = 0; next_entry(dict, kind, &position, &entry) > 0; count++) {
        varve_xdecref(last);
        last = kind == 'V' ? entry.value : entry.key;
        varve_decref(kind == 'V' ? entry.key : entry.value);
        note("%s", text_of(last).text);
        if (count == words[2] % 4) put(&run.slots[words[1]], NULL);
    }
    varve_xdecref(last);
    varve_decref(dict);
}

/* A table that was garbage and then saved gets rid of dead entries when it is next changed. */
static void refresh(varve_object *table, char kind) {
    varve_object *anchor = run.anchor;
    int result = 0;
    if (kind == 'V') {
        result = varve_weak_value_dict_set(table, anchor, anchor);
    } else if (kind == 'K') {
        result = varve_weak_key_dict_set(table, anchor, anchor);
    } else {
        result = varve_weak_set_add(table, anchor);
    }
    if (result < 0 || delete_key(table, kind, anchor) < 0) stop("refresh");
}

void refresh_tables(void) {
    for (int number = 0; number < NUMBER_COUNT; number++) {
        if (!run.alive[number] || !is_one_of(run.objects[number], "VKE")) continue;
        refresh(varve_instance_get(run.objects[number], HELD_PLACE), run.kinds[number]);
    }
}

/* --- finalizers from outside --- */

static void ran(void *argument) {
    int number = (int)(intptr_t)argument;
    run.outside[number] = NULL;
    if (lie == LIE_OUTSIDE) return;
    note("x%d.%d", run.targets[number], number);
    int later = number + FROM_CALLBACK;
    if (run.actions[number] == OUTSIDE_MAKES) put(&run.saved[later], list_new(later));
    if (run.actions[number] == OUTSIDE_FAILS) varve_unraisable(run.anchor, "outside", number + 1);
}

static void make_outside(const int *words) {
    varve_object *target = run.slots[words[1]];
    if (!can_have_refs(target)) return;
    varve_object *held = words[2] >= 4 ? run.slots[words[3]] : NULL;
    void *argument = (void *)(intptr_t)run.number;
    run.actions[run.number] = words[2] % 4;
    run.targets[run.number] = number_of(target);
    run.outside[run.number] = must(varve_finalize_new(target, ran, argument, held));
    hold(run.outside[run.number], 'X', words[0]);
}

static void call(varve_object *finalizer) {
    bool is_alive = varve_finalize_is_alive(finalizer);
    note("=%d", is_alive);
    if (varve_finalize_call(finalizer) != is_alive) stop("a finalizer was alive or not");
}

static void detach(varve_object *finalizer) {
    varve_object *object = NULL;
    void *argument;
    if (varve_finalize_detach(finalizer, &object, &argument) == 1) {
        run.outside[(intptr_t)argument] = NULL;
    }
    note("=<%d>", number_of(object));
    varve_xdecref(object);
}

static void peek(varve_object *finalizer) {
    varve_object *object = NULL;
    varve_finalize_peek(finalizer, &object, NULL);
    note("=<%d>%d", number_of(object), varve_finalize_is_alive(finalizer));
    varve_xdecref(object);
}

/* The operations on one that is there. It may lose its holder meanwhile. */
static void with_finalizer(enum operation code, const int *words) {
    if (kind_of(run.slots[words[0]]) != 'X') return;
    varve_object *finalizer = varve_incref(varve_instance_get(run.slots[words[0]], HELD_PLACE));
    if (code == OUTSIDE_CALL) {
        call(finalizer);
    } else if (code == OUTSIDE_DETACH) {
        detach(finalizer);
    } else {
        peek(finalizer);
    }
    varve_decref(finalizer);
}

void detach_all(void) {
    for (int number = 0; number < NUMBER_COUNT; number++) {
        if (run.outside[number] == NULL) continue;
        varve_finalize_detach(run.outside[number], NULL, NULL);
        run.outside[number] = NULL;
    }
}

void run_table_operation(enum operation code, const int *words) {
    switch (code) {
    case TABLE: make_table(words); return;
    case TABLE_COPY: copy_table(words); return;
    case TABLE_SET: set(words); return;
    case TABLE_DELETE:
    case TABLE_GET:
    case TABLE_TAKE: with_key(code, words); return;
    case TABLE_DEFAULT: set_default(words); return;
    case TABLE_POP: pop(words); return;
    case TABLE_UPDATE: update(words); return;
    case TABLE_COMPARE: compare(words); return;
    case TABLE_SHOW:
        if (table_in(words[0], "VKE") != NULL) show_table(run.slots[words[0]]);
        return;
    case TABLE_WALK: walk(words); return;
    case OUTSIDE: make_outside(words); return;
    default: with_finalizer(code, words); return;
    }
}
