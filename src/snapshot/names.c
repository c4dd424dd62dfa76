/* SPDX-License-Identifier: MIT */
#include "snapshot/names.h"

#include "os/lock.h"
#include "snapshot/allocator_frames.h"
#include "symbols/symbols.h"
#include "trace/self.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libvarve-symbols.so"

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The library beside this one, or wherever the dynamic loader finds it, or where it was installed:
 * for the static library, which is beside a program. */
static void *open_library(void) {
    Dl_info own;
    char path[4096];
    void *library = NULL;
    if (dladdr((const void *)(uintptr_t)open_library, &own) != 0 && own.dli_fname != NULL) {
        size_t folder_bytes = (size_t)(base_name(own.dli_fname) - own.dli_fname);
        if (folder_bytes > 0 && folder_bytes + sizeof LIBRARY < sizeof path) {
            struct vv_text text = vv_text_in(path, sizeof path);
            vv_text_add_bytes(&text, own.dli_fname, folder_bytes);
            vv_text_add(&text, LIBRARY);
            library = dlopen(vv_text_end(&text), RTLD_NOW | RTLD_LOCAL);
        }
    }
    if (library == NULL) library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) library = dlopen(VARVE_LIBRARY_FOLDER "/" LIBRARY, RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* --- by the loader --- */

struct by_loader {
    const char *path;
    bool is_program;
    uintptr_t bias;
    bool found;
};

static bool is_program(const char *path) {
    char own[4096];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own);
    return length > 0 && (size_t)length == strlen(path) && memcmp(own, path, (size_t)length) == 0;
}

/* The program has no name here; a library that was found by a relative path has that. */
static int find_bias(struct dl_phdr_info *info, size_t size, void *argument) {
    struct by_loader *wanted = argument;
    (void)size;
    const char *name = info->dlpi_name;
    bool is_it = name[0] == '\0'  ? wanted->is_program
                 : name[0] == '/' ? strcmp(name, wanted->path) == 0
                                  : strcmp(base_name(name), base_name(wanted->path)) == 0;
    if (!is_it) return 0;
    wanted->bias = info->dlpi_addr;
    wanted->found = true;
    return 1;
}

/* The contract of vv_symbols_look_up(), from the dynamic symbol tables of this process; what they
 * do not name is "program+0x1234". */
static int look_up_by_loader(struct vv_symbols *symbols, const struct vv_symbols_module *module,
                             uint64_t address,
                             void (*found)(const struct vv_symbols_frame *frame, void *argument),
                             void *argument) {
    struct by_loader wanted = {.path = module->path, .is_program = is_program(module->path)};
    char place[300];
    Dl_info info = {.dli_sname = NULL};
    (void)symbols;
    dl_iterate_phdr(find_bias, &wanted);
    if (wanted.found) dladdr((const void *)(wanted.bias + address), &info);
    struct vv_symbols_frame frame = {.function = info.dli_sname, .file = "", .line = 0};
    if (frame.function == NULL) {
        struct vv_text text = vv_text_in(place, sizeof place);
        vv_text_add(&text, base_name(module->path));
        vv_text_add(&text, "+");
        vv_text_add_hex(&text, address);
        frame.function = vv_text_end(&text);
    }
    found(&frame, argument);
    return 0;
}

/* --- finding --- */

/* Where names come from. What a program's modules have is read once, since it takes long: a tenth
 * of a second for the C library's. */
struct finder {
    vv_look_up *look_up;
    struct vv_symbols *symbols; /* NULL: by the loader */
    void (*close)(struct vv_symbols *symbols);
};

static struct vv_lock kept_lock = VV_LOCK(VV_RANK_NAMES);
static struct finder kept; /* kept lock; look_up NULL: not opened yet */

static struct finder open_finder(void) {
    struct finder finder = {.look_up = NULL};
    struct vv_symbols *(*open_symbols)(void) = NULL;
    void *library = open_library();
    if (library != NULL) {
        *(void **)&open_symbols = dlsym(library, "vv_symbols_open");
        *(void **)&finder.close = dlsym(library, "vv_symbols_close");
        *(void **)&finder.look_up = dlsym(library, "vv_symbols_look_up");
    }
    if (open_symbols != NULL && finder.close != NULL && finder.look_up != NULL) {
        finder.symbols = open_symbols();
    }
    if (finder.symbols == NULL) finder.look_up = look_up_by_loader;
    return finder;
}

/* The kept one; who comes while another thread uses it, or in a child that was forked meanwhile,
 * has one of its own. Returns whether it is kept. */
static bool begin_finding(struct finder *finder) {
    vv_trace_suspend();
    bool is_kept = vv_try_lock(&kept_lock);
    if (is_kept && kept.look_up == NULL) kept = open_finder();
    *finder = is_kept ? kept : open_finder();
    return is_kept;
}

static void end_finding(struct finder *finder, bool is_kept) {
    if (is_kept) {
        vv_unlock(&kept_lock);
    } else if (finder->symbols != NULL) {
        finder->close(finder->symbols);
    }
    vv_trace_resume();
}

int vv_names_find(struct vv_capture *capture) {
    uint32_t unknown_count = 0;
    struct finder finder;
    bool is_kept = begin_finding(&finder);
    int result = vv_capture_symbolise(capture, finder.look_up, finder.symbols, &unknown_count);
    end_finding(&finder, is_kept);
    return result;
}

/* --- describing --- */

struct describing {
    struct finder finder;
    struct vv_text *text;
    const struct vv_trace_frame *frame;
    bool is_outside; /* of what allocates for others */
    bool is_named;   /* the frame */
    bool is_varve;   /* what was found last at it */
};

static void add_function(const struct vv_symbols_frame *symbol, void *argument) {
    struct describing *describing = argument;
    struct vv_text *text = describing->text;
    describing->is_named = true;
    describing->is_varve = vv_is_varve_frame(symbol->function, describing->frame->path);
    if (!describing->is_outside &&
        vv_is_allocator_frame(symbol->function, describing->frame->path)) {
        return;
    }
    describing->is_outside = true;
    if (text->at > text->begin) vv_text_add(text, "\n");
    vv_text_add(text, symbol->function[0] != '\0' ? symbol->function : "?");
    vv_text_add(text, symbol->file[0] != '\0' ? " " : " in ");
    vv_text_add(text, symbol->file[0] != '\0' ? symbol->file : base_name(describing->frame->path));
    if (symbol->file[0] == '\0') return;
    vv_text_add(text, ":");
    vv_text_add_decimal(text, symbol->line);
}

static void add_address(struct describing *describing) {
    struct vv_text *text = describing->text;
    const char *path = describing->frame->path;
    if (text->at > text->begin) vv_text_add(text, "\n");
    if (path != NULL) {
        vv_text_add(text, base_name(path));
        vv_text_add(text, "+");
    }
    vv_text_add_hex(text, describing->frame->address);
}

static void add_frame(const struct vv_trace_frame *frame, void *argument) {
    struct describing *describing = argument;
    bool was_outside = describing->is_outside;
    char *begin = describing->text->at;
    describing->frame = frame;
    describing->is_named = describing->is_varve = false;
    if (frame->path != NULL) {
        struct vv_symbols_module module = {.path = frame->path,
                                           .build_id = frame->build_id,
                                           .build_id_bytes = frame->build_id_bytes};
        describing->finder.look_up(describing->finder.symbols, &module, frame->address,
                                   add_function, describing);
    }
    if (!describing->is_named) add_address(describing);
    if (!was_outside && describing->is_varve) { /* and so is what is inlined in it */
        describing->text->at = begin;
        describing->is_outside = false;
    }
}

void vv_names_describe_site(uint32_t site, struct vv_text *text) {
    struct describing describing = {.text = text};
    bool is_kept = begin_finding(&describing.finder);
    vv_trace_visit_stack(site, add_frame, &describing);
    end_finding(&describing.finder, is_kept);
}
