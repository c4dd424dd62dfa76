/* SPDX-License-Identifier: MIT */
#include "trace/nodes.h"

#include "base/check.h"
#include "base/hash.h"
#include "heap/meta.h"
#include "heap/plane.h"
#include "os/pages.h"
#include "trace/cfi.h"

#include <errno.h>
#include <string.h>

struct vv_lock vv_sites_lock = VV_LOCK(VV_RANK_SITES);

/* --- pages of nodes and of sites, by number --- */

#define NODE_PAGE_LIMIT (VV_NODE_DIRECTORY_COUNT * VV_NUMBERS_PER_PAGE)
#define SITE_PAGE_LIMIT (VV_SITE_DIRECTORY_COUNT * VV_NUMBERS_PER_PAGE)
#define INDEX_BYTES                                                                                \
    vv_align_up((2 * NODE_PAGE_LIMIT + SITE_PAGE_LIMIT) * sizeof(void *), VV_PAGE_BYTES)

/* The same as the directories in the store, without the second step. Sites lock to change; an
 * entry is set before any number that leads to it is published. */
static struct vv_node **node_pages;
static uint32_t **function_pages; /* parallel: what function a node's frame is in; 0: none */
static _Atomic uint32_t **site_pages;

/* --- the hash table --- */

/* A power of two of entries: | hash 7 | node number 25 |, 0 when empty. Lies at the beginning of a
 * mapping of its own and stays readable for ever, since a thread may be probing it at any time. */
struct table {
    uint32_t mask; /* const */
    uint32_t used; /* sites lock */
    _Atomic uint32_t entries[];
};

_Static_assert(VV_STORE_NODE_LIMIT <= (size_t)1 << VV_NODE_NUMBER_BITS, "a node number fits");
_Static_assert(VV_STORE_SITE_LIMIT <= VV_SITE_LIMIT, "a site number fits in a plane");

#define TABLE_FIRST_ENTRIES 2048

static _Atomic(struct table *) current_table;

static vv_node_number full_node; /* where allocations go when the store is full */

static struct vv_node *node_at(vv_node_number node) {
    return &node_pages[node / VV_NODES_PER_PAGE][node % VV_NODES_PER_PAGE];
}

const struct vv_node *vv_nodes_get(vv_node_number node) {
    return node_at(node);
}

static uint64_t hash_of(vv_node_number parent, uint64_t frame) {
    return vv_mix64(frame ^ vv_mix64_fast((uint64_t)parent + 1));
}

static uint32_t tag_of(uint64_t hash) {
    return (uint32_t)(hash >> 57) << VV_NODE_NUMBER_BITS;
}

/* The node's number, or 0 (the root, which is nobody's child). */
static inline vv_node_number find(const struct table *table, vv_node_number parent, uint64_t frame,
                                  uint64_t hash) {
    uint32_t tag = tag_of(hash);
    for (uint32_t index = (uint32_t)hash & table->mask;; index = (index + 1) & table->mask) {
        uint32_t entry = atomic_load_explicit(&table->entries[index], memory_order_acquire);
        if (entry == 0) return 0;
        if ((entry & ~VV_NODE_NUMBER_MASK) != tag) continue;
        const struct vv_node *node = node_at(entry & VV_NODE_NUMBER_MASK);
        if (node->frame == frame && node->parent == parent) return entry & VV_NODE_NUMBER_MASK;
    }
}

static void put(struct table *table, vv_node_number node, uint64_t hash) {
    uint32_t index = (uint32_t)hash & table->mask;
    while (atomic_load_explicit(&table->entries[index], memory_order_relaxed) != 0) {
        index = (index + 1) & table->mask;
    }
    atomic_store_explicit(&table->entries[index], tag_of(hash) | node, memory_order_release);
    table->used++;
}

static size_t table_bytes(uint32_t entry_count) {
    size_t byte_count = sizeof(struct table) + entry_count * sizeof(uint32_t);
    return vv_align_up(byte_count, VV_PAGE_BYTES);
}

static struct table *new_table(uint32_t entry_count) {
    struct table *table = vv_pages_map(table_bytes(entry_count), VV_PAGE_BYTES);
    if (table != NULL) table->mask = entry_count - 1;
    return table;
}

/* Gives back the memory of a table that is not current any more, but for its first page: who still
 * probes it finds zeroes behind, hence nothing, and comes by the lock. */
static void retire_table(struct table *table) {
    size_t byte_count = table_bytes(table->mask + 1);
    if (byte_count > VV_PAGE_BYTES) {
        vv_pages_purge((char *)table + VV_PAGE_BYTES, byte_count - VV_PAGE_BYTES);
    }
}

/* Doubles the table. When there is no memory the old one gets fuller. */
static void grow_table_locked(void) {
    struct table *old = atomic_load_explicit(&current_table, memory_order_relaxed);
    struct table *new = new_table((old->mask + 1) * 2);
    if (new == NULL) return;
    for (uint32_t index = 0; index <= old->mask; index++) {
        uint32_t entry = atomic_load_explicit(&old->entries[index], memory_order_relaxed);
        if (entry == 0) continue;
        const struct vv_node *node = node_at(entry & VV_NODE_NUMBER_MASK);
        put(new, entry & VV_NODE_NUMBER_MASK, hash_of(node->parent, node->frame));
    }
    atomic_store_explicit(&current_table, new, memory_order_release);
    retire_table(old);
}

/* --- adding --- */

/* Puts a fresh page for entry `index` of a table of pages into its directory. NULL: store full. */
static void *add_page_locked(_Atomic vv_page_number *directories, uint32_t index) {
    _Atomic vv_page_number *directory = &directories[index / VV_NUMBERS_PER_PAGE];
    vv_page_number numbers = atomic_load_explicit(directory, memory_order_relaxed);
    if (numbers == 0) {
        numbers = vv_store_take_pages(1);
        if (numbers == 0) return NULL;
        atomic_store_explicit(directory, numbers, memory_order_release);
    }
    vv_page_number page = vv_store_take_pages(1);
    if (page == 0) return NULL;
    _Atomic vv_page_number *entries = vv_store_page(numbers);
    atomic_store_explicit(&entries[index % VV_NUMBERS_PER_PAGE], page, memory_order_release);
    return vv_store_page(page);
}

/* Pages for the nodes from `page * VV_NODES_PER_PAGE` on. */
static bool add_node_page_locked(uint32_t page) {
    if (function_pages[page] == NULL) {
        function_pages[page] = vv_meta_allocate(VV_NODES_PER_PAGE * sizeof(uint32_t));
    }
    if (function_pages[page] == NULL) return false;
    node_pages[page] = add_page_locked(vv_store_header()->node_directories, page);
    return node_pages[page] != NULL;
}

/* Appends a node. `site` is 0, or an alias's. 0: the store is full. */
static vv_node_number append_locked(vv_node_number parent, uint64_t frame, uint32_t function,
                                    uint32_t site) {
    struct vv_store_header *header = vv_store_header();
    uint32_t number = atomic_load_explicit(&header->node_count, memory_order_relaxed);
    uint32_t page = number / VV_NODES_PER_PAGE;
    if (number >= VV_STORE_NODE_LIMIT ||
        (node_pages[page] == NULL && !add_node_page_locked(page))) {
        return 0;
    }
    struct vv_node *node = node_at(number);
    node->frame = frame;
    node->parent = parent;
    function_pages[page][number % VV_NODES_PER_PAGE] = function;
    atomic_store_explicit(&node->site, site, memory_order_relaxed);
    atomic_store_explicit(&header->node_count, number + 1, memory_order_release);
    return number;
}

static void put_and_grow_locked(vv_node_number node, uint64_t hash) {
    struct table *table = atomic_load_explicit(&current_table, memory_order_relaxed);
    put(table, node, hash);
    if (table->used > table->mask / 2 && table->used % 256 == 0) grow_table_locked();
}

/* --- folding --- */

/* A number for the function that a frame is in; 0: not a function. */
static uint32_t function_of(uint64_t frame) {
    if (vv_frame_kind(frame) != VV_FRAME_NATIVE) return 0;
    uintptr_t address = vv_frame_value(frame) - 1;
    struct vv_cfi_module module;
    uintptr_t function = 0;
    if (vv_cfi_find_module(address, &module)) function = vv_cfi_find_function(&module, address);
    if (function == 0) function = address;
    return (uint32_t)vv_mix64(function) | 1;
}

static uint32_t function_at(vv_node_number node) {
    return function_pages[node / VV_NODES_PER_PAGE][node % VV_NODES_PER_PAGE];
}

/* Behind which node a frame of that function goes on, when its caller's is `parent`. */
static vv_node_number fold(vv_node_number parent, uint32_t function) {
    vv_node_number first = parent;
    unsigned found_count = 0;
    vv_node_number node = parent;
    for (unsigned step = 0; step < VV_FOLD_WINDOW && node != VV_NODE_ROOT; step++) {
        if (function_at(node) == function) {
            first = node;
            found_count++;
        }
        node = node_at(node)->parent;
    }
    return function != 0 && found_count >= 2 ? first : parent;
}

/* What a node stands for: itself, mostly. */
static inline vv_node_number real_node(vv_node_number number) {
    uint32_t site = atomic_load_explicit(&node_at(number)->site, memory_order_relaxed);
    return vv_unlikely(site >= VV_NODE_IS_ALIAS) ? site - VV_NODE_IS_ALIAS : number;
}

static vv_node_number find_locked(vv_node_number parent, uint64_t frame, uint64_t hash) {
    return find(atomic_load_explicit(&current_table, memory_order_relaxed), parent, frame, hash);
}

/* The child of a node, added if it is new. 0: the store is full. */
static vv_node_number plain_child_locked(vv_node_number parent, uint64_t frame, uint32_t function) {
    uint64_t hash = hash_of(parent, frame);
    vv_node_number number = find_locked(parent, frame, hash);
    if (number != 0) return real_node(number);
    number = append_locked(parent, frame, function, 0);
    if (number != 0) put_and_grow_locked(number, hash);
    return number;
}

static vv_node_number add_child_locked(vv_node_number parent, uint64_t frame, uint64_t hash) {
    uint32_t function = function_of(frame);
    vv_node_number behind = fold(parent, function);
    vv_node_number number = plain_child_locked(behind, frame, function);
    if (behind == parent || number == 0) return number;
    vv_node_number alias = append_locked(parent, frame, 0, VV_NODE_IS_ALIAS + number);
    if (alias != 0) put_and_grow_locked(alias, hash);
    return number;
}

static VV_NOINLINE vv_node_number add_child(vv_node_number parent, uint64_t frame, uint64_t hash) {
    vv_lock(&vv_sites_lock);
    vv_node_number number = find_locked(parent, frame, hash);
    number = number != 0 ? real_node(number) : add_child_locked(parent, frame, hash);
    vv_unlock(&vv_sites_lock);
    return number != 0 ? number : full_node;
}

vv_node_number vv_nodes_child(vv_node_number parent, uint64_t frame) {
    const struct table *table = atomic_load_explicit(&current_table, memory_order_acquire);
    uint64_t hash = hash_of(parent, frame);
    vv_node_number number = find(table, parent, frame, hash);
    return vv_likely(number != 0) ? real_node(number) : add_child(parent, frame, hash);
}

/* 0: the store is full. */
static uint32_t append_site_locked(vv_node_number node) {
    struct vv_store_header *header = vv_store_header();
    uint32_t site = atomic_load_explicit(&header->site_count, memory_order_relaxed);
    if (site >= VV_STORE_SITE_LIMIT) return 0;
    uint32_t page = site / VV_SITES_PER_PAGE;
    if (site_pages[page] == NULL) {
        site_pages[page] = add_page_locked(header->site_directories, page);
        if (site_pages[page] == NULL) return 0;
    }
    atomic_store_explicit(&site_pages[page][site % VV_SITES_PER_PAGE], node, memory_order_relaxed);
    atomic_store_explicit(&header->site_count, site + 1, memory_order_release);
    return site;
}

static uint32_t add_site(vv_node_number node) {
    vv_lock(&vv_sites_lock);
    uint32_t site = atomic_load_explicit(&node_at(node)->site, memory_order_relaxed);
    if (site == 0) {
        site = append_site_locked(node);
        if (site != 0) {
            atomic_store_explicit(&node_at(node)->site, site, memory_order_release);
        } else {
            site = atomic_load_explicit(&node_at(full_node)->site, memory_order_relaxed);
        }
    }
    vv_unlock(&vv_sites_lock);
    return site;
}

uint32_t vv_nodes_site(vv_node_number node) {
    uint32_t site = atomic_load_explicit(&node_at(node)->site, memory_order_acquire);
    return vv_likely(site != 0) ? site : add_site(node);
}

vv_node_number vv_nodes_of_site(uint32_t site) {
    uint32_t count = atomic_load_explicit(&vv_store_header()->site_count, memory_order_acquire);
    if (site < VV_SITE_FIRST || site >= count) return VV_NODE_ROOT;
    return atomic_load_explicit(&site_pages[site / VV_SITES_PER_PAGE][site % VV_SITES_PER_PAGE],
                                memory_order_relaxed);
}

enum vv_domain vv_nodes_domain(uint32_t site) {
    return vv_domain_of(vv_frame_api(vv_nodes_get(vv_nodes_of_site(site))->frame));
}

/* --- opening --- */

static bool make_index(void) {
    if (node_pages == NULL) {
        node_pages = vv_pages_map(INDEX_BYTES, VV_PAGE_BYTES);
        if (node_pages == NULL) return false;
        function_pages = (uint32_t **)(void *)(node_pages + NODE_PAGE_LIMIT);
        site_pages = (_Atomic uint32_t **)(void *)(function_pages + NODE_PAGE_LIMIT);
    } else {
        /* The functions of nodes are overwritten with the nodes, and inherited. */
        memset(node_pages, 0, NODE_PAGE_LIMIT * sizeof *node_pages);
        for (size_t page = 0; page < SITE_PAGE_LIMIT; page++) site_pages[page] = NULL;
    }
    return true;
}

static struct table *make_first_table(uint32_t entry_count) {
    struct table *old = atomic_load_explicit(&current_table, memory_order_relaxed);
    struct table *new = new_table(entry_count);
    if (new == NULL) return NULL;
    atomic_store_explicit(&current_table, new, memory_order_release);
    if (old != NULL) retire_table(old);
    return new;
}

int vv_nodes_open(void) {
    struct vv_store_header *header = vv_store_header();
    if (!make_index() || make_first_table(TABLE_FIRST_ENTRIES) == NULL) return -ENOMEM;
    atomic_store_explicit(&header->site_count, VV_SITE_FIRST, memory_order_relaxed);
    vv_lock(&vv_sites_lock);
    append_locked(VV_NODE_ROOT, vv_frame_special(VV_SPECIAL_NONE), 0, 0);
    vv_unlock(&vv_sites_lock);
    if (atomic_load_explicit(&header->node_count, memory_order_relaxed) == 0) return -ENOMEM;
    full_node = VV_NODE_ROOT; /* which is what a full trie answers now */
    full_node = vv_nodes_child(VV_NODE_ROOT, vv_frame_special(VV_SPECIAL_FULL));
    if (full_node == VV_NODE_ROOT) return -ENOMEM;
    return vv_nodes_site(full_node) >= VV_SITE_FIRST ? 0 : -ENOMEM;
}

/* --- inheriting --- */

/* Copies `entry_count` entries of `entry_bytes` from a paged table of the old store. */
static bool copy_pages(const char *old_store, const _Atomic vv_page_number *old_directories,
                       _Atomic vv_page_number *directories, void *pages_of_any_kind,
                       uint32_t page_count) {
    void **pages = pages_of_any_kind;
    for (uint32_t page = 0; page < page_count; page++) {
        vv_page_number old_numbers = old_directories[page / VV_NUMBERS_PER_PAGE];
        const vv_page_number *old_entries =
            (const void *)(old_store + (size_t)old_numbers * VV_STORE_PAGE_BYTES);
        vv_page_number old_page = old_entries[page % VV_NUMBERS_PER_PAGE];
        pages[page] = add_page_locked(directories, page);
        if (pages[page] == NULL) return false;
        memcpy(pages[page], old_store + (size_t)old_page * VV_STORE_PAGE_BYTES,
               VV_STORE_PAGE_BYTES);
    }
    return true;
}

/* Pages of nodes that the parent has added since the fork have no functions here: nothing is known
 * of those nodes' functions, so they do not fold. False: no memory. */
static bool have_function_pages(uint32_t page_count) {
    for (uint32_t page = 0; page < page_count; page++) {
        if (function_pages[page] != NULL) continue;
        function_pages[page] = vv_meta_allocate(VV_NODES_PER_PAGE * sizeof(uint32_t));
        if (function_pages[page] == NULL) return false;
    }
    return true;
}

static void clear_unpublished_sites(uint32_t node_count, uint32_t site_count) {
    for (vv_node_number node = 0; node < node_count; node++) {
        uint32_t site = atomic_load_explicit(&node_at(node)->site, memory_order_relaxed);
        if (site >= site_count && site < VV_NODE_IS_ALIAS) {
            atomic_store_explicit(&node_at(node)->site, 0, memory_order_relaxed);
        }
    }
}

int vv_nodes_inherit(const char *old_store) {
    const struct vv_store_header *old = (const void *)old_store;
    struct vv_store_header *header = vv_store_header();
    /* The parent goes on adding behind these counts; what is below them never changes. */
    uint32_t node_count = atomic_load_explicit(&old->node_count, memory_order_acquire);
    uint32_t site_count = atomic_load_explicit(&old->site_count, memory_order_acquire);
    uint32_t entry_count = TABLE_FIRST_ENTRIES;
    while (entry_count / 2 <= node_count) entry_count *= 2;
    struct table *table = make_index() ? make_first_table(entry_count) : NULL;
    if (table == NULL) return -ENOMEM;

    uint32_t node_page_count = (uint32_t)vv_divide_up(node_count, VV_NODES_PER_PAGE);
    uint32_t site_page_count = (uint32_t)vv_divide_up(site_count, VV_SITES_PER_PAGE);
    if (!copy_pages(old_store, old->node_directories, header->node_directories, node_pages,
                    node_page_count) ||
        !copy_pages(old_store, old->site_directories, header->site_directories, site_pages,
                    site_page_count) ||
        !have_function_pages(node_page_count)) {
        return -ENOMEM;
    }
    clear_unpublished_sites(node_count, site_count);
    for (vv_node_number node = 1; node < node_count; node++) {
        put(table, node, hash_of(node_at(node)->parent, node_at(node)->frame));
    }
    atomic_store_explicit(&header->node_count, node_count, memory_order_release);
    atomic_store_explicit(&header->site_count, site_count, memory_order_release);
    return 0;
}
