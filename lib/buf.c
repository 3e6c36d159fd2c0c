/* A growing byte buffer. */
#include "buf.h"

#include "json_plain.h"

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

void plumb_buf_grow_and_put(plumb_buf_t *buf, const void *data, size_t length)
{
    if (reserve(buf, length))
        plumb_buf_put(buf, data, length);
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

void plumb_buf_json(plumb_buf_t *buf, const char *text, size_t length)
{
    size_t plain;
    reserve(buf, length + 2); /* unless something is to be escaped, for all of it */
    plumb_buf_put(buf, "\"", 1);
    while ((plain = plumb_json_plain(text, length)) < length) {
        unsigned char c = (unsigned char)text[plain];
        plumb_buf_put(buf, text, plain);
        put_escape(buf, c, escape_of(c));
        text += plain + 1;
        length -= plain + 1;
    }
    plumb_buf_put(buf, text, plain);
    plumb_buf_put(buf, "\"", 1);
}

void plumb_buf_json_text(plumb_buf_t *buf, const char *text)
{
    plumb_buf_json(buf, text, strlen(text));
}
