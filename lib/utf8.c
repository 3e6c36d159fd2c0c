/* UTF-8 by the table of RFC 3629: the second byte's range depends on the first, which rules out
 * overlong forms, surrogates and what lies above U+10FFFF without computing the character. */
#include "utf8.h"

#include "json.h"

#include <endian.h>
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

static uint64_t load_8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* At most seven bytes as a word: four from each end, or for less than four the first, the middle
 * and the last; some twice. */
static uint64_t load_few(const char *at, size_t length)
{
    uint32_t low, high;
    if (length < 4)
        return UINT64_C(0x0101010101000000) | (uint64_t)(unsigned char)at[0] |
               (uint64_t)(unsigned char)at[length / 2] << 8 |
               (uint64_t)(unsigned char)at[length - 1] << 16;
    memcpy(&low, at, sizeof low);
    memcpy(&high, at + length - 4, sizeof high);
    return (uint64_t)high << 32 | low;
}

/* How many of the eight bytes are whole characters of one or two bytes, none of them NUL: 8, or 7
 * when a character begins with the last; 0: something else is among them.  A bit a byte, its top
 * one, answers for all at once: Latin, Cyrillic and Greek text takes no look at a character. */
static size_t whole_of_8(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    x = le64toh(x);
    uint64_t continues = x & ~(x << 1) & tops; /* 10xxxxxx */
    uint64_t leads = x & (x << 1) & tops;      /* 11xxxxxx */
    uint64_t longer = leads & (x << 2);        /* 111xxxxx: of three bytes or more */
    uint64_t overlong = leads & ~((x & ones * 0x1E) + ones * 0x7E); /* C0 and C1 */
    uint64_t zeroes = (x - ones) & ~x & tops;
    if ((longer | overlong | zeroes | (continues ^ (leads << 8))) != 0)
        return 0;
    return 8 - (size_t)(leads >> 63);
}

/* Bytes of the character at `at`; 0: it is none, or NUL. */
static size_t character(const char *at, size_t left)
{
    return *at != '\0' ? plumb_utf8_length(at, left) : 0;
}

size_t plumb_utf8_prefix(const char *text, size_t length)
{
    size_t at = 0, step, words = 0; /* from `words` on words are looked at, not characters */
    if (length - 1 < 7 && is_plain(load_few(text, length)))
        return length;
    while (length - at >= 8) {
        uint64_t word = load_8(text + at);
        if (is_plain(word)) {
            at += 8;
            continue;
        }
        step = at >= words ? whole_of_8(word) : 0;
        if (step == 0) {
            words = at >= words ? at + 8 : words;
            step = character(text + at, length - at);
        }
        if (step == 0)
            return at;
        at += step;
    }
    if (at > 0 && is_plain(load_8(text + length - 8)))
        return length;
    while (at < length && (step = character(text + at, length - at)) > 0)
        at += step;
    return at;
}

bool plumb_utf8_valid(const char *text, size_t length)
{
    return plumb_utf8_prefix(text, length) == length;
}
