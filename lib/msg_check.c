/* The walk over a frame. */
#include "msg_check.h"

#include "json.h"
#include "msg_token.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FEW 48 /* keys compared each with each; more are sorted */

typedef struct walk {
    plumb_cursor_t cursor;
    const uint8_t *start;
    unsigned depth_max;
    plumb_err_t *err;
} walk_t;

typedef struct map_key {
    const uint8_t *at;
    size_t length;
} map_key_t;

static int fail(const walk_t *w, const char *problem)
{
    return plumb_err_set(w->err, PLUMB_E_MESSAGE, "byte %zu: %s", (size_t)(w->cursor.at - w->start),
                         problem);
}

/* ---- doubled keys ---- */

static int compare(const map_key_t *a, const map_key_t *b)
{
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return a->length > 0 ? memcmp(a->at, b->at, a->length) : 0;
}

/* The key whose head is `offset` bytes behind `start`. */
static map_key_t key_at(const walk_t *w, uint32_t offset)
{
    plumb_cursor_t cursor = {w->start + offset, w->cursor.end};
    plumb_token_t token = {0};
    plumb_token_next(&cursor, &token);
    return (map_key_t){token.data, token.number};
}

static bool is_less(const walk_t *w, uint32_t a, uint32_t b)
{
    map_key_t a_key = key_at(w, a), b_key = key_at(w, b);
    return compare(&a_key, &b_key) < 0;
}

static void sift(const walk_t *w, uint32_t *keys, size_t root, size_t count)
{
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && is_less(w, keys[child], keys[child + 1]))
            child++;
        if (!is_less(w, keys[root], keys[child]))
            return;
        uint32_t swap = keys[root];
        keys[root] = keys[child];
        keys[child] = swap;
        root = child;
    }
}

/* Heapsort: no allocation, and no order of keys makes it slow. */
static void sort(const walk_t *w, uint32_t *keys, size_t count)
{
    for (size_t i = count / 2; i > 0; i--)
        sift(w, keys, i - 1, count);
    for (size_t i = count; i > 1; i--) {
        uint32_t largest = keys[0];
        keys[0] = keys[i - 1];
        keys[i - 1] = largest;
        sift(w, keys, 0, i - 1);
    }
}

/* Doubled keys among the many of a map whose first key is at `at`; all of it has been walked. */
static bool has_doubled(const walk_t *w, const uint8_t *at, size_t count)
{
    uint32_t keys[PLUMB_MSG_KEYS_MAX];
    plumb_cursor_t cursor = {at, w->cursor.end};
    for (size_t i = 0; i < count; i++) {
        keys[i] = (uint32_t)(cursor.at - w->start);
        plumb_token_skip(&cursor);
        plumb_token_skip(&cursor);
    }
    sort(w, keys, count);
    for (size_t i = 1; i < count; i++)
        if (!is_less(w, keys[i - 1], keys[i]))
            return true;
    return false;
}

static bool is_among(const map_key_t *key, const map_key_t *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].length == key->length && compare(&keys[i], key) == 0)
            return true;
    return false;
}

/* ---- values ---- */

static int walk_value(walk_t *w, unsigned depth);

static int walk_key(walk_t *w, map_key_t *key)
{
    plumb_token_t token = {0};
    plumb_cursor_t before = w->cursor;
    const char *problem = plumb_token_next(&w->cursor, &token);
    if (problem == NULL && token.kind != PLUMB_TOKEN_STR)
        problem = "a key that is no text";
    else if (problem == NULL && !plumb_utf8_valid((const char *)token.data, token.number))
        problem = "text that is not UTF-8";
    if (problem != NULL) {
        w->cursor = before;
        return fail(w, problem);
    }
    *key = (map_key_t){token.data, token.number};
    return 0;
}

static int walk_map(walk_t *w, size_t count, unsigned depth)
{
    const uint8_t *first = w->cursor.at;
    map_key_t key = {0}, few[FEW];
    int rc = 0;
    if (count > PLUMB_MSG_KEYS_MAX)
        return fail(w, "a map with too many keys");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = walk_key(w, &key);
        if (rc == 0 && i < FEW) {
            if (is_among(&key, few, i))
                return fail(w, "a doubled key");
            few[i] = key;
        }
        if (rc == 0)
            rc = walk_value(w, depth);
    }
    if (rc == 0 && count > FEW && has_doubled(w, first, count))
        rc = fail(w, "a doubled key");
    return rc;
}

static int walk_items(walk_t *w, const plumb_token_t *token, unsigned depth)
{
    size_t left = (size_t)(w->cursor.end - w->cursor.at);
    size_t each = token->kind == PLUMB_TOKEN_MAP ? 2 : 1;
    int rc = 0;
    if (depth > w->depth_max)
        return fail(w, "nested too deep");
    if (token->number > left / each)
        return fail(w, "more items than bytes left");
    if (token->kind == PLUMB_TOKEN_MAP)
        return walk_map(w, token->number, depth);
    for (uint64_t i = 0; rc == 0 && i < token->number; i++)
        rc = walk_value(w, depth);
    return rc;
}

/* `depth` maps and arrays are around the value. */
static int walk_value(walk_t *w, unsigned depth)
{
    plumb_token_t token = {0};
    const char *problem = plumb_token_next(&w->cursor, &token);
    if (problem != NULL)
        return fail(w, problem);
    if (token.kind == PLUMB_TOKEN_ARRAY || token.kind == PLUMB_TOKEN_MAP)
        return walk_items(w, &token, depth + 1);
    if (token.kind == PLUMB_TOKEN_STR && !plumb_utf8_valid((const char *)token.data, token.number))
        return fail(w, "text that is not UTF-8 without NUL");
    if (token.kind == PLUMB_TOKEN_REAL && !isfinite(token.real))
        return fail(w, "a number that is not finite");
    return 0;
}

int plumb_msg_walk(const void *data, size_t length, unsigned depth_max, plumb_err_t *err)
{
    if (length > PLUMB_MSG_MAX)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "%zu bytes, want at most %zu", length,
                             PLUMB_MSG_MAX);
    if (length == 0) /* `data` may be NULL */
        return plumb_err_set(err, PLUMB_E_MESSAGE, "empty");
    walk_t w = {{data, (const uint8_t *)data + length}, data, depth_max, err};
    int rc = walk_value(&w, 0);
    if (rc == 0 && w.cursor.at != w.cursor.end)
        rc = fail(&w, "bytes behind the end");
    return rc;
}

int plumb_msg_walk_map(const void *data, size_t length, unsigned depth_max, plumb_err_t *err)
{
    plumb_cursor_t cursor = {data, (const uint8_t *)data + length};
    plumb_token_t token = {0};
    int rc = plumb_msg_walk(data, length, depth_max, err);
    if (rc < 0)
        return rc;
    plumb_token_next(&cursor, &token);
    return token.kind == PLUMB_TOKEN_MAP ? 0 : plumb_err_set(err, PLUMB_E_MESSAGE, "not a map");
}
