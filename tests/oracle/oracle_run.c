/* SPDX-License-Identifier: MIT */
#include "oracle_run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum lie lie;
struct run run;

void stop(const char *what) {
    fprintf(stderr, "oracle_driver: %s\n", what);
    exit(3);
}

__attribute__((format(printf, 1, 0))) static void add_list(const char *format, va_list arguments) {
    size_t room_bytes = sizeof run.line - run.line_bytes - 2;
    int written = vsnprintf(run.line + run.line_bytes, room_bytes, format, arguments);
    if (written < 0 || (size_t)written >= room_bytes) stop("a line is too long");
    run.line_bytes += (size_t)written;
}

void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    run.line[run.line_bytes++] = ' ';
    add_list(format, arguments);
    va_end(arguments);
}

void add(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_list(format, arguments);
    va_end(arguments);
}

static int compare_numbers(const void *left, const void *right) {
    return *(const int *)left - *(const int *)right;
}

void add_numbers(int *numbers, size_t count) {
    qsort(numbers, count, sizeof numbers[0], compare_numbers);
    for (size_t index = 0; index < count; index++) {
        add(index > 0 ? ",%d" : "%d", numbers[index]);
    }
}

void end_line(const char *name) {
    if (run.line_bytes > 0) printf("%s%.*s\n", name, (int)run.line_bytes, run.line);
    run.line_bytes = 0;
}

/* --- numbers --- */

static struct address *address_of(const varve_object *object) {
    uint64_t hash = (uint64_t)(uintptr_t)object * UINT64_C(0x9E3779B97F4A7C15);
    size_t place = (size_t)(hash >> (64 - ADDRESS_SHIFT));
    while (run.addresses[place].object != NULL && run.addresses[place].object != object) {
        place = (place + 1) % ADDRESS_COUNT;
    }
    return &run.addresses[place];
}

/* -1: NULL, or an object that is not the program's. */
int number_of(const varve_object *object) {
    if (object == NULL) return -1;
    struct address *address = address_of(object);
    return address->object == NULL ? -1 : address->number;
}

varve_object *must(varve_object *object) {
    if (object == NULL) stop("no memory");
    return object;
}

void register_object(varve_object *object, char kind, int number, int hashable) {
    *address_of(object) = (struct address){object, number};
    run.objects[number] = object;
    run.alive[number] = true;
    run.kinds[number] = kind;
    run.hashables[number] = (signed char)hashable;
}

/* 0: no object; 'W': a weak reference without callback. */
char kind_of(const varve_object *object) {
    if (object == NULL) return 0;
    int number = number_of(object);
    if (number >= 0 && run.objects[number] == object && run.alive[number]) return run.kinds[number];
    return 'W';
}

/* As run.hashables; -1 also for what has no number. */
static int hashable_of(const varve_object *object) {
    char kind = kind_of(object);
    int number = number_of(object);
    return kind == 0 || kind == 'W' || number < 0 ? -1 : run.hashables[number];
}

bool can_be_key(const varve_object *object) {
    return hashable_of(object) != -1;
}

bool is_hashable(const varve_object *object) {
    return hashable_of(object) == 1;
}

bool can_have_refs(const varve_object *object) {
    char kind = kind_of(object);
    return kind != 0 && strchr(run.automatic ? "IFSVKEXL" : "IFSVKEX", kind) != NULL;
}

/* Lets go what is in the place, then puts `object`, a new reference, there. */
void put(varve_object **place, varve_object *object) {
    varve_object *old = *place;
    *place = object;
    varve_xdecref(old);
}

static int canary_number(const varve_object *canary) {
    return ((const struct canary *)canary)->number;
}

void canary_dies(varve_object *self) {
    int number = canary_number(self);
    if (number < 0 || !run.alive[number]) return;
    run.alive[number] = false;
    note("d%d", number);
}

varve_object *canary_new(int number) {
    varve_object *canary = must(varve_object_new(run.canary_type));
    ((struct canary *)canary)->number = number;
    return canary;
}

varve_object *make_instance(varve_object *cls, char kind) {
    varve_object *object = must(varve_instance_new(cls));
    varve_object *canary = canary_new(run.number);
    varve_instance_set(object, CANARY_PLACE, canary);
    varve_decref(canary);
    register_object(object, kind, run.number, 1);
    return object;
}

varve_object *list_new(int number) {
    varve_object *list = must(varve_list_new(run.world));
    varve_object *canary = canary_new(number);
    if (varve_list_append(list, canary) != 0) stop("append");
    varve_decref(canary);
    register_object(list, 'L', number, 0);
    return list;
}

static void called(varve_object *ref, void *argument);

varve_object *ref_new(varve_object *target, int number) {
    varve_object *canary = canary_new(-1);
    void *argument = (void *)(intptr_t)number;
    varve_object *ref = must(varve_weakref_new(target, called, argument, canary));
    ((struct canary *)canary)->number = number;
    varve_decref(canary);
    run.targets[number] = number_of(target);
    register_object(ref, 'R', number, -1);
    return ref;
}

/* --- what finalizers and callbacks do --- */

/* As in cpython.py. */
static bool may_lose(const varve_object *object, int depth) {
    if ((!run.collecting && !run.automatic) || object == NULL) return true;
    if (kind_of(object) != 'I' || depth == 0) return false;
    for (unsigned place = 0; place < CANARY_PLACE; place++) {
        if (!may_lose(varve_instance_get(object, place), depth - 1)) return false;
    }
    return true;
}

void finalize(varve_object *self, void *argument) {
    (void)argument;
    int number = number_of(self);
    note("f%d", number);
    if (lie == LIE_FINALIZER) return;
    int later = number + FROM_FINALIZER;
    switch ((enum finalizer)run.actions[number]) {
    case NOTHING: return;
    case SAVE_SELF: put(&run.saved[number], varve_incref(self)); return;
    case SAVE_CHILD: put(&run.saved[number], varve_xincref(varve_instance_get(self, 0))); return;
    case LOSE_CHILD:
        if (may_lose(varve_instance_get(self, 0), 3)) varve_instance_set(self, 0, NULL);
        return;
    case MAKE_LIST: put(&run.saved[number], list_new(later)); return;
    case MAKE_REF:
        run.actions[later] = KEPT;
        put(&run.saved[number], ref_new(self, later));
        return;
    case TRY_COLLECT:
        if (run.collecting) note("g%d=%ld", number, varve_gc_collect(run.world, 2));
        return;
    case MOVE_CHILD:
        if (may_lose(varve_instance_get(self, 0), 3)) {
            varve_instance_set(self, 0, varve_instance_get(self, 1));
        }
        return;
    case FAIL: varve_unraisable(self, "finalizer", number + 1); return;
    }
}

static void called(varve_object *ref, void *argument) {
    int number = (int)(intptr_t)argument;
    if (number != number_of(ref)) stop("a callback has another's argument");
    if (lie == LIE_CALLBACK && number % 5 == 0) {
        run.alive[number] = false;
        return;
    }
    note("c%d.%d", run.targets[number], number);
    run.alive[number] = false; /* what it held goes now, too */
    int later = number + FROM_CALLBACK;
    bool is_kept = run.saved[number] == ref;
    switch ((enum callback)run.actions[number]) {
    case LOOSE:
    case KEPT: return;
    case LOOSE_ASKS: {
        varve_object *other = run.slots[run.asked[number]];
        char kind = kind_of(other);
        if (!run.exact || (kind != 'W' && kind != 'R')) return;
        varve_object *seen = varve_weakref_get(other);
        note("q%d.%d:%d", run.targets[number], number, number_of(seen));
        varve_xdecref(seen);
        return;
    }
    case KEPT_MAKES:
        if (is_kept) put(&run.saved[later], list_new(later));
        return;
    case KEPT_FAILS:
        if (is_kept) varve_unraisable(ref, "callback", number + 1);
        return;
    }
}

void failed(const char *where, varve_object *object, int error, void *argument) {
    (void)where;
    (void)object;
    (void)argument;
    int number = error - 1;
    if (run.kinds[number] == 'X') {
        note("u%d.%d", run.targets[number], number);
    } else {
        note("u%d", number);
    }
}
