/* SPDX-License-Identifier: MIT
 * base/options.h - reading the values of VARVE_ variables. Malformed text is an error that the
 * caller reports; nothing here prints. */
#ifndef VV_BASE_OPTIONS_H
#define VV_BASE_OPTIONS_H

#include "base/bits.h"

/* "1", "on", "yes", "true" / "0", "off", "no", "false", "". Returns 0 or -EINVAL. */
int vv_option_switch(const char *value, bool *out_on);

/* A decimal number with an optional suffix K, M or G (powers of 1024), at most `limit`.
 * Returns 0, -EINVAL (not a number) or -ERANGE (above the limit). */
int vv_option_number(const char *value, uint64_t limit, uint64_t *out_number);

#endif
