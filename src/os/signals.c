/* SPDX-License-Identifier: MIT */
#include "os/signals.h"

void vv_signals_block(sigset_t *out_former_mask) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, out_former_mask);
}

void vv_signals_restore(const sigset_t *former_mask) {
    pthread_sigmask(SIG_SETMASK, former_mask, NULL);
}
