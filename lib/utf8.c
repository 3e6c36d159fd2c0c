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

/* Eight bytes that are all ASCII and none of them NUL: most of what comes. */
static bool is_plain_word(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return ((word | (word - ones)) & tops) == 0;
}

bool plumb_utf8_valid(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        if (length - at >= 8 && is_plain_word(text + at)) {
            at += 8;
            continue;
        }
        size_t step = text[at] != '\0' ? plumb_utf8_length(text + at, length - at) : 0;
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}
