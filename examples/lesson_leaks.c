/* SPDX-License-Identifier: MIT
 * Step 7 of the lesson: does a function leak? A clean one, one with a cache that fills up, one that
 * forgets a block in each call, and one that keeps objects of a world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <varve/varve.h>

static char *cache[8];
static char *forgotten;
static varve_object *history;

static int work(void *argument) {
    char *block = malloc(10000);
    (void)argument;
    if (block == NULL) return 1;
    memset(block, 'x', 10000);
    free(block);
    return 0;
}

static int fill_cache(void *argument) {
    static unsigned call;
    unsigned place = call++ % 8;
    if (cache[place] == NULL) cache[place] = malloc(2000);
    return work(argument);
}

static int forget(void *argument) {
    char *block = malloc(100);
    if (block == NULL) return 1;
    memcpy(block, &forgotten, sizeof forgotten); /* a chain that nobody walks */
    forgotten = block;
    return work(argument);
}

static int remember(void *argument) {
    varve_object *entry = varve_dict_new(argument);
    if (entry == NULL || varve_list_append(history, entry) < 0) return 1;
    varve_decref(entry);
    return 0;
}

/* Without folders, so that it reads the same everywhere. */
static void print(const char *text, size_t length, void *argument) {
    const char *path = strstr(text, "examples/");
    (void)argument;
    if (path != NULL && text[0] == ' ') {
        printf("  %s", path);
    } else {
        fwrite(text, 1, length, stdout);
    }
}

static int check(const char *name, int (*function)(void *), varve_world *world) {
    varve_leak_options options = {.warm_ups = 3, .iterations = 10, .world = world};
    varve_leak_report report;
    int result = varve_leak_check(function, world, &options, &report);
    if (result != 0) {
        fprintf(stderr, "lesson_leaks: %s cannot be checked\n", name);
        exit(1);
    }
    printf("%s: ", name);
    varve_leak_report_write(&report, print, NULL);
    int leaks = report.verdict == VARVE_LEAK_GROWS;
    varve_leak_report_free(&report);
    return leaks;
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    varve_world *world = varve_world_new();
    history = world != NULL ? varve_list_new(world) : NULL;
    if (history == NULL) return 1;
    int leaks = check("clean function", work, NULL);
    leaks += check("function with a cache", fill_cache, NULL);
    leaks += check("leaking function", forget, NULL);
    leaks += check("function that keeps objects", remember, world);
    varve_decref(history);
    varve_world_free(world);
    return leaks == 2 ? 0 : 1;
}
