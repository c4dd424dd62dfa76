/* SPDX-License-Identifier: MIT
 * Little memory: limits on address space. Run with libvarve-malloc.so preloaded. */
#include "harness.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* Allocates blocks until there is no more memory; returns how many bytes that were. */
static size_t allocate_all(size_t size) {
    size_t total = 0;
    void *list = NULL;
    for (;;) {
        void **block = malloc(size);
        if (block == NULL) break;
        *block = list;
        list = block;
        total += size;
    }
    CHECK_EQ(errno, ENOMEM);
    while (list != NULL) {
        void *next = *(void **)list;
        free(list);
        list = next;
    }
    return total;
}

/* Runs one of the tests below in a new process, so that varve begins its life under the limit. */
static void in_limited_process(size_t limit_bytes, size_t block_bytes, const char *what) {
    char program[4096], numbers[2][32];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    REQUIRE(length > 0);
    program[length] = '\0';
    snprintf(numbers[0], sizeof numbers[0], "%zu", limit_bytes);
    snprintf(numbers[1], sizeof numbers[1], "%zu", block_bytes);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit space = {limit_bytes, limit_bytes};
        setrlimit(RLIMIT_AS, &space);
        setenv("VARVE_TEST_LIMIT", numbers[0], 1);
        setenv("VARVE_TEST_BLOCK", numbers[1], 1);
        unsetenv("VARVE_TEST_COUNTS");
        execl(program, program, what, (char *)NULL);
        _exit(99);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
}

static size_t number_in(const char *variable) {
    const char *text = getenv(variable);
    REQUIRE(text != NULL);
    return strtoull(text, NULL, 10);
}

/* The share of the memory that blocks of that size can fill: in the classic geometry a block above
 * 512 bytes has pages of its own. */
static double share_of_pages(size_t block_bytes) {
    if (!VARVE_CLASSIC || block_bytes <= 512) return 1;
    return (double)block_bytes / (double)((block_bytes + 4095) / 4096 * 4096);
}

TEST(inner_most_of_a_limited_address_space_is_usable) {
    size_t block_bytes = number_in("VARVE_TEST_BLOCK");
    double possible = share_of_pages(block_bytes) * (double)number_in("VARVE_TEST_LIMIT");
    if (getenv("VARVE_TRACE") != NULL) possible *= 0.6; /* the trace's tables are in it, too */
    if (getenv("VARVE_DEBUG") != NULL) possible *= block_bytes < 100 ? 0.5 : 0.8; /* guards */
    for (int round = 0; round < 2; round++) {
        CHECK_GT(allocate_all(block_bytes), (size_t)(possible / 2));
        malloc_trim(0);
    }
}

TEST(most_of_a_limited_address_space_is_usable_at_every_size) {
    size_t limits[] = {64 * MIB, 150 * MIB, 300 * MIB};
    size_t sizes[] = {24, 1000, 20000, 100000, 3000000};
    for (size_t index = 0; index < 15; index++) {
        in_limited_process(limits[index / 5], sizes[index % 5], "inner_most");
    }
}

TEST(inner_tiny_address_space_is_survived) {
    allocate_all(100);
    allocate_all(100000);
}

TEST(tiny_limits_are_survived) {
    for (size_t limit = 12 * MIB; limit < 40 * MIB; limit += 3 * MIB) {
        in_limited_process(limit, 0, "inner_tiny");
    }
}
