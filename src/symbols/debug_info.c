/* SPDX-License-Identifier: MIT */
#include "symbols/debug_info.h"

#include <dwarf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* --- ranges --- */

static int add_range(struct vv_debug_ranges *ranges, uint64_t begin, uint64_t end,
                     const Dwarf_Die *die) {
    if (begin >= end) return 0;
    if (ranges->count == ranges->capacity) {
        size_t capacity = ranges->capacity == 0 ? 64 : ranges->capacity * 2;
        struct vv_debug_range *grown = realloc(ranges->ranges, capacity * sizeof *grown);
        if (grown == NULL) return -ENOMEM;
        ranges->ranges = grown;
        ranges->capacity = capacity;
    }
    ranges->ranges[ranges->count++] =
        (struct vv_debug_range){.begin = begin, .end = end, .die = *die};
    return 0;
}

static int add_ranges_of(struct vv_debug_ranges *ranges, Dwarf_Die *die) {
    Dwarf_Addr base, begin, end;
    ptrdiff_t offset = 0;
    while ((offset = dwarf_ranges(die, offset, &base, &begin, &end)) > 0) {
        int result = add_range(ranges, begin, end, die);
        if (result < 0) return result;
    }
    return 0;
}

static int by_begin(const void *left_range, const void *right_range) {
    const struct vv_debug_range *left = left_range;
    const struct vv_debug_range *right = right_range;
    return (left->begin > right->begin) - (left->begin < right->begin);
}

static void sort_ranges(struct vv_debug_ranges *ranges) {
    if (ranges->count > 0) {
        qsort(ranges->ranges, ranges->count, sizeof *ranges->ranges, by_begin);
    }
}

static struct vv_debug_range *find_range(const struct vv_debug_ranges *ranges, uint64_t address) {
    size_t low = 0;
    size_t high = ranges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->ranges[middle].begin <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || address >= ranges->ranges[low - 1].end) return NULL;
    return &ranges->ranges[low - 1];
}

/* --- opening --- */

int vv_debug_info_open(struct vv_debug_info *info, Dwarf *dwarf) {
    *info = (struct vv_debug_info){.dwarf = dwarf};
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    while (dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
        int result = add_ranges_of(&info->units, &die);
        if (result < 0) return result;
    }
    sort_ranges(&info->units);
    return 0;
}

void vv_debug_info_close(struct vv_debug_info *info) {
    while (info->read_units != NULL) {
        struct vv_debug_unit *unit = info->read_units;
        info->read_units = unit->next;
        free(unit->functions.ranges);
        free(unit);
    }
    free(info->units.ranges);
}

/* --- functions of a unit --- */

static int add_functions(struct vv_debug_ranges *functions, Dwarf_Die *parent) {
    Dwarf_Die child;
    if (dwarf_child(parent, &child) != 0) return 0;
    do {
        int result = 0;
        switch (dwarf_tag(&child)) {
        case DW_TAG_subprogram: result = add_ranges_of(functions, &child); break;
        case DW_TAG_namespace:
        case DW_TAG_module:
        case DW_TAG_class_type:
        case DW_TAG_structure_type: result = add_functions(functions, &child); break;
        default: break;
        }
        if (result < 0) return result;
    } while (dwarf_siblingof(&child, &child) == 0);
    return 0;
}

static struct vv_debug_unit *unit_of(struct vv_debug_info *info, Dwarf_Die *die) {
    struct vv_debug_unit *unit = info->read_units;
    while (unit != NULL && unit->die.addr != die->addr) unit = unit->next;
    if (unit != NULL) return unit;
    unit = calloc(1, sizeof *unit);
    if (unit == NULL) return NULL;
    unit->die = *die;
    unit->next = info->read_units;
    info->read_units = unit;
    add_functions(&unit->functions, &unit->die);
    sort_ranges(&unit->functions);
    return unit;
}

/* --- one address --- */

#define INLINE_MAX 64

/* The functions that are inlined at an address, outermost first. */
static size_t find_inlined(Dwarf_Die *function, uint64_t address, Dwarf_Die *inlined) {
    size_t count = 0;
    Dwarf_Die parent = *function;
    Dwarf_Die child;
    bool deeper = dwarf_child(&parent, &child) == 0;
    while (deeper && count < INLINE_MAX) {
        int tag = dwarf_tag(&child);
        bool encloses = (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
                        dwarf_haspc(&child, address) == 1;
        if (encloses) {
            if (tag == DW_TAG_inlined_subroutine) inlined[count++] = child;
            parent = child;
            deeper = dwarf_child(&parent, &child) == 0;
        } else {
            deeper = dwarf_siblingof(&child, &child) == 0;
        }
    }
    return count;
}

static const char *name_of(Dwarf_Die *die) {
    Dwarf_Attribute attribute;
    const char *name = NULL;
    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL ||
        dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) != NULL) {
        name = dwarf_formstring(&attribute);
    }
    return name != NULL ? name : dwarf_diename(die);
}

static int number_of(Dwarf_Die *die, unsigned name) {
    Dwarf_Attribute attribute;
    Dwarf_Word value;
    return dwarf_attr(die, name, &attribute) != NULL && dwarf_formudata(&attribute, &value) == 0
               ? (int)value
               : 0;
}

/* The place of the call that was replaced by an inlined function. */
static void read_call(Dwarf_Die *unit, Dwarf_Die *inlined, struct vv_debug_frame *out) {
    Dwarf_Files *files;
    out->line = number_of(inlined, DW_AT_call_line);
    int file = number_of(inlined, DW_AT_call_file);
    out->file = NULL;
    if (dwarf_getsrcfiles(unit, &files, NULL) == 0 && file > 0) {
        out->file = dwarf_filesrc(files, (size_t)file, NULL, NULL);
    }
}

static void read_line(Dwarf_Die *unit, uint64_t address, struct vv_debug_frame *out) {
    Dwarf_Line *line = dwarf_getsrc_die(unit, address);
    if (line == NULL) return;
    out->file = dwarf_linesrc(line, NULL, NULL);
    dwarf_lineno(line, &out->line);
}

size_t vv_debug_info_find(struct vv_debug_info *info, uint64_t address,
                          struct vv_debug_frame *frames, size_t capacity) {
    struct vv_debug_range *unit_range = find_range(&info->units, address);
    if (unit_range == NULL || capacity == 0) return 0;
    struct vv_debug_unit *unit = unit_of(info, &unit_range->die);
    if (unit == NULL) return 0;
    struct vv_debug_frame place = {.function = NULL};
    read_line(&unit->die, address, &place);
    struct vv_debug_range *function = find_range(&unit->functions, address);
    if (function == NULL) {
        frames[0] = place;
        return place.file != NULL;
    }
    Dwarf_Die inlined[INLINE_MAX];
    size_t count = 0;
    for (size_t index = find_inlined(&function->die, address, inlined);
         index-- > 0 && count + 1 < capacity;) {
        frames[count] = place;
        frames[count++].function = name_of(&inlined[index]);
        read_call(&unit->die, &inlined[index], &place);
    }
    frames[count] = place;
    frames[count++].function = name_of(&function->die);
    return count;
}
