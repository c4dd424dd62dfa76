/* SPDX-License-Identifier: MIT
 * base/check.h - three strengths of belief, and the one way to die.
 *
 *   vv_fatal    misuse by the program, or damage found: one sentence on stderr, then abort()
 *   vv_check    a condition on data from outside (a pointer given to free, a byte of a file)
 *   vv_assert   something proven; compiled everywhere, evaluated in audit builds
 *   vv_audit    a whole-structure check after a mutation, evaluated in audit builds only: a
 *               vv_x_check() function that returns NULL, or a sentence saying what is wrong */
#ifndef VV_BASE_CHECK_H
#define VV_BASE_CHECK_H

#include "base/bits.h"

#ifndef VARVE_AUDIT
#define VARVE_AUDIT 0
#endif

/* Writes the sentence and a newline to stderr and aborts. Takes no lock, allocates nothing;
 * implemented by os/fatal.c, since only that room makes system calls. */
VV_COLD _Noreturn void vv_fatal(const char *sentence);

/* "varve: FILE:LINE: CONDITION does not hold", then abort. */
VV_COLD _Noreturn void vv_assert_failed(const char *condition, const char *file, unsigned line);

#define vv_check(condition, sentence)                                                              \
    do {                                                                                           \
        if (vv_unlikely(!(condition))) vv_fatal(sentence);                                         \
    } while (0)

/* Inside a vv_x_check() function. */
#define vv_expect(condition, sentence)                                                             \
    do {                                                                                           \
        if (!(condition)) return "varve: heap check: " sentence;                                   \
    } while (0)

#if VARVE_AUDIT
#define vv_assert(condition)                                                                       \
    ((condition) ? (void)0 : vv_assert_failed(#condition, __FILE__, __LINE__))
#define vv_audit(check)                                                                            \
    do {                                                                                           \
        const char *sentence_ = (check);                                                           \
        if (sentence_ != NULL) vv_fatal(sentence_);                                                \
    } while (0)
#else
#define vv_assert(condition) ((void)sizeof((condition) ? 1 : 0))
#define vv_audit(check) ((void)0)
#endif

#endif
