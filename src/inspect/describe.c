/* SPDX-License-Identifier: MIT */
#include "inspect/describe.h"

#include "object/layout.h"
#include "object/traced.h"
#include "object/weak_table.h"
#include "snapshot/names.h"
#include "varve/inspect.h"

#include <string.h>

#define TEXT_MAX_BYTES 40 /* of a str that are shown */

static void add_number(struct vv_text *text, int64_t value) {
    if (value < 0) vv_text_add(text, "-");
    vv_text_add_decimal(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* In quotes, cut between characters, control characters as '?'. */
static void add_str(struct vv_text *text, const struct vv_str *str) {
    size_t length = vv_min(str->byte_count, TEXT_MAX_BYTES);
    while (length < str->byte_count && length > 0 && ((uint8_t)str->text[length] & 0xc0) == 0x80) {
        length--;
    }
    vv_text_add(text, "'");
    for (size_t index = 0; index < length; index++) {
        bool is_control = (uint8_t)str->text[index] < ' ' || str->text[index] == 0x7f;
        vv_text_add_bytes(text, is_control ? "?" : &str->text[index], 1);
    }
    vv_text_add(text, length < str->byte_count ? "...'" : "'");
}

void vv_describe_object(struct vv_text *text, const varve_object *object) {
    switch (object->type_index) {
    case VV_TYPE_NONE: vv_text_add(text, "None"); return;
    case VV_TYPE_BOOL: vv_text_add(text, varve_int_value(object) != 0 ? "True" : "False"); return;
    default: vv_text_add(text, vv_type_of(object)->spec.name);
    }
    switch (object->type_index) {
    case VV_TYPE_INT:
        vv_text_add(text, " ");
        add_number(text, varve_int_value(object));
        return;
    case VV_TYPE_STR:
        vv_text_add(text, " ");
        add_str(text, (const struct vv_str *)object);
        return;
    case VV_TYPE_CLASS:
        vv_text_add(text, " ");
        vv_text_add(text, varve_class_name(object));
        return;
    case VV_TYPE_LIST:
    case VV_TYPE_TUPLE:
    case VV_TYPE_DICT:
    case VV_TYPE_SET:
    case VV_TYPE_BYTES:
        vv_text_add(text, " of ");
        vv_text_add_decimal(text, (uint64_t)varve_length(object));
        return;
    default: return;
    }
}

void vv_describe_address(struct vv_text *text, const varve_object *object) {
    vv_text_add(text, "<");
    vv_text_add(text, vv_type_of(object)->spec.name);
    vv_text_add(text, " ");
    vv_text_add_hex(text, (uintptr_t)object);
    vv_text_add(text, ">");
}

/* --- references --- */

static bool add_index(struct vv_text *text, varve_object *const *items, size_t count,
                      const varve_object *child) {
    for (size_t index = 0; index < count; index++) {
        if (items[index] != child) continue;
        vv_text_add(text, "[");
        vv_text_add_decimal(text, index);
        vv_text_add(text, "]");
        return true;
    }
    return false;
}

/* As what is found by a key. */
static void add_key(struct vv_text *text, const varve_object *key) {
    vv_text_add(text, "[");
    if (key->type_index == VV_TYPE_STR) {
        add_str(text, (const struct vv_str *)key);
    } else {
        vv_describe_object(text, key);
    }
    vv_text_add(text, "]");
}

static void add_entry(struct vv_text *text, const struct vv_table *table,
                      const varve_object *child) {
    for (uint32_t index = 0; index < table->entry_count; index++) {
        const struct vv_entry *entry = &table->entries[index];
        if (entry->key == NULL) continue;
        if (entry->value == child) {
            add_key(text, entry->key);
            return;
        }
        if (entry->key == child) {
            vv_text_add(text, "key");
            return;
        }
    }
}

/* The strong half of an entry is the key of a value dict, else the value. */
static void add_weak_entry(struct vv_text *text, const struct vv_weak_table *table,
                           const varve_object *child) {
    for (uint32_t place = 0; place < table->entry_count; place++) {
        const struct vv_weak_entry *entry = &table->entries[place];
        if (entry->member == NULL) continue;
        if (child == &entry->member->head) {
            vv_text_add(text, "weak reference");
            return;
        }
        if (child != entry->other) continue;
        const varve_object *key = entry->member->object;
        if (table->head.type_index == VV_TYPE_WEAK_VALUE_DICT) {
            vv_text_add(text, "key");
        } else if (key != NULL) {
            add_key(text, key);
        } else {
            vv_text_add(text, "value");
        }
        return;
    }
}

static void add_attribute(struct vv_text *text, const struct vv_instance *instance,
                          const varve_object *child) {
    const struct vv_class_object *cls = vv_instance_class(&instance->head);
    if (child == &cls->head) {
        vv_text_add(text, "class");
        return;
    }
    for (uint32_t place = 0; place < cls->place_count; place++) {
        if (instance->values[place] != child) continue;
        vv_text_add(text, ".");
        vv_text_add(text, cls->names[place]);
        return;
    }
    if (cls->is_open && instance->values[cls->place_count] == child) {
        vv_text_add(text, "attributes");
    }
}

void vv_describe_reference(struct vv_text *text, const varve_object *holder,
                           const varve_object *child) {
    switch (holder->type_index) {
    case VV_TYPE_LIST: {
        const struct vv_list *list = (const struct vv_list *)holder;
        add_index(text, list->items, list->count, child);
        return;
    }
    case VV_TYPE_TUPLE: {
        const struct vv_tuple *tuple = (const struct vv_tuple *)holder;
        add_index(text, tuple->items, tuple->count, child);
        return;
    }
    case VV_TYPE_DICT: add_entry(text, &((const struct vv_dict *)holder)->table, child); return;
    case VV_TYPE_SET: vv_text_add(text, "item"); return;
    default:
        if (vv_is_weak_table(holder))
            add_weak_entry(text, (const struct vv_weak_table *)holder, child);
        else if (vv_instance_class(holder) != NULL)
            add_attribute(text, (const struct vv_instance *)holder, child);
        return;
    }
}

/* --- for programs --- */

static size_t end(struct vv_text *text) {
    vv_text_end(text);
    return (size_t)(text->at - text->begin);
}

size_t varve_describe(const varve_object *object, char *buffer, size_t capacity) {
    vv_object_check_live(object);
    struct vv_text text = vv_text_in(buffer, capacity);
    vv_describe_object(&text, object);
    return end(&text);
}

size_t varve_describe_reference(const varve_object *holder, const varve_object *child, char *buffer,
                                size_t capacity) {
    vv_object_check_live(holder);
    vv_object_check_live(child);
    struct vv_text text = vv_text_in(buffer, capacity);
    vv_describe_reference(&text, holder, child);
    return end(&text);
}

size_t varve_describe_allocation(const varve_object *object, char *buffer, size_t capacity) {
    vv_object_check_live(object);
    struct vv_text text = vv_text_in(buffer, capacity);
    uint32_t site = vv_object_site(object);
    if (site > VV_SITE_UNKNOWN) vv_names_describe_site(site, &text);
    return end(&text);
}
