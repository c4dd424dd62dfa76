/* SPDX-License-Identifier: MIT
 * snapshot/allocator_frames.h - which functions allocate on behalf of somebody else.
 *
 * Their frames at the inner end of a stack say nothing: who called them is the answer to "where did
 * the memory go". They are the malloc family, operator new, the insides of the C++ and the Rust
 * library's containers and allocators, varve itself, and the wrappers that well-known C programs
 * and libraries have (xmalloc, g_malloc, Perl_safesysmalloc). A function is what symbols/ says of
 * it, so demangled. */
#ifndef VV_SNAPSHOT_ALLOCATOR_FRAMES_H
#define VV_SNAPSHOT_ALLOCATOR_FRAMES_H

#include <stdbool.h>

bool vv_is_allocator_frame(const char *function, const char *module);

/* Whether it is of varve itself; what is inlined in it, whatever its name, is so, too. */
bool vv_is_varve_frame(const char *function, const char *module);

#endif
