/* The walk over a frame. */
#include "msg_check.h"

#include "json.h"

#include <math.h>
#include <string.h>

int plumb_walk_fail(const plumb_walk_t *w, const char *problem)
{
    return plumb_err_set(w->err, PLUMB_E_MESSAGE, "byte %zu: %s", (size_t)(w->cursor.at - w->start),
                         problem);
}

/* ---- doubled keys ---- */

/* The key whose head is `offset` bytes behind `start`. */
static plumb_token_t key_at(const plumb_walk_t *w, uint32_t offset)
{
    plumb_cursor_t cursor = {w->start + offset, w->cursor.end};
    plumb_token_t token = {0};
    plumb_token_next(&cursor, &token);
    return token;
}

static bool is_less(const plumb_walk_t *w, uint32_t a, uint32_t b)
{
    plumb_token_t a_key = key_at(w, a), b_key = key_at(w, b);
    if (a_key.number != b_key.number)
        return a_key.number < b_key.number;
    return a_key.number > 0 && memcmp(a_key.data, b_key.data, a_key.number) < 0;
}

static void sift(const plumb_walk_t *w, uint32_t *keys, size_t root, size_t count)
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
static void sort(const plumb_walk_t *w, uint32_t *keys, size_t count)
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

bool plumb_walk_doubled(const plumb_walk_t *w, const uint8_t *first, size_t count)
{
    uint32_t keys[PLUMB_MSG_KEYS_MAX];
    plumb_cursor_t cursor = {first, w->cursor.end};
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

/* Most keys differ in this, so that few are compared. */
static uint64_t hash_bit(const plumb_token_t *key)
{
    unsigned hash = (unsigned)key->number * 7;
    if (key->number > 0)
        hash += key->data[0] + key->data[key->number / 2] * 3u + key->data[key->number - 1] * 5u;
    return (uint64_t)1 << (hash & 63);
}

bool plumb_keys_add(plumb_keys_t *keys, const plumb_token_t *key)
{
    size_t count = keys->count++;
    uint64_t bit = hash_bit(key);
    if (count >= PLUMB_KEYS_FEW)
        return true;
    for (size_t i = 0; (keys->seen & bit) != 0 && i < count; i++)
        if (keys->few[i].length == key->number &&
            (key->number == 0 || memcmp(keys->few[i].at, key->data, key->number) == 0))
            return false;
    keys->seen |= bit;
    keys->few[count].at = key->data;
    keys->few[count].length = key->number;
    return true;
}

/* ---- values ---- */

int plumb_walk_key(plumb_walk_t *w, plumb_token_t *key)
{
    plumb_cursor_t before = w->cursor;
    const char *problem = plumb_token_next(&w->cursor, key);
    if (problem == NULL && key->kind != PLUMB_TOKEN_STR)
        problem = "a key that is no text";
    else if (problem == NULL && !plumb_utf8_valid((const char *)key->data, key->number))
        problem = "text that is not UTF-8";
    if (problem == NULL)
        return 0;
    w->cursor = before;
    return plumb_walk_fail(w, problem);
}

static int walk_map(plumb_walk_t *w, size_t count, unsigned depth)
{
    const uint8_t *first = w->cursor.at;
    plumb_token_t key;
    plumb_keys_t keys;
    keys.count = 0;
    keys.seen = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = plumb_walk_key(w, &key);
        if (rc == 0 && !plumb_keys_add(&keys, &key))
            return plumb_walk_fail(w, "a doubled key");
        if (rc == 0)
            rc = plumb_walk_value(w, depth);
    }
    if (rc == 0 && count > PLUMB_KEYS_FEW && plumb_walk_doubled(w, first, count))
        rc = plumb_walk_fail(w, "a doubled key");
    return rc;
}

int plumb_walk_count(const plumb_walk_t *w, const plumb_token_t *token)
{
    size_t left = (size_t)(w->cursor.end - w->cursor.at);
    bool map = token->kind == PLUMB_TOKEN_MAP;
    if (token->number > left / (map ? 2 : 1))
        return plumb_walk_fail(w, "more items than bytes left");
    if (map && token->number > PLUMB_MSG_KEYS_MAX)
        return plumb_walk_fail(w, "a map with too many keys");
    return 0;
}

static int walk_items(plumb_walk_t *w, const plumb_token_t *token, unsigned depth)
{
    if (depth > w->depth_max)
        return plumb_walk_fail(w, "nested too deep");
    int rc = plumb_walk_count(w, token);
    if (rc == 0 && token->kind == PLUMB_TOKEN_MAP)
        return walk_map(w, token->number, depth);
    for (uint64_t i = 0; rc == 0 && i < token->number; i++)
        rc = plumb_walk_value(w, depth);
    return rc;
}

int plumb_walk_value(plumb_walk_t *w, unsigned depth)
{
    plumb_token_t token;
    const char *problem = plumb_token_next(&w->cursor, &token);
    if (problem != NULL)
        return plumb_walk_fail(w, problem);
    if (token.kind == PLUMB_TOKEN_ARRAY || token.kind == PLUMB_TOKEN_MAP)
        return walk_items(w, &token, depth + 1);
    if (token.kind == PLUMB_TOKEN_STR && !plumb_utf8_valid((const char *)token.data, token.number))
        return plumb_walk_fail(w, "text that is not UTF-8 without NUL");
    if (token.kind == PLUMB_TOKEN_REAL && !isfinite(token.real))
        return plumb_walk_fail(w, "a number that is not finite");
    return 0;
}

int plumb_walk_begin(plumb_walk_t *w, const void *data, size_t length, unsigned depth_max,
                     plumb_err_t *err)
{
    if (length > PLUMB_MSG_MAX)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "%zu bytes, want at most %zu", length,
                             PLUMB_MSG_MAX);
    if (length == 0) /* `data` may be NULL */
        return plumb_err_set(err, PLUMB_E_MESSAGE, "empty");
    *w = (plumb_walk_t){{data, (const uint8_t *)data + length}, data, depth_max, err};
    return 0;
}

int plumb_msg_walk_map(const void *data, size_t length, unsigned depth_max, plumb_err_t *err)
{
    plumb_walk_t w;
    int rc = plumb_walk_begin(&w, data, length, depth_max, err);
    if (rc < 0)
        return rc;
    plumb_cursor_t cursor = w.cursor;
    plumb_token_t token = {0};
    rc = plumb_walk_value(&w, 0);
    if (rc < 0)
        return rc;
    if (w.cursor.at != w.cursor.end)
        return plumb_walk_fail(&w, "bytes behind the end");
    plumb_token_next(&cursor, &token);
    return token.kind == PLUMB_TOKEN_MAP ? 0 : plumb_err_set(err, PLUMB_E_MESSAGE, "not a map");
}
