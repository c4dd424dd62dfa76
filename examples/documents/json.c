/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- reading --- */

struct reader {
    varve_world *world;
    const char *begin;
    const char *at;
    const char *end;
    const char *error;
    unsigned depth;
    char *buffer; /* of the string that is being read */
    size_t capacity;
};

static varve_object *read_value(struct reader *reader);

static varve_object *fail(struct reader *reader, const char *error) {
    if (reader->error == NULL) reader->error = error;
    return NULL;
}

static bool is_next_of(const struct reader *reader, const char *characters) {
    return reader->at < reader->end && *reader->at != '\0' &&
           strchr(characters, *reader->at) != NULL;
}

static void skip_space(struct reader *reader) {
    while (is_next_of(reader, " \t\r\n")) reader->at++;
}

static bool take(struct reader *reader, char wanted) {
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != wanted) return false;
    reader->at++;
    return true;
}

/* Four hexadecimal digits; -1: there are none. */
static int read_hex(struct reader *reader) {
    int number = 0;
    if (reader->end - reader->at < 4) return -1;
    for (int digit = 0; digit < 4; digit++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *found = *reader->at != '\0' ? strchr(digits, *reader->at) : NULL;
        if (found == NULL) return -1;
        number = number * 16 + (int)((found - digits) % 16);
        reader->at++;
    }
    return number;
}

static size_t put_utf8(char *out, uint32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t index = count - 1; index > 0; index--) {
        out[index] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(heads[count] | code);
    return count;
}

/* Behind "\u". 0: wrong; a lone surrogate is wrong, too. */
static size_t read_escaped_code(struct reader *reader, char *out) {
    int code = read_hex(reader);
    if (code < 0) return 0;
    if (code >= 0xd800 && code < 0xdc00) {
        if (reader->end - reader->at < 2 || memcmp(reader->at, "\\u", 2) != 0) return 0;
        reader->at += 2;
        int low = read_hex(reader);
        if (low < 0xdc00 || low > 0xdfff) return 0;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return 0;
    }
    return put_utf8(out, (uint32_t)code);
}

static size_t read_escape(struct reader *reader, char *out) {
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end) return 0;
    char name = *reader->at++;
    if (name == 'u') return read_escaped_code(reader, out);
    const char *found = name != '\0' ? strchr(names, name) : NULL;
    if (found == NULL) return 0;
    out[0] = values[found - names];
    return 1;
}

static bool reserve(struct reader *reader, size_t byte_count) {
    if (byte_count <= reader->capacity) return true;
    size_t capacity = byte_count * 2;
    char *buffer = realloc(reader->buffer, capacity);
    if (buffer == NULL) return false;
    reader->buffer = buffer;
    reader->capacity = capacity;
    return true;
}

/* Behind the opening quote. */
static varve_object *read_string(struct reader *reader) {
    size_t length = 0;
    for (;;) {
        if (!reserve(reader, length + 8)) return fail(reader, "out of memory");
        if (reader->at == reader->end) return fail(reader, "a string without an end");
        char character = *reader->at++;
        if (character == '"') break;
        if ((unsigned char)character < ' ') return fail(reader, "a control character in a string");
        if (character != '\\') {
            reader->buffer[length++] = character;
            continue;
        }
        size_t count = read_escape(reader, reader->buffer + length);
        if (count == 0) return fail(reader, "a wrong escape in a string");
        length += count;
    }
    varve_object *text = varve_str_new(reader->world, reader->buffer, length);
    if (text == NULL) return fail(reader, errno == EILSEQ ? "it is not UTF-8" : "out of memory");
    return text;
}

static varve_object *read_number(struct reader *reader) {
    char text[64];
    size_t length = 0;
    while (is_next_of(reader, "+-0123456789.eE")) {
        if (length == sizeof text - 1) return fail(reader, "a number is too long");
        text[length++] = *reader->at++;
    }
    text[length] = '\0';
    char *end;
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    bool is_integer = length > 0 && *end == '\0' && errno == 0;
    double number = is_integer ? 0 : strtod(text, &end);
    if (length == 0 || *end != '\0') return fail(reader, "something that is no value");
    varve_object *value =
        is_integer ? varve_int_new(reader->world, integer) : varve_float_new(reader->world, number);
    return value != NULL ? value : fail(reader, "out of memory");
}

static varve_object *read_list(struct reader *reader) {
    varve_object *list = varve_list_new(reader->world);
    if (list == NULL) return fail(reader, "out of memory");
    if (take(reader, ']')) return list;
    do {
        varve_object *item = read_value(reader);
        if (item == NULL || varve_list_append(list, item) < 0) fail(reader, "out of memory");
        varve_xdecref(item);
        if (reader->error == NULL && take(reader, ']')) return list;
        if (reader->error == NULL && !take(reader, ',')) fail(reader, "a list without ',' or ']'");
    } while (reader->error == NULL);
    varve_decref(list);
    return NULL;
}

static void read_entry(struct reader *reader, varve_object *dict) {
    varve_object *key =
        take(reader, '"') ? read_string(reader) : fail(reader, "a key is no string");
    if (key != NULL) {
        varve_object *interned = varve_str_intern(key);
        varve_decref(key);
        key = interned != NULL ? interned : fail(reader, "out of memory");
    }
    if (key != NULL && !take(reader, ':')) fail(reader, "a key without ':'");
    varve_object *value = reader->error == NULL ? read_value(reader) : NULL;
    if (value != NULL && varve_dict_set(dict, key, value) < 0) fail(reader, "out of memory");
    varve_xdecref(key);
    varve_xdecref(value);
}

static varve_object *read_dict(struct reader *reader) {
    varve_object *dict = varve_dict_new(reader->world);
    if (dict == NULL) return fail(reader, "out of memory");
    if (take(reader, '}')) return dict;
    do {
        read_entry(reader, dict);
        if (reader->error == NULL && take(reader, '}')) return dict;
        if (reader->error == NULL && !take(reader, ',')) {
            fail(reader, "an object without ',' or '}'");
        }
    } while (reader->error == NULL);
    varve_decref(dict);
    return NULL;
}

static bool take_word(struct reader *reader, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0) {
        return false;
    }
    reader->at += length;
    return true;
}

static varve_object *read_value(struct reader *reader) {
    if (reader->depth == JSON_MAX_DEPTH) return fail(reader, "it is nested too deeply");
    reader->depth++;
    varve_object *value;
    if (take(reader, '{')) {
        value = read_dict(reader);
    } else if (take(reader, '[')) {
        value = read_list(reader);
    } else if (take(reader, '"')) {
        value = read_string(reader);
    } else if (take_word(reader, "true")) {
        value = varve_incref(varve_bool(reader->world, true));
    } else if (take_word(reader, "false")) {
        value = varve_incref(varve_bool(reader->world, false));
    } else if (take_word(reader, "null")) {
        value = varve_incref(varve_none(reader->world));
    } else {
        value = read_number(reader);
    }
    reader->depth--;
    return value;
}

varve_object *json_parse(varve_world *world, const char *text, size_t length,
                         const char **out_error, size_t *out_offset) {
    struct reader reader = {.world = world, .begin = text, .at = text, .end = text + length};
    varve_object *value = read_value(&reader);
    skip_space(&reader);
    if (value != NULL && reader.at < reader.end) {
        fail(&reader, "something behind the end");
        varve_decref(value);
        value = NULL;
    }
    free(reader.buffer);
    *out_error = reader.error;
    *out_offset = (size_t)(reader.at - reader.begin);
    return value;
}

/* --- writing --- */

struct writer {
    FILE *out;
    bool (*is_named)(FILE *out, varve_object *object, unsigned depth, void *argument);
    void *argument;
};

static void write_value(const struct writer *writer, varve_object *value, unsigned depth);

static void write_string(FILE *out, const varve_object *str) {
    const char *text = varve_str_text(str);
    size_t length = varve_str_bytes(str);
    fputc('"', out);
    for (size_t index = 0; index < length; index++) {
        unsigned char character = (unsigned char)text[index];
        if (character == '"' || character == '\\') {
            fprintf(out, "\\%c", character);
        } else if (character < ' ') {
            fprintf(out, "\\u%04x", character);
        } else {
            fputc(character, out);
        }
    }
    fputc('"', out);
}

static void write_list(const struct writer *writer, varve_object *list, unsigned depth) {
    varve_object *item;
    size_t position = 0;
    bool is_first = true;
    fputc('[', writer->out);
    while (varve_next(list, &position, &item) > 0) {
        if (!is_first) fputs(", ", writer->out);
        is_first = false;
        write_value(writer, item, depth + 1);
    }
    fputc(']', writer->out);
}

static void write_dict(const struct writer *writer, varve_object *dict, unsigned depth) {
    varve_object *key, *value;
    size_t position = 0;
    bool is_first = true;
    fputc('{', writer->out);
    while (varve_dict_next(dict, &position, &key, &value) > 0) {
        if (!is_first) fputs(", ", writer->out);
        is_first = false;
        write_value(writer, key, depth + 1);
        fputs(": ", writer->out);
        write_value(writer, value, depth + 1);
    }
    fputc('}', writer->out);
}

static void write_value(const struct writer *writer, varve_object *value, unsigned depth) {
    if (writer->is_named != NULL && writer->is_named(writer->out, value, depth, writer->argument)) {
        return;
    }
    varve_kind kind = depth < JSON_MAX_DEPTH ? varve_kind_of(value) : VARVE_KIND_NONE;
    switch (kind) {
    case VARVE_KIND_BOOL: fputs(varve_int_value(value) != 0 ? "true" : "false", writer->out); break;
    case VARVE_KIND_INT: fprintf(writer->out, "%" PRId64, varve_int_value(value)); break;
    case VARVE_KIND_FLOAT: fprintf(writer->out, "%.17g", varve_float_value(value)); break;
    case VARVE_KIND_STR: write_string(writer->out, value); break;
    case VARVE_KIND_LIST: write_list(writer, value, depth); break;
    case VARVE_KIND_DICT: write_dict(writer, value, depth); break;
    default: fputs("null", writer->out);
    }
}

void json_write(FILE *out, varve_object *value,
                bool (*is_named)(FILE *out, varve_object *object, unsigned depth, void *argument),
                void *argument) {
    struct writer writer = {.out = out, .is_named = is_named, .argument = argument};
    write_value(&writer, value, 0);
}
