/* SPDX-License-Identifier: MIT
 * object/weak_table.h - the hash table of weak dicts and sets: entries in order of insertion.
 *
 *   slots:   | place | place |       | ...         1 << slot_shift of them, open addressing
 *   entries: | member, other | removed | ...       capacity of them, entry_count used
 *
 * A member is a weak reference that the table owns, to the value of a value dict, else to the key;
 * `other` is the strong half of the entry. When the member's object has gone the entry counts no
 * more, and the member's callback takes it out. The place stays empty, and is gone when the table
 * next grows, so a walk is not disturbed by what dies; and since each entry has an ordinal, which
 * is what a walk remembers, growing does not disturb it either.
 *
 * Invariant: used_count entries have a member; dead_count of their members have no object, among
 * them stale_count that will not call, which are taken out by the next change. */
#ifndef VV_OBJECT_WEAK_TABLE_H
#define VV_OBJECT_WEAK_TABLE_H

#include "object/weak_list.h"

struct vv_weak_entry {
    struct vv_weakref *member; /* own; NULL: removed */
    varve_object *other;       /* own; key of a value dict, value of other dicts, NULL in sets */
    uint64_t hash;             /* of the key; of a removed one: see pass_removed() */
    uint64_t ordinal;          /* grows along the array */
};

struct vv_weak_table {
    varve_object head;
    uint32_t *slots;               /* own; entries follow them; NULL: no table yet */
    struct vv_weak_entry *entries; /* behind the slots */
    uint32_t slot_shift;
    uint32_t capacity;
    uint32_t entry_count;
    uint32_t used_count;
    uint32_t dead_count;
    uint32_t stale_count;
    uint32_t next_place; /* where the last walk went on: a guess */
    uint32_t used_end;   /* no entry from here on has a member */
    bool by_identity;    /* const: keys are compared by address */
    uint64_t next_ordinal;
    uint64_t layout; /* changes when entries change their places */
};

static inline bool vv_is_weak_table(const varve_object *object) {
    return object->type_index >= VV_TYPE_WEAK_VALUE_DICT &&
           object->type_index <= VV_TYPE_EPHEMERONS;
}

static inline bool vv_is_weak_dict(const varve_object *object) {
    return vv_is_weak_table(object) && object->type_index != VV_TYPE_WEAK_SET;
}

/* The table of a member that is in one. */
static inline struct vv_weak_table *vv_weak_table_of(const struct vv_weakref *member) {
    return member->argument;
}

static inline uint32_t vv_weak_table_length(const struct vv_weak_table *table) {
    return table->used_count - table->dead_count;
}

varve_object *vv_weak_table_new(varve_world *world, uint32_t type_index, bool by_identity);

/* A member's callback: takes its entry out; what the entry owned becomes `held` of the member. */
void vv_weak_member_died(varve_object *member, void *table);

/* 0 or an errno of the key's hash function. */
int vv_weak_table_hash(const struct vv_weak_table *table, varve_object *key, uint64_t *out_hash);

/* 1 and the place of an entry whose key is alive and equal; 0; a negative errno of an equality
 * function. May call these, and so may change the table, but the place is good. */
int vv_weak_table_find(struct vv_weak_table *table, varve_object *key, uint64_t hash,
                       uint32_t *out_place);

/* Sets the entry of a key: `weak` is what the member refers to, `other` may be NULL. 1: it is new;
 * 0: an equal key was there, and stays, with the other half changed; negative: -ENOMEM,
 * -EOPNOTSUPP, or from hash or equality. */
int vv_weak_table_set(struct vv_weak_table *table, varve_object *key, varve_object *weak,
                      varve_object *other);

/* Takes an entry out and ends its references. */
void vv_weak_table_remove(struct vv_weak_table *table, uint32_t place);

/* 1: removed; 0: no such key; negative: from hash or equality. */
int vv_weak_table_discard(struct vv_weak_table *table, varve_object *key);

/* What an entry refers to, as new references; false: its object has gone. */
bool vv_weak_table_read(const struct vv_weak_table *table, uint32_t place, varve_object **out_key,
                        varve_object **out_value);

/* The next living entry of a walk; see varve_weak_value_dict_next(). */
int vv_weak_table_next(struct vv_weak_table *table, size_t *position, varve_object **out_key,
                       varve_object **out_value);

/* Sets an entry for each living one of the source. */
int vv_weak_table_update(struct vv_weak_table *table, struct vv_weak_table *source);

void vv_weak_table_clear(struct vv_weak_table *table);

/* The memory outside of a table that was leaked. */
void vv_weak_table_release(struct vv_weak_table *table);

/* Takes the newest living entry out: 1 and new references; 0: the table is empty. */
int vv_weak_table_pop(struct vv_weak_table *table, varve_object **out_key,
                      varve_object **out_value);

/* NULL, or what is wrong. */
const char *vv_weak_table_check(const struct vv_weak_table *table);

/* Functions of the tables' types. */
int vv_weak_table_traverse(varve_object *self, varve_visit visit, void *argument);
void vv_weak_table_dealloc(varve_object *self);
void vv_weak_table_clear_self(varve_object *self);
size_t vv_weak_table_outer_bytes(const varve_object *self);

#endif
