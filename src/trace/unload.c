/* SPDX-License-Identifier: MIT
 * dlclose() under the C library's name, for libvarve-malloc: what the trace knows of a library's
 * code must be forgotten when another one may take its addresses. */
#include "trace/self.h"

#include <dlfcn.h>
#include <stdatomic.h>

typedef int close_function(void *handle);

static close_function *next_dlclose(void) {
    static _Atomic(close_function *) next;
    close_function *found = atomic_load_explicit(&next, memory_order_relaxed);
    if (found == NULL) {
        *(void **)&found = dlsym(RTLD_NEXT, "dlclose");
        atomic_store_explicit(&next, found, memory_order_relaxed);
    }
    return found;
}

__attribute__((visibility("default"))) int dlclose(void *handle) {
    close_function *next = next_dlclose();
    if (next == NULL) return -1;
    int result = next(handle);
    vv_trace_code_unloaded();
    return result;
}
