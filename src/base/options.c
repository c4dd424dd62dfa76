/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <errno.h>
#include <string.h>

static bool is_one_of(const char *value, const char *const *words, size_t word_count) {
    for (size_t index = 0; index < word_count; index++) {
        if (strcmp(value, words[index]) == 0) return true;
    }
    return false;
}

int vv_option_switch(const char *value, bool *out_on) {
    static const char *const on_words[] = {"1", "on", "yes", "true"};
    static const char *const off_words[] = {"", "0", "off", "no", "false"};
    if (is_one_of(value, on_words, VV_ARRAY_COUNT(on_words))) {
        *out_on = true;
        return 0;
    }
    if (is_one_of(value, off_words, VV_ARRAY_COUNT(off_words))) {
        *out_on = false;
        return 0;
    }
    return -EINVAL;
}

static int suffix_shift(const char *suffix) {
    if (suffix[0] == '\0') return 0;
    if (suffix[1] != '\0') return -EINVAL;
    switch (suffix[0]) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    default: return -EINVAL;
    }
}

int vv_option_number(const char *value, uint64_t limit, uint64_t *out_number) {
    uint64_t number = 0;
    const char *at = value;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number)) return -ERANGE;
        if (__builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) return -ERANGE;
    }
    if (at == value) return -EINVAL;
    int shift = suffix_shift(at);
    if (shift < 0) return shift;
    if (number > limit >> shift) return -ERANGE;
    *out_number = number << shift;
    return 0;
}
