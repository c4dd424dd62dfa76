/* SPDX-License-Identifier: MIT
 * symbols/symbols.h - names and lines of addresses, with libdw.
 *
 * Part of the command; the runtime libraries, which need libc only, find it at run time as
 * libvarve-symbols.so beside them (snapshot/names.h). Separate debug files are found by build-id.
 */
#ifndef VV_SYMBOLS_SYMBOLS_H
#define VV_SYMBOLS_SYMBOLS_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct vv_symbols; /* caches what it has opened; one thread */

struct vv_symbols_module {
    const char *path;
    const uint8_t *build_id; /* as it was when the program ran; the file must have the same */
    size_t build_id_bytes;   /* 0: it had none */
};

/* One function at an address: the innermost inlined one first. */
struct vv_symbols_frame {
    const char *function; /* demangled; "": not known. Valid during the call */
    const char *file;     /* "": not known */
    uint32_t line;        /* 0: not known */
};

/* NULL: no memory. */
__attribute__((visibility("default"))) struct vv_symbols *vv_symbols_open(void);
__attribute__((visibility("default"))) void vv_symbols_close(struct vv_symbols *symbols);

/* Calls `found` for each function at `address`, a virtual address in the module's file, innermost
 * first. Without debug information: the function from the symbol table; without symbols: the
 * function's beginning from .eh_frame, as "sub_<address>". Calls nothing when nothing is known.
 * Returns 0; 1 when the module's file is missing or has another build-id; or -ENOMEM. */
__attribute__((visibility("default"))) int vv_symbols_look_up(
    struct vv_symbols *symbols, const struct vv_symbols_module *module, uint64_t address,
    void (*found)(const struct vv_symbols_frame *frame, void *argument), void *argument);

/* Starts a thread that may look up: libdw has large tables on the stack, and what `ulimit -s` left
 * the caller may be less. 0 or an error of pthread_create(). */
int vv_symbols_start_thread(pthread_t *thread, void *(*run)(void *argument), void *argument);

#endif
