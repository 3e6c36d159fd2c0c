/* msgpack's heads. */
#include "msg_token.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* ext is no part of our messages, and 0xc1 of no one's. */
enum { REFUSED = PLUMB_TOKEN_MAP + 1 };

/* Heads 0xc0 to 0xdf: what they begin, and the bytes of the number behind them. */
static const struct {
    uint8_t kind, bytes;
} heads[32] = {
    {PLUMB_TOKEN_NIL, 0},   {REFUSED, 0},           {PLUMB_TOKEN_BOOL, 0}, {PLUMB_TOKEN_BOOL, 0},
    {PLUMB_TOKEN_BIN, 1},   {PLUMB_TOKEN_BIN, 2},   {PLUMB_TOKEN_BIN, 4},  {REFUSED, 0},
    {REFUSED, 0},           {REFUSED, 0},           {PLUMB_TOKEN_REAL, 4}, {PLUMB_TOKEN_REAL, 8},
    {PLUMB_TOKEN_UINT, 1},  {PLUMB_TOKEN_UINT, 2},  {PLUMB_TOKEN_UINT, 4}, {PLUMB_TOKEN_UINT, 8},
    {PLUMB_TOKEN_INT, 1},   {PLUMB_TOKEN_INT, 2},   {PLUMB_TOKEN_INT, 4},  {PLUMB_TOKEN_INT, 8},
    {REFUSED, 0},           {REFUSED, 0},           {REFUSED, 0},          {REFUSED, 0},
    {REFUSED, 0},           {PLUMB_TOKEN_STR, 1},   {PLUMB_TOKEN_STR, 2},  {PLUMB_TOKEN_STR, 4},
    {PLUMB_TOKEN_ARRAY, 2}, {PLUMB_TOKEN_ARRAY, 4}, {PLUMB_TOKEN_MAP, 2},  {PLUMB_TOKEN_MAP, 4},
};

/* `bytes` bytes behind `fill`: all ones in front of a negative number make it wider. */
static uint64_t big_endian(uint64_t fill, const uint8_t *at, unsigned bytes)
{
    uint64_t number = fill;
    for (unsigned i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

static double real_of(uint64_t bits, unsigned bytes)
{
    double wide;
    float narrow;
    uint32_t narrow_bits = (uint32_t)bits;
    memcpy(&wide, &bits, sizeof wide);
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    return bytes == 4 ? (double)narrow : wide;
}

/* Two's complement; a number that is not negative becomes an UINT. */
static void take_signed(plumb_token_t *token, const uint8_t *at, unsigned bytes)
{
    bool negative = *at >= 0x80;
    token->kind = negative ? PLUMB_TOKEN_INT : PLUMB_TOKEN_UINT;
    token->number = big_endian(negative ? UINT64_MAX : 0, at, bytes);
}

/* The one-byte heads below 0xc0 and above 0xdf carry their number. */
static void take_short(plumb_token_t *token, uint8_t head)
{
    if (head < 0x80) {
        token->kind = PLUMB_TOKEN_UINT;
        token->number = head;
    } else if (head >= 0xe0) {
        take_signed(token, &head, 1);
    } else if (head < 0x90) {
        token->kind = PLUMB_TOKEN_MAP;
        token->number = head & 0x0f;
    } else {
        token->kind = head < 0xa0 ? PLUMB_TOKEN_ARRAY : PLUMB_TOKEN_STR;
        token->number = head < 0xa0 ? head & 0x0f : head & 0x1f;
    }
}

/* `at` is behind `head`; NULL when the number behind it is cut, else the place after it. */
static const uint8_t *take_long(plumb_token_t *token, uint8_t head, const uint8_t *at,
                                const uint8_t *end)
{
    unsigned bytes = heads[head & 0x1f].bytes;
    if ((size_t)(end - at) < bytes)
        return NULL;
    token->kind = (plumb_token_kind_t)heads[head & 0x1f].kind;
    token->number = big_endian(0, at, bytes);
    if (token->kind == PLUMB_TOKEN_BOOL)
        token->number = head & 1;
    else if (token->kind == PLUMB_TOKEN_REAL)
        token->real = real_of(token->number, bytes);
    else if (token->kind == PLUMB_TOKEN_INT)
        take_signed(token, at, bytes);
    return at + bytes;
}

const char *plumb_token_any(plumb_cursor_t *cursor, plumb_token_t *token)
{
    const uint8_t *at = cursor->at;
    if (at == cursor->end)
        return "cut off where a value should begin";
    uint8_t head = *at++;
    if (head >= 0xc0 && head < 0xe0) {
        if (heads[head & 0x1f].kind == REFUSED)
            return "a kind of value that is not used here";
        at = take_long(token, head, at, cursor->end);
        if (at == NULL)
            return "cut off within a number";
    } else {
        take_short(token, head);
    }
    if (token->kind == PLUMB_TOKEN_STR || token->kind == PLUMB_TOKEN_BIN) {
        if (token->number > (size_t)(cursor->end - at))
            return "cut off within text or bytes";
        token->data = at;
        at += token->number;
    }
    cursor->at = at;
    return NULL;
}

void plumb_token_skip(plumb_cursor_t *cursor)
{
    plumb_token_t token = {0};
    for (uint64_t left = 1; left > 0; left--) {
        if (plumb_token_next(cursor, &token) != NULL)
            return;
        if (token.kind == PLUMB_TOKEN_ARRAY)
            left += token.number;
        else if (token.kind == PLUMB_TOKEN_MAP)
            left += 2 * token.number;
    }
}
