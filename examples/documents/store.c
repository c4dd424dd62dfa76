/* SPDX-License-Identifier: MIT */
#include "store.h"

#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <varve/gc.h>

bool store_open(struct store *store) {
    store->world = varve_world_new();
    store->documents = store->world != NULL ? varve_dict_new(store->world) : NULL;
    return store->documents != NULL;
}

long store_close(struct store *store) {
    varve_xdecref(store->documents);
    return varve_world_free(store->world);
}

/* --- documents and references --- */

/* The text of a str at a key of a dict; NULL: there is none. */
static const char *text_at(varve_object *dict, const char *key) {
    varve_object *value;
    if (varve_kind_of(dict) != VARVE_KIND_DICT || varve_dict_get_text(dict, key, &value) <= 0 ||
        varve_kind_of(value) != VARVE_KIND_STR) {
        return NULL;
    }
    return varve_str_text(value);
}

varve_object *store_get(struct store *store, const char *id) {
    varve_object *document;
    return varve_dict_get_text(store->documents, id, &document) > 0 ? document : NULL;
}

/* The document that a value stands for; NULL: it is no reference, or to nothing. */
static varve_object *referred(struct store *store, varve_object *value) {
    const char *id = text_at(value, "$ref");
    return id != NULL && varve_dict_length(value) == 1 ? store_get(store, id) : NULL;
}

/* Puts documents in the place of references. Values that were just read are a tree, of limited
 * depth; documents below the top are where an earlier call has put them. */
static int link_value(struct store *store, varve_object *value, bool is_top) {
    varve_object *key, *item;
    size_t position = 0;
    int result = 0;
    if (varve_kind_of(value) == VARVE_KIND_DICT) {
        if (!is_top && text_at(value, "_id") != NULL) return 0;
        while (result == 0 && varve_dict_next(value, &position, &key, &item) > 0) {
            varve_object *document = referred(store, item);
            result = document != NULL ? varve_dict_set(value, key, document)
                                      : link_value(store, item, false);
        }
    } else if (varve_kind_of(value) == VARVE_KIND_LIST) {
        for (size_t index = 0; result == 0 && index < varve_list_length(value); index++) {
            item = varve_list_get(value, index);
            varve_object *document = referred(store, item);
            result = document != NULL ? varve_list_set(value, index, document)
                                      : link_value(store, item, false);
        }
    }
    return result;
}

/* --- loading --- */

static char *read_file(const char *path, size_t *out_length) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t capacity = 0;
    *out_length = 0;
    if (file == NULL) return NULL;
    do {
        capacity = capacity == 0 ? 65536 : capacity * 2;
        char *grown = realloc(text, capacity);
        if (grown == NULL) break;
        text = grown;
        *out_length += fread(text + *out_length, 1, capacity - *out_length, file);
    } while (*out_length == capacity);
    bool failed = ferror(file) != 0 || *out_length == capacity;
    fclose(file);
    if (!failed) return text;
    free(text);
    return NULL;
}

static bool add_document(struct store *store, varve_object *document, const char *path) {
    const char *id = text_at(document, "_id");
    if (id == NULL) {
        fprintf(stderr, "documents: %s: a document without an _id\n", path);
        return false;
    }
    return varve_dict_set_text(store->documents, id, document) == 0;
}

static bool add_value(struct store *store, varve_object *value, const char *path) {
    if (varve_kind_of(value) != VARVE_KIND_LIST) {
        return add_document(store, value, path) && link_value(store, value, true) == 0;
    }
    for (size_t index = 0; index < varve_list_length(value); index++) {
        if (!add_document(store, varve_list_get(value, index), path)) return false;
    }
    for (size_t index = 0; index < varve_list_length(value); index++) {
        if (link_value(store, varve_list_get(value, index), true) < 0) return false;
    }
    return true;
}

bool store_load(struct store *store, const char *path) {
    size_t length, offset;
    const char *error;
    char *text = read_file(path, &length);
    if (text == NULL) {
        fprintf(stderr, "documents: cannot read %s: %s\n", path, strerror(errno));
        return false;
    }
    varve_object *value = json_parse(store->world, text, length, &error, &offset);
    free(text);
    if (value == NULL) {
        fprintf(stderr, "documents: %s: %s, at byte %zu\n", path, error, offset);
        return false;
    }
    bool added = add_value(store, value, path);
    varve_decref(value);
    return added;
}

bool store_drop(struct store *store, const char *id) {
    varve_object *key = varve_str_of(store->world, id);
    bool dropped = key != NULL && varve_dict_delete(store->documents, key) == 0;
    varve_xdecref(key);
    return dropped;
}

/* --- questions --- */

varve_object *store_follow(struct store *store, const char *id, char *const *keys,
                           size_t key_count) {
    varve_object *value = store_get(store, id);
    for (size_t index = 0; value != NULL && index < key_count; index++) {
        varve_object *next = NULL;
        if (varve_kind_of(value) == VARVE_KIND_DICT) {
            if (varve_dict_get_text(value, keys[index], &next) <= 0) next = NULL;
        } else if (varve_kind_of(value) == VARVE_KIND_LIST) {
            char *end;
            unsigned long place = strtoul(keys[index], &end, 10);
            bool is_place = *end == '\0' && place < varve_list_length(value);
            if (is_place) next = varve_list_get(value, place);
        }
        value = next;
    }
    return value;
}

static bool write_reference(FILE *out, varve_object *object, unsigned depth, void *argument) {
    const char *id = depth > 0 ? text_at(object, "_id") : NULL;
    (void)argument;
    if (id == NULL) return false;
    fprintf(out, "{\"$ref\": \"%s\"}", id);
    return true;
}

void store_write(FILE *out, varve_object *value) {
    json_write(out, value, write_reference, NULL);
}

static bool reads_like(const varve_object *value, const char *text) {
    char number[32];
    switch (varve_kind_of(value)) {
    case VARVE_KIND_STR: return strcmp(varve_str_text(value), text) == 0;
    case VARVE_KIND_BOOL: return strcmp(varve_int_value(value) != 0 ? "true" : "false", text) == 0;
    case VARVE_KIND_INT:
        snprintf(number, sizeof number, "%" PRId64, varve_int_value(value));
        return strcmp(number, text) == 0;
    default: return false;
    }
}

void store_find(struct store *store, const char *key, const char *text,
                void (*found)(varve_object *document, void *argument), void *argument) {
    varve_object *document, *value;
    size_t position = 0;
    while (varve_dict_next(store->documents, &position, NULL, &document) > 0) {
        if (varve_dict_get_text(document, key, &value) > 0 && reads_like(value, text)) {
            found(document, argument);
        }
    }
}
