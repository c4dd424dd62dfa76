/* SPDX-License-Identifier: MIT */
#include "symbols/symbols.h"

#include "symbols/debug_info.h"
#include "symbols/elf_names.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <libiberty/demangle.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file {
    int descriptor;
    Elf *elf;
};

struct module {
    char *path;
    uint8_t build_id[64];
    size_t build_id_bytes;
    bool is_known; /* the file is there and is the one that ran */
    struct file file;
    struct file debug_file;
    struct vv_elf_names names;
    Dwarf *dwarf;
    struct vv_debug_info debug_info;
    struct module *next;
};

struct vv_symbols {
    struct module *modules;
    char *demangled; /* the last one */
};

#define FRAMES_MAX 65

/* --- files --- */

static void close_file(struct file *file) {
    if (file->elf != NULL) elf_end(file->elf);
    if (file->descriptor >= 0) close(file->descriptor);
    *file = (struct file){.descriptor = -1};
}

static bool has_build_id(Elf *elf, const uint8_t *build_id, size_t build_id_bytes) {
    const void *found;
    ssize_t length = dwelf_elf_gnu_build_id(elf, &found);
    if (build_id_bytes == 0) return true;
    return length == (ssize_t)build_id_bytes && memcmp(found, build_id, build_id_bytes) == 0;
}

/* Opens an ELF file if it is the one that is meant. */
static bool open_file(struct file *file, const char *path, const uint8_t *build_id,
                      size_t build_id_bytes) {
    *file = (struct file){.descriptor = open(path, O_RDONLY | O_CLOEXEC)};
    if (file->descriptor < 0) return false;
    file->elf = elf_begin(file->descriptor, ELF_C_READ_MMAP, NULL);
    if (file->elf != NULL && elf_kind(file->elf) == ELF_K_ELF &&
        has_build_id(file->elf, build_id, build_id_bytes)) {
        return true;
    }
    close_file(file);
    return false;
}

/* /usr/lib/debug/.build-id/ab/cdef....debug, where distributions put what they strip off. */
static bool open_debug_file(struct module *module) {
    char path[256] = "/usr/lib/debug/.build-id/";
    size_t at = strlen(path);
    if (module->build_id_bytes < 2 || module->build_id_bytes > sizeof module->build_id) {
        return false;
    }
    for (size_t index = 0; index < module->build_id_bytes; index++) {
        at += (size_t)snprintf(path + at, sizeof path - at, index == 0 ? "%02x/" : "%02x",
                               module->build_id[index]);
    }
    snprintf(path + at, sizeof path - at, ".debug");
    return open_file(&module->debug_file, path, module->build_id, module->build_id_bytes);
}

/* --- modules --- */

static void read_debug_info(struct module *module) {
    Elf *elf = module->debug_file.elf != NULL ? module->debug_file.elf : module->file.elf;
    module->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
    if (module->dwarf != NULL) vv_debug_info_open(&module->debug_info, module->dwarf);
}

/* The file is mapped; a program whose symbols are kept shall not see descriptors that are not its
 * own. */
static void close_descriptor(struct file *file) {
    if (file->descriptor < 0 || elf_cntl(file->elf, ELF_C_FDREAD) != 0) return;
    close(file->descriptor);
    file->descriptor = -1;
}

static int read_module(struct module *module) {
    module->file.descriptor = module->debug_file.descriptor = -1;
    module->is_known =
        open_file(&module->file, module->path, module->build_id, module->build_id_bytes);
    if (!module->is_known) return 0;
    open_debug_file(module);
    read_debug_info(module);
    close_descriptor(&module->file);
    close_descriptor(&module->debug_file);
    return vv_elf_names_read(&module->names, module->file.elf, module->debug_file.elf);
}

static void free_module(struct module *module) {
    vv_debug_info_close(&module->debug_info);
    if (module->dwarf != NULL) dwarf_end(module->dwarf);
    vv_elf_names_free(&module->names);
    close_file(&module->debug_file);
    close_file(&module->file);
    free(module->path);
    free(module);
}

static bool is_same(const struct module *module, const struct vv_symbols_module *wanted) {
    return module->build_id_bytes == wanted->build_id_bytes &&
           memcmp(module->build_id, wanted->build_id, wanted->build_id_bytes) == 0 &&
           strcmp(module->path, wanted->path) == 0;
}

/* The module, read when it is new. NULL: no memory. */
static struct module *find_module(struct vv_symbols *symbols,
                                  const struct vv_symbols_module *wanted) {
    struct module *module = symbols->modules;
    while (module != NULL && !is_same(module, wanted)) module = module->next;
    if (module != NULL) return module;
    module = calloc(1, sizeof *module);
    if (module == NULL) return NULL;
    module->path = strdup(wanted->path);
    module->build_id_bytes = wanted->build_id_bytes <= sizeof module->build_id
                                 ? wanted->build_id_bytes
                                 : sizeof module->build_id;
    memcpy(module->build_id, wanted->build_id, module->build_id_bytes);
    if (module->path == NULL || read_module(module) < 0) {
        free_module(module);
        return NULL;
    }
    module->next = symbols->modules;
    symbols->modules = module;
    return module;
}

/* --- looking up --- */

struct vv_symbols *vv_symbols_open(void) {
    elf_version(EV_CURRENT);
    return calloc(1, sizeof(struct vv_symbols));
}

void vv_symbols_close(struct vv_symbols *symbols) {
    while (symbols->modules != NULL) {
        struct module *module = symbols->modules;
        symbols->modules = module->next;
        free_module(module);
    }
    free(symbols->demangled);
    free(symbols);
}

/* The readable form of a linker's name: of Rust (both manglings, without the hashes) or C++. Rust
 * comes first, whose older mangling is one of C++, too. */
static const char *readable(struct vv_symbols *symbols, const char *name) {
    if (name == NULL) return "";
    if (name[0] != '_') return name;
    char *demangled = rust_demangle(name, 0);
    if (demangled == NULL) demangled = cplus_demangle_v3(name, DMGL_PARAMS | DMGL_ANSI);
    if (demangled == NULL) return name;
    free(symbols->demangled);
    symbols->demangled = demangled;
    return demangled;
}

static bool find_in_debug_info(struct vv_symbols *symbols, struct module *module, uint64_t address,
                               void (*found)(const struct vv_symbols_frame *frame, void *argument),
                               void *argument) {
    struct vv_debug_frame frames[FRAMES_MAX];
    if (module->dwarf == NULL) return false;
    size_t count = vv_debug_info_find(&module->debug_info, address, frames, FRAMES_MAX);
    for (size_t index = 0; index < count; index++) {
        const char *function = frames[index].function;
        if (function == NULL) {
            const struct vv_elf_name *name = vv_elf_names_find(&module->names, address);
            if (name != NULL) function = name->name;
        }
        struct vv_symbols_frame frame = {
            .function = readable(symbols, function),
            .file = frames[index].file != NULL ? frames[index].file : "",
            .line = frames[index].line > 0 ? (uint32_t)frames[index].line : 0,
        };
        found(&frame, argument);
    }
    return count > 0;
}

static void find_in_names(struct vv_symbols *symbols, struct module *module, uint64_t address,
                          void (*found)(const struct vv_symbols_frame *frame, void *argument),
                          void *argument) {
    char unnamed[32];
    const struct vv_elf_name *name = vv_elf_names_find(&module->names, address);
    struct vv_symbols_frame frame = {.function = unnamed, .file = "", .line = 0};
    if (name != NULL) {
        frame.function = readable(symbols, name->name);
    } else {
        uint64_t function = vv_elf_names_function(&module->names, address);
        if (function == 0) return;
        snprintf(unnamed, sizeof unnamed, "sub_%llx", (unsigned long long)function);
    }
    found(&frame, argument);
}

int vv_symbols_look_up(struct vv_symbols *symbols, const struct vv_symbols_module *module,
                       uint64_t address,
                       void (*found)(const struct vv_symbols_frame *frame, void *argument),
                       void *argument) {
    struct module *read = find_module(symbols, module);
    if (read == NULL) return -ENOMEM;
    if (!read->is_known) return 1;
    if (!find_in_debug_info(symbols, read, address, found, argument)) {
        find_in_names(symbols, read, address, found, argument);
    }
    return 0;
}

/* --- threads --- */

#define STACK_BYTES ((size_t)8 << 20)

int vv_symbols_start_thread(pthread_t *thread, void *(*run)(void *argument), void *argument) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int error = pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return error;
}
