/* SPDX-License-Identifier: MIT
 * operator new and delete in all forms. Run with libvarve-malloc.so preloaded. */
#include "harness.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

static std::size_t hidden(std::size_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

extern "C" size_t malloc_usable_size(void *);

struct alignas(64) Aligned {
    char bytes[100];
};

TEST(all_forms_of_new_come_from_varve) {
    const std::size_t usable = getenv("VARVE_DEBUG") != nullptr ? 100 : VARVE_CLASSIC ? 104 : 112;
    CHECK_EQ(malloc_usable_size(operator new(100)), usable);
    CHECK_EQ(malloc_usable_size(operator new[](100)), usable);
    CHECK_EQ(malloc_usable_size(operator new(100, std::nothrow)), usable);
    CHECK_EQ(malloc_usable_size(operator new[](100, std::nothrow)), usable);
    for (std::size_t alignment = 16; alignment <= 65536; alignment *= 4) {
        auto align = std::align_val_t(alignment);
        CHECK_EQ((uintptr_t) operator new(10, align) % alignment, 0);
        CHECK_EQ((uintptr_t) operator new[](10, align) % alignment, 0);
        CHECK_EQ((uintptr_t) operator new(10, align, std::nothrow) % alignment, 0);
        CHECK_EQ((uintptr_t) operator new[](10, align, std::nothrow) % alignment, 0);
    }
}

TEST(all_forms_of_delete_take_blocks_back) {
    auto align = std::align_val_t(128);
    for (int round = 0; round < 1000; round++) {
        operator delete(operator new(10));
        operator delete[](operator new[](10));
        operator delete(operator new(10), std::size_t(10));
        operator delete[](operator new[](10), std::size_t(10));
        operator delete(operator new(10), std::nothrow);
        operator delete[](operator new[](10), std::nothrow);
        operator delete(operator new(10, align), align);
        operator delete[](operator new[](10, align), align);
        operator delete(operator new(10, align), std::size_t(10), align);
        operator delete[](operator new[](10, align), std::size_t(10), align);
        operator delete(operator new(10, align), align, std::nothrow);
        operator delete[](operator new[](10, align), align, std::nothrow);
    }
    operator delete(nullptr);
    operator delete[](nullptr, std::size_t(0));
    delete new Aligned;
    delete[] new Aligned[7];
}

TEST(no_memory_throws_bad_alloc_or_returns_null) {
    bool thrown = false;
    try {
        operator delete(operator new(hidden(SIZE_MAX / 2 - 100)));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    thrown = false;
    try {
        operator delete[](operator new[](hidden(SIZE_MAX), std::align_val_t(64)));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK_EQ_PTR(operator new(hidden(SIZE_MAX), std::nothrow), nullptr);
    CHECK_EQ_PTR(operator new[](hidden(SIZE_MAX), std::align_val_t(64), std::nothrow), nullptr);
}

static int handler_calls;

TEST(the_new_handler_is_called_until_it_gives_up) {
    std::set_new_handler([] {
        if (++handler_calls == 3) throw std::bad_alloc();
    });
    bool thrown = false;
    try {
        operator delete(operator new(hidden(SIZE_MAX / 2)));
    } catch (const std::bad_alloc &) {
        thrown = true;
    }
    CHECK(thrown);
    CHECK_EQ(handler_calls, 3);
    std::set_new_handler(nullptr);
}

struct ThreadLocal {
    std::vector<std::string> strings;
    ~ThreadLocal() {
        for (int index = 0; index < 100; index++) strings.push_back(std::string(200, 'x'));
    }
};

TEST(thread_local_destructors_may_allocate) {
    for (int round = 0; round < 100; round++) {
        std::thread([] {
            thread_local ThreadLocal local;
            local.strings.push_back("hello");
        }).join();
    }
}

TEST(exceptions_allocate_and_pass_through) {
    for (int round = 0; round < 1000; round++) {
        try {
            throw std::string(100, 'e');
        } catch (const std::string &text) {
            CHECK_EQ(text.size(), 100);
        }
    }
}
