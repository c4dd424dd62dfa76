/* SPDX-License-Identifier: MIT
 * trace/rule.h - how to get from a return address to the caller's, in 32 bits, and a cache of such
 * rules for the whole process.
 *
 *   rule    | 0 | slot 12 | offset 16 | kind 3 |
 *
 *   kind RSP, RBP   CFA = register + 8 * offset
 *        RBP_DEREF  CFA = *(rbp - 8 * offset), and rbp was saved where it points to: functions
 *                   that realign their stack
 *        FRAME      CFA = rbp + 16, rbp is at CFA - 16: code that nobody describes, such as a JIT
 *                   compiler's, if it keeps frame pointers
 *        ODD        anything else: trace/stepper.h
 *        OUTERMOST  there is no caller
 *
 * In the first four the return address is at CFA - 8, the caller's rsp is CFA, and the caller's rbp
 * is at CFA - 8 * slot, or still in rbp when slot is 0. More than 99.9 % of what programs execute
 * is of the first two kinds.
 *
 * The cache has one word per rule, so that reading and writing it needs no lock:
 *
 *   word    | tag 32 | rule 32 |        0: empty
 *
 * A return address has 48 bits; a one-to-one mixing of them gives the set (16 bits) and the tag
 * (32 bits), so a tag that matches is the address. */
#ifndef VV_TRACE_RULE_H
#define VV_TRACE_RULE_H

#include "base/bits.h"

#include <stdatomic.h>

typedef uint32_t vv_rule;

enum vv_rule_kind {
    VV_RULE_NONE,
    VV_RULE_RSP,
    VV_RULE_RBP,
    VV_RULE_RBP_DEREF,
    VV_RULE_FRAME,
    VV_RULE_ODD,
    VV_RULE_OUTERMOST,
};

static inline enum vv_rule_kind vv_rule_kind(vv_rule rule) {
    return (enum vv_rule_kind)(rule & 7);
}

static inline uintptr_t vv_rule_offset_bytes(vv_rule rule) {
    return (uintptr_t)(rule >> 3 & 0xffff) * 8;
}

static inline uintptr_t vv_rule_slot_bytes(vv_rule rule) {
    return (uintptr_t)(rule >> 19 & 0xfff) * 8;
}

static inline bool vv_rule_uses_rbp(vv_rule rule) {
    enum vv_rule_kind kind = vv_rule_kind(rule);
    return kind >= VV_RULE_RBP && kind <= VV_RULE_FRAME;
}

#define VV_RULE_SETS 65536
#define VV_RULE_WAYS 4

struct vv_rule_set {
    _Atomic uint64_t words[VV_RULE_WAYS];
};

/* NULL until tracing starts for the first time, then const. */
extern struct vv_rule_set *vv_rule_sets;

/* Makes the cache. 0 or -ENOMEM. */
int vv_rules_open(void);

/* Forgets all rules: a module was unloaded. */
void vv_rules_clear(void);

static inline uint64_t vv_rule_mixed(uintptr_t address) {
    uint64_t mask = ((uint64_t)1 << 48) - 1;
    uint64_t mixed = (address * UINT64_C(0x9e3779b97f4b)) & mask;
    return mixed ^ mixed >> 24;
}

/* Compiles the rule and puts it into the cache. */
vv_rule vv_rule_compile(uintptr_t return_address);

/* The rule of a return address. Lock-free. */
static inline vv_rule vv_rule_of(uintptr_t return_address) {
    uint64_t mixed = vv_rule_mixed(return_address);
    const struct vv_rule_set *set = &vv_rule_sets[mixed % VV_RULE_SETS];
    uint64_t tag = mixed / VV_RULE_SETS;
    for (unsigned way = 0; way < VV_RULE_WAYS; way++) {
        uint64_t word = atomic_load_explicit(&set->words[way], memory_order_relaxed);
        if (word >> 32 == tag && word != 0) return (vv_rule)word;
    }
    return vv_rule_compile(return_address);
}

#endif
