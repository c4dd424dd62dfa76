/* SPDX-License-Identifier: MIT
 * C++ operator new and delete in all forms, for libvarve-malloc, by their mangled names (Itanium
 * C++ ABI, size_t = unsigned long): written in C, so that the library needs no C++ runtime.
 *
 * [new.delete] of the C++ standard: when there is no memory, the installed new handler is called
 * and the allocation tried again; without a handler the plain forms throw std::bad_alloc and the
 * nothrow forms return NULL. Handler and exception are libstdc++'s, where it is loaded. */
#include "heap/entry.h"

#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

typedef void (*new_handler)(void);
new_handler get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
_Noreturn void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

struct nothrow;

static void *new_again(const struct vv_request *request, bool nothrow) {
    for (;;) {
        void *block = vv_allocate(request);
        if (block != NULL) return block;
        new_handler handler = get_new_handler != NULL ? get_new_handler() : NULL;
        if (handler == NULL) break;
        handler();
    }
    if (nothrow) return NULL;
    if (throw_bad_alloc != NULL) throw_bad_alloc();
    abort();
}

static VV_NOINLINE void *new_slow(size_t size, size_t alignment, enum vv_api api, bool nothrow) {
    struct vv_request request = {.byte_count = size,
                                 .alignment = vv_max(alignment, VV_QUANTUM_BYTES),
                                 .api = api,
                                 .frame = VV_FRAME()};
    return new_again(&request, nothrow);
}

VV_INLINE void *operator_new(size_t size, enum vv_api api, bool nothrow) {
    void *block = vv_fast_take(size);
    return vv_likely(block != NULL) ? block : new_slow(size, VV_QUANTUM_BYTES, api, nothrow);
}

static VV_NOINLINE void delete_slow(void *block, enum vv_api api, struct vv_stated stated) {
    vv_release(block, api, stated, VV_FRAME());
}

VV_INLINE void operator_delete(void *block, enum vv_api api, struct vv_stated stated) {
    if (vv_unlikely(!vv_fast_give(block))) delete_slow(block, api, stated);
}

#define NEW(symbol, api, nothrow, ...)                                                             \
    void *new_##symbol(size_t size __VA_ARGS__) __asm__(#symbol);                                  \
    EXPORT void *new_##symbol(size_t size __VA_ARGS__) {                                           \
        return operator_new(size, api, nothrow);                                                   \
    }

#define NEW_ALIGNED(symbol, api, nothrow, ...)                                                     \
    void *new_##symbol(size_t size, size_t alignment __VA_ARGS__) __asm__(#symbol);                \
    EXPORT void *new_##symbol(size_t size, size_t alignment __VA_ARGS__) {                         \
        return new_slow(size, alignment, api, nothrow);                                            \
    }

#define DELETE(symbol, api, size, alignment, ...)                                                  \
    void delete_##symbol(void *block __VA_ARGS__) __asm__(#symbol);                                \
    EXPORT void delete_##symbol(void *block __VA_ARGS__) {                                         \
        operator_delete(block, api, (struct vv_stated){size, alignment});                          \
    }

#define NOTHROW , __attribute__((unused)) const struct nothrow *tag
#define SIZED , size_t size
#define ALIGNED , size_t alignment

NEW(_Znwm, VV_API_NEW, false)
NEW(_Znam, VV_API_NEW_ARRAY, false)
NEW(_ZnwmRKSt9nothrow_t, VV_API_NEW, true, NOTHROW)
NEW(_ZnamRKSt9nothrow_t, VV_API_NEW_ARRAY, true, NOTHROW)
NEW_ALIGNED(_ZnwmSt11align_val_t, VV_API_NEW_ALIGNED, false)
NEW_ALIGNED(_ZnamSt11align_val_t, VV_API_NEW_ARRAY_ALIGNED, false)
NEW_ALIGNED(_ZnwmSt11align_val_tRKSt9nothrow_t, VV_API_NEW_ALIGNED, true, NOTHROW)
NEW_ALIGNED(_ZnamSt11align_val_tRKSt9nothrow_t, VV_API_NEW_ARRAY_ALIGNED, true, NOTHROW)

DELETE(_ZdlPv, VV_API_NEW, 0, 0)
DELETE(_ZdaPv, VV_API_NEW_ARRAY, 0, 0)
DELETE(_ZdlPvRKSt9nothrow_t, VV_API_NEW, 0, 0, NOTHROW)
DELETE(_ZdaPvRKSt9nothrow_t, VV_API_NEW_ARRAY, 0, 0, NOTHROW)
DELETE(_ZdlPvm, VV_API_NEW, size, 0, SIZED)
DELETE(_ZdaPvm, VV_API_NEW_ARRAY, size, 0, SIZED)
DELETE(_ZdlPvSt11align_val_t, VV_API_NEW_ALIGNED, 0, alignment, ALIGNED)
DELETE(_ZdaPvSt11align_val_t, VV_API_NEW_ARRAY_ALIGNED, 0, alignment, ALIGNED)
DELETE(_ZdlPvmSt11align_val_t, VV_API_NEW_ALIGNED, size, alignment, SIZED ALIGNED)
DELETE(_ZdaPvmSt11align_val_t, VV_API_NEW_ARRAY_ALIGNED, size, alignment, SIZED ALIGNED)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, VV_API_NEW_ALIGNED, 0, alignment, ALIGNED NOTHROW)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, VV_API_NEW_ARRAY_ALIGNED, 0, alignment, ALIGNED NOTHROW)
