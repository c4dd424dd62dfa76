/* SPDX-License-Identifier: MIT */
#include "trace/rule.h"

#include "os/pages.h"
#include "trace/cfi.h"
#include "trace/modules.h"

#include <errno.h>

struct vv_rule_set *vv_rule_sets;

#define CACHE_BYTES (VV_RULE_SETS * sizeof(struct vv_rule_set))

#define OFFSET_LIMIT_BYTES ((int64_t)65536 * 8)
#define SLOT_LIMIT_BYTES ((int64_t)4096 * 8)

int vv_rules_open(void) {
    if (vv_rule_sets == NULL) vv_rule_sets = vv_pages_map(CACHE_BYTES, VV_PAGE_BYTES);
    return vv_rule_sets != NULL ? 0 : -ENOMEM;
}

void vv_rules_clear(void) {
    if (vv_pages_purge(vv_rule_sets, CACHE_BYTES)) return;
    for (size_t index = 0; index < VV_RULE_SETS * VV_RULE_WAYS; index++) { /* locked in memory */
        _Atomic uint64_t *word = &vv_rule_sets[index / VV_RULE_WAYS].words[index % VV_RULE_WAYS];
        atomic_store_explicit(word, 0, memory_order_relaxed);
    }
}

/* --- compiling --- */

static vv_rule pack(enum vv_rule_kind kind, int64_t offset_bytes, int64_t slot_bytes) {
    return (vv_rule)kind | (vv_rule)(offset_bytes / 8) << 3 | (vv_rule)(slot_bytes / 8) << 19;
}

static bool is_packable(int64_t bytes, int64_t limit_bytes) {
    return bytes >= 0 && bytes < limit_bytes && bytes % 8 == 0;
}

static bool is_expression(const struct vv_cfi_row *row, int32_t value, const uint8_t *bytes,
                          size_t count) {
    const uint8_t *at = vv_cfi_expression(row, value);
    if (vv_cfi_read_unsigned(&at) != count) return false;
    for (size_t index = 0; index < count; index++) {
        if (at[index] != bytes[index]) return false;
    }
    return true;
}

enum { DWARF_BREG_RBP = 0x76, DWARF_DEREF = 0x06 };

/* CFA = *(rbp - 8 n), 8 n < 64; rbp saved where it points to. */
static vv_rule compile_realigned(const struct vv_cfi_row *row) {
    static const uint8_t at_rbp[] = {DWARF_BREG_RBP, 0};
    const struct vv_cfi_rule *rbp = &row->rules[VV_REGISTER_RBP];
    if (rbp->place != VV_CFI_AT_EXPRESSION ||
        !is_expression(row, rbp->value, at_rbp, sizeof at_rbp)) {
        return VV_RULE_ODD;
    }
    for (uint8_t bytes = 8; bytes < 64; bytes += 8) {
        /* A negative number of one byte in LEB128: its low seven bits. */
        uint8_t deref[] = {DWARF_BREG_RBP, (uint8_t)(-bytes & 0x7f), DWARF_DEREF};
        if (is_expression(row, row->cfa_value, deref, sizeof deref)) {
            return pack(VV_RULE_RBP_DEREF, bytes, 0);
        }
    }
    return VV_RULE_ODD;
}

static vv_rule compile_plain(const struct vv_cfi_row *row) {
    enum vv_rule_kind kind;
    if (row->cfa_register == VV_REGISTER_RSP) {
        kind = VV_RULE_RSP;
    } else if (row->cfa_register == VV_REGISTER_RBP) {
        kind = VV_RULE_RBP;
    } else {
        return VV_RULE_ODD;
    }
    const struct vv_cfi_rule *rbp = &row->rules[VV_REGISTER_RBP];
    int64_t slot_bytes = 0;
    if (rbp->place == VV_CFI_AT_OFFSET) {
        slot_bytes = -(int64_t)rbp->value;
        if (slot_bytes <= 0) return VV_RULE_ODD;
    } else if (rbp->place != VV_CFI_SAME && rbp->place != VV_CFI_UNDEFINED) {
        return VV_RULE_ODD;
    }
    if (!is_packable(row->cfa_value, OFFSET_LIMIT_BYTES) ||
        !is_packable(slot_bytes, SLOT_LIMIT_BYTES)) {
        return VV_RULE_ODD;
    }
    return pack(kind, row->cfa_value, slot_bytes);
}

static vv_rule compile_row(const struct vv_cfi_row *row) {
    const struct vv_cfi_rule *caller = &row->rules[row->return_address_register];
    if (caller->place == VV_CFI_UNDEFINED) return VV_RULE_OUTERMOST;
    if (row->is_signal_frame || caller->place != VV_CFI_AT_OFFSET || caller->value != -8 ||
        row->rules[VV_REGISTER_RSP].place != VV_CFI_SAME) {
        return VV_RULE_ODD;
    }
    return row->cfa_is_expression ? compile_realigned(row) : compile_plain(row);
}

static void put(uint64_t mixed, vv_rule rule) {
    struct vv_rule_set *set = &vv_rule_sets[mixed % VV_RULE_SETS];
    uint64_t word = mixed / VV_RULE_SETS << 32 | rule;
    for (unsigned way = 0; way < VV_RULE_WAYS; way++) {
        uint64_t empty = 0;
        if (atomic_compare_exchange_strong_explicit(&set->words[way], &empty, word,
                                                    memory_order_relaxed, memory_order_relaxed)) {
            return;
        }
    }
    /* Full: some other rule makes room, chosen by bits that the set does not depend on. */
    atomic_store_explicit(&set->words[mixed / VV_RULE_SETS % VV_RULE_WAYS], word,
                          memory_order_relaxed);
}

vv_rule vv_rule_compile(uintptr_t return_address) {
    uintptr_t address = return_address - 1; /* inside the call */
    struct vv_cfi_module module;
    struct vv_cfi_row row;
    vv_rule rule = pack(VV_RULE_FRAME, 16, 16);
    if (vv_cfi_find_module(address, &module)) {
        vv_modules_note(&module);
        if (vv_cfi_find_row(&module, address, &row)) rule = compile_row(&row);
    }
    put(vv_rule_mixed(return_address), rule);
    return rule;
}
