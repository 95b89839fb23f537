/* redis_pack.h — the bytes that nodes and scripts exchange: little-endian numbers, and texts behind their length; struct.pack in Lua
 * reads and writes the same ('<I8', '<I4', 'Bc0', '<I4c0').
 *
 * Taking from bytes that are too few marks them as wrong (`at` NULL) and gives 0 or an empty text from then on: who takes asks once, at
 * the end. Threading: pure functions. */
#pragma once
#include "hub/base/buf.h"

#include <endian.h>

static inline void pack_u64(struct buf *out, uint64_t n)
{
    n = htole64(n);
    buf_add(out, &n, sizeof n);
}

static inline void pack_u32(struct buf *out, uint32_t n)
{
    n = htole32(n);
    buf_add(out, &n, sizeof n);
}

/* Lua's numbers: exact up to 2^53. */
static inline void pack_double(struct buf *out, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    pack_u64(out, bits);
}

static inline void pack_u16(struct buf *out, uint16_t n)
{
    n = htole16(n);
    buf_add(out, &n, sizeof n);
}

/* Of at most 255 bytes: what is longer is cut. */
static inline void pack_short(struct buf *out, struct slice text)
{
    size_t len = text.len < UINT8_MAX ? text.len : UINT8_MAX;
    buf_add_char(out, (char)len);
    buf_add(out, text.at, len);
}

static inline void pack_long(struct buf *out, struct slice text)
{
    pack_u32(out, (uint32_t)text.len);
    buf_add_slice(out, text);
}

static inline struct slice take_bytes(struct slice *rest, size_t n)
{
    if (!rest->at || rest->len < n) {
        *rest = slice(NULL, 0);
        return slice("", 0);
    }
    struct slice taken = slice(rest->at, n);
    *rest = slice(rest->at + n, rest->len - n);
    return taken;
}

static inline uint64_t take_u64(struct slice *rest)
{
    uint64_t n = 0;
    struct slice bytes = take_bytes(rest, sizeof n);
    memcpy(&n, bytes.at, bytes.len);
    return le64toh(n);
}

static inline uint32_t take_u32(struct slice *rest)
{
    uint32_t n = 0;
    struct slice bytes = take_bytes(rest, sizeof n);
    memcpy(&n, bytes.at, bytes.len);
    return le32toh(n);
}

static inline double take_double(struct slice *rest)
{
    uint64_t bits = take_u64(rest);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static inline uint16_t take_u16(struct slice *rest)
{
    uint16_t n = 0;
    struct slice bytes = take_bytes(rest, sizeof n);
    memcpy(&n, bytes.at, bytes.len);
    return le16toh(n);
}

static inline uint8_t take_u8(struct slice *rest)
{
    struct slice byte = take_bytes(rest, 1);
    return byte.len ? (uint8_t)*byte.at : 0;
}

static inline struct slice take_short(struct slice *rest) { return take_bytes(rest, take_u8(rest)); }
static inline struct slice take_long(struct slice *rest)  { return take_bytes(rest, take_u32(rest)); }
