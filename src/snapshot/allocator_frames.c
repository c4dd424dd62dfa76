/* SPDX-License-Identifier: MIT */
#include "snapshot/allocator_frames.h"

#include <stddef.h>
#include <string.h>

static const char *const names[] = {
    "malloc",         "calloc",
    "realloc",        "reallocarray",
    "aligned_alloc",  "memalign",
    "posix_memalign", "valloc",
    "pvalloc",        "strdup",
    "__strdup",       "__GI___strdup",
    "strndup",        "__strndup",
    "__GI___strndup", "wcsdup",
    "xmalloc",        "xcalloc",
    "xrealloc",       "xstrdup",
    "xstrndup",       "xmemdup",
    "xnmalloc",       "xzalloc",
    "xcharalloc",     "x2realloc",
    "x2nrealloc",     "xreallocarray",
    "xmalloc_failed", "do_xmalloc",
    "do_xrealloc",    "g_malloc",
    "g_malloc0",      "g_malloc_n",
    "g_malloc0_n",    "g_realloc",
    "g_realloc_n",    "g_try_malloc",
    "g_try_malloc0",  "g_slice_alloc",
    "g_slice_alloc0", "safe_malloc",
    "safe_realloc",   "safe_calloc",
    "ck_malloc",      "__gnu_cxx::__detail::__allocate",
};

static bool begins_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The insides of libstdc++ and libc++: allocators, and what containers call to get a node. */
static bool is_library_inside(const char *function) {
    if (!begins_with(function, "std::") && !begins_with(function, "__gnu_cxx::")) return false;
    return strstr(function, "alloc") != NULL || strstr(function, "::_M_create") != NULL ||
           strstr(function, "::_M_get_node") != NULL ||
           strstr(function, "::_M_construct") != NULL ||
           strstr(function, "::__libcpp_operator_new") != NULL;
}

/* varve's own: what makes an object, or memory for one, is not what the program wants to see. */
bool vv_is_varve_frame(const char *function, const char *module) {
    const char *slash = strrchr(module, '/');
    return begins_with(function, "varve_") || begins_with(function, "vv_") ||
           begins_with(slash != NULL ? slash + 1 : module, "libvarve");
}

bool vv_is_allocator_frame(const char *function, const char *module) {
    if (vv_is_varve_frame(function, module)) return true;
    if (begins_with(function, "operator new")) return true;
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (strcmp(function, names[index]) == 0) return true;
    }
    return is_library_inside(function);
}
