/* SPDX-License-Identifier: MIT
 * fork_per_request - a warm parent that forks one child per request.
 *
 * Stands for pre-loading servers and build or test drivers (CGI, PostgreSQL, Android's zygote):
 * a heap of some 20 MB, then children that allocate, free and change a part of it and exit,
 * while the parent goes on allocating. Stresses fork handlers, the price of the first write to
 * each shared page, and allocators that spread or clear what a child touches. */
#include "bench.h"

#include <sys/wait.h>
#include <unistd.h>

#define RECORD_COUNT ((size_t)180000)
#define FIRST_BYTES ((size_t)16)
#define OCTAVE_COUNT ((size_t)6) /* 16 .. 1024 bytes, 90 on average */
#define FILL_LIMIT_BYTES ((size_t)1024)
#define REQUEST_COUNT ((size_t)120)
#define CHILD_BLOCKS ((size_t)6000)
#define CHILD_REPLACED ((size_t)150)
#define PARENT_REPLACED ((size_t)1000)

static struct bench_block *records;

static void fill_record(struct bench_random *random, struct bench_block *record) {
    size_t size_bytes = bench_random_power_law(random, FIRST_BYTES, OCTAVE_COUNT);
    bench_block_fill(record, size_bytes, (unsigned char)random->state, FILL_LIMIT_BYTES);
}

static uint64_t replace_records(struct bench_random *random, size_t count) {
    uint64_t checksum = 0;
    for (size_t index = 0; index < count; index++) {
        struct bench_block *record = &records[bench_random_below(random, RECORD_COUNT)];
        checksum = bench_mix(checksum, bench_block_drop(record));
        fill_record(random, record);
    }
    return checksum;
}

/* The work of one request: own blocks with short lives, and some changes to the shared heap. */
static uint64_t serve(uint64_t request_index) {
    struct bench_random random = bench_random_new(request_index + 100);
    struct bench_block *blocks = bench_calloc(CHILD_BLOCKS, sizeof *blocks);
    uint64_t checksum = 0;
    for (size_t index = 0; index < CHILD_BLOCKS; index++) {
        fill_record(&random, &blocks[index]);
        struct bench_block *older = &blocks[bench_random_below(&random, index + 1)];
        checksum = bench_mix(checksum, bench_block_drop(older));
    }
    checksum += replace_records(&random, CHILD_REPLACED);
    for (size_t index = 0; index < CHILD_BLOCKS; index++) {
        checksum = bench_mix(checksum, bench_block_drop(&blocks[index]));
    }
    free(blocks);
    return checksum;
}

/* Forks, waits, and returns the checksum that the child sent. */
static uint64_t request(uint64_t request_index) {
    int ends[2];
    if (pipe(ends) != 0) bench_fail("pipe");
    pid_t child = fork();
    if (child < 0) bench_fail("fork");
    if (child == 0) {
        uint64_t checksum = serve(request_index);
        bool sent = write(ends[1], &checksum, sizeof checksum) == (ssize_t)sizeof checksum;
        exit(sent ? 0 : 1);
    }
    close(ends[1]);
    uint64_t checksum = 0;
    if (read(ends[0], &checksum, sizeof checksum) != (ssize_t)sizeof checksum) {
        bench_fail("a child sent no answer");
    }
    close(ends[0]);
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) bench_fail("a child failed");
    return checksum;
}

int main(int argc, char **argv) {
    size_t request_count = bench_scaled(REQUEST_COUNT, bench_percent(argc, argv));
    struct bench_random random = bench_random_new(17);
    records = bench_calloc(RECORD_COUNT, sizeof *records);
    for (size_t index = 0; index < RECORD_COUNT; index++) fill_record(&random, &records[index]);

    uint64_t checksum = 0;
    for (size_t index = 0; index < request_count; index++) {
        checksum = bench_mix(checksum, request(index));
        checksum = bench_mix(checksum, replace_records(&random, PARENT_REPLACED));
    }
    for (size_t index = 0; index < RECORD_COUNT; index++) {
        checksum += bench_block_drop(&records[index]);
    }
    free(records);
    return bench_finish("fork_per_request", checksum);
}
