/* SPDX-License-Identifier: MIT */
#include "trace/label.h"

#include "base/check.h"
#include "os/pages.h"

#include <string.h>

/* Names from number 1 on; entry 0 is not used. Sites lock to change; a name never changes. */
static struct vv_store_label *labels;
static uint32_t label_count;

#define LABELS_BYTES                                                                               \
    vv_align_up((VV_LABEL_LIMIT + 1) * sizeof(struct vv_store_label), VV_PAGE_BYTES)

/* Copies names that the store has not yet, as far as it has room. */
static void publish_locked(void) {
    if (vv_store_base == NULL) return;
    struct vv_store_header *header = vv_store_header();
    uint32_t published = atomic_load_explicit(&header->label_count, memory_order_relaxed);
    for (; published < label_count; published++) {
        _Atomic vv_page_number *number = &header->label_pages[published / VV_LABELS_PER_PAGE];
        vv_page_number page = atomic_load_explicit(number, memory_order_relaxed);
        if (page == 0) {
            page = vv_store_take_pages(1);
            if (page == 0) return;
            atomic_store_explicit(number, page, memory_order_release);
        }
        struct vv_store_label *entries = vv_store_page(page);
        entries[published % VV_LABELS_PER_PAGE] = labels[published + 1];
        atomic_store_explicit(&header->label_count, published + 1, memory_order_release);
    }
}

static uint32_t find_locked(const char *name, size_t length) {
    for (uint32_t label = 1; label <= label_count; label++) {
        if (memcmp(labels[label].name, name, length) == 0 && labels[label].name[length] == '\0') {
            return label;
        }
    }
    return 0;
}

static uint32_t add_locked(const char *name, size_t length) {
    if (labels == NULL) labels = vv_pages_map(LABELS_BYTES, VV_PAGE_BYTES);
    if (labels == NULL || label_count == VV_LABEL_LIMIT) return 0;
    memcpy(labels[label_count + 1].name, name, length);
    label_count++;
    publish_locked();
    return label_count;
}

uint32_t vv_label_of(const char *name) {
    size_t length = strnlen(name, VV_LABEL_BYTES - 1);
    vv_lock(&vv_sites_lock);
    uint32_t label = find_locked(name, length);
    if (label == 0) label = add_locked(name, length);
    vv_unlock(&vv_sites_lock);
    return label;
}

void vv_labels_open(void) {
    vv_lock(&vv_sites_lock);
    publish_locked();
    vv_unlock(&vv_sites_lock);
}

uint32_t vv_label_site(uint32_t site, uint32_t label) {
    vv_node_number node = vv_nodes_of_site(site);
    if (label == 0 || node == VV_NODE_ROOT) return site;
    return vv_nodes_site(vv_nodes_child(node, vv_frame_label(label)));
}
