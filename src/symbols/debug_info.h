/* SPDX-License-Identifier: MIT
 * symbols/debug_info.h - functions, inlining and lines from DWARF, by way of libdw. */
#ifndef VV_SYMBOLS_DEBUG_INFO_H
#define VV_SYMBOLS_DEBUG_INFO_H

#include <elfutils/libdw.h>
#include <stddef.h>
#include <stdint.h>

/* A range of addresses and the DIE it belongs to: a unit, or a function in a unit. */
struct vv_debug_range {
    uint64_t begin;
    uint64_t end;
    Dwarf_Die die;
};

struct vv_debug_ranges {
    struct vv_debug_range *ranges; /* sorted by begin once closed */
    size_t count;
    size_t capacity;
};

struct vv_debug_unit {
    Dwarf_Die die;
    struct vv_debug_ranges functions;
    struct vv_debug_unit *next;
};

struct vv_debug_info {
    Dwarf *dwarf;
    struct vv_debug_ranges units;
    struct vv_debug_unit *read_units; /* whose functions are known */
};

/* One function at an address. Strings live as long as the debug information. */
struct vv_debug_frame {
    const char *function; /* as linked, mangled in C++; NULL: not known */
    const char *file;     /* NULL: not known */
    int line;
};

int vv_debug_info_open(struct vv_debug_info *info, Dwarf *dwarf);
void vv_debug_info_close(struct vv_debug_info *info);

/* Up to `capacity` functions at an address, innermost first; 0: not covered by it. */
size_t vv_debug_info_find(struct vv_debug_info *info, uint64_t address,
                          struct vv_debug_frame *frames, size_t capacity);

#endif
