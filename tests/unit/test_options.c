/* SPDX-License-Identifier: MIT */
#include "base/options.h"
#include "harness.h"

#include <errno.h>

TEST(switches_have_five_words_each_way) {
    static const char *const on_words[] = {"1", "on", "yes", "true"};
    static const char *const off_words[] = {"", "0", "off", "no", "false"};
    bool on;
    for (size_t index = 0; index < VV_ARRAY_COUNT(on_words); index++) {
        CHECK_EQ(vv_option_switch(on_words[index], &on), 0);
        CHECK(on);
    }
    for (size_t index = 0; index < VV_ARRAY_COUNT(off_words); index++) {
        CHECK_EQ(vv_option_switch(off_words[index], &on), 0);
        CHECK(!on);
    }
    CHECK_EQ(vv_option_switch("maybe", &on), -EINVAL);
    CHECK_EQ(vv_option_switch("11", &on), -EINVAL);
}

TEST(numbers_take_a_suffix) {
    uint64_t number = 0;
    CHECK_EQ(vv_option_number("0", 10, &number), 0);
    CHECK_EQ(number, 0);
    CHECK_EQ(vv_option_number("512K", UINT64_MAX, &number), 0);
    CHECK_EQ(number, 512 * 1024);
    CHECK_EQ(vv_option_number("3g", UINT64_MAX, &number), 0);
    CHECK_EQ(number, (uint64_t)3 << 30);
}

TEST(numbers_that_are_none_are_refused_and_change_nothing) {
    uint64_t number = 7;
    CHECK_EQ(vv_option_number("", 10, &number), -EINVAL);
    CHECK_EQ(vv_option_number("-1", 10, &number), -EINVAL);
    CHECK_EQ(vv_option_number("1x", 10, &number), -EINVAL);
    CHECK_EQ(vv_option_number("1KB", UINT64_MAX, &number), -EINVAL);
    CHECK_EQ(vv_option_number("11", 10, &number), -ERANGE);
    CHECK_EQ(vv_option_number("1K", 1023, &number), -ERANGE);
    CHECK_EQ(vv_option_number("18446744073709551616", UINT64_MAX, &number), -ERANGE);
    CHECK_EQ(vv_option_number("18014398509481984K", UINT64_MAX, &number), -ERANGE);
    CHECK_EQ(number, 7);
}
