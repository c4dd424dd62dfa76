/* SPDX-License-Identifier: MIT
 * JSON text to objects of a world (dict, list, str, int, float, bool, None) and back. */
#ifndef EXAMPLES_DOCUMENTS_JSON_H
#define EXAMPLES_DOCUMENTS_JSON_H

#include <stdio.h>
#include <varve/object.h>

/* Deeper nesting is refused. */
#define JSON_MAX_DEPTH 200

/* A new reference, or NULL: then *out_error says what is wrong, and *out_offset where. */
varve_object *json_parse(varve_world *world, const char *text, size_t length,
                         const char **out_error, size_t *out_offset);

/* Writes a value. `is_named`, unless NULL, may write something instead of an object and then
 * returns true: the program's way to end cycles. Deeper than JSON_MAX_DEPTH it writes null. */
void json_write(FILE *out, varve_object *value,
                bool (*is_named)(FILE *out, varve_object *object, unsigned depth, void *argument),
                void *argument);

#endif
