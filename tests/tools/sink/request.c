/* Reading a request. */
#include "sink.h"

#include <stdlib.h>
#include <string.h>

static bool is_name(const text_t *line, const char *name, text_t *value)
{
    size_t length = strlen(name);
    if (line->length <= length || line->at[length] != ':' ||
        strncasecmp(line->at, name, length) != 0)
        return false;
    *value = (text_t){line->at + length + 1, line->length - length - 1};
    while (value->length > 0 && *value->at == ' ') {
        value->at++;
        value->length--;
    }
    return true;
}

static bool read_header(request_t *r, const text_t *line)
{
    text_t value;
    if (is_name(line, "content-length", &value))
        r->body = strtoul(value.at, NULL, 10); /* the line's end stops it */
    else if (is_name(line, "webhook-id", &value) ||
             (r->id.length == 0 && is_name(line, "idempotency-key", &value)))
        r->id = value;
    else if (is_name(line, "plumb-attempt", &value))
        r->attempt = value;
    else if (is_name(line, "connection", &value))
        r->closes = strncasecmp(value.at, "close", 5) == 0;
    else if (is_name(line, "expect", &value))
        r->expects = true;
    else if (is_name(line, "transfer-encoding", &value))
        return false;
    return true;
}

/* "POST /path?query HTTP/1.1" */
static bool read_target(request_t *r, const text_t *line)
{
    const char *target = memchr(line->at, ' ', line->length);
    if (target == NULL || target[1] != '/')
        return false;
    target++;
    const char *end = memchr(target, ' ', line->length - (size_t)(target - line->at));
    if (end == NULL || strncmp(end, " HTTP/1.", 8) != 0)
        return false;
    const char *mark = memchr(target, '?', (size_t)(end - target));
    r->path = (text_t){target, (size_t)((mark == NULL ? end : mark) - target)};
    if (mark != NULL)
        r->query = (text_t){mark + 1, (size_t)(end - mark - 1)};
    return true;
}

static bool read_head(request_t *r, const char *data, const char *end)
{
    bool good = true;
    for (const char *at = data; good && at < end;) {
        const char *stop = memmem(at, (size_t)(end - at) + 2, "\r\n", 2);
        text_t line = {at, (size_t)(stop - at)};
        good = at == data ? read_target(r, &line) : read_header(r, &line);
        at = stop + 2;
    }
    return good;
}

static int64_t find_stamp(const char *body, size_t length)
{
    static const char name[] = "\"sentUs\":";
    const char *at = memmem(body, length, name, sizeof name - 1);
    if (at == NULL)
        return 0;
    int64_t stamp = 0;
    at += sizeof name - 1;
    at += at < body + length && *at == ' ';
    for (; at < body + length && *at >= '0' && *at <= '9'; at++)
        stamp = stamp * 10 + (*at - '0');
    return stamp;
}

int request_read(request_t *r, const char *data, size_t length)
{
    *r = (request_t){.head = 0};
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (end == NULL)
        return length > REQUEST_MAX ? -1 : 0;
    if (!read_head(r, data, end) || r->body > REQUEST_MAX)
        return -1;
    r->head = (size_t)(end + 4 - data);
    if (length - r->head < r->body)
        return 0;
    r->stamp = find_stamp(data + r->head, r->body);
    return 1;
}
