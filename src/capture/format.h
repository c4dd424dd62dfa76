/* SPDX-License-Identifier: MIT
 * capture/format.h - the capture file, name.varve.
 *
 *   file    = magic chunk* end
 *   magic   = "varve capture\n\x1a\n" , 16 bytes
 *   chunk   = crc32c u32, type u32, version-of-the-chunk's-layout u32, length u32, length bytes
 *
 * The four numbers of a chunk's head are little-endian; what is in a chunk is made of the numbers
 * of capture/codec.h, in the order in which format.c names them. The CRC is that of all that
 * follows it in the chunk.
 * Chunks come in this order, and each refers only to itself and earlier ones:
 *
 *   PROCESS STRINGS MODULES THREADS SYMBOLS LOCATIONS NODES SITES COUNTS* END
 *
 * A file that was cut off, or in which a byte was changed, is read up to the first chunk that is
 * not whole; then `is_cut` is set. Chunks of an unknown type are skipped; a chunk of a higher
 * layout version was written by a newer varve and is refused. */
#ifndef VV_CAPTURE_FORMAT_H
#define VV_CAPTURE_FORMAT_H

#include "capture/capture.h"

#define VV_FORMAT_MAGIC "varve capture\n\x1a\n"
#define VV_FORMAT_MAGIC_BYTES 16
#define VV_FORMAT_VERSION 3 /* 2: locations that are labels; 3: mappings */

/* The capture as a file's bytes, in its scratch memory. NULL: no memory. */
const void *vv_capture_encode(struct vv_capture *capture, size_t *out_byte_count);

/* Reads a file's bytes, of which nothing is trusted. 0; -ENOMEM; or -EINVAL with *out_sentence. */
int vv_capture_decode(const void *bytes, size_t byte_count, struct vv_capture **out,
                      const char **out_sentence);

/* Reads a capture file or a store, or a pipe that brings one. Returns 0, or -errno with a sentence
 * in `sentence`, which says what is wrong but not with which file. */
int vv_capture_read_file(const char *path, struct vv_capture **out, char *sentence,
                         size_t sentence_bytes);

/* Writes a file for its owner only, whole or not at all: a new file in the same folder gets the
 * name when it is complete. -EEXIST when there is a file and not `overwrite`; or another -errno. */
int vv_capture_write_file(const char *path, const void *bytes, size_t byte_count, bool overwrite);

/* Whether a file of this name could be written: 0 or -errno. Leaves nothing behind. */
int vv_capture_try_file(const char *path);

#endif
