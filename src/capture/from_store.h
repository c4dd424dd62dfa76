/* SPDX-License-Identifier: MIT
 * capture/from_store.h - reading the tables of a traced process, see trace/layout.h. */
#ifndef VV_CAPTURE_FROM_STORE_H
#define VV_CAPTURE_FROM_STORE_H

#include "capture/capture.h"

/* Reads a store of `byte_count` bytes: a file that a process left, even a killed one, or the store
 * of this process, whose numbers change meanwhile. Nothing in it is trusted. Returns 0; -ENOMEM; or
 * -EINVAL with *out_sentence: what is wrong. */
int vv_capture_from_store(const void *bytes, size_t byte_count, struct vv_capture **out,
                          const char **out_sentence);

/* Whether bytes begin like a store. */
bool vv_is_store(const void *bytes, size_t byte_count);

#endif
