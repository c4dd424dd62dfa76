/* SPDX-License-Identifier: MIT
 * object/table.h - the hash table of dicts and sets: entries in order of insertion.
 *
 * Finding calls equality functions of the program, which may change the table: it then begins
 * anew. Nothing else here runs code of the program but vv_table_clear(), after the table is empty.
 */
#ifndef VV_OBJECT_TABLE_H
#define VV_OBJECT_TABLE_H

#include "object/builtin.h"

/* 1 and the entry's number; 0: no such key; negative errno of an equality function. */
int vv_table_find(struct vv_table *table, varve_object *key, uint64_t hash, uint32_t *out_index);

/* Room for one more entry. -ENOMEM. */
int vv_table_reserve(varve_world *world, struct vv_table *table);

/* Appends an entry for a key that is not there; takes over the caller's references. */
void vv_table_append(struct vv_table *table, uint64_t hash, varve_object *key, varve_object *value);

/* Takes an entry out; its references go to the caller. */
struct vv_entry vv_table_remove(struct vv_table *table, uint32_t index);

/* Empties the table, then ends the references in order. */
void vv_table_clear(varve_world *world, struct vv_table *table);

/* The first entry from *position on, which then is behind it; NULL: none. */
const struct vv_entry *vv_table_next(const struct vv_table *table, size_t *position);

/* Bytes of slots and entries. */
size_t vv_table_bytes(const struct vv_table *table);

#endif
