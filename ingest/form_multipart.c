/* multipart/form-data (RFC 7578): parts between lines of the boundary. */
#include "form.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BOUNDARY_MAX 70

static int refuse(plumb_err_t *err, const char *why)
{
    return plumb_err_set(err, PLUMB_E_BAD_REQUEST, "multipart/form-data: %s", why);
}

/* The value of parameter `name` in a header's value, quotes taken off; NULL: there is none. */
static const char *parameter(const char *text, size_t length, const char *name, size_t *size)
{
    size_t name_length = strlen(name);
    const char *end = text + length;
    const char *at = memchr(text, ';', length);
    while (at != NULL) {
        at++;
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        bool found = (size_t)(end - at) > name_length && strncasecmp(at, name, name_length) == 0 &&
                     at[name_length] == '=';
        const char *value = memchr(at, '=', (size_t)(end - at));
        if (value == NULL)
            return NULL;
        value++;
        bool quoted = value < end && *value == '"';
        value += quoted;
        const char *stop = value;
        while (stop < end && *stop != (quoted ? '"' : ';'))
            stop++;
        if (found) {
            *size = (size_t)(stop - value);
            return value;
        }
        at = memchr(stop, ';', (size_t)(end - stop));
    }
    return NULL;
}

/* A part under way. */
typedef struct part {
    plumb_slice_t name, value;
    bool is_file;
} part_t;

static void read_header(part_t *part, const char *line, size_t length)
{
    static const char wanted[] = "Content-Disposition:";
    size_t size;
    if (length < sizeof wanted - 1 || strncasecmp(line, wanted, sizeof wanted - 1) != 0)
        return;
    const char *name = parameter(line, length, "name", &size);
    if (name != NULL)
        part->name = (plumb_slice_t){name, size};
    part->is_file = parameter(line, length, "filename", &size) != NULL ||
                    parameter(line, length, "filename*", &size) != NULL;
}

/* Read head and value of what lies between two boundaries. */
static int read_part(part_t *part, const char *at, const char *end, plumb_err_t *err)
{
    *part = (part_t){.is_file = false};
    for (;;) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (line_end == NULL)
            return refuse(err, "a part's head does not end");
        if (line_end == at)
            break;
        read_header(part, at, (size_t)(line_end - at));
        at = line_end + 2;
    }
    at += 2;
    part->value = (plumb_slice_t){at, (size_t)(end - at)};
    return part->name.data != NULL ? 0 : refuse(err, "a part has no name");
}

/* "\r\n--<boundary>" in `out`; its length, 0: there is no boundary. */
static size_t read_boundary(const char *content_type, char out[BOUNDARY_MAX + 5])
{
    size_t size;
    const char *boundary = parameter(content_type, strlen(content_type), "boundary", &size);
    if (boundary == NULL || size == 0 || size > BOUNDARY_MAX)
        return 0;
    return (size_t)snprintf(out, BOUNDARY_MAX + 5, "\r\n--%.*s", (int)size, boundary);
}

int form_read_multipart(form_t *form, const char *content_type, const plumb_buf_t *body,
                        plumb_err_t *err)
{
    char mark[BOUNDARY_MAX + 5];
    size_t length = read_boundary(content_type, mark);
    const char *at = body->data, *end = at + body->length;
    if (length == 0)
        return refuse(err, "no boundary");
    if ((size_t)(end - at) < length - 2 || memcmp(at, mark + 2, length - 2) != 0)
        return refuse(err, "the body does not begin with the boundary");
    at += length - 2;
    while (end - at >= 2 && memcmp(at, "\r\n", 2) == 0) {
        part_t part;
        at += 2;
        const char *stop = memmem(at, (size_t)(end - at), mark, length);
        if (stop == NULL)
            return refuse(err, "the last boundary is missing");
        int rc = read_part(&part, at, stop, err);
        if (rc == 0 && !part.is_file)
            rc = form_add(form, part.name, part.value, false, err);
        if (rc < 0)
            return rc;
        at = stop + length;
    }
    return end - at >= 2 && memcmp(at, "--", 2) == 0
               ? 0
               : refuse(err, "something else follows a boundary");
}
