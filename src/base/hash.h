/* SPDX-License-Identifier: MIT
 * base/hash.h - mixing integers into table indexes. */
#ifndef VV_BASE_HASH_H
#define VV_BASE_HASH_H

#include <stdint.h>

/* A bijection on 64 bits whose high and low bits all depend on all input bits (the finalizer
 * published as "splitmix64" by Steele, Lea and Flood, 2014). */
static inline uint64_t vv_mix64(uint64_t value) {
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9u;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebu;
    value ^= value >> 31;
    return value;
}

/* One multiplication: enough where the high bits are used as the index. */
static inline uint64_t vv_mix64_fast(uint64_t value) {
    return value * 0x9e3779b97f4a7c15u; /* 2^64 divided by the golden ratio, odd */
}

#endif
