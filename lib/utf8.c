/* UTF-8 by the table of RFC 3629: the second byte's range depends on the first, which rules out
 * overlong forms, surrogates and what lies above U+10FFFF without computing the character. */
#include "utf8.h"

#include "json.h"

#include <stdint.h>
#include <string.h>

static bool is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/* Characters of three bytes: E0 must not be overlong, ED must not be a surrogate. */
static bool is_three(const unsigned char *s)
{
    unsigned char low = s[0] == 0xE0 ? 0xA0 : 0x80;
    unsigned char high = s[0] == 0xED ? 0x9F : 0xBF;
    return s[1] >= low && s[1] <= high && is_continuation(s[2]);
}

/* Characters of four bytes: F0 must not be overlong, F4 must stay below U+110000. */
static bool is_four(const unsigned char *s)
{
    unsigned char low = s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xF4 ? 0x8F : 0xBF;
    return s[1] >= low && s[1] <= high && is_continuation(s[2]) && is_continuation(s[3]);
}

size_t plumb_utf8_length(const char *at, size_t left)
{
    const unsigned char *s = (const unsigned char *)at;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    if (s[0] < 0xE0)
        return left >= 2 && is_continuation(s[1]) ? 2 : 0;
    if (s[0] < 0xF0)
        return left >= 3 && is_three(s) ? 3 : 0;
    return left >= 4 && is_four(s) ? 4 : 0;
}

size_t plumb_utf8_cut(const char *text, size_t length, size_t max)
{
    if (length <= max)
        return length;
    while (max > 0 && is_continuation((unsigned char)text[max]))
        max--;
    return max;
}

/* Bytes that are all ASCII and none of them NUL: most of what comes. */
static bool is_plain(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    return ((word | (word - ones)) & tops) == 0;
}

static uint64_t load_8(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* At most seven bytes as a word: four from each end, or for less than four the first, the middle
 * and the last; some twice. */
static uint64_t load_few(const unsigned char *at, size_t length)
{
    uint32_t low, high;
    if (length < 4)
        return UINT64_C(0x0101010101000000) | (uint64_t)at[0] | (uint64_t)at[length / 2] << 8 |
               (uint64_t)at[length - 1] << 16;
    memcpy(&low, at, sizeof low);
    memcpy(&high, at + length - 4, sizeof high);
    return (uint64_t)high << 32 | low;
}

/* Past one character; NULL: it is none, or NUL. */
static const unsigned char *step(const unsigned char *at, const unsigned char *end)
{
    if (*at < 0x80)
        return *at != '\0' ? at + 1 : NULL;
    if (*at >= 0xC2 && *at < 0xE0) /* all of Cyrillic, without a call */
        return end - at >= 2 && is_continuation(at[1]) ? at + 2 : NULL;
    size_t length = plumb_utf8_length((const char *)at, (size_t)(end - at));
    return length > 0 ? at + length : NULL;
}

bool plumb_utf8_valid(const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    if (length - 1 < 7 && is_plain(load_few(at, length)))
        return true;
    while (at != NULL && end - at >= 8) {
        if (is_plain(load_8(at))) {
            at += 8;
            continue;
        }
        do
            at = step(at, end);
        while (at != NULL && at < end && *at >= 0x80);
    }
    if (at != NULL && length >= 8 && is_plain(load_8(end - 8)))
        return true;
    while (at != NULL && at < end)
        at = step(at, end);
    return at != NULL;
}
