/* msgpack read once, into a tree or into text.  Memory follows the bytes that are there, never a
 * count that is only claimed. */
#include "unpack.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_KEPT_MAX 16384 /* memory kept for the next text */
#define MEMBERS_KEPT_MAX 512
#define FEW 24

/* ---- the tree ---- */

static json_t *read_value(plumb_cursor_t *cursor, unsigned depth);

static json_t *read_array(plumb_cursor_t *cursor, uint64_t count, unsigned depth)
{
    json_t *array = json_array();
    for (; array != NULL && count > 0; count--) {
        if (json_array_append_new(array, read_value(cursor, depth)) != 0) { /* NULL: an error */
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static bool take_key(plumb_cursor_t *cursor, plumb_token_t *key)
{
    return plumb_token_next(cursor, key) == NULL && key->kind == PLUMB_TOKEN_STR;
}

static json_t *read_map(plumb_cursor_t *cursor, uint64_t count, unsigned depth)
{
    json_t *object = json_object();
    for (; object != NULL && count > 0; count--) {
        plumb_token_t key = {0};
        if (!take_key(cursor, &key) ||
            json_object_setn_new(object, (const char *)key.data, (size_t)key.number,
                                 read_value(cursor, depth)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *read_value(plumb_cursor_t *cursor, unsigned depth)
{
    plumb_token_t token = {0};
    if (depth == UNPACK_DEPTH_MAX || plumb_token_next(cursor, &token) != NULL)
        return NULL;
    switch (token.kind) {
    case PLUMB_TOKEN_NIL:
        return json_null();
    case PLUMB_TOKEN_BOOL:
        return json_boolean(token.number != 0);
    case PLUMB_TOKEN_UINT:
        return token.number <= INT64_MAX ? json_integer((json_int_t)token.number) : NULL;
    case PLUMB_TOKEN_INT:
        return json_integer((json_int_t)token.number);
    case PLUMB_TOKEN_REAL:
        return json_real(token.real); /* NULL for what is not finite */
    case PLUMB_TOKEN_STR:
        return json_stringn((const char *)token.data, (size_t)token.number);
    case PLUMB_TOKEN_ARRAY:
        return read_array(cursor, token.number, depth + 1);
    case PLUMB_TOKEN_MAP:
        return read_map(cursor, token.number, depth + 1);
    case PLUMB_TOKEN_BIN:
        break;
    }
    return NULL;
}

json_t *unpack_json(const void *data, size_t length)
{
    plumb_cursor_t cursor = {data, (const uint8_t *)data + length};
    if (length == 0)
        return NULL;
    json_t *value = read_value(&cursor, 0);
    if (value != NULL && cursor.at != cursor.end) {
        json_decref(value);
        return NULL;
    }
    return value;
}

/* ---- the text ---- */

typedef struct unpack_member {
    const uint8_t *key;
    size_t length;
    size_t at, size; /* where `"key":value` stands in the text */
} member_t;

typedef struct writer {
    plumb_cursor_t cursor;
    unpack_space_t *space;
} writer_t;

static bool put_value(writer_t *w, unsigned depth);

static int compare(const void *a, const void *b)
{
    const member_t *x = a, *y = b;
    size_t shorter = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->key, y->key, shorter);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

/* The next member's place, valid until another is taken; NULL: out of memory. */
static member_t *take_member(unpack_space_t *space)
{
    if (space->count == space->capacity) {
        size_t capacity = space->capacity == 0 ? 32 : space->capacity * 2;
        member_t *grown = realloc(space->members, capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        space->members = grown;
        space->capacity = capacity;
    }
    return &space->members[space->count++];
}

/* Most objects have few members. */
static void sort(member_t *members, size_t count)
{
    if (count > FEW) {
        qsort(members, count, sizeof *members, compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        member_t moved = members[i];
        size_t to = i;
        for (; to > 0 && compare(&members[to - 1], &moved) > 0; to--)
            members[to] = members[to - 1];
        members[to] = moved;
    }
}

/* The members, which stand one behind the other in the order they came, put into their order. */
static void sort_members(unpack_space_t *space, size_t first)
{
    member_t *members = space->members + first;
    size_t count = space->count - first, from = members[0].at;
    plumb_buf_t *out = &space->text, *spare = &space->spare;
    plumb_buf_clear(spare);
    plumb_buf_put(spare, out->data + from, out->length - from);
    out->failed = out->failed || spare->failed;
    if (out->failed)
        return;
    sort(members, count);
    out->length = from;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            plumb_buf_put(out, ",", 1);
        plumb_buf_put(out, spare->data + (members[i].at - from), members[i].size);
    }
}

static bool put_member(writer_t *w, unsigned depth)
{
    plumb_buf_t *out = &w->space->text;
    plumb_token_t key = {0};
    size_t at = out->length, index = w->space->count;
    member_t *member = take_key(&w->cursor, &key) ? take_member(w->space) : NULL;
    if (member == NULL)
        return false;
    *member = (member_t){.key = key.data, .length = (size_t)key.number, .at = at};
    plumb_buf_json(out, (const char *)key.data, (size_t)key.number);
    plumb_buf_put(out, ":", 1);
    bool good = put_value(w, depth);
    w->space->members[index].size = out->length - at;
    return good;
}

static bool put_map(writer_t *w, uint64_t count, unsigned depth)
{
    unpack_space_t *space = w->space;
    size_t first = space->count;
    bool good = true, sorted = true;
    plumb_buf_put(&space->text, "{", 1);
    for (uint64_t i = 0; good && i < count; i++) {
        if (i > 0)
            plumb_buf_put(&space->text, ",", 1);
        good = put_member(w, depth);
        if (good && sorted && i > 0) {
            const member_t *last = space->members + space->count - 1;
            sorted = compare(last - 1, last) <= 0;
        }
    }
    if (good && !sorted)
        sort_members(space, first);
    space->count = first;
    plumb_buf_put(&space->text, "}", 1);
    return good;
}

static bool put_array(writer_t *w, uint64_t count, unsigned depth)
{
    bool good = true;
    plumb_buf_put(&w->space->text, "[", 1);
    for (uint64_t i = 0; good && i < count; i++) {
        if (i > 0)
            plumb_buf_put(&w->space->text, ",", 1);
        good = put_value(w, depth);
    }
    plumb_buf_put(&w->space->text, "]", 1);
    return good;
}

static bool put_integer(plumb_buf_t *out, uint64_t magnitude, bool negative)
{
    char digits[24], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + magnitude % 10);
    while ((magnitude /= 10) > 0);
    if (negative)
        *--at = '-';
    plumb_buf_put(out, at, (size_t)(digits + sizeof digits - at));
    return true;
}

/* Rare, and whatever jansson does with digits and exponents is what is wanted. */
static bool put_real(plumb_buf_t *out, double value)
{
    char text[64] = "";
    json_t *real = json_real(value);
    size_t length = real != NULL ? json_dumpb(real, text, sizeof text, JSON_ENCODE_ANY) : 0;
    json_decref(real);
    plumb_buf_put(out, text, length <= sizeof text ? length : 0);
    return length > 0 && length <= sizeof text;
}

static bool put_value(writer_t *w, unsigned depth)
{
    plumb_buf_t *out = &w->space->text;
    plumb_token_t token = {0};
    if (depth == UNPACK_DEPTH_MAX || plumb_token_next(&w->cursor, &token) != NULL)
        return false;
    switch (token.kind) {
    case PLUMB_TOKEN_NIL:
        plumb_buf_text(out, "null");
        return true;
    case PLUMB_TOKEN_BOOL:
        plumb_buf_text(out, token.number != 0 ? "true" : "false");
        return true;
    case PLUMB_TOKEN_UINT:
        return token.number <= INT64_MAX && put_integer(out, token.number, false);
    case PLUMB_TOKEN_INT:
        return put_integer(out, -token.number, true);
    case PLUMB_TOKEN_REAL:
        return put_real(out, token.real);
    case PLUMB_TOKEN_STR:
        plumb_buf_json(out, (const char *)token.data, (size_t)token.number);
        return true;
    case PLUMB_TOKEN_ARRAY:
        return put_array(w, token.number, depth + 1);
    case PLUMB_TOKEN_MAP:
        return put_map(w, token.number, depth + 1);
    case PLUMB_TOKEN_BIN:
        break;
    }
    return false;
}

bool unpack_text(unpack_space_t *space, const void *data, size_t length)
{
    writer_t w = {.cursor = {data, (const uint8_t *)data + length}, .space = space};
    plumb_buf_clear(&space->text);
    space->count = 0;
    return length > 0 && put_value(&w, 0) && w.cursor.at == w.cursor.end && !space->text.failed;
}

void unpack_space_trim(unpack_space_t *space)
{
    if (space->text.capacity > TEXT_KEPT_MAX || space->capacity > MEMBERS_KEPT_MAX)
        unpack_space_fini(space);
}

void unpack_space_fini(unpack_space_t *space)
{
    plumb_buf_fini(&space->text);
    plumb_buf_fini(&space->spare);
    free(space->members);
    *space = (unpack_space_t){0};
}

/* ---- one member ---- */

plumb_token_t unpack_member(const void *data, size_t length, const char *name)
{
    static const plumb_token_t none;
    plumb_cursor_t cursor = {data, (const uint8_t *)data + length};
    plumb_token_t map = {0}, key = {0}, value = {0};
    size_t wanted = strlen(name);
    if (length == 0 || plumb_token_next(&cursor, &map) != NULL || map.kind != PLUMB_TOKEN_MAP)
        return none;
    for (uint64_t left = map.number; left > 0 && take_key(&cursor, &key); left--) {
        if (key.number == wanted && memcmp(key.data, name, wanted) == 0) {
            bool text = plumb_token_next(&cursor, &value) == NULL && value.kind == PLUMB_TOKEN_STR;
            return text ? value : none;
        }
        plumb_token_skip(&cursor);
    }
    return none;
}
