/* SPDX-License-Identifier: MIT
 * documents FILE COMMAND [WORD...] [-- COMMAND ...] : questions to a store of JSON documents.
 *
 *   count                how many documents there are
 *   get ID               the document
 *   find KEY VALUE       the documents that have it
 *   follow ID KEY...     a value by way of keys, indexes and references
 *   size ID              own size, with all it reaches, and what would go with it
 *   holders ID           what keeps it alive
 *   drop ID              takes it out, and says how many objects that freed
 *   types                objects and bytes by type
 *   time N               reads the file N times; each time the former documents become garbage */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <varve/gc.h>
#include <varve/inspect.h>

struct command {
    const char *path;
    char **words; /* the command's name first */
    size_t word_count;
};

static void print_value(varve_object *value, void *argument) {
    store_write(argument, value);
    putchar('\n');
}

static bool no_such(const char *id) {
    fprintf(stderr, "documents: there is no %s\n", id);
    return false;
}

static bool do_count(struct store *store, const struct command *command) {
    (void)command;
    printf("%zu documents\n", varve_dict_length(store->documents));
    return true;
}

static bool do_get(struct store *store, const struct command *command) {
    varve_object *document = store_get(store, command->words[1]);
    if (document == NULL) return no_such(command->words[1]);
    print_value(document, stdout);
    return true;
}

static bool do_find(struct store *store, const struct command *command) {
    store_find(store, command->words[1], command->words[2], print_value, stdout);
    return true;
}

static bool do_follow(struct store *store, const struct command *command) {
    varve_object *value =
        store_follow(store, command->words[1], command->words + 2, command->word_count - 2);
    if (value == NULL) return no_such("such value");
    print_value(value, stdout);
    return true;
}

static bool do_size(struct store *store, const struct command *command) {
    varve_object *document = store_get(store, command->words[1]);
    varve_deep_size deep, retained;
    if (document == NULL) return no_such(command->words[1]);
    if (varve_deep_sizeof(document, NULL, &deep) < 0 ||
        varve_retained_sizeof(document, false, &retained) < 0) {
        return false;
    }
    printf("own size %zu, reaches %zu in %zu objects, retains %zu in %zu\n",
           varve_sizeof(document, false), deep.bytes, deep.objects, retained.bytes,
           retained.objects);
    return true;
}

static void print_path(varve_object *path) {
    char text[100];
    varve_describe(varve_list_get(path, 0), text, sizeof text);
    printf("%s", text);
    for (size_t index = 1; index < varve_list_length(path); index++) {
        varve_describe_reference(varve_list_get(path, index - 1), varve_list_get(path, index), text,
                                 sizeof text);
        printf(" %s", text);
    }
    printf("\n");
}

static bool do_holders(struct store *store, const struct command *command) {
    varve_object *document = store_get(store, command->words[1]);
    if (document == NULL) return no_such(command->words[1]);
    varve_object *paths = varve_paths_to(document, NULL, 3);
    for (size_t index = 0; paths != NULL && index < varve_list_length(paths); index++) {
        print_path(varve_list_get(paths, index));
    }
    varve_xdecref(paths);
    return paths != NULL;
}

static bool do_drop(struct store *store, const struct command *command) {
    varve_world_counts before, after;
    varve_world_count(store->world, &before);
    if (!store_drop(store, command->words[1])) return no_such(command->words[1]);
    varve_gc_collect(store->world, 2);
    varve_world_count(store->world, &after);
    printf("%zu objects freed\n", before.live_objects - after.live_objects);
    return true;
}

static bool do_types(struct store *store, const struct command *command) {
    varve_type_count *counts;
    size_t count;
    (void)command;
    if (varve_count_by_type(store->world, &counts, &count) < 0) return false;
    for (size_t index = 0; index < count; index++) {
        printf("%10zu bytes %8zu %s\n", counts[index].bytes, counts[index].objects,
               counts[index].name);
    }
    varve_free(counts);
    return true;
}

static double now_s(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool say_usage(void) {
    fprintf(stderr, "usage: documents FILE count|get ID|find KEY VALUE|follow ID KEY...|size ID|"
                    "holders ID|drop ID|types|time N [-- ...]\n");
    return false;
}

static bool do_time(struct store *store, const struct command *command) {
    char *end;
    unsigned long rounds = strtoul(command->words[1], &end, 10);
    if (*end != '\0' || command->words[1][0] < '0' || command->words[1][0] > '9') {
        return say_usage();
    }
    varve_gc_stats stats[VARVE_GC_GENERATIONS];
    varve_world_counts counts;
    double started_s = now_s();
    for (unsigned long round = 0; round < rounds; round++) {
        if (!store_load(store, command->path)) return false;
    }
    double seconds = now_s() - started_s;
    varve_gc_collect(store->world, 2);
    varve_world_count(store->world, &counts);
    varve_gc_get_stats(store->world, stats);
    printf("%lu times: %.0f documents/s; %zu objects live, %llu collected\n", rounds,
           (double)rounds * (double)varve_dict_length(store->documents) / seconds,
           counts.live_objects,
           (unsigned long long)(stats[0].collected + stats[1].collected + stats[2].collected));
    return true;
}

static const struct {
    const char *name;
    size_t word_count; /* at least, with the name */
    bool (*run)(struct store *store, const struct command *command);
} commands[] = {
    {"count", 1, do_count},   {"get", 2, do_get},     {"find", 3, do_find},
    {"follow", 2, do_follow}, {"size", 2, do_size},   {"holders", 2, do_holders},
    {"drop", 2, do_drop},     {"types", 1, do_types}, {"time", 2, do_time},
};

static bool run(struct store *store, const struct command *command) {
    for (size_t index = 0; index < sizeof commands / sizeof commands[0]; index++) {
        if (command->word_count >= commands[index].word_count &&
            strcmp(command->words[0], commands[index].name) == 0) {
            return commands[index].run(store, command);
        }
    }
    return say_usage();
}

int main(int argc, char **argv) {
    struct store store;
    bool good = store_open(&store);
    struct command command = {.path = argc > 1 ? argv[1] : "", .words = argv + 2};
    if (good && argc > 2) good = store_load(&store, argv[1]);
    for (int index = 2; good && index <= argc; index++) {
        if (index < argc && strcmp(argv[index], "--") != 0) {
            command.word_count++;
            continue;
        }
        good = run(&store, &command);
        command.words = argv + index + 1;
        command.word_count = 0;
    }
    if (argc <= 2) good = say_usage();
    long leaked = store_close(&store);
    if (leaked != 0) fprintf(stderr, "documents: %ld objects were leaked\n", leaked);
    return good && leaked == 0 ? 0 : 1;
}
