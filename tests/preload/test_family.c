/* SPDX-License-Identifier: MIT
 * The malloc family under its own names: run with libvarve-malloc.so preloaded. */
#include "harness.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Walloc-size-larger-than="
#pragma GCC diagnostic ignored "-Wuse-after-free"
#endif

/* Keeps the compiler from knowing sizes and from dropping calls. */
static size_t hidden(size_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}
static void *kept(void *block) {
    __asm__ volatile("" : "+r"(block));
    return block;
}

TEST(malloc_is_varves) {
    void *block = kept(malloc(100));
    size_t usable = getenv("VARVE_DEBUG") != NULL ? 100 : VARVE_CLASSIC ? 104 : 112;
    CHECK_EQ(malloc_usable_size(block), usable);
    CHECK_EQ(malloc_usable_size(NULL), 0);
    free(block);
}

TEST(even_small_blocks_are_aligned_for_any_type) {
    const size_t alignment = VARVE_CLASSIC ? 8 : 16; /* the classic 8 is what the lesson teaches */
    for (size_t size = 0; size < 200; size++)
        CHECK_EQ((uintptr_t)kept(malloc(size)) % alignment, 0);
}

TEST(realloc_keeps_all_bytes_that_may_be_used) {
    for (size_t size = 1; size < 300000; size += size / 3 + 1) {
        unsigned char *block = kept(malloc(size));
        size_t usable = malloc_usable_size(block);
        for (size_t index = 0; index < usable; index++) block[index] = (unsigned char)(index * 7);
        block = kept(realloc(block, 3 * usable + 100));
        for (size_t index = 0; index < usable; index++) {
            if (block[index] != (unsigned char)(index * 7)) CHECK_EQ(index, usable);
        }
        free(block);
    }
}

TEST(malloc_of_nothing_is_unique) {
    void *first = kept(malloc(hidden(0))), *second = kept(malloc(hidden(0)));
    CHECK(first != NULL && second != NULL && first != second);
    CHECK(kept(calloc(hidden(0), 5)) != NULL);
    free(first);
    free(second);
}

TEST(sizes_beyond_ptrdiff_max_fail_with_enomem) {
    size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX};
    for (size_t index = 0; index < 4; index++) {
        errno = 0;
        CHECK_EQ_PTR(malloc(hidden(sizes[index])), NULL);
        CHECK_EQ(errno, ENOMEM);
        errno = 0;
        CHECK_EQ_PTR(memalign(4096, hidden(sizes[index])), NULL);
        CHECK_EQ(errno, ENOMEM);
        errno = 0;
        CHECK_EQ_PTR(calloc(hidden(sizes[index]), 1), NULL);
        CHECK_EQ(errno, ENOMEM);
        void *block = kept(malloc(10));
        errno = 0;
        CHECK_EQ_PTR(realloc(block, hidden(sizes[index])), NULL);
        CHECK_EQ(errno, ENOMEM);
        free(block);
        errno = 0;
        CHECK_EQ_PTR(pvalloc(hidden(sizes[index])), NULL);
        CHECK_EQ(errno, ENOMEM);
    }
}

TEST(products_that_overflow_fail_with_enomem) {
    errno = 0;
    CHECK_EQ_PTR(calloc(hidden(SIZE_MAX / 2), hidden(3)), NULL);
    CHECK_EQ(errno, ENOMEM);
    errno = 0;
    CHECK_EQ_PTR(reallocarray(NULL, hidden(SIZE_MAX / 2), hidden(3)), NULL);
    CHECK_EQ(errno, ENOMEM);
    void *block = kept(reallocarray(NULL, 10, 10));
    CHECK_GE(malloc_usable_size(block), 100);
    free(block);
}

TEST(calloc_is_zero_also_in_reused_memory) {
    for (size_t size = 1; size < 4u << 20; size = size * 3 + 1) {
        for (int round = 0; round < 3; round++) {
            unsigned char *block = kept(malloc(size));
            memset(block, 0xff, size);
            free(block);
            block = kept(calloc(1, size));
            REQUIRE(block != NULL);
            for (size_t index = 0; index < size; index++) REQUIRE(block[index] == 0);
            free(block);
        }
    }
}

TEST(realloc_follows_the_c_library) {
    char *block = realloc(NULL, 10);
    REQUIRE(block != NULL);
    strcpy(block, "hello");
    block = realloc(block, 100000);
    REQUIRE(block != NULL);
    CHECK_EQ_STR(block, "hello");
    block = realloc(block, 3000000);
    REQUIRE(block != NULL);
    CHECK_EQ_STR(block, "hello");
    block = realloc(block, 6);
    REQUIRE(block != NULL);
    CHECK_EQ_STR(block, "hello");
    CHECK_LE(malloc_usable_size(block), 16);
    CHECK_EQ_PTR(realloc(block, hidden(0)), NULL); /* frees */
}

TEST(realloc_grows_through_all_layers_and_back) {
    unsigned char *block = NULL;
    for (size_t size = 1; size < 20u << 20; size += size / 3 + 1) {
        block = realloc(block, size);
        REQUIRE(block != NULL);
        block[size - 1] = (unsigned char)size;
        block[size / 2] = (unsigned char)(size / 2);
    }
    for (size_t size = 20u << 20; size > 1; size = size * 2 / 3) {
        block = realloc(block, size);
        REQUIRE(block != NULL);
        block[size - 1] = 1;
    }
    free(block);
}

TEST(free_keeps_errno) {
    size_t sizes[] = {0, 10, 5000, 100000, 5000000};
    for (size_t index = 0; index < 5; index++) {
        void *block = kept(malloc(sizes[index]));
        errno = 123;
        free(block);
        CHECK_EQ(errno, 123);
    }
    free(NULL);
    CHECK_EQ(errno, 123);
}

TEST(alignment_functions_align_or_say_einval) {
    for (size_t alignment = 8; alignment <= (size_t)4 << 20; alignment *= 2) {
        for (size_t size = 1; size < 10000000; size = size * 11 + 5) {
            void *block = NULL;
            CHECK_EQ(posix_memalign(&block, alignment, size), 0);
            CHECK_EQ((uintptr_t)block % alignment, 0);
            memset(block, 1, size);
            free(block);
            block = kept(aligned_alloc(alignment, size));
            CHECK_EQ((uintptr_t)block % alignment, 0);
            block = realloc(block, size + 100);
            memset(block, 1, size + 100);
            free(block);
        }
    }
    void *block = (void *)7;
    CHECK_EQ(posix_memalign(&block, hidden(24), 10), EINVAL);
    CHECK_EQ(posix_memalign(&block, hidden(4), 10), EINVAL);
    CHECK_EQ(posix_memalign(&block, hidden(0), 10), EINVAL);
    errno = 5;
    CHECK_EQ(posix_memalign(&block, 64, hidden(SIZE_MAX)), ENOMEM);
    CHECK_EQ(errno, 5);
    CHECK_EQ_PTR(block, (void *)7);
    errno = 0;
    CHECK_EQ_PTR(aligned_alloc(hidden(48), 48), NULL);
    CHECK_EQ(errno, EINVAL);
}

TEST(memalign_rounds_the_alignment_up_and_valloc_gives_pages) {
    CHECK_EQ((uintptr_t)kept(memalign(hidden(48), 10)) % 64, 0);
    CHECK_EQ((uintptr_t)kept(valloc(10)) % 4096, 0);
    void *block = kept(pvalloc(5000));
    CHECK_EQ((uintptr_t)block % 4096, 0);
    CHECK_GE(malloc_usable_size(block), 8192);
    errno = 0;
    CHECK_EQ_PTR(memalign(hidden(SIZE_MAX), 10), NULL);
    CHECK_EQ(errno, EINVAL);
}

TEST(usable_bytes_are_usable) {
    for (size_t size = 1; size < 3000000; size = size * 2 + 3) {
        unsigned char *block = kept(malloc(size));
        size_t usable = malloc_usable_size(block);
        CHECK_GE(usable, size);
        memset(block, 5, usable);
        block = realloc(block, usable + 1);
        for (size_t index = 0; index < usable; index += 100) REQUIRE(block[index] == 5);
        free(block);
    }
}

TEST(mallinfo_counts_live_blocks) {
    struct mallinfo2 before = mallinfo2();
    void *small = kept(malloc(1000)), *medium = kept(malloc(100000)),
         *huge = kept(malloc(50000000));
    struct mallinfo2 after = mallinfo2();
    CHECK_GE(after.uordblks, before.uordblks + 101000);
    CHECK_EQ(after.hblks, before.hblks + 1);
    CHECK_GE(after.hblkhd, before.hblkhd + 50000000);
    CHECK_EQ(mallinfo().hblks, after.hblks);
    free(small);
    free(medium);
    free(huge);
    size_t waiting_count = getenv("VARVE_DEBUG") != NULL ? 1 : 0;
    CHECK_EQ(mallinfo2().hblks, before.hblks + waiting_count);
}

TEST(malloc_info_writes_xml) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    REQUIRE(stream != NULL);
    CHECK_EQ(malloc_info(0, stream), 0);
    CHECK_EQ(malloc_info(1, stream), EINVAL);
    fclose(stream);
    CHECK(strstr(text, "<malloc version=\"1\">") == text);
    CHECK(strstr(text, "<system type=\"current\" size=\"") != NULL);
    CHECK(strstr(text, "</malloc>\n") != NULL);
    free(text);
}

TEST(malloc_stats_writes_to_stderr_and_mallopt_succeeds) {
    malloc_stats();
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 1000), 1);
}

static size_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    size_t total = 0, resident = 0;
    if (file == NULL || fscanf(file, "%zu %zu", &total, &resident) != 2) return 0;
    fclose(file);
    return resident * 4096;
}

TEST(malloc_trim_gives_memory_back) {
    enum { COUNT = 100000 };
    static void *blocks[COUNT];
    for (size_t index = 0; index < COUNT; index++) {
        blocks[index] = malloc(1000);
        memset(blocks[index], 1, 1000);
    }
    size_t full = resident_bytes();
    for (size_t index = 0; index < COUNT; index++) free(blocks[index]);
    CHECK_EQ(malloc_trim(0), 1);
    CHECK_EQ(malloc_trim(0), 0); /* nothing is left to give */
    CHECK_LT(resident_bytes(), full - 95 * 1000 * 1000);
}

TEST(memory_goes_back_after_the_deadline) {
    enum { COUNT = 100000 };
    static void *blocks[COUNT];
    for (size_t index = 0; index < COUNT; index++) {
        blocks[index] = malloc(1000);
        memset(blocks[index], 1, 1000);
    }
    size_t full = resident_bytes();
    for (size_t index = 0; index < COUNT; index++) free(blocks[index]);
    usleep(1100 * 1000);
    for (size_t index = 0; index < 100000; index++) kept(malloc(16)); /* some life goes on */
    CHECK_LT(resident_bytes(), full - 90 * 1000 * 1000);
}
