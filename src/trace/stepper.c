/* SPDX-License-Identifier: MIT */
#include "trace/stepper.h"

#include <string.h>

/* --- DWARF expressions (DWARF 5, section 2.5), the part that unwinding needs --- */

enum {
    EXPRESSION_ADDRESS = 0x03,
    EXPRESSION_DEREF = 0x06,
    EXPRESSION_CONST_1U = 0x08,
    EXPRESSION_CONST_1S = 0x09,
    EXPRESSION_CONST_2U = 0x0a,
    EXPRESSION_CONST_2S = 0x0b,
    EXPRESSION_CONST_4U = 0x0c,
    EXPRESSION_CONST_4S = 0x0d,
    EXPRESSION_CONST_8U = 0x0e,
    EXPRESSION_CONST_8S = 0x0f,
    EXPRESSION_CONST_UNSIGNED = 0x10,
    EXPRESSION_CONST_SIGNED = 0x11,
    EXPRESSION_DUPLICATE = 0x12,
    EXPRESSION_DROP = 0x13,
    EXPRESSION_OVER = 0x14,
    EXPRESSION_SWAP = 0x16,
    EXPRESSION_AND = 0x1a,
    EXPRESSION_MINUS = 0x1c,
    EXPRESSION_MULTIPLY = 0x1e,
    EXPRESSION_NEGATE = 0x1f,
    EXPRESSION_NOT = 0x20,
    EXPRESSION_OR = 0x21,
    EXPRESSION_PLUS = 0x22,
    EXPRESSION_PLUS_UNSIGNED = 0x23,
    EXPRESSION_SHIFT_LEFT = 0x24,
    EXPRESSION_SHIFT_RIGHT = 0x25,
    EXPRESSION_SHIFT_RIGHT_SIGNED = 0x26,
    EXPRESSION_XOR = 0x27,
    EXPRESSION_BRANCH = 0x28,
    EXPRESSION_EQUAL = 0x29,
    EXPRESSION_GREATER_EQUAL = 0x2a,
    EXPRESSION_GREATER = 0x2b,
    EXPRESSION_LESS_EQUAL = 0x2c,
    EXPRESSION_LESS = 0x2d,
    EXPRESSION_NOT_EQUAL = 0x2e,
    EXPRESSION_SKIP = 0x2f,
    EXPRESSION_LITERAL_0 = 0x30,  /* ... 31 */
    EXPRESSION_REGISTER_0 = 0x70, /* ... 31: register + offset */
    EXPRESSION_NOP = 0x96,
};

#define STACK_MAX 16
#define OPERATIONS_MAX 1000 /* branches could go round for ever */

struct evaluation {
    struct vv_stepper *stepper;
    uint64_t stack[STACK_MAX];
    unsigned depth;
    bool failed;
};

static void push(struct evaluation *evaluation, uint64_t value) {
    if (evaluation->depth == STACK_MAX) {
        evaluation->failed = true;
    } else {
        evaluation->stack[evaluation->depth++] = value;
    }
}

static uint64_t pop(struct evaluation *evaluation) {
    if (evaluation->depth == 0) {
        evaluation->failed = true;
        return 0;
    }
    return evaluation->stack[--evaluation->depth];
}

static uint64_t peek(struct evaluation *evaluation, unsigned below_top) {
    if (evaluation->depth <= below_top) {
        evaluation->failed = true;
        return 0;
    }
    return evaluation->stack[evaluation->depth - 1 - below_top];
}

static uint64_t read_word(struct evaluation *evaluation, uint64_t address) {
    if (!vv_bounds_contain(evaluation->stepper->bounds, address)) {
        evaluation->failed = true;
        return 0;
    }
    return vv_word_at(address);
}

static uint64_t read_register(struct evaluation *evaluation, unsigned number) {
    if (number >= VV_REGISTER_COUNT || (evaluation->stepper->known >> number & 1) == 0) {
        evaluation->failed = true;
        return 0;
    }
    return evaluation->stepper->registers[number];
}

/* A constant of 1, 2, 4 or 8 bytes. */
static uint64_t read_constant(const uint8_t **at, unsigned byte_count, bool is_signed) {
    uint64_t value = 0;
    memcpy(&value, *at, byte_count);
    *at += byte_count;
    unsigned shift = 64 - 8 * byte_count;
    return is_signed ? (uint64_t)((int64_t)(value << shift) >> shift) : value;
}

static uint64_t compute(uint8_t operation, uint64_t left, uint64_t right) {
    switch (operation) {
    case EXPRESSION_AND: return left & right;
    case EXPRESSION_MINUS: return left - right;
    case EXPRESSION_MULTIPLY: return left * right;
    case EXPRESSION_OR: return left | right;
    case EXPRESSION_PLUS: return left + right;
    case EXPRESSION_SHIFT_LEFT: return right < 64 ? left << right : 0;
    case EXPRESSION_SHIFT_RIGHT: return right < 64 ? left >> right : 0;
    case EXPRESSION_SHIFT_RIGHT_SIGNED:
        return (uint64_t)((int64_t)left >> (right < 64 ? right : 63));
    case EXPRESSION_XOR: return left ^ right;
    case EXPRESSION_EQUAL: return left == right;
    case EXPRESSION_GREATER_EQUAL: return (int64_t)left >= (int64_t)right;
    case EXPRESSION_GREATER: return (int64_t)left > (int64_t)right;
    case EXPRESSION_LESS_EQUAL: return (int64_t)left <= (int64_t)right;
    case EXPRESSION_LESS: return (int64_t)left < (int64_t)right;
    default: return left != right; /* EXPRESSION_NOT_EQUAL */
    }
}

static bool is_computation(uint8_t operation) {
    switch (operation) {
    case EXPRESSION_AND:
    case EXPRESSION_MINUS:
    case EXPRESSION_MULTIPLY:
    case EXPRESSION_OR:
    case EXPRESSION_PLUS:
    case EXPRESSION_SHIFT_LEFT:
    case EXPRESSION_SHIFT_RIGHT:
    case EXPRESSION_SHIFT_RIGHT_SIGNED:
    case EXPRESSION_XOR:
    case EXPRESSION_EQUAL:
    case EXPRESSION_GREATER_EQUAL:
    case EXPRESSION_GREATER:
    case EXPRESSION_LESS_EQUAL:
    case EXPRESSION_LESS:
    case EXPRESSION_NOT_EQUAL: return true;
    default: return false;
    }
}

static void swap_top(struct evaluation *evaluation) {
    uint64_t top = pop(evaluation);
    uint64_t second = pop(evaluation);
    push(evaluation, top);
    push(evaluation, second);
}

static void jump(struct evaluation *evaluation, uint8_t operation, const uint8_t **at) {
    int16_t distance = (int16_t)read_constant(at, 2, true);
    if (operation == EXPRESSION_SKIP || pop(evaluation) != 0) *at += distance;
}

static void run_constant(struct evaluation *evaluation, uint8_t operation, const uint8_t **at) {
    unsigned index = (unsigned)(operation - EXPRESSION_CONST_1U);
    push(evaluation, read_constant(at, 1u << index / 2, index % 2 == 1));
}

static void run_operation(struct evaluation *evaluation, const uint8_t **at) {
    uint8_t operation = *(*at)++;
    if (operation >= EXPRESSION_LITERAL_0 && operation < EXPRESSION_LITERAL_0 + 32) {
        push(evaluation, operation - EXPRESSION_LITERAL_0);
    } else if (operation >= EXPRESSION_REGISTER_0 && operation < EXPRESSION_REGISTER_0 + 32) {
        uint64_t value = read_register(evaluation, operation - EXPRESSION_REGISTER_0);
        push(evaluation, value + (uint64_t)vv_cfi_read_signed(at));
    } else if (operation >= EXPRESSION_CONST_1U && operation <= EXPRESSION_CONST_8S) {
        run_constant(evaluation, operation, at);
    } else if (is_computation(operation)) {
        uint64_t right = pop(evaluation);
        uint64_t left = pop(evaluation);
        push(evaluation, compute(operation, left, right));
    } else {
        switch (operation) {
        case EXPRESSION_ADDRESS: push(evaluation, read_constant(at, 8, false)); break;
        case EXPRESSION_DEREF: push(evaluation, read_word(evaluation, pop(evaluation))); break;
        case EXPRESSION_CONST_UNSIGNED: push(evaluation, vv_cfi_read_unsigned(at)); break;
        case EXPRESSION_CONST_SIGNED: push(evaluation, (uint64_t)vv_cfi_read_signed(at)); break;
        case EXPRESSION_DUPLICATE: push(evaluation, peek(evaluation, 0)); break;
        case EXPRESSION_DROP: pop(evaluation); break;
        case EXPRESSION_OVER: push(evaluation, peek(evaluation, 1)); break;
        case EXPRESSION_SWAP: swap_top(evaluation); break;
        case EXPRESSION_NEGATE: push(evaluation, 0 - pop(evaluation)); break;
        case EXPRESSION_NOT: push(evaluation, ~pop(evaluation)); break;
        case EXPRESSION_PLUS_UNSIGNED:
            push(evaluation, pop(evaluation) + vv_cfi_read_unsigned(at));
            break;
        case EXPRESSION_BRANCH:
        case EXPRESSION_SKIP: jump(evaluation, operation, at); break;
        case EXPRESSION_NOP: break;
        default: evaluation->failed = true;
        }
    }
}

/* The value of an expression; the CFA is on its stack at the beginning, except in that of the CFA
 * itself. False: not understood, or it reads what may not be read. */
static bool evaluate(struct vv_stepper *stepper, const uint8_t *at, const uint64_t *cfa,
                     uint64_t *out) {
    struct evaluation evaluation = {.stepper = stepper};
    const uint8_t *end = at;
    uint64_t length = vv_cfi_read_unsigned(&end);
    at = end;
    end += length;
    if (cfa != NULL) push(&evaluation, *cfa);
    for (unsigned count = 0; at < end; count++) {
        if (count == OPERATIONS_MAX || evaluation.failed) return false;
        run_operation(&evaluation, &at);
    }
    *out = pop(&evaluation);
    return !evaluation.failed;
}

/* --- stepping --- */

static bool find_cfa(struct vv_stepper *stepper, const struct vv_cfi_row *row, uint64_t *out) {
    if (row->cfa_is_expression) {
        return evaluate(stepper, vv_cfi_expression(row, row->cfa_value), NULL, out);
    }
    if ((stepper->known >> row->cfa_register & 1) == 0) return false;
    *out = stepper->registers[row->cfa_register] + (uint64_t)(int64_t)row->cfa_value;
    return true;
}

static bool load(struct vv_stepper *stepper, uint64_t address, uint64_t *out) {
    if (!vv_bounds_contain(stepper->bounds, address)) return false;
    *out = vv_word_at(address);
    return true;
}

/* The caller's value of one register. False: it cannot be known. */
static bool recover(struct vv_stepper *old, const struct vv_cfi_row *row, unsigned number,
                    uint64_t cfa, uint64_t *out) {
    const struct vv_cfi_rule *rule = &row->rules[number];
    uint64_t address;
    switch ((enum vv_cfi_place)rule->place) {
    case VV_CFI_SAME: *out = old->registers[number]; return (old->known >> number & 1) != 0;
    case VV_CFI_UNDEFINED: return false;
    case VV_CFI_AT_OFFSET: return load(old, cfa + (uint64_t)(int64_t)rule->value, out);
    case VV_CFI_IS_OFFSET: *out = cfa + (uint64_t)(int64_t)rule->value; return true;
    case VV_CFI_IN_REGISTER:
        if (rule->value >= VV_REGISTER_COUNT || (old->known >> rule->value & 1) == 0) return false;
        *out = old->registers[rule->value];
        return true;
    case VV_CFI_AT_EXPRESSION:
        return evaluate(old, vv_cfi_expression(row, rule->value), &cfa, &address) &&
               load(old, address, out);
    case VV_CFI_IS_EXPRESSION: return evaluate(old, vv_cfi_expression(row, rule->value), &cfa, out);
    default: return false;
    }
}

/* Registers that a call may change are not known in the caller, unless saved by a signal frame. */
static bool survives_call(unsigned number) {
    return number == VV_REGISTER_RBX || number == VV_REGISTER_RBP || number >= 12;
}

static enum vv_step apply(struct vv_stepper *stepper, const struct vv_cfi_row *row) {
    uint64_t cfa;
    if (!find_cfa(stepper, row, &cfa)) return VV_STEP_LOST;
    struct vv_stepper old = *stepper;
    stepper->known = 0;
    for (unsigned number = 0; number < VV_REGISTER_COUNT; number++) {
        bool same = row->rules[number].place == VV_CFI_SAME;
        if (same && number == VV_REGISTER_RSP) {
            stepper->registers[number] = cfa;
        } else if ((same && !survives_call(number)) ||
                   !recover(&old, row, number, cfa, &stepper->registers[number])) {
            continue;
        }
        stepper->known |= 1u << number;
    }
    stepper->address_is_exact = row->is_signal_frame;
    return stepper->registers[VV_REGISTER_RETURN_ADDRESS] != 0 &&
                   (stepper->known >> VV_REGISTER_RETURN_ADDRESS & 1) != 0
               ? VV_STEP_CALLER
               : VV_STEP_LOST;
}

/* Code that nobody describes: if it keeps frame pointers, its caller is found by them. */
static enum vv_step step_by_frame_pointer(struct vv_stepper *stepper) {
    uint64_t frame = stepper->registers[VV_REGISTER_RBP];
    uint64_t saved, address;
    if ((stepper->known >> VV_REGISTER_RBP & 1) == 0 || frame < vv_stepper_stack_pointer(stepper) ||
        !load(stepper, frame, &saved) || !load(stepper, frame + 8, &address) || address == 0) {
        return VV_STEP_LOST;
    }
    stepper->registers[VV_REGISTER_RBP] = saved;
    stepper->registers[VV_REGISTER_RSP] = frame + 16;
    stepper->registers[VV_REGISTER_RETURN_ADDRESS] = address;
    stepper->known = 1u << VV_REGISTER_RBP | 1u << VV_REGISTER_RSP | 1u << 16;
    stepper->address_is_exact = false;
    return VV_STEP_CALLER;
}

enum vv_step vv_stepper_step(struct vv_stepper *stepper) {
    uintptr_t address = vv_stepper_address(stepper) - (stepper->address_is_exact ? 0 : 1);
    uintptr_t stack_pointer = vv_stepper_stack_pointer(stepper);
    struct vv_cfi_module module;
    struct vv_cfi_row row;
    enum vv_step step;
    if (!vv_cfi_find_module(address, &module) || !vv_cfi_find_row(&module, address, &row)) {
        step = step_by_frame_pointer(stepper);
    } else if (row.rules[row.return_address_register].place == VV_CFI_UNDEFINED) {
        return VV_STEP_OUTERMOST;
    } else {
        step = apply(stepper, &row);
        /* A signal handler may run on another stack than what it interrupted. */
        if (row.is_signal_frame) {
            vv_bounds_enter(stepper->bounds, vv_stepper_stack_pointer(stepper));
            return step;
        }
    }
    return step == VV_STEP_CALLER && vv_stepper_stack_pointer(stepper) <= stack_pointer
               ? VV_STEP_LOST
               : step;
}
