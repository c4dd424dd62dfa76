/* SPDX-License-Identifier: MIT
 * heap/fork.h - fork() from any thread while others allocate.
 *
 * Before it, the forking thread takes every lock in rank order, so that all lists are at rest; a
 * fast path of another thread needs no lock: it leaves a consistent bin between any two of its
 * instructions. In the child the locks are made free and the other threads' heaps are recovered
 * as orphans. */
#ifndef VV_HEAP_FORK_H
#define VV_HEAP_FORK_H

/* Registers the handlers. Called once. */
void vv_fork_watch(void);

#endif
