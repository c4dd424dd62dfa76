/* SPDX-License-Identifier: MIT
 * fork() from any thread while others allocate. Run with libvarve-malloc.so preloaded. */
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_COUNT 256

static volatile bool running = true;

struct shared {
    pthread_mutex_t mutex;
    void *blocks[SLOT_COUNT];
};
static struct shared shared = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void churn(void **slots, uint64_t *random, unsigned rounds) {
    for (unsigned round = 0; round < rounds; round++) {
        void **slot = &slots[test_random_below(random, SLOT_COUNT)];
        free(*slot);
        unsigned kind = (unsigned)test_random_below(random, 100);
        size_t size = kind < 90 ? 500 : kind < 99 ? 60000 : 2000000;
        size = test_random_below(random, size) + 1;
        *slot = malloc(size);
        if (*slot == NULL) abort();
        memset(*slot, 7, size < 4096 ? size : 4096);
    }
}

static void *allocate_for_ever(void *argument) {
    uint64_t random = (uintptr_t)argument * 7919 + 1;
    void *slots[SLOT_COUNT] = {NULL};
    while (running) {
        churn(slots, &random, 50);
        /* and free what another thread allocated */
        size_t place = test_random_below(&random, SLOT_COUNT);
        pthread_mutex_lock(&shared.mutex);
        void *other = shared.blocks[place];
        shared.blocks[place] = slots[0];
        pthread_mutex_unlock(&shared.mutex);
        slots[0] = other;
    }
    for (size_t index = 0; index < SLOT_COUNT; index++) free(slots[index]);
    return NULL;
}

static _Noreturn void live_in_child(uint64_t random, bool with_threads) {
    void *slots[SLOT_COUNT] = {NULL};
    churn(slots, &random, 2000);
    if (with_threads) {
        pthread_t thread;
        running = true;
        if (pthread_mutex_trylock(&shared.mutex) == 0)
            pthread_mutex_unlock(&shared.mutex);
        else
            pthread_mutex_init(&shared.mutex, NULL);
        pthread_create(&thread, NULL, allocate_for_ever, (void *)77);
        churn(slots, &random, 2000);
        running = false;
        pthread_join(thread, NULL);
    }
    for (size_t index = 0; index < SLOT_COUNT; index++) free(slots[index]);
    exit(0);
}

static void fork_and_check(uint64_t random, bool with_threads) {
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(60); /* a deadlock ends here */
        live_in_child(random, with_threads);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
}

/* dprintf() links a FILE on its stack into stdio's list, so nobody may print while another forks:
 * the child's exit() would walk into that stack. */
static void fork_many(uint64_t random, unsigned count) {
    void *slots[SLOT_COUNT] = {NULL};
    for (unsigned round = 0; round < count; round++) {
        churn(slots, &random, 100);
        fork_and_check(test_random(&random), round % 8 == 0);
    }
}

static void *fork_in_thread(void *argument) {
    fork_many(*(uint64_t *)argument, 24);
    return NULL;
}

static pthread_t workers[3];

static void start_workers(void) {
    for (size_t index = 0; index < 3; index++) {
        pthread_create(&workers[index], NULL, allocate_for_ever, (void *)(index + 1));
    }
}

static void stop_workers(void) {
    running = false;
    for (size_t index = 0; index < 3; index++) pthread_join(workers[index], NULL);
}

TEST(the_main_thread_may_fork_while_others_allocate) {
    uint64_t random = test_seed(5);
    start_workers();
    fork_many(random, 48);
    stop_workers();
}

TEST(any_thread_may_fork_while_others_allocate) {
    pthread_t forkers[2];
    uint64_t seed = test_seed(5);
    start_workers();
    for (size_t index = 0; index < 2; index++) {
        pthread_create(&forkers[index], NULL, fork_in_thread, &seed);
    }
    for (size_t index = 0; index < 2; index++) pthread_join(forkers[index], NULL);
    stop_workers();
}

TEST(children_may_fork_in_turn) {
    uint64_t random = test_seed(6);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            alarm(60);
            void *slots[SLOT_COUNT] = {NULL};
            churn(slots, &random, 500);
            pid_t grandchild = fork();
            if (grandchild == 0) live_in_child(random, true);
            int status = -1;
            waitpid(grandchild, &status, 0);
            exit(status == 0 ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
    }
}

TEST(vfork_and_exec_leave_the_parent_alone) {
    for (int round = 0; round < 50; round++) {
        void *block = malloc(100);
        pid_t child = vfork();
        if (child == 0) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(127);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK_EQ(status, 0);
        free(block);
    }
}

/* --- a child whose parent goes on --- */

/* Four levels of sixteen calls each: any number below 65536 is a stack of its own. No function
 * calls itself, since the trace folds recursion. */
#define CALLS_OF(call)                                                                             \
    call(0) call(1) call(2) call(3) call(4) call(5) call(6) call(7) call(8) call(9) call(10)       \
        call(11) call(12) call(13) call(14) call(15)
#define CALL(digit, next)                                                                          \
    case digit:                                                                                    \
        next(number / 16);                                                                         \
        __asm__ volatile("" ::"r"(digit));                                                         \
        break;

#define LEVEL(name, call)                                                                          \
    static __attribute__((noinline)) void name(unsigned number) {                                  \
        switch (number % 16) { CALLS_OF(call) }                                                    \
    }

static __attribute__((noinline)) void innermost(unsigned number) {
    void *volatile block = malloc(number + 1);
    free(block);
}

#define CALL_INNERMOST(digit) CALL(digit, innermost)
LEVEL(fourth, CALL_INNERMOST)
#define CALL_FOURTH(digit) CALL(digit, fourth)
LEVEL(third, CALL_FOURTH)
#define CALL_THIRD(digit) CALL(digit, third)
LEVEL(second, CALL_THIRD)
#define CALL_SECOND(digit) CALL(digit, second)
LEVEL(stack_of, CALL_SECOND)

TEST(a_child_may_begin_when_its_parent_has_made_stacks_since_the_fork) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    stack_of(0); /* so that the parent is traced already */
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        char byte;
        alarm(60);
        if (read(ends[0], &byte, 1) != 1) _exit(1);
        for (unsigned number = 0; number < 16 * 16 * 16; number++) stack_of(number + 4096);
        _exit(0);
    }
    /* The child's paths but for their last call, some twenty pages of nodes. */
    for (unsigned number = 0; number < 16 * 16 * 16; number++) stack_of(number);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
    close(ends[0]);
    close(ends[1]);
}
