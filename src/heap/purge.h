/* SPDX-License-Identifier: MIT
 * heap/purge.h - giving memory back to the system after a while.
 *
 * Freed memory stays resident for vv_purge_delay_ms, since it is most likely wanted again. There
 * is no thread for this: slow paths look at the clock now and then. A process that has gone idle
 * calls varve_trim(). */
#ifndef VV_HEAP_PURGE_H
#define VV_HEAP_PURGE_H

#include "base/bits.h"

/* Called from slow paths; on every 32nd call with that counter it looks at the clock, and whether
 * the emergency reserve is low. */
void vv_purge_tick(uint32_t *counter);

/* Gives everything back that is free now. Returns the bytes given back. */
size_t vv_purge_all(void);

#endif
