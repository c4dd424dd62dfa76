/* SPDX-License-Identifier: MIT
 * The classic lesson on memory tracing, in C: allocate three kinds of data, ask which lines hold
 * the memory, and what the current and the highest sum are; then take two snapshots around some
 * growth and ask for the difference.
 *
 * Built with -g and linked with -lvarve-malloc, so that malloc is varve's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <varve/snapshot.h>

enum {
    LIST_COUNT = 100,
    LIST_LENGTH = 1000,
    STRING_COUNT = 50,
    DICT_COUNT = 20,
    DICT_LENGTH = 100
};
enum { STRING_BYTES = 1100, RECORD_COUNT = 10000, TOP = 5 };

static void *checked(void *block) {
    if (block == NULL) {
        fputs("lesson: out of memory\n", stderr);
        exit(1);
    }
    return block;
}

/* --- three kinds of data --- */

struct list {
    long *numbers[LIST_LENGTH];
};

struct entry {
    char *key;
    long value;
};

struct dict {
    struct entry entries[DICT_LENGTH];
};

static struct list *make_list(void) {
    struct list *list = checked(malloc(sizeof *list));
    for (int index = 0; index < LIST_LENGTH; index++) {
        list->numbers[index] = checked(malloc(sizeof(long)));
        *list->numbers[index] = index;
    }
    return list;
}

static char *make_string(void) {
    char *string = checked(malloc(STRING_BYTES + 1));
    memset(string, 'x', STRING_BYTES);
    string[STRING_BYTES] = '\0';
    return string;
}

static struct dict *make_dict(void) {
    struct dict *dict = checked(malloc(sizeof *dict));
    for (int index = 0; index < DICT_LENGTH; index++) {
        char key[16];
        snprintf(key, sizeof key, "key_%d", index);
        dict->entries[index] = (struct entry){checked(strdup(key)), index};
    }
    return dict;
}

/* --- what grows --- */

struct record {
    long number;
    long *squares;
};

static struct record *records[RECORD_COUNT];

static void grow(void) {
    for (int index = 0; index < RECORD_COUNT; index++) {
        struct record *record = checked(malloc(sizeof *record));
        record->number = index;
        record->squares = checked(malloc(3 * sizeof *record->squares));
        for (int power = 0; power < 3; power++) record->squares[power] = (long)index * index;
        records[index] = record;
    }
}

/* --- printing --- */

static void must(int result, const char *what) {
    if (result == 0) return;
    fprintf(stderr, "lesson: %s: %s\n", what, strerror(-result));
    exit(1);
}

static void print_top(varve_statistics *statistics) {
    for (size_t index = 0; index < statistics->length && index < TOP; index++) {
        char line[512];
        varve_statistic_format(statistics, index, line, sizeof line);
        const char *slash = strrchr(statistics->items[index].frame.filename, '/');
        size_t folder =
            slash != NULL ? (size_t)(slash + 1 - statistics->items[index].frame.filename) : 0;
        printf("  %s\n", line + folder);
    }
    varve_statistics_free(statistics);
}

static varve_snapshot *take(void) {
    varve_snapshot *snapshot;
    must(varve_snapshot_take(&snapshot), "cannot take a snapshot");
    return snapshot;
}

static void print_lines(void) {
    varve_snapshot *snapshot = take();
    varve_statistics *statistics;
    must(varve_snapshot_statistics(snapshot, VARVE_KEY_LINE, false, &statistics), "cannot sum");
    printf("Top %d lines:\n", TOP);
    print_top(statistics);
    varve_snapshot_free(snapshot);
}

static void print_growth(varve_snapshot *before, varve_snapshot *after) {
    varve_statistics *statistics;
    must(varve_snapshot_compare(after, before, VARVE_KEY_LINE, false, &statistics),
         "cannot compare");
    printf("What grew:\n");
    print_top(statistics);
}

/* --- the lesson --- */

static struct list *lists[LIST_COUNT];
static char *strings[STRING_COUNT];
static struct dict *dicts[DICT_COUNT];

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0); /* stdio's own buffer would be among the data */
    must(varve_trace_start(0), "cannot trace");
    for (int index = 0; index < LIST_COUNT; index++) lists[index] = make_list();
    for (int index = 0; index < STRING_COUNT; index++) strings[index] = make_string();
    for (int index = 0; index < DICT_COUNT; index++) dicts[index] = make_dict();
    print_lines();

    size_t current, peak;
    varve_trace_memory(&current, &peak);
    printf("Current: %.1f KiB, peak: %.1f KiB\n", (double)current / 1024, (double)peak / 1024);

    varve_snapshot *before = take();
    grow();
    varve_snapshot *after = take();
    print_growth(before, after);
    varve_snapshot_free(before);
    varve_snapshot_free(after);
    varve_trace_stop();
    return 0;
}
