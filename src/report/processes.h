/* SPDX-License-Identifier: MIT
 * report/processes.h - the processes that several captures of one run are of. */
#ifndef VV_REPORT_PROCESSES_H
#define VV_REPORT_PROCESSES_H

#include "report/load.h"

/* A process has a capture for each program that it ran. Its peak is that of the one with the
 * largest of the domain, since no two of them were there at a time: whether that is
 * captures[index]. True for one capture of each process. */
bool vv_holds_peak(const struct vv_loaded *loaded, unsigned index, enum vv_domain domain);

/* How many processes there are. */
unsigned vv_process_count(const struct vv_loaded *loaded);

/* The first program of the run: it is nobody's child among those given, or began first of these. */
const struct vv_capture *vv_root_of(const struct vv_loaded *loaded);

#endif
