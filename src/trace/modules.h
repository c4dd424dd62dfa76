/* SPDX-License-Identifier: MIT
 * trace/modules.h - the programs and libraries whose code was seen on stacks, kept in the store.
 *
 * A module is noted when a rule is compiled for an address in it. Where one was unloaded and
 * another one loaded at its addresses, the generation tells them apart: it is part of every frame.
 */
#ifndef VV_TRACE_MODULES_H
#define VV_TRACE_MODULES_H

#include "trace/cfi.h"
#include "trace/layout.h"

#include <stdatomic.h>

/* Raised when a module was unloaded; up to 254, where it stays. */
extern _Atomic unsigned vv_modules_generation;

/* Puts the module into the store unless it is there. Takes the modules lock. */
void vv_modules_note(const struct vv_cfi_module *module);

/* The module that a frame of that generation lies in; NULL: not known. */
const struct vv_store_module *vv_modules_find(uint64_t address, unsigned generation);

/* After dlclose(): if a noted module is gone, a new generation begins and all rules are forgotten.
 */
void vv_modules_check(void);

/* A store was opened and has no modules yet: forgets all. In a forked child: notes them again. */
void vv_modules_open(void);
void vv_modules_inherit(const char *old_store);

/* Around fork(). */
void vv_modules_before_fork(void);
void vv_modules_after_fork(bool in_child);

#endif
