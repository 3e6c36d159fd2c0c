/* A msgpack reader that builds JSON.  Memory follows the bytes that are there, never a count that
 * is only claimed. */
#include "unpack.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct reader {
    const uint8_t *at, *end;
    unsigned depth;
} reader_t;

static json_t *read_value(reader_t *r);

/* The next `size` bytes as a big-endian number. */
static bool take_number(reader_t *r, unsigned size, uint64_t *out)
{
    if ((size_t)(r->end - r->at) < size)
        return false;
    *out = 0;
    for (; size > 0; size--)
        *out = *out << 8 | *r->at++;
    return true;
}

static bool take_bytes(reader_t *r, uint64_t length, const char **out)
{
    if ((uint64_t)(r->end - r->at) < length)
        return false;
    *out = (const char *)r->at;
    r->at += length;
    return true;
}

static json_t *read_string(reader_t *r, uint64_t length)
{
    const char *text;
    return take_bytes(r, length, &text) ? json_stringn(text, (size_t)length) : NULL;
}

static json_t *read_array(reader_t *r, uint64_t count)
{
    json_t *array = json_array();
    for (; array != NULL && count > 0; count--) {
        if (json_array_append_new(array, read_value(r)) != 0) { /* takes NULL as an error */
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* The length of the text that begins here; false when it is no text. */
static bool take_key(reader_t *r, const char **key, uint64_t *length)
{
    uint64_t byte;
    if (!take_number(r, 1, &byte))
        return false;
    if ((byte & 0xe0) == 0xa0)
        *length = byte & 0x1f;
    else if (byte < 0xd9 || byte > 0xdb || !take_number(r, 1u << (byte - 0xd9), length))
        return false;
    return take_bytes(r, *length, key);
}

static json_t *read_map(reader_t *r, uint64_t count)
{
    json_t *object = json_object();
    for (; object != NULL && count > 0; count--) {
        const char *key;
        uint64_t length;
        if (!take_key(r, &key, &length) ||
            json_object_setn_new(object, key, (size_t)length, read_value(r)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *read_real(reader_t *r, unsigned size)
{
    uint64_t bits;
    if (!take_number(r, size, &bits))
        return NULL;
    double value;
    if (size == 8) {
        memcpy(&value, &bits, sizeof value);
    } else {
        uint32_t half = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &half, sizeof narrow);
        value = (double)narrow;
    }
    return json_real(value); /* NULL for what is not finite */
}

static json_t *read_unsigned(reader_t *r, unsigned size)
{
    uint64_t value;
    if (!take_number(r, size, &value) || value > INT64_MAX)
        return NULL;
    return json_integer((json_int_t)value);
}

static json_t *read_signed(reader_t *r, unsigned size)
{
    uint64_t value;
    if (!take_number(r, size, &value))
        return NULL;
    unsigned unused = 64 - 8 * size;
    return json_integer((int64_t)(value << unused) >> unused);
}

/* A value whose length or count follows in `size` bytes. */
static json_t *read_sized(reader_t *r, unsigned size, json_t *(*read)(reader_t *, uint64_t))
{
    uint64_t count;
    return take_number(r, size, &count) ? read(r, count) : NULL;
}

static json_t *read_marked(reader_t *r, uint8_t mark)
{
    switch (mark) {
    case 0xc0:
        return json_null();
    case 0xc2:
        return json_false();
    case 0xc3:
        return json_true();
    case 0xca:
    case 0xcb:
        return read_real(r, mark == 0xca ? 4 : 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_unsigned(r, 1u << (mark - 0xcc));
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_signed(r, 1u << (mark - 0xd0));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return read_sized(r, 1u << (mark - 0xd9), read_string);
    case 0xdc:
    case 0xdd:
        return read_sized(r, mark == 0xdc ? 2 : 4, read_array);
    case 0xde:
    case 0xdf:
        return read_sized(r, mark == 0xde ? 2 : 4, read_map);
    default:
        return NULL;
    }
}

static json_t *read_value(reader_t *r)
{
    if (r->at == r->end || r->depth == UNPACK_DEPTH_MAX)
        return NULL;
    uint8_t mark = *r->at++;
    json_t *value;
    r->depth++;
    if (mark < 0x80)
        value = json_integer(mark);
    else if (mark < 0x90)
        value = read_map(r, mark & 0x0f);
    else if (mark < 0xa0)
        value = read_array(r, mark & 0x0f);
    else if (mark < 0xc0)
        value = read_string(r, mark & 0x1f);
    else if (mark >= 0xe0)
        value = json_integer((int8_t)mark);
    else
        value = read_marked(r, mark);
    r->depth--;
    return value;
}

json_t *unpack_json(const void *data, size_t length)
{
    reader_t r = {.at = data, .end = (const uint8_t *)data + length};
    if (length == 0)
        return NULL;
    json_t *value = read_value(&r);
    if (value != NULL && r.at != r.end) {
        json_decref(value);
        return NULL;
    }
    return value;
}
