/* SPDX-License-Identifier: MIT
 * bench.h - what the benchmark programs share: a generator of numbers that is the same
 * everywhere, checked allocation, block contents that can be verified, and the one output line.
 *
 * Every program takes an optional scale in percent (argv[1], default 100), prints one line
 * "<name> <checksum>" and exits 0. The checksum depends on the scale only: never on addresses,
 * thread order or the allocator. Include this file first. */
#ifndef BENCH_H
#define BENCH_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_PAGE_BYTES ((size_t)4096)
#define BENCH_PERCENT_MAX 100000UL

/* Ends the program: a failed benchmark must not look like a fast one. */
static inline _Noreturn void bench_fail(const char *what) {
    fprintf(stderr, "benchmark failed: %s\n", what);
    exit(1);
}

/* xorshift64* (Vigna 2014). The state must not be 0, which bench_random_new() ensures. */
struct bench_random {
    uint64_t state;
};

static inline struct bench_random bench_random_new(uint64_t seed) {
    return (struct bench_random){(seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1};
}

static inline uint64_t bench_random_next(struct bench_random *random) {
    uint64_t state = random->state;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    random->state = state;
    return state * UINT64_C(0x2545F4914F6CDD1D);
}

/* A number in 0 .. limit - 1; the limit fits in 32 bits. */
static inline size_t bench_random_below(struct bench_random *random, size_t limit) {
    return (size_t)(((bench_random_next(random) >> 32) * (uint64_t)limit) >> 32);
}

/* A size in first_bytes << octave: octaves 0 .. octave_count - 1 equally likely and flat inside,
 * which is an inverse-size distribution: half the octave, twice the density. */
static inline size_t bench_random_inverse(struct bench_random *random, size_t first_bytes,
                                          size_t octave_count) {
    size_t base_bytes = first_bytes << bench_random_below(random, octave_count);
    return base_bytes + bench_random_below(random, base_bytes + 1);
}

/* The same with every octave half as likely as the one below it (a power law: most are small). */
static inline size_t bench_random_power_law(struct bench_random *random, size_t first_bytes,
                                            size_t octave_count) {
    uint64_t bits = bench_random_next(random) >> 32;
    size_t octave = 0;
    while ((bits & 1) != 0 && octave + 1 < octave_count) {
        bits >>= 1;
        octave++;
    }
    size_t base_bytes = first_bytes << octave;
    return base_bytes + bench_random_below(random, base_bytes + 1);
}

/* Reads the scale from argv[1]. */
static inline unsigned long bench_percent(int argc, char **argv) {
    if (argc < 2) return 100;
    char *end = NULL;
    unsigned long percent = strtoul(argv[1], &end, 10);
    if (end == argv[1] || *end != '\0' || percent == 0 || percent > BENCH_PERCENT_MAX) {
        bench_fail("the scale must be a whole number of percent, 1 or more");
    }
    return percent;
}

/* A count given for 100 percent, scaled, at least 1. */
static inline size_t bench_scaled(size_t count, unsigned long percent) {
    size_t scaled = count / 100 * percent + count % 100 * percent / 100;
    return scaled > 0 ? scaled : 1;
}

static inline void *bench_malloc(size_t bytes) {
    void *block = malloc(bytes);
    if (block == NULL) bench_fail("malloc returned NULL");
    return block;
}

static inline void *bench_calloc(size_t count, size_t bytes) {
    void *block = calloc(count, bytes);
    if (block == NULL) bench_fail("calloc returned NULL");
    return block;
}

static inline void *bench_realloc(void *old, size_t bytes) {
    void *block = realloc(old, bytes);
    if (block == NULL) bench_fail("realloc returned NULL");
    return block;
}

static inline uint64_t bench_mix(uint64_t checksum, uint64_t value) {
    checksum = (checksum ^ value) * UINT64_C(0x100000001B3);
    return checksum ^ checksum >> 29;
}

/* A block with its size and the byte that it is filled with: what a slot of a table holds. */
struct bench_block {
    unsigned char *bytes; /* NULL: empty */
    uint32_t size_bytes;
    unsigned char tag;
};

/* Writes the first and last byte and one byte per page; blocks up to fill_limit_bytes whole. */
static inline void bench_block_touch(struct bench_block *block, size_t fill_limit_bytes) {
    size_t size_bytes = block->size_bytes;
    if (size_bytes <= fill_limit_bytes) {
        memset(block->bytes, block->tag, size_bytes);
        return;
    }
    for (size_t offset = 0; offset < size_bytes; offset += BENCH_PAGE_BYTES) {
        block->bytes[offset] = block->tag;
    }
    block->bytes[size_bytes - 1] = block->tag;
}

static inline void bench_block_fill(struct bench_block *block, size_t size_bytes, unsigned char tag,
                                    size_t fill_limit_bytes) {
    block->bytes = bench_malloc(size_bytes);
    block->size_bytes = (uint32_t)size_bytes;
    block->tag = tag;
    bench_block_touch(block, fill_limit_bytes);
}

/* Checks what was written at both ends, frees the block; returns what goes into the checksum. */
static inline uint64_t bench_block_drop(struct bench_block *block) {
    if (block->bytes == NULL) return 0;
    if (block->bytes[0] != block->tag || block->bytes[block->size_bytes - 1] != block->tag) {
        bench_fail("a block does not hold what was written into it");
    }
    uint64_t value = (uint64_t)block->size_bytes << 8 | block->tag;
    free(block->bytes);
    block->bytes = NULL;
    return value;
}

/* Prints the line of the program; returns its exit code. */
static inline int bench_finish(const char *name, uint64_t checksum) {
    int printed = printf("%s %016llx\n", name, (unsigned long long)checksum);
    return printed > 0 && fflush(stdout) == 0 ? 0 : 1;
}

#endif
