/* SPDX-License-Identifier: MIT
 * capture/codec.h - numbers to bytes and back, by the same code for both directions.
 *
 * A function that describes a structure with these calls writes it when the codec writes and fills
 * it in when the codec reads. Numbers are LEB128: seven bits a byte, low ones first, whatever the
 * machine's byte order; signed ones zigzag. A reader never goes beyond its limit: after the first
 * thing that does not fit, `failed` is set and everything reads as 0. */
#ifndef VV_CAPTURE_CODEC_H
#define VV_CAPTURE_CODEC_H

#include "os/scratch.h"

struct vv_codec {
    bool writing;
    bool failed; /* reading: the data ended or is malformed; writing: no memory */
    uint8_t *begin;
    uint8_t *at;
    uint8_t *limit;
    uint32_t version;           /* of the layout: which fields there are */
    struct vv_scratch *scratch; /* writing: where the buffer grows; reading: where arrays go */
};

void vv_codec_u64(struct vv_codec *codec, uint64_t *value);
void vv_codec_i64(struct vv_codec *codec, int64_t *value);
void vv_codec_u32(struct vv_codec *codec, uint32_t *value);
void vv_codec_u8(struct vv_codec *codec, uint8_t *value);
void vv_codec_bool(struct vv_codec *codec, bool *value);
void vv_codec_bytes(struct vv_codec *codec, void *bytes, size_t byte_count);

/* The difference to *previous, which becomes the value: for columns that rise. */
void vv_codec_delta(struct vv_codec *codec, uint32_t *value, uint32_t *previous);

/* The count of an array and, when reading, the array itself, zeroed. An element takes at least
 * `least_bytes` of the data, so a count that the data that is left cannot hold is malformed, and no
 * more is allocated than the data can fill. Returns the array. */
void *vv_codec_array(struct vv_codec *codec, void *array, uint32_t *count, size_t element_bytes,
                     size_t least_bytes);

/* Bytes that are left to read. */
static inline size_t vv_codec_left(const struct vv_codec *codec) {
    return (size_t)(codec->limit - codec->at);
}

/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78). */
uint32_t vv_crc32c(const void *bytes, size_t byte_count);

#endif
