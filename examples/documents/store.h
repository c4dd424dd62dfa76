/* SPDX-License-Identifier: MIT
 * A store of JSON documents that refer to each other. A document is a JSON object with an "_id";
 * {"$ref": "other"} in it becomes a reference to the other document itself, so following one is a
 * pointer away, and documents that refer to each other form cycles. */
#ifndef EXAMPLES_DOCUMENTS_STORE_H
#define EXAMPLES_DOCUMENTS_STORE_H

#include <stdio.h>
#include <varve/object.h>

struct store {
    varve_world *world;
    varve_object *documents; /* dict: id -> document */
};

/* False: no memory. */
bool store_open(struct store *store);

/* Returns how many objects of the world were leaked. */
long store_close(struct store *store);

/* Adds the documents of a file (one, or a list of them), replacing those with the same id. Prints
 * what is wrong to stderr. */
bool store_load(struct store *store, const char *path);

/* The document, borrowed; NULL: there is none. */
varve_object *store_get(struct store *store, const char *id);

/* Takes a document out of the store; others may still refer to it. */
bool store_drop(struct store *store, const char *id);

/* The value at a path of keys and indexes from a document on, borrowed; NULL: there is none. */
varve_object *store_follow(struct store *store, const char *id, char *const *keys,
                           size_t key_count);

/* Writes a value as JSON; documents inside of it as {"$ref": id}. */
void store_write(FILE *out, varve_object *value);

/* Calls `found` for each document whose `key` is a str, int or bool that reads like `text`. */
void store_find(struct store *store, const char *key, const char *text,
                void (*found)(varve_object *document, void *argument), void *argument);

#endif
