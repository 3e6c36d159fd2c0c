/* The walk over a frame that comes before anything is read from it. */
#ifndef PLUMB_MSG_CHECK_H
#define PLUMB_MSG_CHECK_H

#include "err.h"
#include "msg_token.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUMB_MSG_MAX ((size_t)1 << 20)
/* Keys of one map; what intake lets through in one document is less. */
#define PLUMB_MSG_KEYS_MAX 8192

/* A walk under way: what is behind the cursor has been checked. */
typedef struct plumb_walk {
    plumb_cursor_t cursor;
    const uint8_t *start;
    unsigned depth_max;
    plumb_err_t *err;
} plumb_walk_t;

/* At the first byte of `data`; MESSAGE when it is empty or too large. */
int plumb_walk_begin(plumb_walk_t *walk, const void *data, size_t length, unsigned depth_max,
                     plumb_err_t *err);

/* MESSAGE: `problem`, and the byte that the cursor is at. */
int plumb_walk_fail(const plumb_walk_t *walk, const char *problem);

/* Take a map's key, or one value with all in it; `depth` maps and arrays are around it. */
int plumb_walk_key(plumb_walk_t *walk, plumb_token_t *key);
int plumb_walk_value(plumb_walk_t *walk, unsigned depth);

/* MESSAGE when the bytes left cannot hold what `token`, an ARRAY or MAP just taken, claims. */
int plumb_walk_count(const plumb_walk_t *walk, const plumb_token_t *token);

#define PLUMB_KEYS_FEW 48 /* compared each with each; more are sorted */

/* The keys of a map so far; count and seen begin as 0. */
typedef struct plumb_keys {
    size_t count;
    uint64_t seen; /* a bit for each hash that a key has had */
    struct {
        const uint8_t *at;
        size_t length;
    } few[PLUMB_KEYS_FEW];
} plumb_keys_t;

/* False: it was there before.  From PLUMB_KEYS_FEW on it is only counted. */
bool plumb_keys_add(plumb_keys_t *keys, const plumb_token_t *key);

/* Is any of the `count` keys of a map doubled, whose first key is at `first` and which ends where
 * the cursor is?  Sorts them without allocation. */
bool plumb_walk_doubled(const plumb_walk_t *walk, const uint8_t *first, size_t count);

/* `data` is exactly one msgpack map: at most `depth_max` maps and arrays within each other, counts
 * that the bytes left can hold, keys that are texts and differ, UTF-8 without NUL, finite numbers,
 * nothing behind.  Allocates nothing; MESSAGE names the byte. */
int plumb_msg_walk_map(const void *data, size_t length, unsigned depth_max, plumb_err_t *err);

#endif
