/* SPDX-License-Identifier: MIT */
#include "object/table.h"

#define SLOT_MIN_SHIFT 3
#define SLOT_MAX_SHIFT 30

/* Slots hold the number of an entry, or: */
enum { SLOT_EMPTY = -1, SLOT_DELETED = -2 };

static uint32_t slot_count_of(uint32_t shift) {
    return 1u << shift;
}

/* Two thirds of the slots may be taken. */
static uint32_t usable_count_of(uint32_t shift) {
    return (uint32_t)(((uint64_t)slot_count_of(shift) * 2) / 3);
}

/* Bytes of a slot: wide enough for the entries' numbers with sign. */
static size_t slot_bytes_of(uint32_t shift) {
    return shift <= 7 ? 1 : shift <= 15 ? 2 : 4;
}

static size_t slots_bytes_of(uint32_t shift) {
    return slot_count_of(shift) * slot_bytes_of(shift);
}

static int32_t slot_get(const struct vv_table *table, uint32_t slot) {
    if (table->slot_shift <= 7) return ((const int8_t *)table->slots)[slot];
    if (table->slot_shift <= 15) return ((const int16_t *)table->slots)[slot];
    return ((const int32_t *)table->slots)[slot];
}

static void slot_set(struct vv_table *table, uint32_t slot, int32_t value) {
    if (table->slot_shift <= 7) {
        ((int8_t *)table->slots)[slot] = (int8_t)value;
    } else if (table->slot_shift <= 15) {
        ((int16_t *)table->slots)[slot] = (int16_t)value;
    } else {
        ((int32_t *)table->slots)[slot] = value;
    }
}

/* The slots to be looked at for a hash, in turn: steps of 1, 2, 3 ... reach every slot of a power
 * of two. */
struct probe {
    uint32_t slot;
    uint32_t step;
    uint32_t mask;
};

static struct probe probe_begin(const struct vv_table *table, uint64_t hash) {
    uint32_t mask = slot_count_of(table->slot_shift) - 1;
    return (struct probe){.slot = (uint32_t)(hash ^ hash >> 32) & mask, .step = 0, .mask = mask};
}

static void probe_next(struct probe *probe) {
    probe->slot = (probe->slot + ++probe->step) & probe->mask;
}

#define CHANGED 2 /* what an equality function never says */

/* Whether the entry has the key: 1, 0, negative errno; CHANGED: the table was changed. */
static int entry_matches(struct vv_table *table, uint32_t index, varve_object *key, uint64_t hash) {
    varve_object *candidate = table->entries[index].key;
    if (candidate == key) return 1;
    if (table->entries[index].hash != hash) return 0;
    if (candidate->type_index == VV_TYPE_STR && key->type_index == VV_TYPE_STR) {
        return vv_str_equal((struct vv_str *)candidate, (struct vv_str *)key);
    }
    const struct vv_table before = *table;
    varve_incref(candidate);
    int result = varve_equal(candidate, key);
    bool changed = table->slots != before.slots || table->slot_shift != before.slot_shift ||
                   index >= table->entry_count || table->entries[index].key != candidate;
    varve_decref(candidate);
    if (result < 0) return result;
    return changed ? CHANGED : result > 0;
}

static int find_once(struct vv_table *table, varve_object *key, uint64_t hash,
                     uint32_t *out_index) {
    if (table->slots == NULL) return 0;
    struct probe probe = probe_begin(table, hash);
    for (;; probe_next(&probe)) {
        int32_t index = slot_get(table, probe.slot);
        if (index == SLOT_EMPTY) return 0;
        if (index == SLOT_DELETED) continue;
        int result = entry_matches(table, (uint32_t)index, key, hash);
        if (result == 0) continue;
        if (result > 0) *out_index = (uint32_t)index;
        return result;
    }
}

int vv_table_find(struct vv_table *table, varve_object *key, uint64_t hash, uint32_t *out_index) {
    int result;
    do {
        result = find_once(table, key, hash, out_index);
    } while (result == CHANGED);
    return result;
}

static void fill_slot(struct vv_table *table, uint64_t hash, uint32_t index) {
    struct probe probe = probe_begin(table, hash);
    while (slot_get(table, probe.slot) >= 0) probe_next(&probe);
    slot_set(table, probe.slot, (int32_t)index);
}

/* Moves the entries into a new table of that size; deleted ones stay behind. */
static int rebuild(varve_world *world, struct vv_table *table, uint32_t shift) {
    if (shift > SLOT_MAX_SHIFT) return -ENOMEM;
    struct vv_table new_table = {.slot_shift = shift, .usable_count = usable_count_of(shift)};
    size_t slots_bytes = slots_bytes_of(shift);
    new_table.slots = vv_world_allocate(world, slots_bytes + new_table.usable_count *
                                                                 sizeof new_table.entries[0]);
    if (new_table.slots == NULL) return -ENOMEM;
    new_table.entries = (struct vv_entry *)(void *)((char *)new_table.slots + slots_bytes);
    memset(new_table.slots, 0xff, slots_bytes);
    for (uint32_t index = 0; index < table->entry_count; index++) {
        const struct vv_entry *entry = &table->entries[index];
        if (entry->key == NULL) continue;
        new_table.entries[new_table.entry_count] = *entry;
        fill_slot(&new_table, entry->hash, new_table.entry_count++);
    }
    new_table.used_count = table->used_count;
    vv_world_release(world, table->slots);
    *table = new_table;
    return 0;
}

int vv_table_reserve(varve_world *world, struct vv_table *table) {
    if (table->entry_count < table->usable_count) return 0;
    uint32_t shift = SLOT_MIN_SHIFT;
    while (shift <= SLOT_MAX_SHIFT && slot_count_of(shift) < (uint64_t)table->used_count * 3) {
        shift++;
    }
    return rebuild(world, table, shift);
}

void vv_table_append(struct vv_table *table, uint64_t hash, varve_object *key,
                     varve_object *value) {
    vv_assert(table->entry_count < table->usable_count);
    table->entries[table->entry_count] = (struct vv_entry){key, value, hash};
    fill_slot(table, hash, table->entry_count);
    table->entry_count++;
    table->used_count++;
}

struct vv_entry vv_table_remove(struct vv_table *table, uint32_t index) {
    struct vv_entry entry = table->entries[index];
    struct probe probe = probe_begin(table, entry.hash);
    while (slot_get(table, probe.slot) != (int32_t)index) probe_next(&probe);
    slot_set(table, probe.slot, SLOT_DELETED);
    table->entries[index] = (struct vv_entry){.hash = index + 1};
    table->used_count--;
    return entry;
}

void vv_table_clear(varve_world *world, struct vv_table *table) {
    struct vv_table old = *table;
    *table = (struct vv_table){.slots = NULL};
    for (uint32_t index = 0; index < old.entry_count; index++) {
        if (old.entries[index].key == NULL) continue;
        varve_decref(old.entries[index].key);
        varve_xdecref(old.entries[index].value);
    }
    vv_world_release(world, old.slots);
}

/* The first entry from that one, which is deleted, on that is not. Where entries are always taken
 * from the front there are ever more deleted ones: those passed once are passed in one step. */
static VV_NOINLINE size_t pass_deleted(const struct vv_table *table, size_t begin) {
    size_t index = begin;
    while (index < table->entry_count && table->entries[index].key == NULL) {
        index = table->entries[index].hash;
    }
    table->entries[begin].hash = index;
    return index;
}

const struct vv_entry *vv_table_next(const struct vv_table *table, size_t *position) {
    if (*position >= table->entry_count) return NULL;
    const struct vv_entry *entry = &table->entries[(*position)++];
    if (entry->key != NULL) return entry;
    size_t index = *position = pass_deleted(table, *position - 1);
    return index < table->entry_count ? &table->entries[(*position)++] : NULL;
}

size_t vv_table_bytes(const struct vv_table *table) {
    if (table->slots == NULL) return 0;
    return slots_bytes_of(table->slot_shift) + table->usable_count * sizeof table->entries[0];
}
