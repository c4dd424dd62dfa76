/* SPDX-License-Identifier: MIT */
#include "trace/modules.h"

#include "base/text.h"
#include "os/lock.h"
#include "trace/rule.h"
#include "trace/store.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Atomic unsigned vv_modules_generation;

#define GENERATION_MAX 254
#define MODULE_LIMIT (VV_STORE_MODULE_PAGES * VV_MODULES_PER_PAGE)

static struct vv_lock modules_lock = VV_LOCK(VV_RANK_MODULES);
static const void *link_maps[MODULE_LIMIT]; /* modules lock; parallel to the store's; NULL: gone */

static uint32_t module_count(void) {
    return atomic_load_explicit(&vv_store_header()->module_count, memory_order_relaxed);
}

static struct vv_store_module *module_at(uint32_t index) {
    vv_page_number page = atomic_load_explicit(
        &vv_store_header()->module_pages[index / VV_MODULES_PER_PAGE], memory_order_relaxed);
    return (struct vv_store_module *)vv_store_page(page) + index % VV_MODULES_PER_PAGE;
}

/* --- what a module is --- */

static const ElfW(Ehdr) * elf_header(const struct vv_cfi_module *module) {
    const ElfW(Ehdr) *header = (const void *)module->begin;
    bool valid =
        memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
        header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr)) < module->end - module->begin;
    return valid ? header : NULL;
}

static void copy_build_id(const char *note, size_t note_bytes, struct vv_store_module *out) {
    const char *end = note + note_bytes;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
        const ElfW(Nhdr) *header = (const void *)note;
        const char *name = note + sizeof *header;
        const char *contents = name + vv_align_up(header->n_namesz, 4);
        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4 &&
            memcmp(name, "GNU", 4) == 0 && contents + header->n_descsz <= end) {
            out->build_id_bytes = (uint8_t)vv_min(header->n_descsz, VV_BUILD_ID_MAX_BYTES);
            memcpy(out->build_id, contents, out->build_id_bytes);
            return;
        }
        note = contents + vv_align_up(header->n_descsz, 4);
    }
}

static void describe_build_id(const struct vv_cfi_module *module, struct vv_store_module *out) {
    const ElfW(Ehdr) *header = elf_header(module);
    if (header == NULL) return;
    const ElfW(Phdr) *segments = (const void *)(module->begin + header->e_phoff);
    for (unsigned index = 0; index < header->e_phnum && out->build_id_bytes == 0; index++) {
        if (segments[index].p_type != PT_NOTE) continue;
        const char *note = (const char *)(out->bias + segments[index].p_vaddr);
        if ((uintptr_t)note < module->begin || (uintptr_t)note >= module->end) continue;
        copy_build_id(note, segments[index].p_memsz, out);
    }
}

static void describe_path(const struct link_map *map, struct vv_store_module *out) {
    char path[4096] = "";
    int saved_errno = errno;
    struct vv_text text = vv_text_in(path, sizeof path);
    if (map->l_name == NULL || map->l_name[0] == '\0') {
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
        text.at = text.begin + (length > 0 ? length : 0);
    } else if (strchr(map->l_name, '/') != NULL && map->l_name[0] != '/') {
        long length = syscall(SYS_getcwd, path, sizeof path / 2);
        if (length > 1) text.at = text.begin + length - 1;
        vv_text_add(&text, "/");
        vv_text_add(&text, map->l_name);
    } else {
        vv_text_add(&text, map->l_name);
    }
    vv_text_end(&text);
    errno = saved_errno;
    out->is_cut = strlen(path) >= VV_MODULE_PATH_BYTES;
    memcpy(out->path, path, vv_min(strlen(path), (size_t)VV_MODULE_PATH_BYTES - 1));
}

/* --- the table --- */

static struct vv_store_module *new_module_locked(uint32_t index) {
    struct vv_store_header *header = vv_store_header();
    if (index >= MODULE_LIMIT) return NULL;
    _Atomic vv_page_number *page = &header->module_pages[index / VV_MODULES_PER_PAGE];
    if (atomic_load_explicit(page, memory_order_relaxed) == 0) {
        vv_page_number fresh = vv_store_take_pages(1);
        if (fresh == 0) return NULL;
        atomic_store_explicit(page, fresh, memory_order_release);
    }
    return module_at(index);
}

static void add_locked(const struct vv_cfi_module *module) {
    const struct link_map *map = module->link_map;
    uint32_t index = module_count();
    struct vv_store_module *entry = new_module_locked(index);
    if (entry == NULL) return;
    entry->begin = module->begin;
    entry->end = module->end;
    entry->bias = map->l_addr;
    entry->first_generation =
        (uint8_t)atomic_load_explicit(&vv_modules_generation, memory_order_relaxed);
    entry->last_generation = UINT8_MAX;
    describe_build_id(module, entry);
    describe_path(map, entry);
    link_maps[index] = map;
    atomic_store_explicit(&vv_store_header()->module_count, index + 1, memory_order_release);
}

static void retire_locked(uint32_t index) {
    module_at(index)->last_generation =
        (uint8_t)atomic_load_explicit(&vv_modules_generation, memory_order_relaxed);
    link_maps[index] = NULL;
}

static void begin_generation_locked(void) {
    unsigned generation = atomic_load_explicit(&vv_modules_generation, memory_order_relaxed);
    if (generation < GENERATION_MAX) {
        atomic_store_explicit(&vv_modules_generation, generation + 1, memory_order_release);
    }
    vv_rules_clear();
}

void vv_modules_note(const struct vv_cfi_module *module) {
    if (vv_store_base == NULL || module->link_map == NULL) return;
    vv_lock(&modules_lock);
    bool known = false;
    bool retired = false;
    for (uint32_t index = module_count(); index-- > 0 && !known;) {
        const struct vv_store_module *entry = module_at(index);
        if (link_maps[index] == NULL) continue;
        known = entry->begin == module->begin && entry->end == module->end &&
                link_maps[index] == module->link_map;
        if (!known && entry->begin < module->end && module->begin < entry->end) {
            retire_locked(index);
            retired = true;
        }
    }
    if (retired) begin_generation_locked();
    if (!known) add_locked(module);
    vv_unlock(&modules_lock);
}

const struct vv_store_module *vv_modules_find(uint64_t address, unsigned generation) {
    uint32_t count = atomic_load_explicit(&vv_store_header()->module_count, memory_order_acquire);
    for (uint32_t index = 0; index < count; index++) {
        const struct vv_store_module *module = module_at(index);
        if (address >= module->begin && address < module->end &&
            generation >= module->first_generation && generation <= module->last_generation) {
            return module;
        }
    }
    return NULL;
}

void vv_modules_check(void) {
    if (vv_store_base == NULL) return;
    vv_lock(&modules_lock);
    bool retired = false;
    for (uint32_t index = 0; index < module_count(); index++) {
        struct vv_cfi_module now;
        if (link_maps[index] == NULL || (vv_cfi_find_module(module_at(index)->begin, &now) &&
                                         now.link_map == link_maps[index])) {
            continue;
        }
        retire_locked(index);
        retired = true;
    }
    if (retired) begin_generation_locked();
    vv_unlock(&modules_lock);
}

void vv_modules_open(void) {
    memset(link_maps, 0, sizeof link_maps);
    atomic_store_explicit(&vv_modules_generation, 0, memory_order_relaxed);
    if (vv_rule_sets != NULL) vv_rules_clear();
}

void vv_modules_inherit(const char *old_store) {
    const struct vv_store_header *old = (const void *)old_store;
    uint32_t count = atomic_load_explicit(&old->module_count, memory_order_acquire);
    for (uint32_t index = 0; index < count; index++) {
        vv_page_number page = old->module_pages[index / VV_MODULES_PER_PAGE];
        const struct vv_store_module *entries =
            (const void *)(old_store + (size_t)page * VV_STORE_PAGE_BYTES);
        struct vv_store_module *entry = new_module_locked(index);
        if (entry == NULL) return;
        *entry = entries[index % VV_MODULES_PER_PAGE];
        atomic_store_explicit(&vv_store_header()->module_count, index + 1, memory_order_release);
    }
}

void vv_modules_before_fork(void) {
    vv_lock(&modules_lock);
}

void vv_modules_after_fork(bool in_child) {
    if (in_child) {
        vv_lock_reset(&modules_lock);
    } else {
        vv_unlock(&modules_lock);
    }
}
