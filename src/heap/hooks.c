/* SPDX-License-Identifier: MIT */
#include "heap/hooks.h"

_Atomic bool vv_tracing;

#if VARVE_WITH_TRACE
extern const struct vv_hooks vv_trace_hooks;
const struct vv_hooks *const vv_hooks = &vv_trace_hooks;
#else
const struct vv_hooks *const vv_hooks = NULL;
#endif
