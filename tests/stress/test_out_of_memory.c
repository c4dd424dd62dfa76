/* SPDX-License-Identifier: MIT
 * The system refuses memory at every single call in turn: allocation fails with ENOMEM or succeeds,
 * what lives keeps its contents, nothing crashes, and afterwards the heap is whole and usable. */
#include "harness.h"

#include "os/pages.h"
#include "varve/heap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_COUNT 200
#ifdef __SANITIZE_THREAD__
#define STEPS 100 /* large blocks are filled, which takes long there */
#else
#define STEPS 400
#endif

struct slot {
    unsigned char *block;
    size_t size;
};

/* The bytes that are written and looked at: most of a large block is never touched, since page
 * faults would be all that this test does. They do not depend on the size, for realloc's sake. */
static size_t next_place(size_t at) {
    return at + (at < 65536 ? 509 : 61 * 1024);
}

static void check(const struct slot *slot, size_t index) {
    for (size_t at = 0; at < slot->size; at = next_place(at)) {
        if (slot->block[at] != (unsigned char)index) _exit(11);
    }
}

static void fill(struct slot *slot, size_t index, void *block, size_t size) {
    *slot = (struct slot){block, block != NULL ? size : 0};
    for (size_t at = 0; at < slot->size; at = next_place(at))
        slot->block[at] = (unsigned char)index;
}

static size_t random_size(uint64_t *random) {
    unsigned bits = (unsigned)test_random_below(random, 24);
    return test_random_below(random, ((uint64_t)1 << bits) + 1);
}

static void step(struct slot *slots, uint64_t *random) {
    size_t index = test_random_below(random, SLOT_COUNT);
    size_t size = random_size(random) + 1;
    struct slot *slot = &slots[index];
    check(slot, index);
    unsigned kind = (unsigned)test_random_below(random, 4);
    errno = 0;
    if (kind == 0 && slot->block != NULL) {
        unsigned char *moved = varve_realloc(slot->block, size);
        if (moved == NULL && errno != ENOMEM) _exit(12);
        if (moved == NULL) {
            check(slot, index); /* unchanged */
        } else {
            size_t kept = size < slot->size ? size : slot->size;
            check(&(struct slot){moved, kept}, index);
            fill(slot, index, moved, size);
        }
        return;
    }
    varve_free(slot->block);
    void *block = kind == 1   ? varve_calloc(1, size)
                  : kind == 2 ? varve_aligned_alloc(4096, size)
                              : varve_malloc(size);
    if (block == NULL && errno != ENOMEM) _exit(13);
    fill(slot, index, block, size);
}

static void *churn(void *argument) {
    static __thread struct slot slots[SLOT_COUNT];
    uint64_t random = (uintptr_t)argument;
    for (unsigned count = 0; count < STEPS; count++) step(slots, &random);
    for (size_t index = 0; index < SLOT_COUNT; index++) {
        check(&slots[index], index);
        varve_free(slots[index].block);
        slots[index] = (struct slot){NULL, 0};
    }
    return NULL;
}

static _Noreturn void live_with_failures(uint64_t allowed, uint64_t seed, bool with_thread) {
    pthread_t thread;
    alarm(30);
    vv_pages_fail_after(allowed);
    bool started = with_thread && pthread_create(&thread, NULL, churn, (void *)(seed + 1)) == 0;
    churn((void *)seed);
    if (started) pthread_join(thread, NULL);
    vv_pages_fail_never();
    churn((void *)(seed + 2)); /* as if nothing had been */
    const char *sentence = NULL;
    if (varve_heap_check(&sentence) != 0) _exit(14);
    void *block = varve_malloc(100000);
    _exit(block != NULL ? 0 : 15);
}

static void fail_at_every_call(bool with_thread) {
    uint64_t seed = test_seed(21);
    for (uint64_t allowed = 0; allowed < 70; allowed++) {
        pid_t child = fork();
        if (child == 0) live_with_failures(allowed, seed + allowed, with_thread);
        int status = -1;
        waitpid(child, &status, 0);
        if (status != 0) test_fail(__FILE__, __LINE__, "call %d: status %x", (int)allowed, status);
    }
}

TEST_SLOW(any_call_to_the_system_may_fail, 400) {
    fail_at_every_call(false);
}

TEST_SLOW(any_call_to_the_system_may_fail_while_another_thread_allocates, 400) {
    fail_at_every_call(true);
}
