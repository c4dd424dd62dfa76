/* SPDX-License-Identifier: MIT */
#include "trace/cfi.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* --- reading --- */

/* DWARF pointer encodings of the Linux Standard Base (DW_EH_PE_...). */
enum {
    ENCODING_ABSOLUTE = 0x00,
    ENCODING_UNSIGNED_LEB = 0x01,
    ENCODING_UNSIGNED_2 = 0x02,
    ENCODING_UNSIGNED_4 = 0x03,
    ENCODING_UNSIGNED_8 = 0x04,
    ENCODING_SIGNED_LEB = 0x09,
    ENCODING_SIGNED_2 = 0x0a,
    ENCODING_SIGNED_4 = 0x0b,
    ENCODING_SIGNED_8 = 0x0c,
    ENCODING_FORM = 0x0f,
    ENCODING_FROM_HERE = 0x10,
    ENCODING_FROM_HEADER = 0x30,
    ENCODING_BASE = 0x70,
    ENCODING_OMITTED = 0xff,
};

#define READ_AS(type)                                                                              \
    static type read_##type(const uint8_t **at) {                                                  \
        type value;                                                                                \
        memcpy(&value, *at, sizeof value);                                                         \
        *at += sizeof value;                                                                       \
        return value;                                                                              \
    }
READ_AS(uint8_t)
READ_AS(uint16_t)
READ_AS(int16_t)
READ_AS(uint32_t)
READ_AS(int32_t)
READ_AS(uint64_t)

uint64_t vv_cfi_read_unsigned(const uint8_t **at) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = read_uint8_t(at);
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    return value;
}

int64_t vv_cfi_read_signed(const uint8_t **at) {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = read_uint8_t(at);
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    if (shift < 64 && (byte & 0x40) != 0) value |= ~(uint64_t)0 << shift;
    return (int64_t)value;
}

/* False: an encoding that is not used in .eh_frame of x86-64. */
static bool read_encoded(const uint8_t **at, uint8_t encoding, const uint8_t *header,
                         uint64_t *out) {
    const uint8_t *here = *at;
    uint64_t value;
    switch (encoding & ENCODING_FORM) {
    case ENCODING_ABSOLUTE:
    case ENCODING_UNSIGNED_8:
    case ENCODING_SIGNED_8: value = read_uint64_t(at); break;
    case ENCODING_UNSIGNED_LEB: value = vv_cfi_read_unsigned(at); break;
    case ENCODING_SIGNED_LEB: value = (uint64_t)vv_cfi_read_signed(at); break;
    case ENCODING_UNSIGNED_2: value = read_uint16_t(at); break;
    case ENCODING_SIGNED_2: value = (uint64_t)read_int16_t(at); break;
    case ENCODING_UNSIGNED_4: value = read_uint32_t(at); break;
    case ENCODING_SIGNED_4: value = (uint64_t)read_int32_t(at); break;
    default: return false;
    }
    switch (encoding & ENCODING_BASE) {
    case 0: break;
    case ENCODING_FROM_HERE: value += (uint64_t)here; break;
    case ENCODING_FROM_HEADER: value += (uint64_t)header; break;
    default: return false;
    }
    *out = value;
    return true;
}

/* --- from an address to its entry --- */

/* Since glibc 2.35. */
extern int _dl_find_object(void *address, struct dl_find_object *out) __attribute__((weak));

bool vv_cfi_find_module(uintptr_t address, struct vv_cfi_module *out) {
    struct dl_find_object found;
    if (_dl_find_object == NULL || _dl_find_object((void *)address, &found) != 0) return false;
    *out = (struct vv_cfi_module){.eh_frame_header = found.dlfo_eh_frame,
                                  .begin = (uintptr_t)found.dlfo_map_start,
                                  .end = (uintptr_t)found.dlfo_map_end,
                                  .link_map = found.dlfo_link_map};
    return true;
}

/* The table behind .eh_frame_hdr that every linker writes: sorted pairs of distances. */
struct table_entry {
    int32_t function; /* both from the beginning of .eh_frame_hdr */
    int32_t entry;
};

#define HEADER_VERSION 1
#define TABLE_ENCODING (ENCODING_FROM_HEADER | ENCODING_SIGNED_4)

static const struct table_entry *find_table(const uint8_t *header, uint32_t *out_count) {
    const uint8_t *at = header + 4;
    uint64_t unused, count;
    if (header[0] != HEADER_VERSION || header[3] != TABLE_ENCODING) return NULL;
    if (!read_encoded(&at, header[1], header, &unused)) return NULL;
    if (!read_encoded(&at, header[2], header, &count) || count == 0) return NULL;
    *out_count = (uint32_t)count;
    return (const void *)at;
}

/* The last function that begins at or before the address; NULL: none. */
static const struct table_entry *search(const uint8_t *header, uintptr_t address) {
    uint32_t count;
    const struct table_entry *table = find_table(header, &count);
    if (table == NULL) return NULL;
    intptr_t distance = (intptr_t)(address - (uintptr_t)header);
    if (distance < table[0].function) return NULL;
    uint32_t low = 0;
    while (count > 1) { /* table[low].function <= distance < table[low + count].function */
        uint32_t half = count / 2;
        if (table[low + half].function <= distance) {
            low += half;
            count -= half;
        } else {
            count = half;
        }
    }
    return &table[low];
}

uintptr_t vv_cfi_find_function(const struct vv_cfi_module *module, uintptr_t address) {
    if (module->eh_frame_header == NULL) return 0;
    const struct table_entry *entry = search(module->eh_frame_header, address);
    return entry != NULL ? (uintptr_t)module->eh_frame_header + (uintptr_t)(intptr_t)entry->function
                         : 0;
}

/* --- entries --- */

struct common_entry { /* CIE */
    const uint8_t *instructions;
    const uint8_t *end;
    uint64_t code_alignment;
    int64_t data_alignment;
    uint8_t return_address_register;
    uint8_t pointer_encoding;
    bool has_augmentation;
    bool is_signal_frame;
};

/* Length, then what follows it; *out_end is behind the entry. False: the terminator. */
static bool read_length(const uint8_t **at, const uint8_t **out_end) {
    uint64_t length = read_uint32_t(at);
    if (length == UINT32_MAX) length = read_uint64_t(at);
    *out_end = *at + length;
    return length != 0;
}

static bool read_augmentation(const char *letters, const uint8_t **at, const uint8_t *header,
                              struct common_entry *entry) {
    uint64_t length = vv_cfi_read_unsigned(at);
    const uint8_t *end = *at + length;
    uint64_t personality;
    for (const char *letter = letters; *letter != '\0'; letter++) {
        switch (*letter) {
        case 'R': entry->pointer_encoding = read_uint8_t(at); break;
        case 'L': read_uint8_t(at); break;
        case 'S': entry->is_signal_frame = true; break;
        case 'B': break;
        case 'P': {
            uint8_t encoding = read_uint8_t(at);
            if (!read_encoded(at, encoding & (uint8_t)~0x80, header, &personality)) return false;
            break;
        }
        default: return false;
        }
    }
    *at = end;
    return true;
}

static bool read_common_entry(const uint8_t *at, const uint8_t *header,
                              struct common_entry *entry) {
    *entry = (struct common_entry){.pointer_encoding = ENCODING_ABSOLUTE};
    if (!read_length(&at, &entry->end) || read_uint32_t(&at) != 0) return false;
    uint8_t version = read_uint8_t(&at);
    if (version != 1 && version != 3) return false;
    const char *augmentation = (const char *)at;
    at += strlen(augmentation) + 1;
    entry->code_alignment = vv_cfi_read_unsigned(&at);
    entry->data_alignment = vv_cfi_read_signed(&at);
    uint64_t column = version == 1 ? read_uint8_t(&at) : vv_cfi_read_unsigned(&at);
    if (column >= VV_REGISTER_COUNT) return false;
    entry->return_address_register = (uint8_t)column;
    entry->has_augmentation = augmentation[0] == 'z';
    if (!entry->has_augmentation && augmentation[0] != '\0') return false;
    if (entry->has_augmentation && !read_augmentation(augmentation + 1, &at, header, entry)) {
        return false;
    }
    entry->instructions = at;
    return true;
}

/* --- instructions --- */

enum {
    OP_ADVANCE = 0x40,
    OP_OFFSET = 0x80,
    OP_RESTORE = 0xc0,
    OP_NOP = 0x00,
    OP_SET_LOCATION = 0x01,
    OP_ADVANCE_1 = 0x02,
    OP_ADVANCE_2 = 0x03,
    OP_ADVANCE_4 = 0x04,
    OP_OFFSET_EXTENDED = 0x05,
    OP_RESTORE_EXTENDED = 0x06,
    OP_UNDEFINED = 0x07,
    OP_SAME_VALUE = 0x08,
    OP_REGISTER = 0x09,
    OP_REMEMBER_STATE = 0x0a,
    OP_RESTORE_STATE = 0x0b,
    OP_DEFINE_CFA = 0x0c,
    OP_DEFINE_CFA_REGISTER = 0x0d,
    OP_DEFINE_CFA_OFFSET = 0x0e,
    OP_DEFINE_CFA_EXPRESSION = 0x0f,
    OP_EXPRESSION = 0x10,
    OP_OFFSET_EXTENDED_SIGNED = 0x11,
    OP_DEFINE_CFA_SIGNED = 0x12,
    OP_DEFINE_CFA_OFFSET_SIGNED = 0x13,
    OP_VALUE_OFFSET = 0x14,
    OP_VALUE_OFFSET_SIGNED = 0x15,
    OP_VALUE_EXPRESSION = 0x16,
    OP_GNU_ARGUMENTS_SIZE = 0x2e,
    OP_GNU_NEGATIVE_OFFSET = 0x2f,
};

/* The part of a row that instructions change. */
struct state {
    bool cfa_is_expression;
    uint8_t cfa_register;
    int32_t cfa_value;
    struct vv_cfi_rule rules[VV_REGISTER_COUNT];
};

#define REMEMBERED_MAX 6

struct machine {
    const struct common_entry *common;
    const uint8_t *header;
    struct state state;
    struct state initial; /* after the common entry's instructions */
    struct state remembered[REMEMBERED_MAX];
    unsigned remembered_count;
    uintptr_t location;
    uintptr_t address; /* run until the location is beyond it */
    bool failed;
};

static void set_rule(struct machine *machine, uint64_t column, enum vv_cfi_place place,
                     int64_t value) {
    if (column >= VV_REGISTER_COUNT) return; /* vector registers: of no interest */
    if (value != (int32_t)value) machine->failed = true;
    machine->state.rules[column] =
        (struct vv_cfi_rule){.place = (uint8_t)place, .value = (int32_t)value};
}

static void restore_rule(struct machine *machine, uint64_t column) {
    if (column < VV_REGISTER_COUNT) machine->state.rules[column] = machine->initial.rules[column];
}

static void define_cfa(struct machine *machine, uint64_t column, int64_t value) {
    if (column >= VV_REGISTER_COUNT || value != (int32_t)value) machine->failed = true;
    machine->state.cfa_is_expression = false;
    machine->state.cfa_register = (uint8_t)column;
    machine->state.cfa_value = (int32_t)value;
}

/* An expression, whose distance from the header is what a rule keeps. */
static int64_t read_expression(struct machine *machine, const uint8_t **at) {
    int64_t distance = *at - machine->header;
    uint64_t length = vv_cfi_read_unsigned(at);
    *at += length;
    return distance;
}

static void advance(struct machine *machine, uint64_t units) {
    machine->location += units * machine->common->code_alignment;
}

/* The instructions that carry an operand in their low six bits. True: it was one. */
static bool run_short(struct machine *machine, uint8_t instruction, const uint8_t **at) {
    uint8_t operand = instruction & 0x3f;
    switch (instruction & 0xc0) {
    case OP_ADVANCE: advance(machine, operand); return true;
    case OP_OFFSET:
        set_rule(machine, operand, VV_CFI_AT_OFFSET,
                 (int64_t)vv_cfi_read_unsigned(at) * machine->common->data_alignment);
        return true;
    case OP_RESTORE: restore_rule(machine, operand); return true;
    default: return false;
    }
}

static void remember_state(struct machine *machine) {
    if (machine->remembered_count == REMEMBERED_MAX) {
        machine->failed = true;
    } else {
        machine->remembered[machine->remembered_count++] = machine->state;
    }
}

static void restore_state(struct machine *machine) {
    if (machine->remembered_count == 0) {
        machine->failed = true;
    } else {
        machine->state = machine->remembered[--machine->remembered_count];
    }
}

static void run_cfa(struct machine *machine, uint8_t instruction, const uint8_t **at) {
    int64_t scale = machine->common->data_alignment;
    switch (instruction) {
    case OP_DEFINE_CFA: {
        uint64_t column = vv_cfi_read_unsigned(at);
        define_cfa(machine, column, (int64_t)vv_cfi_read_unsigned(at));
        break;
    }
    case OP_DEFINE_CFA_SIGNED: {
        uint64_t column = vv_cfi_read_unsigned(at);
        define_cfa(machine, column, vv_cfi_read_signed(at) * scale);
        break;
    }
    case OP_DEFINE_CFA_REGISTER:
        define_cfa(machine, vv_cfi_read_unsigned(at), machine->state.cfa_value);
        break;
    case OP_DEFINE_CFA_OFFSET:
        define_cfa(machine, machine->state.cfa_register, (int64_t)vv_cfi_read_unsigned(at));
        break;
    case OP_DEFINE_CFA_OFFSET_SIGNED:
        define_cfa(machine, machine->state.cfa_register, vv_cfi_read_signed(at) * scale);
        break;
    default: /* OP_DEFINE_CFA_EXPRESSION */
        define_cfa(machine, 0, read_expression(machine, at));
        machine->state.cfa_is_expression = true;
    }
}

static void run_rule(struct machine *machine, uint8_t instruction, const uint8_t **at) {
    int64_t scale = machine->common->data_alignment;
    uint64_t column = vv_cfi_read_unsigned(at);
    switch (instruction) {
    case OP_OFFSET_EXTENDED:
        set_rule(machine, column, VV_CFI_AT_OFFSET, (int64_t)vv_cfi_read_unsigned(at) * scale);
        break;
    case OP_OFFSET_EXTENDED_SIGNED:
        set_rule(machine, column, VV_CFI_AT_OFFSET, vv_cfi_read_signed(at) * scale);
        break;
    case OP_GNU_NEGATIVE_OFFSET:
        set_rule(machine, column, VV_CFI_AT_OFFSET, -(int64_t)vv_cfi_read_unsigned(at) * scale);
        break;
    case OP_VALUE_OFFSET:
        set_rule(machine, column, VV_CFI_IS_OFFSET, (int64_t)vv_cfi_read_unsigned(at) * scale);
        break;
    case OP_VALUE_OFFSET_SIGNED:
        set_rule(machine, column, VV_CFI_IS_OFFSET, vv_cfi_read_signed(at) * scale);
        break;
    case OP_REGISTER:
        set_rule(machine, column, VV_CFI_IN_REGISTER, (int64_t)vv_cfi_read_unsigned(at));
        break;
    case OP_EXPRESSION:
        set_rule(machine, column, VV_CFI_AT_EXPRESSION, read_expression(machine, at));
        break;
    case OP_VALUE_EXPRESSION:
        set_rule(machine, column, VV_CFI_IS_EXPRESSION, read_expression(machine, at));
        break;
    case OP_RESTORE_EXTENDED: restore_rule(machine, column); break;
    case OP_UNDEFINED: set_rule(machine, column, VV_CFI_UNDEFINED, 0); break;
    default: /* OP_SAME_VALUE */ set_rule(machine, column, VV_CFI_SAME, 0);
    }
}

static void run_one(struct machine *machine, const uint8_t **at) {
    uint8_t instruction = read_uint8_t(at);
    if (run_short(machine, instruction, at)) return;
    switch (instruction) {
    case OP_NOP: break;
    case OP_SET_LOCATION: {
        uint64_t location;
        if (!read_encoded(at, machine->common->pointer_encoding, machine->header, &location)) {
            machine->failed = true;
            return;
        }
        machine->location = location;
        break;
    }
    case OP_ADVANCE_1: advance(machine, read_uint8_t(at)); break;
    case OP_ADVANCE_2: advance(machine, read_uint16_t(at)); break;
    case OP_ADVANCE_4: advance(machine, read_uint32_t(at)); break;
    case OP_REMEMBER_STATE: remember_state(machine); break;
    case OP_RESTORE_STATE: restore_state(machine); break;
    case OP_GNU_ARGUMENTS_SIZE: vv_cfi_read_unsigned(at); break;
    case OP_DEFINE_CFA:
    case OP_DEFINE_CFA_REGISTER:
    case OP_DEFINE_CFA_OFFSET:
    case OP_DEFINE_CFA_EXPRESSION:
    case OP_DEFINE_CFA_SIGNED:
    case OP_DEFINE_CFA_OFFSET_SIGNED: run_cfa(machine, instruction, at); break;
    case OP_OFFSET_EXTENDED:
    case OP_RESTORE_EXTENDED:
    case OP_UNDEFINED:
    case OP_SAME_VALUE:
    case OP_REGISTER:
    case OP_EXPRESSION:
    case OP_OFFSET_EXTENDED_SIGNED:
    case OP_VALUE_OFFSET:
    case OP_VALUE_OFFSET_SIGNED:
    case OP_VALUE_EXPRESSION:
    case OP_GNU_NEGATIVE_OFFSET: run_rule(machine, instruction, at); break;
    default: machine->failed = true;
    }
}

static void run(struct machine *machine, const uint8_t *at, const uint8_t *end) {
    while (at < end && !machine->failed && machine->location <= machine->address) {
        run_one(machine, &at);
    }
}

/* --- rows --- */

static void start_machine(struct machine *machine, const struct common_entry *common,
                          const uint8_t *header, uintptr_t function, uintptr_t address) {
    machine->common = common;
    machine->header = header;
    machine->state = (struct state){.cfa_register = VV_REGISTER_RSP};
    machine->remembered_count = 0;
    machine->failed = false;
    machine->location = function;
    machine->address = address;
    run(machine, common->instructions, common->end);
    machine->initial = machine->state;
}

static void copy_row(const struct machine *machine, uintptr_t function, struct vv_cfi_row *out) {
    *out = (struct vv_cfi_row){
        .base = machine->header,
        .function = function,
        .cfa_is_expression = machine->state.cfa_is_expression,
        .is_signal_frame = machine->common->is_signal_frame,
        .cfa_register = machine->state.cfa_register,
        .return_address_register = machine->common->return_address_register,
        .cfa_value = machine->state.cfa_value,
    };
    memcpy(out->rules, machine->state.rules, sizeof out->rules);
}

bool vv_cfi_find_row(const struct vv_cfi_module *module, uintptr_t address,
                     struct vv_cfi_row *out) {
    const uint8_t *header = module->eh_frame_header;
    const struct table_entry *found = header != NULL ? search(header, address) : NULL;
    if (found == NULL) return false;
    const uint8_t *at = header + found->entry;
    const uint8_t *end;
    if (!read_length(&at, &end)) return false;
    const uint8_t *common_at = at - read_uint32_t(&(const uint8_t *){at});
    at += sizeof(uint32_t);
    struct common_entry common;
    if (!read_common_entry(common_at, header, &common)) return false;
    uint64_t function, size;
    if (!read_encoded(&at, common.pointer_encoding, header, &function) ||
        !read_encoded(&at, common.pointer_encoding & ENCODING_FORM, header, &size) ||
        address < function || address - function >= size) {
        return false;
    }
    if (common.has_augmentation) {
        uint64_t length = vv_cfi_read_unsigned(&at);
        at += length;
    }
    struct machine machine;
    start_machine(&machine, &common, header, function, address);
    run(&machine, at, end);
    if (machine.failed) return false;
    copy_row(&machine, function, out);
    return true;
}
