/* SPDX-License-Identifier: MIT
 * os/shared_file.h - a growing file that is mapped at one address for good.
 *
 * The mapping spans more than the file; pages become usable as the file grows. Space is allocated
 * when the file grows, so that a full disk is an error here and not a signal on a later store.
 * Programs close descriptors that are not theirs and change their user and root: the descriptor
 * is checked before each use and opened again by name if it is gone. Nothing here allocates, or
 * changes errno. Not safe against itself: the caller locks. */
#ifndef VV_OS_SHARED_FILE_H
#define VV_OS_SHARED_FILE_H

#include "base/bits.h"

#define VV_SHARED_FILE_PATH_BYTES 1024

struct vv_shared_file {
    char *base;          /* const: address of the mapping */
    size_t span_bytes;   /* const: size of the mapping */
    size_t usable_bytes; /* what the file has */
    int descriptor;      /* -1: none */
    uint64_t device;     /* to know the file again */
    uint64_t inode;
    char path[VV_SHARED_FILE_PATH_BYTES]; /* empty: memory without a name, all of it usable */
};

/* Creates `directory`/`name`, which must not exist, for its owner only, and maps it. Returns 0 or
 * -errno; with -EEXIST nothing else is wrong. */
int vv_shared_file_create(struct vv_shared_file *file, const char *directory, const char *name,
                          size_t span_bytes);

/* The same without a file: memory that is shared with nobody until fork(). */
int vv_shared_file_create_unnamed(struct vv_shared_file *file, size_t span_bytes);

/* Makes the first `usable_bytes` usable. False: no space, or no way to reach the file. */
bool vv_shared_file_grow(struct vv_shared_file *file, size_t usable_bytes);

/* Unmaps the file and closes the descriptor; the file stays. */
void vv_shared_file_close(struct vv_shared_file *file);

/* The same, and the file goes, too. */
void vv_shared_file_discard(struct vv_shared_file *file);

#endif
