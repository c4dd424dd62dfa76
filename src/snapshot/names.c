/* SPDX-License-Identifier: MIT */
#include "snapshot/names.h"

#include "base/text.h"
#include "symbols/symbols.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#define LIBRARY "libvarve-symbols.so"

/* The library beside this one, or wherever the dynamic loader finds it. */
static void *open_library(void) {
    Dl_info own;
    char path[4096];
    const char *slash = NULL;
    if (dladdr((const void *)(uintptr_t)open_library, &own) != 0 && own.dli_fname != NULL) {
        slash = strrchr(own.dli_fname, '/');
    }
    if (slash != NULL && (size_t)(slash - own.dli_fname) + sizeof "/" LIBRARY < sizeof path) {
        struct vv_text text = vv_text_in(path, sizeof path);
        vv_text_add_bytes(&text, own.dli_fname, (size_t)(slash - own.dli_fname) + 1);
        vv_text_add(&text, LIBRARY);
        void *library = dlopen(vv_text_end(&text), RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) return library;
    }
    return dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

struct by_loader {
    const char *path;
    uintptr_t bias;
    bool found;
};

static int find_bias(struct dl_phdr_info *info, size_t size, void *argument) {
    struct by_loader *wanted = argument;
    (void)size;
    const char *name = info->dlpi_name[0] != '\0' ? info->dlpi_name : wanted->path;
    if (strcmp(name, wanted->path) != 0) return 0;
    wanted->bias = info->dlpi_addr;
    wanted->found = true;
    return 1;
}

/* The contract of vv_symbols_look_up(), from the dynamic symbol tables of this process. */
static int look_up_by_loader(struct vv_symbols *symbols, const struct vv_symbols_module *module,
                             uint64_t address,
                             void (*found)(const struct vv_symbols_frame *frame, void *argument),
                             void *argument) {
    struct by_loader wanted = {.path = module->path};
    Dl_info info;
    (void)symbols;
    dl_iterate_phdr(find_bias, &wanted);
    if (!wanted.found) return 1;
    if (dladdr((const void *)(wanted.bias + address), &info) == 0 || info.dli_sname == NULL) {
        return 0;
    }
    struct vv_symbols_frame frame = {.function = info.dli_sname, .file = "", .line = 0};
    found(&frame, argument);
    return 0;
}

int vv_names_find(struct vv_capture *capture) {
    uint32_t unknown_count = 0;
    void *library = open_library();
    struct vv_symbols *(*open_symbols)(void) = NULL;
    void (*close_symbols)(struct vv_symbols *) = NULL;
    vv_look_up *look_up = NULL;
    if (library != NULL) {
        *(void **)&open_symbols = dlsym(library, "vv_symbols_open");
        *(void **)&close_symbols = dlsym(library, "vv_symbols_close");
        *(void **)&look_up = dlsym(library, "vv_symbols_look_up");
    }
    struct vv_symbols *symbols =
        open_symbols != NULL && close_symbols != NULL && look_up != NULL ? open_symbols() : NULL;
    if (symbols == NULL) {
        return vv_capture_symbolise(capture, look_up_by_loader, NULL, &unknown_count);
    }
    int result = vv_capture_symbolise(capture, look_up, symbols, &unknown_count);
    close_symbols(symbols);
    return result;
}
