/* SPDX-License-Identifier: MIT
 * cli/ahead.h - looks up names while the program still runs.
 *
 * Unpacking the debug information of one large library takes 0.1 s and more; the command has
 * nothing else to do until the program ends. A thread reads the stores of the run as they grow, at
 * ever longer intervals, and looks up what is in them. That fills the caches of the names; what it
 * found is looked up again at the end, from there. */
#ifndef VV_CLI_AHEAD_H
#define VV_CLI_AHEAD_H

#include "symbols/symbols.h"

struct vv_ahead;

/* `folder` must stay valid. NULL: no memory or no thread; then all is done at the end. */
struct vv_ahead *vv_ahead_start(const char *folder);

/* Ends the thread, which takes as long as what it is unpacking just then, and returns the names,
 * the caller's now. NULL: no memory. `ahead` may be NULL. */
struct vv_symbols *vv_ahead_finish(struct vv_ahead *ahead);

#endif
