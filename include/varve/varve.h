/* SPDX-License-Identifier: MIT
 * varve/varve.h - all of varve. */
#ifndef VARVE_VARVE_H
#define VARVE_VARVE_H

#include <varve/gc.h>
#include <varve/heap.h>
#include <varve/inspect.h>
#include <varve/leak.h>
#include <varve/object.h>
#include <varve/snapshot.h>
#include <varve/trace.h>
#include <varve/weakref.h>

#endif
