/* SPDX-License-Identifier: MIT */
#include "snapshot/allocator_frames.h"

#include "base/bits.h"

#include <stddef.h>
#include <string.h>

/* One group per library: */
/* clang-format off */
static const char *const exact_names[] = {
    /* libc */
    "malloc", "calloc", "realloc", "reallocarray", "aligned_alloc", "memalign", "posix_memalign",
    "valloc", "pvalloc", "strdup", "__strdup", "__GI___strdup", "strndup", "__strndup",
    "__GI___strndup", "wcsdup",
    /* gnulib, libiberty and the many that follow them */
    "xmalloc", "xcalloc", "xrealloc", "xstrdup", "xstrndup", "xmemdup", "xnmalloc", "xzalloc",
    "xcharalloc", "x2realloc", "x2nrealloc", "xreallocarray", "xmalloc_failed", "do_xmalloc",
    "do_xrealloc", "safe_malloc", "safe_realloc", "safe_calloc", "ck_malloc",
    /* glib */
    "g_malloc", "g_malloc0", "g_malloc_n", "g_malloc0_n", "g_realloc", "g_realloc_n",
    "g_try_malloc", "g_try_malloc0", "g_slice_alloc", "g_slice_alloc0", "g_strdup", "g_strndup",
    "g_memdup", "g_memdup2",
    /* interpreters: perl, ruby, python, lua, tcl */
    "Perl_safesysmalloc", "Perl_safesyscalloc", "Perl_safesysrealloc",
    "ruby_xmalloc", "ruby_xmalloc2", "ruby_xcalloc", "ruby_xrealloc", "ruby_xrealloc2",
    "PyMem_RawMalloc", "PyMem_RawCalloc", "PyMem_RawRealloc", "PyMem_Malloc", "PyMem_Calloc",
    "PyMem_Realloc", "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc", "_PyMem_RawMalloc",
    "_PyMem_RawCalloc", "_PyMem_RawRealloc", "_PyObject_Malloc", "_PyObject_Calloc",
    "_PyObject_Realloc",
    "l_alloc", "luaM_malloc_", "luaM_realloc_", "luaM_saferealloc_", "luaM_growaux_",
    "Tcl_Alloc", "Tcl_AttemptAlloc", "Tcl_Realloc", "Tcl_AttemptRealloc", "TclpAlloc", "TclpRealloc",
    /* sqlite, redis, OpenSSL */
    "sqlite3MemMalloc", "sqlite3MemRealloc", "sqlite3Malloc", "sqlite3MallocZero", "sqlite3Realloc",
    "sqlite3_malloc", "sqlite3_malloc64", "sqlite3_realloc", "sqlite3_realloc64",
    "sqlite3DbMallocRaw", "sqlite3DbMallocRawNN", "sqlite3DbMallocZero", "sqlite3DbRealloc",
    "dbMallocRawFinish", "mallocWithAlarm",
    "zmalloc", "zmalloc_usable", "zcalloc", "zcalloc_num", "zrealloc", "zrealloc_usable",
    "ztrymalloc", "ztrymalloc_usable", "ztrymalloc_usable_internal", "ztrycalloc_usable_internal",
    "ztryrealloc_usable_internal", "zstrdup",
    "CRYPTO_malloc", "CRYPTO_zalloc", "CRYPTO_realloc", "CRYPTO_clear_realloc", "CRYPTO_memdup",
    "CRYPTO_strdup", "CRYPTO_strndup",
    /* the runtimes of Ada and COBOL */
    "__gnat_malloc", "__gnat_realloc", "cob_malloc", "cob_fast_malloc", "cob_realloc",
    /* libstdc++ */
    "__gnu_cxx::__detail::__allocate",
};

/* How functions with parameters begin: of C++, Java's virtual machine, V8, LLVM. */
static const char *const cxx_names[] = {
    "operator new", "os::malloc(", "os::realloc(", "AllocateHeap(", "ReallocateHeap(",
    "v8::internal::Malloced::operator new", "v8::internal::AlignedAlloc", "llvm::safe_malloc(",
    "llvm::safe_calloc(", "llvm::safe_realloc(", "llvm::allocate_buffer(",
};

/* Words in the names of what libstdc++ and libc++ have for memory: allocators, which are in the
 * types of containers, too; what containers call to get a node; owning pointers and functions. */
static const char *const cxx_library_words[] = {
    "alloc", "::_M_create", "::_M_get_node", "::_M_construct", "::__libcpp_operator_new",
    "shared_ptr<", "::make_shared", "::make_unique", "::__shared_count<", "::function<",
};

/* And of what calls the program's functions, which are often inlined into it. */
static const char *const cxx_caller_words[] = {
    "::_M_invoke(", "::_M_run(", "std::__invoke", "std::invoke<",
};

/* The Rust library: the crates that manage memory, and of `core` what is called on their behalf. */
static const char *const rust_paths[] = {
    "alloc::", "hashbrown::", "std::collections::", "std::alloc::", "std::sys::alloc::",
    "core::alloc::", "core::array::", "core::clone::", "core::convert::", "core::fmt::",
    "core::iter::", "core::option::", "core::ptr::", "core::result::", "core::slice::",
    "core::str::", "__rustc::__r",
};
/* clang-format on */

static bool begins_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_exact_name(const char *function) {
    for (size_t index = 0; index < VV_ARRAY_COUNT(exact_names); index++) {
        if (strcmp(function, exact_names[index]) == 0) return true;
    }
    return false;
}

static bool begins_with_one(const char *text, const char *const *prefixes, size_t count) {
    for (size_t index = 0; index < count; index++) {
        if (begins_with(text, prefixes[index])) return true;
    }
    return false;
}

/* Where the name begins in "RETURN-TYPE NAME(PARAMETERS)", as functions from C++ templates are
 * written. */
static const char *after_return_type(const char *function) {
    const char *name = function;
    int depth = 0;
    for (const char *at = function; *at != '\0' && (*at != '(' || depth > 0); at++) {
        if (begins_with(at, "operator")) break;
        depth += (*at == '<') - (*at == '>');
        if (*at == ' ' && depth == 0) name = at + 1;
    }
    return name;
}

static bool contains_one(const char *text, const char *const *words, size_t count) {
    for (size_t index = 0; index < count; index++) {
        if (strstr(text, words[index]) != NULL) return true;
    }
    return false;
}

static bool is_inside_cxx_library(const char *function) {
    const char *name = after_return_type(function);
    if (!begins_with(name, "std::") && !begins_with(name, "__gnu_cxx::")) return false;
    return contains_one(name, cxx_library_words, VV_ARRAY_COUNT(cxx_library_words)) &&
           !contains_one(name, cxx_caller_words, VV_ARRAY_COUNT(cxx_caller_words));
}

static bool is_rust_path(const char *path) {
    return begins_with_one(path, rust_paths, VV_ARRAY_COUNT(rust_paths));
}

/* The same of Rust's. What a library trait does for a type of the language ("<u64 as
 * core::fmt::Display>::fmt") is the library's; what it does for another type is that type's. */
static bool is_inside_rust_library(const char *function) {
    if (function[0] != '<') return is_rust_path(function);
    const char *type = function + strspn(function, "<&[(*");
    if (begins_with(type, "mut ")) type += 4;
    if (begins_with(type, "const ")) type += 6;
    if (is_rust_path(type)) return true;
    const char *as = strstr(type, " as "), *path = strstr(type, "::");
    return as != NULL && path > as && is_rust_path(as + 4);
}

/* varve's own: what makes an object, or memory for one, is not what the program wants to see. */
bool vv_is_varve_frame(const char *function, const char *module) {
    const char *slash = strrchr(module, '/');
    return begins_with(function, "varve_") || begins_with(function, "vv_") ||
           begins_with(slash != NULL ? slash + 1 : module, "libvarve");
}

bool vv_is_allocator_frame(const char *function, const char *module) {
    return vv_is_varve_frame(function, module) || is_exact_name(function) ||
           begins_with_one(function, cxx_names, VV_ARRAY_COUNT(cxx_names)) ||
           is_inside_cxx_library(function) || is_inside_rust_library(function);
}
