/* SPDX-License-Identifier: MIT */
#include "capture/codec.h"

#include <string.h>

/* --- bytes --- */

static bool make_room(struct vv_codec *codec, size_t byte_count) {
    if (vv_codec_left(codec) >= byte_count) return true;
    size_t used_bytes = (size_t)(codec->at - codec->begin);
    size_t capacity_bytes = vv_max((size_t)(codec->limit - codec->begin) * 2, (size_t)65536);
    capacity_bytes = vv_max(capacity_bytes, used_bytes + byte_count);
    uint8_t *grown = vv_scratch_grow(codec->scratch, codec->begin, used_bytes, capacity_bytes);
    if (grown == NULL) return false;
    codec->begin = grown;
    codec->at = grown + used_bytes;
    codec->limit = grown + capacity_bytes;
    return true;
}

void vv_codec_bytes(struct vv_codec *codec, void *bytes, size_t byte_count) {
    bool fits = codec->writing ? make_room(codec, byte_count) : vv_codec_left(codec) >= byte_count;
    if (codec->failed || !fits) {
        codec->failed = true;
        if (!codec->writing) memset(bytes, 0, byte_count);
        return;
    }
    if (codec->writing) {
        memcpy(codec->at, bytes, byte_count);
    } else {
        memcpy(bytes, codec->at, byte_count);
    }
    codec->at += byte_count;
}

/* --- numbers --- */

#define NUMBER_MAX_BYTES 10

static void write_number(struct vv_codec *codec, uint64_t value) {
    if (codec->failed || !make_room(codec, NUMBER_MAX_BYTES)) {
        codec->failed = true;
        return;
    }
    for (; value >= 0x80; value >>= 7) *codec->at++ = (uint8_t)(value | 0x80);
    *codec->at++ = (uint8_t)value;
}

static uint64_t read_number(struct vv_codec *codec) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (codec->failed || codec->at == codec->limit) break;
        uint8_t byte = *codec->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    codec->failed = true;
    return 0;
}

void vv_codec_u64(struct vv_codec *codec, uint64_t *value) {
    if (codec->writing) {
        write_number(codec, *value);
    } else {
        *value = read_number(codec);
    }
}

void vv_codec_i64(struct vv_codec *codec, int64_t *value) {
    uint64_t zigzag = (uint64_t)*value << 1 ^ (uint64_t)(*value >> 63);
    vv_codec_u64(codec, &zigzag);
    if (!codec->writing) *value = (int64_t)(zigzag >> 1 ^ (0 - (zigzag & 1)));
}

void vv_codec_u32(struct vv_codec *codec, uint32_t *value) {
    uint64_t wide = *value;
    vv_codec_u64(codec, &wide);
    if (wide > UINT32_MAX) codec->failed = true;
    if (!codec->writing) *value = codec->failed ? 0 : (uint32_t)wide;
}

void vv_codec_u8(struct vv_codec *codec, uint8_t *value) {
    vv_codec_bytes(codec, value, 1);
}

void vv_codec_bool(struct vv_codec *codec, bool *value) {
    uint8_t byte = *value;
    vv_codec_u8(codec, &byte);
    if (!codec->writing) *value = byte != 0;
}

void vv_codec_delta(struct vv_codec *codec, uint32_t *value, uint32_t *previous) {
    int64_t difference = (int64_t)*value - (int64_t)*previous;
    vv_codec_i64(codec, &difference);
    if (!codec->writing) *value = (uint32_t)((int64_t)*previous + difference);
    *previous = *value;
}

void *vv_codec_array(struct vv_codec *codec, void *array, uint32_t *count, size_t element_bytes,
                     size_t least_bytes) {
    vv_codec_u32(codec, count);
    if (codec->writing) return array;
    if (*count > vv_codec_left(codec) / least_bytes) codec->failed = true;
    if (codec->failed) *count = 0;
    array = vv_scratch_take_array(codec->scratch, (size_t)*count + 1, element_bytes);
    if (array == NULL) {
        codec->failed = true;
        *count = 0;
    }
    return array;
}

/* --- checksum --- */

static const uint32_t *crc_table(void) {
    static uint32_t table[256];
    static _Atomic bool ready;
    if (ready) return table;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & (0 - (crc & 1)));
        table[byte] = crc;
    }
    ready = true;
    return table;
}

uint32_t vv_crc32c(const void *bytes, size_t byte_count) {
    const uint32_t *table = crc_table();
    const uint8_t *at = bytes;
    uint32_t crc = UINT32_MAX;
    for (size_t index = 0; index < byte_count; index++) {
        crc = crc >> 8 ^ table[(crc ^ at[index]) & 0xff];
    }
    return ~crc;
}
