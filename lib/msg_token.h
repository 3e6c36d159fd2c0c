/* Reading msgpack one value's head at a time, without allocation; msgpack-c's own reader reserves
 * memory by what a head claims. */
#ifndef PLUMB_MSG_TOKEN_H
#define PLUMB_MSG_TOKEN_H

#include <stddef.h>
#include <stdint.h>

typedef enum plumb_token_kind {
    PLUMB_TOKEN_NIL,
    PLUMB_TOKEN_BOOL,
    PLUMB_TOKEN_UINT, /* any integer that is not negative, however it was packed */
    PLUMB_TOKEN_INT,  /* a negative one */
    PLUMB_TOKEN_REAL,
    PLUMB_TOKEN_STR,
    PLUMB_TOKEN_BIN,
    PLUMB_TOKEN_ARRAY,
    PLUMB_TOKEN_MAP
} plumb_token_kind_t;

typedef struct plumb_token {
    plumb_token_kind_t kind;
    uint64_t number;     /* BOOL, UINT; INT: two's complement; STR, BIN: bytes; ARRAY, MAP: items */
    double real;         /* REAL */
    const uint8_t *data; /* STR, BIN: borrowed from the frame */
} plumb_token_t;

typedef struct plumb_cursor {
    const uint8_t *at, *end;
} plumb_cursor_t;

/* plumb_token_next for any head. */
const char *plumb_token_any(plumb_cursor_t *cursor, plumb_token_t *token);

/* Take the next head, and the bytes of a STR or BIN with it; the items of an ARRAY or MAP follow.
 * NULL, or a sentence about what is wrong; then the cursor has not moved.  Short texts, which most
 * values and all keys are, are taken here. */
static inline const char *plumb_token_next(plumb_cursor_t *cursor, plumb_token_t *token)
{
    const uint8_t *at = cursor->at;
    size_t left = (size_t)(cursor->end - at);
    if (left == 0 || (*at & 0xe0) != 0xa0 || (*at & 0x1fu) >= left)
        return plumb_token_any(cursor, token);
    token->kind = PLUMB_TOKEN_STR;
    token->number = *at & 0x1fu;
    token->data = at + 1;
    cursor->at = at + 1 + token->number;
    return NULL;
}

/* Go past one value with all its items.  The bytes have been checked before. */
void plumb_token_skip(plumb_cursor_t *cursor);

#endif
