/* SPDX-License-Identifier: MIT
 * growing_vectors - arrays that grow by realloc, side by side.
 *
 * Stands for string builders, token lists, I/O buffers and result sets. Some sixty vectors grow
 * in turn towards targets between a few items and 4 MiB, by one of three habits: doubling, one
 * and a half times, or small fixed steps. A full vector is checked and dropped. Stresses
 * realloc: growth in place, copying, and the hand-over from small to large blocks. */
#include "bench.h"

#define VECTOR_COUNT ((size_t)60)
#define APPEND_ITEMS_MAX ((size_t)2048)
#define STEP_ITEMS ((size_t)1024) /* 4 KiB */
#define TARGET_OCTAVE_COUNT ((size_t)15)
#define TARGET_FIRST_ITEMS ((size_t)32)            /* up to 1 Mi items, 4 MiB */
#define STEP_TARGET_MAX_ITEMS ((size_t)256 * 1024) /* 1 MiB by small steps */
#define ITEM_COUNT ((size_t)300000000)

enum habit { HABIT_DOUBLE, HABIT_HALF_MORE, HABIT_STEP, HABIT_COUNT };

/* Invariant: count <= capacity, count <= target_count; item i is first_item + i. */
struct vector {
    uint32_t *items;
    size_t count;
    size_t capacity;
    size_t target_count;
    enum habit habit;
    uint32_t first_item;
};

static void vector_start(struct vector *vector, struct bench_random *random) {
    *vector = (struct vector){0};
    vector->habit = (enum habit)bench_random_below(random, HABIT_COUNT);
    vector->first_item = (uint32_t)bench_random_next(random);
    vector->target_count = bench_random_inverse(random, TARGET_FIRST_ITEMS, TARGET_OCTAVE_COUNT);
    if (vector->habit == HABIT_STEP && vector->target_count > STEP_TARGET_MAX_ITEMS) {
        vector->target_count = STEP_TARGET_MAX_ITEMS;
    }
}

static size_t next_capacity(const struct vector *vector) {
    size_t capacity = vector->capacity;
    if (capacity == 0) return 4;
    switch (vector->habit) {
    case HABIT_DOUBLE: return capacity * 2;
    case HABIT_HALF_MORE: return capacity + capacity / 2;
    case HABIT_STEP: return capacity + (capacity < STEP_ITEMS ? 32 : STEP_ITEMS);
    case HABIT_COUNT: break;
    }
    bench_fail("unknown habit");
}

static void vector_append(struct vector *vector, size_t append_count) {
    for (size_t index = 0; index < append_count; index++) {
        if (vector->count == vector->capacity) {
            vector->capacity = next_capacity(vector);
            vector->items = bench_realloc(vector->items, vector->capacity * sizeof *vector->items);
        }
        vector->items[vector->count] = vector->first_item + (uint32_t)vector->count;
        vector->count++;
    }
}

/* Checks every item and frees them; a vector may be empty. */
static uint64_t vector_drop(struct vector *vector) {
    uint32_t difference = 0;
    for (size_t index = 0; index < vector->count; index++) {
        difference |= vector->items[index] ^ (vector->first_item + (uint32_t)index);
    }
    if (difference != 0) bench_fail("a vector lost items while it grew");
    free(vector->items);
    vector->items = NULL;
    return (uint64_t)vector->count << 20 ^ vector->capacity ^ vector->first_item;
}

int main(int argc, char **argv) {
    size_t items_left = bench_scaled(ITEM_COUNT, bench_percent(argc, argv));
    struct bench_random random = bench_random_new(7);
    struct vector vectors[VECTOR_COUNT];
    for (size_t index = 0; index < VECTOR_COUNT; index++) vector_start(&vectors[index], &random);

    uint64_t checksum = 0;
    while (items_left > 0) {
        struct vector *vector = &vectors[bench_random_below(&random, VECTOR_COUNT)];
        size_t append_count = 1 + bench_random_below(&random, APPEND_ITEMS_MAX);
        size_t missing_count = vector->target_count - vector->count;
        if (append_count > missing_count) append_count = missing_count;
        if (append_count > items_left) append_count = items_left;
        vector_append(vector, append_count);
        items_left -= append_count;
        if (vector->count == vector->target_count) {
            checksum = bench_mix(checksum, vector_drop(vector));
            vector_start(vector, &random);
        }
    }
    for (size_t index = 0; index < VECTOR_COUNT; index++) {
        checksum = bench_mix(checksum, vector_drop(&vectors[index]));
    }
    return bench_finish("growing_vectors", checksum);
}
