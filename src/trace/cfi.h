/* SPDX-License-Identifier: MIT
 * trace/cfi.h - call frame information: what .eh_frame says about how a function's caller is found
 * (DWARF 5, section 6.4; System V ABI for x86-64, section 3.6; Linux Standard Base, .eh_frame).
 *
 * A row says, for one address, where the canonical frame address (CFA) is and where the caller's
 * registers were saved. Rows are made by running the instructions of the function's entry (FDE) up
 * to that address. Nothing here allocates or locks; about half a microsecond a row. */
#ifndef VV_TRACE_CFI_H
#define VV_TRACE_CFI_H

#include "base/bits.h"

/* DWARF numbers of x86-64 registers. */
enum {
    VV_REGISTER_RBX = 3,
    VV_REGISTER_RBP = 6,
    VV_REGISTER_RSP = 7,
    VV_REGISTER_RETURN_ADDRESS = 16,
    VV_REGISTER_COUNT = 17,
};

enum vv_cfi_place {
    VV_CFI_SAME,          /* the caller's register has the same value */
    VV_CFI_UNDEFINED,     /* it is lost; for the return address: there is no caller */
    VV_CFI_AT_OFFSET,     /* saved at CFA + value */
    VV_CFI_IS_OFFSET,     /* is CFA + value */
    VV_CFI_IN_REGISTER,   /* is in register `value` */
    VV_CFI_AT_EXPRESSION, /* saved where a DWARF expression says */
    VV_CFI_IS_EXPRESSION, /* is what a DWARF expression gives */
};

/* For the expressions, `value` is their distance in bytes behind the row's `base`. */
struct vv_cfi_rule {
    uint8_t place; /* enum vv_cfi_place */
    int32_t value;
};

struct vv_cfi_row {
    const uint8_t *base;    /* the module's .eh_frame_hdr */
    uintptr_t function;     /* first address of the function */
    bool cfa_is_expression; /* then cfa_value is its distance behind base */
    bool is_signal_frame;   /* the "function" was called by the kernel for a signal */
    uint8_t cfa_register;
    uint8_t return_address_register;
    int32_t cfa_value;
    struct vv_cfi_rule rules[VV_REGISTER_COUNT];
};

/* A module at an address, as the dynamic loader knows it. */
struct vv_cfi_module {
    const uint8_t *eh_frame_header;
    uintptr_t begin;
    uintptr_t end;
    const void *link_map;
};

/* Finds the module without the loader's lock. False: no module there. */
bool vv_cfi_find_module(uintptr_t address, struct vv_cfi_module *out);

/* The row for an address inside the executing instruction. False: nothing is known, or it is of a
 * kind that this does not understand. */
bool vv_cfi_find_row(const struct vv_cfi_module *module, uintptr_t address, struct vv_cfi_row *out);

/* The first address of the function; 0: not known. */
uintptr_t vv_cfi_find_function(const struct vv_cfi_module *module, uintptr_t address);

/* The bytes of a DWARF expression that a row refers to. */
static inline const uint8_t *vv_cfi_expression(const struct vv_cfi_row *row, int32_t value) {
    return row->base + value;
}

/* Reads an unsigned LEB128 number and moves on. */
uint64_t vv_cfi_read_unsigned(const uint8_t **at);
int64_t vv_cfi_read_signed(const uint8_t **at);

#endif
