/* SPDX-License-Identifier: MIT
 * Allocation before main(), at exit, in thread destructors, in plugins. Run with
 * libvarve-malloc.so preloaded. */
#include "harness.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *from_constructor;

__attribute__((constructor(101))) static void allocate_in_constructor(void) {
    from_constructor = malloc(50);
    strcpy(from_constructor, "early");
}

TEST(blocks_from_constructors_live_on) {
    CHECK_EQ_STR(from_constructor, "early");
    from_constructor = realloc(from_constructor, 500);
    CHECK_EQ_STR(from_constructor, "early");
    free(from_constructor);
    from_constructor = NULL; /* a destructor frees it otherwise */
}

/* --- the end of a process --- */

static void allocate_at_exit(void) {
    for (size_t size = 1; size < 3000000; size = size * 2 + 1) {
        void *block = malloc(size);
        memset(block, 1, size);
        free(block);
    }
    from_constructor = realloc(from_constructor, 100);
}

__attribute__((destructor(101))) static void allocate_in_destructor(void) {
    allocate_at_exit();
    free(from_constructor);
}

TEST(atexit_handlers_and_destructors_may_allocate) {
    pid_t child = fork();
    if (child == 0) {
        atexit(allocate_at_exit);
        exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
}

/* --- the end of a thread --- */

#define KEY_COUNT 40 /* beyond 32, pthread_setspecific() itself allocates */
static pthread_key_t keys[KEY_COUNT];
static _Atomic int destructor_calls;

static void allocate_in_key_destructor(void *value) {
    destructor_calls++;
    for (int index = 0; index < 100; index++) {
        void *block = malloc((size_t)index * 37 + 1);
        memset(block, 3, (size_t)index * 37 + 1);
        free(block);
    }
    free(value);
    if (destructor_calls % 3 == 0)
        pthread_setspecific(keys[destructor_calls % KEY_COUNT], malloc(9));
}

static void *live_and_set_keys(void *argument) {
    for (int index = 0; index < KEY_COUNT; index++) {
        pthread_setspecific(keys[index], malloc(100));
    }
    return malloc((size_t)(uintptr_t)argument);
}

static void create_keys(void) {
    for (int index = 0; index < KEY_COUNT; index++) {
        pthread_key_create(&keys[index], allocate_in_key_destructor);
    }
}

TEST(key_destructors_may_allocate_and_free) {
    create_keys();
    for (uintptr_t round = 1; round <= 200; round++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, live_and_set_keys, (void *)round);
        pthread_join(thread, &result);
        memset(result, 1, round);
        free(result);
    }
    CHECK_GE(destructor_calls, 200 * KEY_COUNT);
}

static void *end_at_once(void *argument) {
    return argument;
}

static void *allocate_one(void *argument) {
    (void)argument;
    return calloc(1, 1000);
}

TEST(many_short_threads_do_not_grow_the_process) {
    size_t resident[3] = {0, 0, 0}; /* in the first third, tables and libraries are touched */
    for (int third = 0; third < 3; third++) {
        for (int round = 0; round < 2000; round++) {
            pthread_t thread;
            void *block;
            pthread_create(&thread, NULL, round % 3 == 0 ? end_at_once : allocate_one, NULL);
            pthread_join(thread, &block);
            free(block);
        }
        FILE *file = fopen("/proc/self/statm", "r");
        size_t total;
        REQUIRE(file != NULL && fscanf(file, "%zu %zu", &total, &resident[third]) == 2);
        fclose(file);
    }
    CHECK_LE(resident[2], resident[1] + 20);
}

TEST(a_detached_thread_may_end_with_the_process) {
    create_keys();
    for (int round = 0; round < 50; round++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, live_and_set_keys, (void *)5);
            pthread_detach(thread);
            exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
    }
}

/* --- plugins --- */

TEST(plugins_come_and_go) {
    for (int round = 0; round < 20; round++) {
        void *plugin = dlopen(TEST_PLUGIN, RTLD_NOW);
        if (plugin == NULL) test_fail(__FILE__, __LINE__, "%s", dlerror());
        REQUIRE(plugin != NULL);
        char *(*make)(const char *) = (char *(*)(const char *))dlsym(plugin, "plugin_make");
        void (*drop)(char *) = (void (*)(char *))dlsym(plugin, "plugin_drop");
        REQUIRE(make != NULL && drop != NULL);
        char *text = make("from plugin");
        CHECK_EQ_STR(text, "from plugin");
        char *other = strdup("from host");
        drop(other);
        dlclose(plugin);
        free(text);
    }
}
