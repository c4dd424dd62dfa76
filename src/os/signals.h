/* SPDX-License-Identifier: MIT
 * os/signals.h - keeping signal handlers away for a moment. */
#ifndef VV_OS_SIGNALS_H
#define VV_OS_SIGNALS_H

#include <signal.h>

/* Blocks all signals for the calling thread / puts the former mask back. */
void vv_signals_block(sigset_t *out_former_mask);
void vv_signals_restore(const sigset_t *former_mask);

#endif
