/* A growing byte buffer. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

void plumb_buf_fini(plumb_buf_t *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (plumb_buf_t){0};
}

void plumb_buf_wipe(plumb_buf_t *buf)
{
    if (buf != NULL && buf->data != NULL)
        explicit_bzero(buf->data, buf->capacity);
    plumb_buf_fini(buf);
}

void plumb_buf_clear(plumb_buf_t *buf)
{
    buf->length = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

/* Make room for `more` bytes and the NUL behind them. */
static bool reserve(plumb_buf_t *buf, size_t more)
{
    if (buf->failed)
        return false;
    if (more < buf->capacity - buf->length) /* length < capacity, or both are 0 */
        return true;
    size_t want = buf->length + more + 1;
    size_t capacity = buf->capacity > 0 ? buf->capacity : FIRST_CAPACITY;
    while (capacity < want && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    char *data = want > more && capacity >= want ? realloc(buf->data, capacity) : NULL;
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void plumb_buf_reserve(plumb_buf_t *buf, size_t more)
{
    reserve(buf, more);
}

void plumb_buf_put(plumb_buf_t *buf, const void *data, size_t length)
{
    if (!reserve(buf, length))
        return;
    if (length > 0)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void plumb_buf_printf(plumb_buf_t *buf, const char *format, ...)
{
    if (!reserve(buf, 0))
        return;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = buf->capacity - buf->length;
    int length = vsnprintf(buf->data + buf->length, room, format, args);
    va_end(args);
    if (length < 0) {
        buf->failed = true;
    } else if ((size_t)length >= room && reserve(buf, (size_t)length)) {
        vsnprintf(buf->data + buf->length, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (buf->failed)
        buf->data[buf->length] = '\0';
    else
        buf->length += (size_t)length;
}

/* The letter behind the backslash for what JSON can name; 'u' for other controls; 0: as it is. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 ? 'u' : '\0';
    }
}

static void put_escape(plumb_buf_t *buf, unsigned char c, char escape)
{
    if (escape == 'u')
        plumb_buf_printf(buf, "\\u%04X", c);
    else
        plumb_buf_put(buf, (char[]){'\\', escape}, 2);
}

/* Does none of the eight bytes at `at` need an escape?  Answers for all at once, with a bit a byte;
 * a byte of 0x80 and above hides what is said of itself, and is plain. */
static bool is_plain_8(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t x;
    memcpy(&x, at, sizeof x);
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
    uint64_t found = (x - ones * 0x20) | (quote - ones) | (backslash - ones);
    return (found & ~x & tops) == 0;
}

void plumb_buf_json(plumb_buf_t *buf, const char *text, size_t length)
{
    size_t from = 0; /* of the run that needs no escape */
    plumb_buf_put(buf, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        while (length - i > 8 && is_plain_8(text + i))
            i += 8;
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        plumb_buf_put(buf, text + from, i - from);
        put_escape(buf, c, escape_of(c));
        from = i + 1;
    }
    if (length > 0)
        plumb_buf_put(buf, text + from, length - from);
    plumb_buf_put(buf, "\"", 1);
}

void plumb_buf_json_text(plumb_buf_t *buf, const char *text)
{
    plumb_buf_json(buf, text, strlen(text));
}
