/* SPDX-License-Identifier: MIT
 * base/bits.h - small arithmetic on integers and pointers that every layer uses. */
#ifndef VV_BASE_BITS_H
#define VV_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VV_CACHE_LINE_BYTES 64

#define vv_likely(condition) __builtin_expect(!!(condition), 1)
#define vv_unlikely(condition) __builtin_expect(!!(condition), 0)

#define VV_NOINLINE __attribute__((noinline))
#define VV_COLD __attribute__((noinline, cold))
#define VV_INLINE static inline __attribute__((always_inline))

#define VV_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline bool vv_is_power_of_two(size_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

/* `alignment` is a power of two. The caller has excluded overflow. */
static inline size_t vv_align_up(size_t value, size_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline size_t vv_align_down(size_t value, size_t alignment) {
    return value & ~(alignment - 1);
}

static inline bool vv_is_aligned(const void *address, size_t alignment) {
    return ((uintptr_t)address & (alignment - 1)) == 0;
}

static inline size_t vv_min(size_t left, size_t right) {
    return left < right ? left : right;
}

static inline size_t vv_max(size_t left, size_t right) {
    return left > right ? left : right;
}

static inline size_t vv_divide_up(size_t value, size_t divisor) {
    return (value + divisor - 1) / divisor;
}

/* Index of the highest set bit; `value` is not 0. */
static inline unsigned vv_log2(uint64_t value) {
    return 63u - (unsigned)__builtin_clzll(value);
}

/* Index of the lowest set bit; `value` is not 0. */
static inline unsigned vv_lowest_bit(uint64_t value) {
    return (unsigned)__builtin_ctzll(value);
}

#endif
