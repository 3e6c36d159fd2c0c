/* A growing byte buffer.  Memory errors are sticky: writers may be chained and `failed` looked at
 * once. */
#ifndef PLUMB_BUF_H
#define PLUMB_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct plumb_buf {
    char *data; /* owned; NUL follows the content whenever data != NULL */
    size_t length;
    size_t capacity;
    bool failed; /* out of memory: content is incomplete */
} plumb_buf_t;

void plumb_buf_fini(plumb_buf_t *buf);  /* safe on zeroes */
void plumb_buf_wipe(plumb_buf_t *buf);  /* the same, and leaves zeroes behind: for secrets */
void plumb_buf_clear(plumb_buf_t *buf); /* keeps the memory */
/* Make room: what grows no further is not moved, so that a secret leaves no copy behind. */
void plumb_buf_reserve(plumb_buf_t *buf, size_t more);
/* plumb_buf_put when there is no room yet. */
void plumb_buf_grow_and_put(plumb_buf_t *buf, const void *data, size_t length);
/* Here, since most of what is put is a few bytes, for which there is room. */
static inline void plumb_buf_put(plumb_buf_t *buf, const void *data, size_t length)
{
    if (buf->failed || length >= buf->capacity - buf->length) { /* length < capacity, or both 0 */
        plumb_buf_grow_and_put(buf, data, length);
        return;
    }
    if (length > 0)
        memcpy(buf->data + buf->length, data, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}
/* Here, so that the length of a literal is counted when it is compiled. */
static inline void plumb_buf_text(plumb_buf_t *buf, const char *text)
{
    plumb_buf_put(buf, text, strlen(text));
}
void plumb_buf_printf(plumb_buf_t *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A JSON string with quotes; `text` is valid UTF-8. */
void plumb_buf_json(plumb_buf_t *buf, const char *text, size_t length);
void plumb_buf_json_text(plumb_buf_t *buf, const char *text);

#endif
