/* SPDX-License-Identifier: MIT
 * object/builtin.h - what the files of the built-in types share. */
#ifndef VV_OBJECT_BUILTIN_H
#define VV_OBJECT_BUILTIN_H

#include "object/layout.h"
#include "object/world.h"

#include <errno.h>
#include <string.h>

/* Fatal: the object is not of that built-in type. */
#define VV_IS(object, index, name)                                                                 \
    VV_CHECK_OBJECT((object)->type_index == (index), object,                                       \
                    "varve: an object that is no " name " was used as one")

/* The built-in types' specifications, one in each type's file. */
extern const varve_type_spec vv_str_spec, vv_bytes_spec, vv_list_spec, vv_tuple_spec, vv_dict_spec,
    vv_set_spec, vv_class_spec;

/* A str that is interned leaves the table of interned ones. */
void vv_str_forget(varve_object *str);

/* Equality and hash of strs, without calls of other types' functions. */
bool vv_str_equal(const struct vv_str *left, const struct vv_str *right);
uint64_t vv_str_hash(struct vv_str *str);

/* A hash of bytes that is different in each process. */
uint64_t vv_hash_bytes(const void *bytes, size_t byte_count);

/* Equality to a depth, for containers; -ELOOP below 0. */
#define VV_EQUAL_MAX_DEPTH 100
int vv_equal_to_depth(varve_object *left, varve_object *right, int depth);

/* The same for items of containers: identical ones are equal, even NaN; either may be NULL. Keeps
 * both alive meanwhile. */
int vv_item_equal(varve_object *left, varve_object *right, int depth);

/* Dicts, or sets: whether each entry of one is in the other. */
int vv_dict_equal(varve_object *left, varve_object *right, int depth);

/* Ends the references of a tuple in a cycle of tuples alone. */
void vv_tuple_clear(varve_object *self);

/* Ends what an instance owns, its class with it. */
void vv_instance_dealloc(const struct varve_type *type, varve_object *self);

/* A dict or set: ends its references / bytes of its table. */
void vv_table_object_clear(varve_object *self);
size_t vv_table_object_outer_bytes(const varve_object *self);

/* The traverse function of lists, tuples, dicts, sets and instances for whoever asks for their
 * specification; the collector has it inlined (object/traverse.h). */
int vv_builtin_traverse(varve_object *self, varve_visit visit, void *argument);

#endif
