/* SPDX-License-Identifier: MIT
 * os/resident.h - how much memory the kernel counts for the process. */
#ifndef VV_OS_RESIDENT_H
#define VV_OS_RESIDENT_H

#include "base/bits.h"

/* The most that was resident at a time since the program began, in bytes: of this program only, not
 * of what the process ran before exec as getrusage() has it. 0 when /proc cannot be read. Costs a
 * few system calls; keeps errno. */
uint64_t vv_peak_resident_bytes(void);

#endif
