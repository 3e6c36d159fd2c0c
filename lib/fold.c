/* Case and marks by tables of three blocks of Unicode; all else by what kind of sign it is. */
#include "fold.h"

#include "count.h"
#include "fold_table.h"
#include "utf8.h"

#include <stdint.h>
#include <string.h>

#define FOLD_BREAK 0 /* ends a word */
#define FOLD_SKIP 1  /* is passed over */

/* A character that was read, and how many bytes it took. */
typedef struct character {
    uint32_t code;
    size_t length; /* 0: no UTF-8 */
} character_t;

/* What stands in no table and is no letter; ascending. */
static const struct {
    uint32_t first, last;
    uint16_t becomes;
} signs[] = {
    {0x0080, 0x00A9, FOLD_BREAK},   {0x00AB, 0x00AC, FOLD_BREAK},   {0x00AD, 0x00AD, FOLD_SKIP},
    {0x00AE, 0x00B4, FOLD_BREAK},   {0x00B6, 0x00B9, FOLD_BREAK},   {0x00BB, 0x00BF, FOLD_BREAK},
    {0x02B0, 0x036F, FOLD_SKIP},    {0x1AB0, 0x1AFF, FOLD_SKIP},    {0x1DC0, 0x1DFF, FOLD_SKIP},
    {0x2000, 0x200A, FOLD_BREAK},   {0x200B, 0x200F, FOLD_SKIP},    {0x2010, 0x2017, FOLD_BREAK},
    {0x2018, 0x2019, FOLD_SKIP},    {0x201A, 0x205F, FOLD_BREAK},   {0x2060, 0x206F, FOLD_SKIP},
    {0x20A0, 0x20CF, FOLD_BREAK},   {0x20D0, 0x20FF, FOLD_SKIP},    {0x2100, 0x2BFF, FOLD_BREAK},
    {0x2E00, 0x2E7F, FOLD_BREAK},   {0x3000, 0x3004, FOLD_BREAK},   {0x3008, 0x3020, FOLD_BREAK},
    {0x3030, 0x3030, FOLD_BREAK},   {0xE000, 0xF8FF, FOLD_BREAK},   {0xFE00, 0xFE0F, FOLD_SKIP},
    {0xFE10, 0xFE1F, FOLD_BREAK},   {0xFE20, 0xFE2F, FOLD_SKIP},    {0xFE30, 0xFE6F, FOLD_BREAK},
    {0xFEFF, 0xFEFF, FOLD_SKIP},    {0xFF01, 0xFF0F, FOLD_BREAK},   {0xFF1A, 0xFF20, FOLD_BREAK},
    {0xFF3B, 0xFF40, FOLD_BREAK},   {0xFF5B, 0xFF65, FOLD_BREAK},   {0xFFE0, 0xFFFF, FOLD_BREAK},
    {0x1F000, 0x1FAFF, FOLD_BREAK}, {0xE0000, 0x10FFFF, FOLD_SKIP},
};

static character_t read_character(const char *at, const char *end)
{
    const unsigned char *s = (const unsigned char *)at;
    size_t length = plumb_utf8_length(at, (size_t)(end - at));
    uint32_t code = s[0];
    if (length > 1)
        code &= 0x7Fu >> length;
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (s[i] & 0x3F);
    return (character_t){code, length};
}

static size_t write_character(char *out, uint32_t code)
{
    unsigned char *s = (unsigned char *)out;
    if (code < 0x80) {
        s[0] = (unsigned char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6)
        s[i] = (unsigned char)(0x80 | (code & 0x3F));
    s[0] = (unsigned char)(0xF00u >> length | code);
    return length;
}

static bool in_table(uint32_t code, uint32_t *folded)
{
    if (code - FOLD_LATIN < PLUMB_COUNT(fold_latin))
        *folded = fold_latin[code - FOLD_LATIN];
    else if (code - FOLD_GREEK_CYRILLIC < PLUMB_COUNT(fold_greek_cyrillic))
        *folded = fold_greek_cyrillic[code - FOLD_GREEK_CYRILLIC];
    else if (code - FOLD_EXTENDED < PLUMB_COUNT(fold_extended))
        *folded = fold_extended[code - FOLD_EXTENDED];
    else
        return false;
    return true;
}

/* The letter or digit that stands for `code`, FOLD_BREAK or FOLD_SKIP. */
static uint32_t fold(uint32_t code)
{
    uint32_t folded;
    if (code < 0x80) {
        if ((code >= 'a' && code <= 'z') || (code >= '0' && code <= '9'))
            return code;
        if (code >= 'A' && code <= 'Z')
            return code | 0x20;
        return code == '\'' || code == '`' ? FOLD_SKIP : FOLD_BREAK;
    }
    if (in_table(code, &folded))
        return folded;
    for (size_t i = 0; i < PLUMB_COUNT(signs) && signs[i].first <= code; i++)
        if (code <= signs[i].last)
            return signs[i].becomes;
    return code;
}

bool plumb_fold_word(const char **at, const char *end, char word[PLUMB_FOLD_MAX], size_t *length)
{
    *length = 0;
    while (*at < end) {
        character_t c = read_character(*at, end);
        uint32_t folded = c.length == 0 ? FOLD_BREAK : fold(c.code);
        *at += c.length == 0 ? 1 : c.length;
        if (folded == FOLD_BREAK && *length > 0)
            return true;
        if (folded > FOLD_SKIP && *length + 4 < PLUMB_FOLD_MAX)
            *length += write_character(word + *length, folded);
    }
    return *length > 0;
}
