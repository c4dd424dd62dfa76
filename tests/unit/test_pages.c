/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "os/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel refuses to read for us what we may not read. */
static bool can_be_read(const char *address) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    bool readable = write(ends[1], address, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return readable;
}

TEST(mapped_pages_are_zero_and_aligned) {
    for (size_t alignment = VV_PAGE_BYTES; alignment <= (size_t)64 << 20; alignment *= 4) {
        char *pages = vv_pages_map(3 * VV_PAGE_BYTES, alignment);
        REQUIRE(pages != NULL);
        CHECK(vv_is_aligned(pages, alignment));
        for (size_t index = 0; index < 3 * VV_PAGE_BYTES; index++) CHECK_EQ(pages[index], 0);
        pages[0] = pages[3 * VV_PAGE_BYTES - 1] = 1;
        vv_pages_unmap(pages, 3 * VV_PAGE_BYTES);
    }
}

TEST(purged_pages_read_as_zero_again) {
    char *pages = vv_pages_map(4 * VV_PAGE_BYTES, VV_PAGE_BYTES);
    REQUIRE(pages != NULL);
    memset(pages, 1, 4 * VV_PAGE_BYTES);
    CHECK(vv_pages_purge(pages + VV_PAGE_BYTES, VV_PAGE_BYTES));
    CHECK_EQ(pages[0], 1);
    CHECK_EQ(pages[VV_PAGE_BYTES], 0);
    CHECK_EQ(pages[2 * VV_PAGE_BYTES], 1);
}

TEST(locked_pages_refuse_to_be_purged_and_keep_their_contents) {
    char *pages = vv_pages_map(VV_PAGE_BYTES, VV_PAGE_BYTES);
    REQUIRE(pages != NULL);
    /* Past the sanitizers, which make mlock() do nothing. */
    if (syscall(SYS_mlock, pages, VV_PAGE_BYTES) != 0) SKIP("may not lock memory");
    pages[0] = 1;
    CHECK(!vv_pages_purge(pages, VV_PAGE_BYTES));
    CHECK_EQ(pages[0], 1);
}

TEST(a_reservation_is_not_replaced) {
    char *first = vv_pages_reserve(16 * VV_PAGE_BYTES, VV_PAGE_BYTES);
    REQUIRE(first != NULL);
    CHECK(!vv_pages_reserve_at(first + VV_PAGE_BYTES, VV_PAGE_BYTES));
    vv_pages_unmap(first + VV_PAGE_BYTES, VV_PAGE_BYTES);
    CHECK(vv_pages_reserve_at(first + VV_PAGE_BYTES, VV_PAGE_BYTES));
    CHECK(vv_pages_commit(first, 2 * VV_PAGE_BYTES));
    first[VV_PAGE_BYTES] = 1;
}

TEST(forbidden_pages_hold_nothing_and_can_be_made_usable_again) {
    char *pages = vv_pages_map(2 * VV_PAGE_BYTES, VV_PAGE_BYTES);
    REQUIRE(pages != NULL);
    memset(pages, 1, 2 * VV_PAGE_BYTES);
    CHECK(vv_pages_forbid(pages, VV_PAGE_BYTES));
    CHECK(!can_be_read(pages));
    CHECK(can_be_read(pages + VV_PAGE_BYTES));
    CHECK(vv_pages_commit(pages, VV_PAGE_BYTES));
    CHECK_EQ(pages[0], 0);
    CHECK_EQ(pages[VV_PAGE_BYTES], 1);
}

TEST(resizing_keeps_contents_and_may_refuse_to_move) {
    char *pages = vv_pages_map(2 * VV_PAGE_BYTES, VV_PAGE_BYTES);
    REQUIRE(pages != NULL);
    memset(pages, 7, 2 * VV_PAGE_BYTES);
    char *larger = vv_pages_resize(pages, 2 * VV_PAGE_BYTES, 64 * VV_PAGE_BYTES, true);
    REQUIRE(larger != NULL);
    CHECK_EQ(larger[2 * VV_PAGE_BYTES - 1], 7);
    CHECK_EQ(larger[2 * VV_PAGE_BYTES], 0);
    CHECK_EQ_PTR(vv_pages_resize(larger, 64 * VV_PAGE_BYTES, VV_PAGE_BYTES, false), larger);
    void *wall = mmap(larger + VV_PAGE_BYTES, VV_PAGE_BYTES, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    REQUIRE(wall != MAP_FAILED);
    CHECK_EQ_PTR(vv_pages_resize(larger, VV_PAGE_BYTES, 2 * VV_PAGE_BYTES, false), NULL);
}

TEST(failures_leave_errno_alone_and_can_be_injected) {
    errno = 77;
    CHECK_EQ_PTR(vv_pages_map((size_t)1 << 60, VV_PAGE_BYTES), NULL);
    CHECK_EQ(errno, 77);
    vv_pages_fail_after(1);
    CHECK(vv_pages_map(VV_PAGE_BYTES, VV_PAGE_BYTES) != NULL);
    CHECK_EQ_PTR(vv_pages_map(VV_PAGE_BYTES, VV_PAGE_BYTES), NULL);
    CHECK_EQ_PTR(vv_pages_reserve(VV_PAGE_BYTES, VV_PAGE_BYTES), NULL);
    vv_pages_fail_never();
    CHECK(vv_pages_map(VV_PAGE_BYTES, VV_PAGE_BYTES) != NULL);
}
