/* SPDX-License-Identifier: MIT
 * varve/varve.h - all of varve. */
#ifndef VARVE_VARVE_H
#define VARVE_VARVE_H

#include <varve/heap.h>
#include <varve/snapshot.h>
#include <varve/trace.h>

#endif
