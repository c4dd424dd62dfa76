/* SPDX-License-Identifier: MIT
 * The stacks that the trace keeps of blocks: against what the test knows, and against the C
 * library's. Links varve's objects, as test_trace.c. */
#include "harness.h"

#include "varve/trace.h"

#include <errno.h>
#include <execinfo.h>

static __attribute__((noinline)) void *allocate_inner(void) {
    return varve_malloc(40);
}

static __attribute__((noinline)) void *allocate_outer(void) {
    void *block = allocate_inner();
    __asm__ volatile("" : "+r"(block)); /* no tail call */
    return block;
}

static bool is_near(const void *address, void *(*function)(void)) {
    uintptr_t begin = (uintptr_t)function;
    return (uintptr_t)address > begin && (uintptr_t)address < begin + 4096;
}

TEST(the_stack_of_a_block_is_known) {
    REQUIRE(varve_trace_start(0) == 0);
    void *block = allocate_outer();
    void *addresses[100];
    int count = varve_trace_of(block, addresses, 100);
    REQUIRE(count >= 4);
    int inner = 0;
    while (inner < count && !is_near(addresses[inner], allocate_inner)) inner++;
    REQUIRE(inner + 1 < count);
    CHECK(is_near(addresses[inner + 1], allocate_outer));
    CHECK_EQ(varve_trace_of(NULL, addresses, 100), -ENOENT);
    CHECK_EQ(varve_trace_of(&count, addresses, 100), -ENOENT);
    varve_free(block);
}

TEST(a_limit_cuts_stacks) {
    REQUIRE(varve_trace_start(2) == 0);
    CHECK_EQ(varve_trace_limit(), 2);
    void *block = allocate_outer();
    void *addresses[100];
    CHECK_EQ(varve_trace_of(block, addresses, 100), 2);
    size_t current;
    varve_trace_memory(&current, NULL);
    CHECK_EQ(current, 40);
    varve_free(block);
}

#define WALK_FRAMES_MAX 64

static void *walked[WALK_FRAMES_MAX]; /* as the C library sees the stack of walk_and_allocate() */
static int walked_count;
static unsigned walked_site;

static __attribute__((noinline)) void *walk_and_allocate(unsigned site) {
    void *block;
    walked_count = backtrace(walked, WALK_FRAMES_MAX);
    walked_site = site;
    switch (site) {
    case 0: block = varve_malloc(10); break;
    case 1: block = varve_malloc(11); break;
    case 2: block = varve_calloc(1, 12); break;
    default: block = varve_realloc(NULL, 13); break;
    }
    __asm__ volatile("" : "+r"(block));
    return block;
}

static __attribute__((noinline)) void *walk_from_here(unsigned caller, unsigned site) {
    void *block = (caller & 1) != 0 ? walk_and_allocate(site) : walk_and_allocate(site ^ 1);
    __asm__ volatile("" : "+r"(block));
    return block;
}

static __attribute__((noinline)) void *walk_from_there(unsigned caller, unsigned site) {
    void *block = (caller & 1) != 0 ? walk_and_allocate(site ^ 2) : walk_and_allocate(site);
    __asm__ volatile("" : "+r"(block));
    return block;
}

/* The libraries of sanitizers have frames of their own in what backtrace() finds, and
 * varve_malloc() is compiled to be one. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SKIP_IF_SANITIZED() SKIP("frames of a sanitizer's are between")
#else
#define SKIP_IF_SANITIZED() ((void)0)
#endif

TEST(stacks_that_differ_in_one_call_are_told_apart) {
    SKIP_IF_SANITIZED();
    unsigned random = (unsigned)test_seed(7);
    void *call_of_site[4] = {NULL};
    walk_from_here(0, 0); /* backtrace() allocates when it is called first */
    REQUIRE(varve_trace_start(0) == 0);
    for (int round = 0; round < 20000; round++) {
        random = random * 1103515245 + 12345;
        unsigned caller = random >> 16 & 3, site = random >> 20 & 3;
        void *block = caller < 2 ? walk_from_here(caller, site) : walk_from_there(caller, site);
        void *addresses[WALK_FRAMES_MAX];
        REQUIRE(varve_trace_of(block, addresses, WALK_FRAMES_MAX) == walked_count);
        for (int index = 1; index < walked_count; index++) {
            REQUIRE(addresses[index] == walked[index]);
        }
        void **call = &call_of_site[walked_site];
        if (*call == NULL) *call = addresses[0];
        REQUIRE(*call == addresses[0]);
        varve_free(block);
    }
    for (unsigned site = 1; site < 4; site++) CHECK(call_of_site[site] != call_of_site[site - 1]);
    CHECK(call_of_site[0] != call_of_site[2] && call_of_site[1] != call_of_site[3]);
}

/* Two ways to the same depth. On the second, the words that the first one read on its way up still
 * lie where they were, as what the compiler calls padding. */
#define ASSEMBLER_CALL(name, room, callee)                                                         \
    ".type " name ", @function\n" name ":\n.cfi_startproc\nsub $" room ", %rsp\n"                  \
    ".cfi_adjust_cfa_offset " room "\ncall " callee "\nadd $" room ", %rsp\n"                      \
    ".cfi_adjust_cfa_offset -" room "\nret\n.cfi_endproc\n.size " name ", . - " name "\n"

__asm__(".text\n" ASSEMBLER_CALL("narrow", "8", "varve_malloc@PLT") /* */
        ASSEMBLER_CALL("wide", "24", "varve_malloc@PLT")            /* */
        ASSEMBLER_CALL("by_way_of_narrow", "24", "narrow")          /* */
        ASSEMBLER_CALL("by_way_of_wide", "8", "wide"));

void *by_way_of_narrow(size_t byte_count);
void *by_way_of_wide(size_t byte_count);

static __attribute__((noinline)) void *go(void *(*way)(size_t)) {
    void *block = way(10);
    __asm__ volatile("" : "+r"(block));
    return block;
}

TEST(a_stack_whose_words_are_those_of_another_is_told_apart) {
    SKIP_IF_SANITIZED();
    void *(*const ways[])(size_t) = {by_way_of_narrow, by_way_of_wide};
    void *blocks[6], *addresses[2] = {NULL};
    REQUIRE(varve_trace_start(0) == 0);
    for (unsigned index = 0; index < 6; index++) blocks[index] = go(ways[index % 2]);
    for (unsigned index = 0; index < 6; index++) {
        REQUIRE(varve_trace_of(blocks[index], addresses, 2) > 2);
        CHECK((uintptr_t)addresses[1] - (uintptr_t)ways[index % 2] < 16);
        varve_free(blocks[index]);
    }
}
