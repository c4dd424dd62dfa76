/* SPDX-License-Identifier: MIT
 * Allocating in a signal handler that interrupts malloc. Not allowed by POSIX, done by programs;
 * here it neither deadlocks nor hands out a block twice. Run with libvarve-malloc.so preloaded. */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SLOT_COUNT 64

/* Blocks with a pattern; `index` chooses slot and size. */
struct store {
    unsigned char *blocks[SLOT_COUNT];
    size_t sizes[SLOT_COUNT];
    unsigned char pattern;
};

static _Noreturn void give_up(const char *why) {
    write(STDERR_FILENO, why, strlen(why));
    abort();
}

static size_t size_for(uint64_t random, size_t largest) {
    return random % 16 == 0 ? random / 16 % largest + 1 : random / 16 % 300 + 1;
}

static void churn(struct store *store, uint64_t random, size_t largest) {
    size_t slot = random % SLOT_COUNT;
    unsigned char *block = store->blocks[slot];
    size_t size = store->sizes[slot];
    if (block != NULL) {
        for (size_t index = 0; index < size; index++) {
            if (block[index] != store->pattern) give_up("a block changed\n");
        }
        if (random / SLOT_COUNT % 4 == 0) {
            size_t new_size = size_for(random / 1024, largest);
            unsigned char *new_block = realloc(block, new_size);
            if (new_block == NULL) give_up("realloc failed\n");
            memset(new_block, store->pattern, new_size);
            store->blocks[slot] = new_block;
            store->sizes[slot] = new_size;
            return;
        }
        free(block);
    }
    size = size_for(random / 1024, largest);
    block = malloc(size);
    if (block == NULL) give_up("malloc failed\n");
    memset(block, store->pattern, size);
    store->blocks[slot] = block;
    store->sizes[slot] = size;
}

static struct store handler_store = {.pattern = 0xaa};
static uint64_t handler_random = 99;
static volatile sig_atomic_t handler_calls;

static void set_timer(suseconds_t first_us, suseconds_t interval_us) {
    struct itimerval timer = {.it_interval = {0, interval_us}, .it_value = {0, first_us}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

#define CALM_US 30 /* from the end of a handler to the next signal: the program goes on, too */

static void allocate_in_handler(int signal_number) {
    for (int round = 0; round < 3; round++)
        churn(&handler_store, test_random(&handler_random), 4000);
    handler_calls++;
    if (signal_number == SIGALRM) set_timer(CALM_US, 0);
}

static void watch_signals(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};
    sigaddset(&action.sa_mask, SIGALRM); /* the handlers share a store */
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static void start_storm(int flags) {
    watch_signals(allocate_in_handler, flags);
    set_timer(CALM_US, 0);
}

static void stop_storm(void) {
    signal(SIGALRM, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    set_timer(0, 0);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void churn_for(double seconds, uint64_t random, size_t largest) {
    static __thread struct store store;
    store.pattern = (unsigned char)random;
    double end = seconds_now() + seconds;
    while (seconds_now() < end) {
        for (int round = 0; round < 200; round++) churn(&store, test_random(&random), largest);
    }
}

TEST(a_handler_may_allocate_while_it_interrupts_small_allocations) {
    start_storm(0);
    churn_for(2, test_seed(1), 300);
    stop_storm();
    CHECK_GT(handler_calls, 1000);
}

TEST(a_handler_may_allocate_while_it_interrupts_any_allocation) {
    start_storm(0);
    churn_for(2, test_seed(2), 3000000);
    stop_storm();
    CHECK_GT(handler_calls, 500);
}

static volatile bool storming = true;

static void *send_signals(void *target) {
    sigset_t all; /* the timer's signal must not be handled here */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (storming) {
        sig_atomic_t calls = handler_calls;
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        while (handler_calls == calls && storming) sched_yield();
        for (volatile int spin = 0; spin < 3000; spin++) { /* let the program go on, too */
        }
    }
    return NULL;
}

TEST(a_storm_of_signals_from_another_thread_is_survived) {
    pthread_t self = pthread_self(), sender;
    /* The handlers' store is one thread's: the sender is born with the signals blocked. */
    sigset_t storm, former;
    sigemptyset(&storm);
    sigaddset(&storm, SIGALRM);
    sigaddset(&storm, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &storm, &former);
    start_storm(0);
    pthread_create(&sender, NULL, send_signals, &self);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    churn_for(2, test_seed(3), 100000);
    storming = false;
    pthread_join(sender, NULL);
    stop_storm();
    CHECK_GT(handler_calls, 2000);
}

TEST(a_handler_on_its_own_stack_may_allocate) {
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    start_storm(SA_ONSTACK);
    churn_for(2, test_seed(4), 10000);
    stop_storm();
    CHECK_GT(handler_calls, 1000);
}

/* A handler that leaves by siglongjmp() out of an interrupted malloc loses the block in flight, or
 * the heap when it is being refilled; afterwards the thread allocates as before. Only the moment
 * in which the process-wide arena lock is held is deadly, here as in other allocators: with a
 * jump every millisecond it does not come. */
static sigjmp_buf leave;
static volatile sig_atomic_t jump_armed;

static void jump(int signal_number) {
    (void)signal_number;
    if (jump_armed) siglongjmp(leave, 1);
}

TEST(a_handler_may_leave_by_longjmp) {
    static volatile unsigned jumps;
    for (size_t size = 1; size <= 500; size++) free(malloc(size)); /* all pools exist */
    watch_signals(jump, SA_NODEFER);
    set_timer(1000, 1000);
    double end = seconds_now() + 2;
    if (sigsetjmp(leave, 1) != 0) jumps++;
    jump_armed = 1;
    static volatile unsigned turn;
    while (seconds_now() < end) {
        void *block = malloc(turn % 500 + 1);
        if (block == NULL) abort();
        memset(block, 1, turn % 500 + 1);
        free(block); /* a block is lost when the jump comes before it is back */
        turn++;
    }
    jump_armed = 0;
    stop_storm();
    CHECK_GT(jumps, 200);
    if (getenv("VARVE_DEBUG") != NULL) return; /* freed blocks wait */
    void *first = malloc(64); /* the fast path works again: last freed, first used */
    volatile uintptr_t address = (uintptr_t)first;
    free(first);
    CHECK((uintptr_t)malloc(64) == address);
}
