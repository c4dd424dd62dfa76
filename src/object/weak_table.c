/* SPDX-License-Identifier: MIT */
#include "object/weak_table.h"

#include "base/hash.h"

#include <errno.h>
#include <string.h>

enum { SLOT_EMPTY, SLOT_REMOVED, SLOT_FIRST }; /* SLOT_FIRST + place */
#define SLOT_MIN_SHIFT 3u
#define SLOT_MAX_SHIFT 30u

static bool holds_keys(const struct vv_weak_table *table) {
    return table->head.type_index != VV_TYPE_WEAK_VALUE_DICT;
}

varve_object *vv_weak_table_new(varve_world *world, uint32_t type_index, bool by_identity) {
    vv_world_assert_inside(world);
    struct vv_weak_table *table =
        (struct vv_weak_table *)varve_object_new(world->types[type_index]);
    if (table == NULL) return NULL;
    table->by_identity = by_identity;
    world->weak->table_count++;
    world->weak->ephemerons_count += type_index == VV_TYPE_EPHEMERONS;
    return &table->head;
}

/* --- slots and entries --- */

static size_t mask_of(const struct vv_weak_table *table) {
    return ((size_t)1 << table->slot_shift) - 1;
}

static size_t home_of(const struct vv_weak_table *table, uint64_t hash) {
    return vv_mix64(hash) & mask_of(table);
}

static size_t memory_bytes(uint32_t slot_shift, uint32_t capacity) {
    return (sizeof(uint32_t) << slot_shift) + capacity * sizeof(struct vv_weak_entry);
}

/* The slot that leads to a place. */
static uint32_t *slot_of(const struct vv_weak_table *table, uint32_t place) {
    size_t index = home_of(table, table->entries[place].hash);
    while (table->slots[index] != SLOT_FIRST + place) index = (index + 1) & mask_of(table);
    return &table->slots[index];
}

static void occupy(struct vv_weak_table *table, uint64_t hash, uint32_t place) {
    size_t index = home_of(table, hash);
    while (table->slots[index] != SLOT_EMPTY) index = (index + 1) & mask_of(table);
    table->slots[index] = SLOT_FIRST + place;
}

/* New memory, half of it for what is to come, and what has been removed left behind. */
static bool rebuild(struct vv_weak_table *table) {
    uint32_t slot_shift = SLOT_MIN_SHIFT;
    while (((size_t)3 << slot_shift) / 4 < (size_t)table->used_count * 2) slot_shift++;
    if (slot_shift > SLOT_MAX_SHIFT) return false;
    uint32_t capacity = (uint32_t)(((size_t)3 << slot_shift) / 4);
    varve_world *world = varve_world_of(&table->head);
    uint32_t *slots = vv_world_allocate(world, memory_bytes(slot_shift, capacity));
    if (slots == NULL) return false;

    size_t slot_bytes = sizeof(uint32_t) << slot_shift;
    memset(slots, 0, slot_bytes);
    const struct vv_weak_entry *old = table->entries;
    uint32_t old_count = table->entry_count;
    void *old_memory = table->slots;
    table->slots = slots;
    table->entries = (struct vv_weak_entry *)(void *)((char *)slots + slot_bytes);
    table->slot_shift = slot_shift;
    table->capacity = capacity;
    table->entry_count = 0;
    table->layout++;
    for (uint32_t index = 0; index < old_count; index++) {
        if (old[index].member == NULL) continue;
        uint32_t place = table->entry_count++;
        table->entries[place] = old[index];
        table->entries[place].member->place = place;
        occupy(table, old[index].hash, place);
    }
    table->used_end = table->entry_count;
    vv_world_release(world, old_memory);
    return true;
}

/* Room for one more entry. Every slot that is not empty has had a place, so some are empty. */
static bool reserve(struct vv_weak_table *table) {
    return table->entry_count < table->capacity || rebuild(table);
}

/* Looks at all entries, so not every time. */
static void audit(const struct vv_weak_table *table) {
    vv_audit(VARVE_AUDIT && (table->used_count < 32 || table->used_count % 1024 == 0)
                 ? vv_weak_table_check(table)
                 : NULL);
    (void)table;
}

/* The member is the table's no more. */
static void detach(struct vv_weakref *member) {
    member->callback = NULL;
    member->argument = NULL;
    member->held = NULL; /* was its place */
}

/* The entry of a member changes or goes: what the member was counted for. */
static void uncount(struct vv_weak_table *table, const struct vv_weakref *member) {
    if (member->object == NULL) table->dead_count--;
    if (member->callback == NULL) table->stale_count--;
}

/* Takes an entry out; its references go to the caller. */
static struct vv_weak_entry take(struct vv_weak_table *table, uint32_t place) {
    struct vv_weak_entry *entry = &table->entries[place];
    struct vv_weak_entry taken = *entry;
    *slot_of(table, place) = SLOT_REMOVED;
    uncount(table, taken.member);
    detach(taken.member);
    entry->member = NULL;
    entry->other = NULL;
    entry->hash = place + 1;
    table->used_count--;
    audit(table);
    return taken;
}

static void append(struct vv_weak_table *table, struct vv_weakref *member, varve_object *other,
                   uint64_t hash) {
    uint32_t place = table->entry_count++;
    occupy(table, hash, place);
    table->entries[place] = (struct vv_weak_entry){member, vv_object_xown(&table->head, other),
                                                   hash, table->next_ordinal++};
    member->place = place;
    table->used_count++;
    table->used_end = table->entry_count;
    audit(table);
}

/* --- members --- */

void vv_weak_member_died(varve_object *object, void *argument) {
    struct vv_weak_table *table = argument;
    struct vv_weakref *member = (struct vv_weakref *)object;
    member->callback = vv_weak_member_died; /* as take() expects it of one that could call */
    struct vv_weak_entry taken = take(table, (uint32_t)member->place);
    member->held = taken.other;
    varve_decref(object); /* the table's reference; whoever calls has one, too */
}

/* A member for an object, which the table does not have yet. */
static struct vv_weakref *member_new(struct vv_weak_table *table, varve_object *object) {
    vv_object_assert_stored(&table->head, object);
    return vv_weakref_make(VV_TYPE_WEAK_MEMBER, object, vv_weak_member_died, table,
                           /* held */ NULL);
}

/* Ends a member that no table has. */
static void member_end(struct vv_weakref *member) {
    detach(member);
    varve_decref(&member->head);
}

/* Takes out the entries whose member cannot do it itself. */
static void sweep(struct vv_weak_table *table) {
    for (uint32_t place = 0; place < table->entry_count && table->stale_count > 0; place++) {
        const struct vv_weakref *member = table->entries[place].member;
        if (member == NULL || member->callback != NULL) continue;
        uint64_t ordinal = table->entries[place].ordinal;
        vv_weak_table_remove(table, place);
        /* That may have run anything. If the table is another now, look from its beginning. */
        if (place >= table->entry_count || table->entries[place].ordinal != ordinal) {
            place = UINT32_MAX;
        }
    }
}

/* --- operations --- */

int vv_weak_table_hash(const struct vv_weak_table *table, varve_object *key, uint64_t *out_hash) {
    vv_object_assert_compared(&table->head, key);
    if (!table->by_identity) return varve_hash(key, out_hash);
    *out_hash = (uintptr_t)key;
    return 0;
}

/* Whether an entry has this key; a new reference to the entry's key is compared with. */
static int has_key(struct vv_weak_table *table, const struct vv_weak_entry *entry,
                   varve_object *key) {
    varve_object *there = holds_keys(table) ? entry->member->object : entry->other;
    if (there == key) return 1;
    if (table->by_identity) return 0;
    varve_incref(there);
    int result = vv_weak_equal(varve_world_of(key)->weak, there, key);
    varve_decref(there);
    return result;
}

/* Whether an entry that was compared with is not there any more, or somewhere else. */
static bool has_gone(const struct vv_weak_table *table, uint32_t place, uint64_t layout) {
    if (table->layout != layout) return true;
    const struct vv_weakref *member = table->entries[place].member;
    return member == NULL || (holds_keys(table) && member->object == NULL);
}

/* Looks along the slots; *out_restart: an equality function has changed the table. */
static int probe(struct vv_weak_table *table, varve_object *key, uint64_t hash, uint32_t *out_place,
                 bool *out_restart) {
    *out_restart = false;
    for (size_t index = home_of(table, hash);; index = (index + 1) & mask_of(table)) {
        uint32_t slot = table->slots[index], place = slot - SLOT_FIRST;
        if (slot == SLOT_EMPTY) return 0;
        if (slot == SLOT_REMOVED || table->entries[place].hash != hash) continue;
        if (has_gone(table, place, table->layout)) continue;
        uint64_t layout = table->layout;
        int result = has_key(table, &table->entries[place], key);
        *out_restart = has_gone(table, place, layout);
        if (*out_restart || result < 0) return result;
        if (result == 0) continue;
        *out_place = place;
        return 1;
    }
}

int vv_weak_table_find(struct vv_weak_table *table, varve_object *key, uint64_t hash,
                       uint32_t *out_place) {
    bool restart = false;
    int result;
    do {
        if (table->slots == NULL) return 0;
        result = probe(table, key, hash, out_place, &restart);
    } while (restart && result >= 0);
    return result;
}

/* An equal key is there: the other half of its entry is exchanged. Takes over `member`, if any. */
static void exchange(struct vv_weak_table *table, uint32_t place, struct vv_weakref *member,
                     varve_object *other) {
    struct vv_weak_entry *entry = &table->entries[place];
    if (holds_keys(table)) {
        varve_object *old = entry->other;
        entry->other = vv_object_xown(&table->head, other);
        if (member != NULL) member_end(member);
        varve_xdecref(old);
        return;
    }
    struct vv_weakref *old = entry->member;
    uncount(table, old);
    entry->member = member;
    member->place = place;
    member_end(old);
}

int vv_weak_table_set(struct vv_weak_table *table, varve_object *key, varve_object *weak,
                      varve_object *other) {
    uint64_t hash;
    uint32_t place;
    int result = vv_weak_table_hash(table, key, &hash);
    if (result < 0) return result;
    if (table->stale_count > 0) sweep(table);
    struct vv_weakref *member = NULL;
    if (holds_keys(table)) {
        result = vv_weak_table_find(table, key, hash, &place);
        if (result < 0) return result;
        if (result > 0) {
            exchange(table, place, member, other);
            return 0;
        }
    }
    member = member_new(table, weak);
    if (member == NULL) return -errno;
    /* Making it may have run a collection and anything else. */
    result = vv_weak_table_find(table, key, hash, &place);
    if (result > 0) {
        exchange(table, place, member, other);
        return 0;
    }
    if (result == 0 && reserve(table)) {
        append(table, member, other, hash);
        return 1;
    }
    member_end(member);
    return result < 0 ? result : -ENOMEM;
}

void vv_weak_table_remove(struct vv_weak_table *table, uint32_t place) {
    struct vv_weak_entry taken = take(table, place);
    varve_decref(&taken.member->head);
    varve_xdecref(taken.other);
}

int vv_weak_table_discard(struct vv_weak_table *table, varve_object *key) {
    uint64_t hash;
    uint32_t place;
    int result = vv_weak_table_hash(table, key, &hash);
    if (result == 0) result = vv_weak_table_find(table, key, hash, &place);
    if (result <= 0) return result;
    bool counted = table->entries[place].member->object != NULL;
    vv_weak_table_remove(table, place);
    return counted;
}

bool vv_weak_table_read(const struct vv_weak_table *table, uint32_t place, varve_object **out_key,
                        varve_object **out_value) {
    const struct vv_weak_entry *entry = &table->entries[place];
    varve_object *weak = entry->member != NULL ? entry->member->object : NULL;
    if (weak == NULL) return false;
    varve_object *key = holds_keys(table) ? weak : entry->other;
    varve_object *value = holds_keys(table) ? entry->other : weak;
    if (out_key != NULL) *out_key = varve_incref(key);
    if (out_value != NULL) *out_value = varve_xincref(value);
    return true;
}

/* The first place from that one on whose entry was not removed. The hash of one that was is a later
 * place before which all were removed: what has been passed once is passed in one step from then
 * on, or taking entries from the front would take the square of their number. */
static uint32_t pass_removed(const struct vv_weak_table *table, uint32_t begin) {
    uint32_t place = begin;
    while (place < table->entry_count && table->entries[place].member == NULL) {
        place = (uint32_t)table->entries[place].hash;
    }
    if (place > begin) table->entries[begin].hash = place;
    return place;
}

/* The first place with an ordinal from `position` on, or a later one if its entry was removed. */
static VV_NOINLINE uint32_t search_place(const struct vv_weak_table *table, uint64_t position) {
    uint32_t low = 0, high = table->entry_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->entries[middle].ordinal < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return pass_removed(table, low);
}

/* The same where the last walk goes on. */
VV_INLINE uint32_t place_from(const struct vv_weak_table *table, uint64_t position) {
    uint32_t guess = table->next_place;
    if (guess < table->entry_count && table->entries[guess].ordinal == position) return guess;
    return search_place(table, position);
}

int vv_weak_table_next(struct vv_weak_table *table, size_t *position, varve_object **out_key,
                       varve_object **out_value) {
    for (uint32_t place = place_from(table, *position); place < table->entry_count; place++) {
        if (!vv_weak_table_read(table, place, out_key, out_value)) continue;
        *position = table->entries[place].ordinal + 1;
        table->next_place = place + 1;
        return 1;
    }
    return 0;
}

int vv_weak_table_pop(struct vv_weak_table *table, varve_object **out_key,
                      varve_object **out_value) {
    while (table->used_end > 0 && table->entries[table->used_end - 1].member == NULL) {
        table->used_end--; /* what was removed is passed once, not by each pop */
    }
    varve_object *key, *value;
    for (uint32_t place = table->used_end; place-- > 0;) {
        if (!vv_weak_table_read(table, place, &key, &value)) continue;
        vv_weak_table_remove(table, place);
        if (out_key != NULL) *out_key = varve_incref(key);
        if (out_value != NULL) *out_value = varve_xincref(value);
        varve_decref(key);
        varve_xdecref(value);
        return 1;
    }
    return 0;
}

void vv_weak_table_clear(struct vv_weak_table *table) {
    varve_world *world = varve_world_of(&table->head);
    void *memory = table->slots;
    struct vv_weak_entry *entries = table->entries;
    uint32_t entry_count = table->entry_count;
    table->slots = NULL;
    table->entries = NULL;
    table->slot_shift = table->capacity = table->entry_count = table->used_end = 0;
    table->used_count = table->dead_count = table->stale_count = 0;
    table->layout++;
    for (uint32_t place = 0; place < entry_count; place++) {
        if (entries[place].member != NULL) detach(entries[place].member);
    }
    for (uint32_t place = 0; place < entry_count; place++) {
        if (entries[place].member == NULL) continue;
        varve_decref(&entries[place].member->head);
        varve_xdecref(entries[place].other);
    }
    vv_world_release(world, memory);
}

void vv_weak_table_release(struct vv_weak_table *table) {
    varve_world *world = varve_world_of(&table->head);
    vv_world_release(world, table->slots);
    table->slots = NULL;
    table->entries = NULL;
    table->entry_count = table->used_end = 0;
    table->used_count = table->dead_count = table->stale_count = 0;
}

const char *vv_weak_table_check(const struct vv_weak_table *table) {
    uint32_t used_count = 0, dead_count = 0, stale_count = 0;
    vv_expect(table->entry_count <= table->capacity, "a weak table has more than fit");
    for (uint32_t place = 0; place < table->entry_count; place++) {
        const struct vv_weak_entry *entry = &table->entries[place];
        vv_expect(place == 0 || entry[-1].ordinal < entry->ordinal,
                  "entries of a weak table are out of order");
        if (entry->member == NULL) continue;
        vv_expect(place < table->used_end, "a weak table has an entry behind its last");
        used_count++;
        dead_count += entry->member->object == NULL;
        stale_count += entry->member->callback == NULL;
        vv_expect(entry->member->place == place && vv_weak_table_of(entry->member) == table,
                  "a weak table and its member disagree");
    }
    vv_expect(used_count == table->used_count && dead_count == table->dead_count &&
                  stale_count == table->stale_count,
              "a weak table miscounts its entries");
    return NULL;
}

/* --- types --- */

int vv_weak_table_traverse(varve_object *self, varve_visit visit, void *argument) {
    struct vv_weak_table *table = (struct vv_weak_table *)self;
    for (uint32_t place = 0; place < table->entry_count; place++) {
        const struct vv_weak_entry *entry = &table->entries[place];
        if (entry->member == NULL) continue;
        int result = visit(&entry->member->head, argument);
        if (result == 0 && entry->other != NULL) result = visit(entry->other, argument);
        if (result != 0) return result;
    }
    return 0;
}

void vv_weak_table_clear_self(varve_object *self) {
    vv_weak_table_clear((struct vv_weak_table *)self);
}

void vv_weak_table_dealloc(varve_object *self) {
    vv_weak_table_clear((struct vv_weak_table *)self);
    struct vv_weak *weak = varve_world_of(self)->weak;
    if (weak == NULL) return; /* the world is being freed */
    weak->table_count--;
    weak->ephemerons_count -= self->type_index == VV_TYPE_EPHEMERONS;
}

size_t vv_weak_table_outer_bytes(const varve_object *self) {
    const struct vv_weak_table *table = (const struct vv_weak_table *)self;
    return table->slots != NULL ? memory_bytes(table->slot_shift, table->capacity) : 0;
}

/* Members hold nothing strongly, but the collector must see which of them are garbage. */
static int member_traverse(varve_object *self, varve_visit visit, void *argument) {
    (void)self;
    (void)visit;
    (void)argument;
    return 0;
}

static void member_clear(varve_object *self) {
    vv_weak_list_remove((struct vv_weakref *)self);
}

const varve_type_spec vv_weak_member_spec = {
    .name = "weakref",
    .basic_bytes = sizeof(struct vv_weakref),
    .flags = VV_TYPE_IS_WEAKREF,
    .traverse = member_traverse,
    .clear = member_clear,
    .equal = vv_weakref_equal,
    .hash = vv_weakref_hash,
};
