/* SPDX-License-Identifier: MIT
 * Text, and the table of interned text: open addressing, weak. An interned str leaves the table
 * when it dies, by shifting back what follows, so that no mark of deletion is needed. */
#include "object/builtin.h"

#include "base/hash.h"
#include "os/clock.h"

struct vv_interned {
    struct vv_str **slots;
    size_t slot_count; /* a power of two; 0: none yet */
    size_t used_count;
};

/* --- UTF-8 --- */

/* Bytes of the well-formed character at `text` of which `left` bytes follow, or 0. */
static size_t character_bytes(const unsigned char *text, size_t left) {
    unsigned char lead = text[0];
    if (lead < 0x80) return 1;
    size_t count = lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || count > left) return 0;
    for (size_t index = 1; index < count; index++) {
        if ((text[index] & 0xc0) != 0x80) return 0;
    }
    if (lead == 0xe0 && text[1] < 0xa0) return 0; /* could be shorter */
    if (lead == 0xed && text[1] > 0x9f) return 0; /* half of a surrogate pair */
    if (lead == 0xf0 && text[1] < 0x90) return 0; /* could be shorter */
    if (lead == 0xf4 && text[1] > 0x8f) return 0; /* above U+10FFFF */
    return count;
}

static bool is_utf8(const char *text, size_t byte_count) {
    size_t at = 0;
    while (at < byte_count) {
        size_t count = character_bytes((const unsigned char *)text + at, byte_count - at);
        if (count == 0) return false;
        at += count;
    }
    return true;
}

/* --- strs --- */

varve_object *varve_str_new(varve_world *world, const char *text, size_t byte_count) {
    if (byte_count >= UINT32_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    if (!is_utf8(text, byte_count)) {
        errno = EILSEQ;
        return NULL;
    }
    size_t object_bytes = offsetof(struct vv_str, text) + byte_count + 1;
    struct vv_str *str = (void *)vv_object_new(world->types[VV_TYPE_STR], object_bytes);
    if (str == NULL) return NULL;
    str->hash = 0;
    str->byte_count = (uint32_t)byte_count;
    str->is_interned = false;
    if (byte_count > 0) memcpy(str->text, text, byte_count); /* text may be NULL then */
    str->text[byte_count] = 0;
    return &str->head;
}

varve_object *varve_str_of(varve_world *world, const char *text) {
    return varve_str_new(world, text, strlen(text));
}

static struct vv_str *str_of(const varve_object *object) {
    VV_IS(object, VV_TYPE_STR, "str");
    return (struct vv_str *)(uintptr_t)object;
}

const char *varve_str_text(const varve_object *str) {
    return str_of(str)->text;
}

size_t varve_str_bytes(const varve_object *str) {
    return str_of(str)->byte_count;
}

/* Eight bytes at a time, each step a bijection of what came before. */
uint64_t vv_hash_bytes(const void *bytes, size_t byte_count) {
    static _Atomic uint64_t seed;
    uint64_t start = atomic_load_explicit(&seed, memory_order_relaxed);
    if (vv_unlikely(start == 0)) {
        uint64_t fresh = vv_mix64(vv_clock_ns() ^ (uintptr_t)&seed) | 1;
        atomic_compare_exchange_strong(&seed, &start, fresh);
        start = atomic_load_explicit(&seed, memory_order_relaxed);
    }
    uint64_t hash = start ^ byte_count;
    const char *at = bytes;
    for (; byte_count >= 8; byte_count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = vv_mix64(hash ^ word);
    }
    uint64_t tail = 0;
    memcpy(&tail, at, byte_count);
    return vv_mix64(hash ^ tail);
}

uint64_t vv_str_hash(struct vv_str *str) {
    if (str->hash == 0) {
        uint64_t hash = vv_hash_bytes(str->text, str->byte_count);
        str->hash = hash != 0 ? hash : 1;
    }
    return str->hash;
}

bool vv_str_equal(const struct vv_str *left, const struct vv_str *right) {
    if (left == right) return true;
    if (left->byte_count != right->byte_count) return false;
    if (left->hash != 0 && right->hash != 0 && left->hash != right->hash) return false;
    return memcmp(left->text, right->text, left->byte_count) == 0;
}

/* --- interned strs --- */

/* The slot that has an equal str, or the empty one where it belongs. */
static size_t intern_slot(const struct vv_interned *table, struct vv_str *str) {
    size_t slot = vv_str_hash(str) & (table->slot_count - 1);
    while (table->slots[slot] != NULL && !vv_str_equal(table->slots[slot], str)) {
        slot = (slot + 1) & (table->slot_count - 1);
    }
    return slot;
}

static int intern_grow(varve_world *world, struct vv_interned *table) {
    struct vv_interned new_table = {.slot_count = vv_max(table->slot_count * 2, 64)};
    size_t byte_count = new_table.slot_count * sizeof(struct vv_str *);
    new_table.slots = vv_world_allocate(world, byte_count);
    if (new_table.slots == NULL) return -ENOMEM;
    memset(new_table.slots, 0, byte_count);
    new_table.used_count = table->used_count;
    for (size_t slot = 0; slot < table->slot_count; slot++) {
        struct vv_str *str = table->slots[slot];
        if (str != NULL) new_table.slots[intern_slot(&new_table, str)] = str;
    }
    vv_world_release(world, table->slots);
    *table = new_table;
    return 0;
}

varve_object *varve_str_intern(varve_object *object) {
    struct vv_str *str = str_of(object);
    varve_world *world = vv_world_of(object);
    if (str->is_interned) return varve_incref(object);
    if (world->interned == NULL) {
        world->interned = vv_world_allocate(world, sizeof *world->interned);
        if (world->interned == NULL) return NULL;
        *world->interned = (struct vv_interned){.slots = NULL};
    }
    struct vv_interned *table = world->interned;
    if (table->used_count * 2 >= table->slot_count && intern_grow(world, table) != 0) return NULL;
    size_t slot = intern_slot(table, str);
    if (table->slots[slot] == NULL) {
        table->slots[slot] = str;
        table->used_count++;
        str->is_interned = true;
    }
    return varve_incref(&table->slots[slot]->head);
}

void vv_str_forget(varve_object *object) {
    struct vv_str *str = (struct vv_str *)object;
    if (!str->is_interned) return;
    struct vv_interned *table = vv_world_of(object)->interned;
    size_t mask = table->slot_count - 1, hole = intern_slot(table, str);
    table->used_count--;
    for (size_t slot = hole;;) {
        table->slots[hole] = NULL;
        do {
            slot = (slot + 1) & mask;
            if (table->slots[slot] == NULL) return;
            /* one whose own slot lies between the hole and here must stay */
        } while (((slot - (vv_str_hash(table->slots[slot]) & mask)) & mask) <
                 ((slot - hole) & mask));
        table->slots[hole] = table->slots[slot];
        hole = slot;
    }
}

void vv_interned_done(varve_world *world) {
    if (world->interned == NULL) return;
    vv_world_release(world, world->interned->slots);
    vv_world_release(world, world->interned);
}

const varve_type_spec vv_str_spec = {
    .name = "str",
    .basic_bytes = offsetof(struct vv_str, text) + 1,
    .item_bytes = 1,
    .flags = VARVE_TYPE_NO_WEAKREFS,
};
