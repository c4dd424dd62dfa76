/* SPDX-License-Identifier: MIT
 * oracle_run.h - one program's run: its objects, their numbers, what finalizers and callbacks do.
 */
#ifndef VARVE_TESTS_ORACLE_RUN_H
#define VARVE_TESTS_ORACLE_RUN_H

#include <stdio.h>

#include "varve/gc.h"
#include "varve/weakref.h"

#define SLOT_COUNT 8
#define FROM_FINALIZER 1000
#define FROM_CALLBACK 2000
#define NUMBER_COUNT 3000
#define ADDRESS_SHIFT 13 /* the table of addresses has 8192 places: more than twice the numbers */
#define ADDRESS_COUNT (1u << ADDRESS_SHIFT)

enum operation {
    INSTANCE,
    FINALIZED,
    LIST,
    DICT,
    SET,
    TUPLE,
    LINK,
    UNLINK,
    DROP,
    COPY,
    LOAD,
    WEAKREF,
    PLAIN_REF,
    ASK,
    COUNT_REFS,
    COLLECT,
    FREEZE,
    UNFREEZE,
    FORGET,
    RECALL,
    REFERENTS,
    TABLE,
    TABLE_COPY,
    TABLE_SET,
    TABLE_DELETE,
    TABLE_GET,
    TABLE_DEFAULT,
    TABLE_TAKE,
    TABLE_POP,
    TABLE_UPDATE,
    TABLE_COMPARE,
    TABLE_SHOW,
    TABLE_WALK,
    OUTSIDE,
    OUTSIDE_CALL,
    OUTSIDE_DETACH,
    OUTSIDE_PEEK,
    OPERATION_COUNT,
};

enum finalizer {
    NOTHING,
    SAVE_SELF,
    SAVE_CHILD,
    LOSE_CHILD,
    MAKE_LIST,
    MAKE_REF,
    TRY_COLLECT,
    MOVE_CHILD,
    FAIL,
};

enum callback { LOOSE, LOOSE_ASKS, KEPT, KEPT_MAKES, KEPT_FAILS };

enum outside { OUTSIDE_MAKES = 2, OUTSIDE_FAILS = 3 };

/* Places of an instance: the attributes a, b, c, then the canary; a of one that holds a table. */
#define CANARY_PLACE 3
#define HELD_PLACE 0

/* Wrong answers on purpose. */
enum lie {
    TRUTH,
    LIE_COUNT,     /* collect() found one more */
    LIE_LEAK,      /* emptying a slot keeps the reference */
    LIE_CALLBACK,  /* one callback in five is not reported */
    LIE_FINALIZER, /* finalizers do nothing */
    LIE_TRACKED,   /* tuples are said to be tracked */
    LIE_ENTRY,     /* one entry in five is not set */
    LIE_OUTSIDE,   /* finalizers from outside are not reported */
    LIE_KIND_COUNT,
};
extern enum lie lie;
/* What stands for an object in others' eyes: its death is seen. */
struct canary {
    varve_object head;
    int number;
};

struct address {
    const varve_object *object;
    int number;
};

/* One program's run. */
struct run {
    varve_world *world;
    varve_type *canary_type;
    varve_object *instance_class;
    varve_object *finalized_class;
    varve_object *anchor; /* an instance without number that lives as long as the world */
    varve_object *slots[SLOT_COUNT];
    varve_object *saved[NUMBER_COUNT];
    varve_object *objects[NUMBER_COUNT]; /* borrowed; good while `alive` */
    bool alive[NUMBER_COUNT];
    char kinds[NUMBER_COUNT]; /* as in cpython.py */
    signed char hashables[NUMBER_COUNT];
    int actions[NUMBER_COUNT];
    int targets[NUMBER_COUNT];
    int asked[NUMBER_COUNT];
    varve_object *outside[NUMBER_COUNT]; /* finalizers that are alive; borrowed */
    struct address addresses[ADDRESS_COUNT];
    int number;    /* of the operation that runs */
    int last_used; /* the highest that any operation had */
    bool automatic;
    bool collecting;
    bool exact;
    bool frozen;
    size_t frozen_base;
    bool frozen_base_known;
    char line[64 * 1024];
    size_t line_bytes;
};
extern struct run run;

/* Ends the driver: what it cannot go on from. */
void stop(const char *what) __attribute__((noreturn));

/* Adds an event or result to the line / prints the line, if there is anything on it. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void end_line(const char *name);

/* Adds to what was noted last: text / the numbers, sorted. */
void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
void add_numbers(int *numbers, size_t count);

/* The number of an object. -1: NULL, or not one of the program's. */
int number_of(const varve_object *object);

/* As in cpython.py; 0: no object; 'W': a weak reference without callback. */
char kind_of(const varve_object *object);

/* Whether it may be hashed at all / can be hashed / can have weak references, in a program. */
bool can_be_key(const varve_object *object);
bool is_hashable(const varve_object *object);
bool can_have_refs(const varve_object *object);

/* The object, which is not NULL. */
varve_object *must(varve_object *object);

/* Makes the object known. */
void register_object(varve_object *object, char kind, int number, int hashable);

/* Puts `object`, a new reference, in the place and lets go what was there. */
void put(varve_object **place, varve_object *object);

/* New objects of the program with their canaries. */
varve_object *canary_new(int number);
varve_object *make_instance(varve_object *cls, char kind); /* of the operation that runs */
varve_object *list_new(int number);
varve_object *ref_new(varve_object *target, int number);

/* Callbacks of the world. */
void canary_dies(varve_object *self);
void finalize(varve_object *self, void *argument);
void failed(const char *where, varve_object *object, int error, void *argument);

#endif
