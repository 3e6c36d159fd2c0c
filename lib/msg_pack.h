/* Writing msgpack's heads where there is room already: each in the shortest form, as msgpack-c
 * does, without its call through a pointer for every head and every body. */
#ifndef PLUMB_MSG_PACK_H
#define PLUMB_MSG_PACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PLUMB_PACK_HEAD 9 /* bytes at most of a number, or of what stands before a body */

static inline uint8_t *plumb_pack_big_endian(uint8_t *at, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    return at + bytes;
}

/* A head with a number of `bytes` bytes behind it. */
static inline uint8_t *plumb_pack_wide(uint8_t *at, uint8_t head, uint64_t number, unsigned bytes)
{
    *at = head;
    return plumb_pack_big_endian(at + 1, number, bytes);
}

static inline uint8_t *plumb_pack_uint(uint8_t *at, uint64_t number)
{
    if (number < 0x80)
        return plumb_pack_big_endian(at, number, 1);
    if (number <= UINT8_MAX)
        return plumb_pack_wide(at, 0xcc, number, 1);
    if (number <= UINT16_MAX)
        return plumb_pack_wide(at, 0xcd, number, 2);
    if (number <= UINT32_MAX)
        return plumb_pack_wide(at, 0xce, number, 4);
    return plumb_pack_wide(at, 0xcf, number, 8);
}

static inline uint8_t *plumb_pack_int(uint8_t *at, int64_t number)
{
    if (number >= 0)
        return plumb_pack_uint(at, (uint64_t)number);
    if (number >= -32)
        return plumb_pack_big_endian(at, (uint64_t)number, 1);
    if (number >= INT8_MIN)
        return plumb_pack_wide(at, 0xd0, (uint64_t)number, 1);
    if (number >= INT16_MIN)
        return plumb_pack_wide(at, 0xd1, (uint64_t)number, 2);
    if (number >= INT32_MIN)
        return plumb_pack_wide(at, 0xd2, (uint64_t)number, 4);
    return plumb_pack_wide(at, 0xd3, (uint64_t)number, 8);
}

static inline uint8_t *plumb_pack_array(uint8_t *at, size_t items)
{
    if (items < 16)
        return plumb_pack_big_endian(at, 0x90 | items, 1);
    return items <= UINT16_MAX ? plumb_pack_wide(at, 0xdc, items, 2)
                               : plumb_pack_wide(at, 0xdd, items, 4);
}

static inline uint8_t *plumb_pack_bin_head(uint8_t *at, size_t length)
{
    if (length <= UINT8_MAX)
        return plumb_pack_wide(at, 0xc4, length, 1);
    return length <= UINT16_MAX ? plumb_pack_wide(at, 0xc5, length, 2)
                                : plumb_pack_wide(at, 0xc6, length, 4);
}

static inline uint8_t *plumb_pack_str_head(uint8_t *at, size_t length)
{
    if (length < 32)
        return plumb_pack_big_endian(at, 0xa0 | length, 1);
    if (length <= UINT8_MAX)
        return plumb_pack_wide(at, 0xd9, length, 1);
    return length <= UINT16_MAX ? plumb_pack_wide(at, 0xda, length, 2)
                                : plumb_pack_wide(at, 0xdb, length, 4);
}

static inline uint8_t *plumb_pack_body(uint8_t *at, const void *data, size_t length)
{
    if (length > 0) /* `data` may be NULL */
        memcpy(at, data, length);
    return at + length;
}

static inline uint8_t *plumb_pack_str(uint8_t *at, const char *text, size_t length)
{
    return plumb_pack_body(plumb_pack_str_head(at, length), text, length);
}

static inline uint8_t *plumb_pack_bin(uint8_t *at, const void *data, size_t length)
{
    return plumb_pack_body(plumb_pack_bin_head(at, length), data, length);
}

#endif
