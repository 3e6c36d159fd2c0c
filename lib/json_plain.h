/* What stands for itself in a JSON string, looked at eight bytes at a time. */
#ifndef PLUMB_JSON_PLAIN_H
#define PLUMB_JSON_PLAIN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The first of the eight bytes at `at` that is a quote, a backslash or a control character; 8:
 * none. A bit a byte answers for all at once.  `x - ones` borrows into a byte's top bit where the
 * byte was 0, and upwards from there: so the lowest bit that is found is true, whatever lies above
 * it. A byte of 0x80 and above hides what is said of itself. */
static inline size_t plumb_json_plain_8(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t x;
    memcpy(&x, at, sizeof x);
    x = le64toh(x);
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
    uint64_t found = ((x - ones * 0x20) | (quote - ones) | (backslash - ones)) & ~x & tops;
    return found == 0 ? 8 : (size_t)__builtin_ctzll(found) / 8;
}

/* Bytes at the front of `text`, which is UTF-8, that a JSON string holds as they are. */
static inline size_t plumb_json_plain(const char *text, size_t length)
{
    size_t at = 0, step = 8;
    while (length - at >= 8 && step == 8) {
        step = plumb_json_plain_8(text + at);
        at += step;
    }
    if (step < 8)
        return at;
    while (at < length && (unsigned char)text[at] >= 0x20 && text[at] != '"' && text[at] != '\\')
        at++;
    return at;
}

#endif
