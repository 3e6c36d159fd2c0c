/* The framing rules. */
#include "door.h"

#include "count.h"

#include <stdalign.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define TARGET_MAX 2048
#define LENGTH_DIGITS 9

/* Headers that may come once, and where they go. */
static const struct {
    const char *name;
    size_t member;
} singles[] = {
    {"Host", offsetof(door_t, host)},
    {"Content-Length", offsetof(door_t, content_length)},
    {"Transfer-Encoding", offsetof(door_t, transfer_encoding)},
    {"Content-Type", offsetof(door_t, content_type)},
    {"Authorization", offsetof(door_t, authorization)},
    {"Idempotency-Key", offsetof(door_t, idempotency_key)},
    {"traceparent", offsetof(door_t, traceparent)},
    {"Expect", offsetof(door_t, expect)},
    {"Upgrade", offsetof(door_t, upgrade)},
};

static int refuse(plumb_err_t *err, const char *why)
{
    return plumb_err_set(err, PLUMB_E_BAD_REQUEST, "%s", why);
}

/* ---- lines ---- */

/* Behind the value's last byte; NULL: a control character is in it. */
static const char *end_of_value(const char *value)
{
    const unsigned char *at = (const unsigned char *)value;
    while (*at >= 0x20 && *at != 0x7F)
        at++;
    return *at == '\0' ? (const char *)at : NULL;
}

/* civetweb wrote NUL over each colon, over "\r\n" behind each value and over the last byte of the
 * head, and over nothing else: so the head's shape can still be told. */
static int check_lines(const struct mg_request_info *info, plumb_err_t *err)
{
    /* It reads the head to the start of memory that malloc gave it, skips blanks there, and then
     * counts the body from the wrong place. */
    if ((uintptr_t)info->request_method % alignof(max_align_t) != 0)
        return refuse(err, "bytes before the request line");
    const char *begin = info->http_version + strlen(info->http_version) + 2;
    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *h = &info->http_headers[i];
        size_t length = strlen(h->name);
        if (h->name != begin)
            return refuse(err, "a header line does not begin where the one before ends");
        if (h->value != h->name + length + 1 && h->name[length + 1] == '\0')
            return refuse(err, "blank between a header's name and its colon");
        const char *end = end_of_value(h->value);
        if (end == NULL)
            return refuse(err, "control character in a header");
        if (end[1] != '\0')
            return refuse(err, "header line without carriage return");
        begin = end + 2;
    }
    if (begin[0] != '\r' || begin[1] != '\0')
        return refuse(err, "the head does not end where its last header does");
    return 0;
}

static int take_singles(door_t *door, const struct mg_request_info *info, plumb_err_t *err)
{
    for (int i = 0; i < info->num_headers; i++) {
        const struct mg_header *h = &info->http_headers[i];
        for (size_t s = 0; s < PLUMB_COUNT(singles); s++) {
            const char **member = (const char **)((char *)door + singles[s].member);
            if ((h->name[0] | 0x20) != (singles[s].name[0] | 0x20) ||
                strcasecmp(h->name, singles[s].name) != 0)
                continue;
            if (*member != NULL)
                return plumb_err_set(err, PLUMB_E_BAD_REQUEST, "more than one %s", singles[s].name);
            *member = h->value;
            break;
        }
    }
    return 0;
}

/* ---- the body's length ---- */

static bool is_length(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= LENGTH_DIGITS && text[digits] == '\0';
}

static int check_framing(door_t *door, const struct mg_request_info *info, plumb_err_t *err)
{
    if (door->upgrade != NULL)
        return refuse(err, "Upgrade is not served");
    if (door->transfer_encoding != NULL) {
        if (strcasecmp(door->transfer_encoding, "chunked") != 0)
            return refuse(err, "Transfer-Encoding other than chunked");
        if (door->content_length != NULL)
            return refuse(err, "both Content-Length and Transfer-Encoding");
        if (strcmp(info->http_version, "1.1") != 0)
            return refuse(err, "Transfer-Encoding in HTTP/1.0");
        door->is_chunked = door->has_body = true;
    }
    if (door->content_length != NULL) {
        if (!is_length(door->content_length))
            return refuse(err, "Content-Length is no number of 1 to 9 digits");
        door->length = info->content_length;
        door->has_body = door->length > 0;
    }
    return 0;
}

/* ---- host and target ---- */

static bool is_host_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

/* Length of the name (or bracketed address) that `host` begins with; 0: not well-formed. */
static size_t host_name(const char *host)
{
    size_t n = 0;
    if (host[0] == '[') {
        n = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        if (host[n++] != ']')
            return 0;
    } else {
        while (is_host_character(host[n]))
            n++;
    }
    if (host[n] == '\0')
        return n;
    size_t port = strspn(host + n + 1, "0123456789");
    return host[n] == ':' && port >= 1 && port <= 5 && host[n + 1 + port] == '\0' ? n : 0;
}

static bool is_served(const char *hosts, const char *name, size_t length)
{
    while (*hosts != '\0') {
        hosts += strspn(hosts, ", ");
        size_t n = strcspn(hosts, ", ");
        if (n == length && strncasecmp(hosts, name, n) == 0)
            return true;
        hosts += n;
    }
    return false;
}

static int check_host(const door_t *door, const char *hosts, plumb_err_t *err)
{
    if (door->host == NULL)
        return refuse(err, "no Host");
    size_t length = host_name(door->host);
    if (length == 0)
        return refuse(err, "malformed Host");
    if (*hosts != '\0' && !is_served(hosts, door->host, length))
        return refuse(err, "unknown Host");
    return 0;
}

static bool is_escape(const char *at, char high, char low)
{
    return at[0] == '%' && at[1] == high && (at[2] | 0x20) == low;
}

/* A segment "." or "..", plain or escaped, begins at `at`? */
static bool is_dots(const char *at)
{
    int dots = 0;
    while (*at == '.' || is_escape(at, '2', 'e')) {
        at += *at == '.' ? 1 : 3;
        dots++;
    }
    return (dots == 1 || dots == 2) && (*at == '/' || *at == '\0');
}

static int check_target(door_t *door, const struct mg_request_info *info, plumb_err_t *err)
{
    const char *path = info->local_uri_raw, *query = info->query_string;
    if (path == NULL || path[0] != '/' || path != info->request_uri)
        return refuse(err, "the target is no path");
    if (strlen(path) + (query == NULL ? 0 : strlen(query) + 1) > TARGET_MAX)
        return refuse(err, "the target is longer than 2048 bytes");
    for (const char *at = path; *at != '\0'; at++) {
        if (is_escape(at, '2', 'f') || is_escape(at, '5', 'c') || *at == '\\')
            return refuse(err, "encoded slash in the target");
        if (*at == '/' && is_dots(at + 1))
            return refuse(err, "dot segment in the target");
    }
    for (const char *at = path; at != NULL; at = at == path ? query : NULL)
        if (strstr(at, "%00") != NULL)
            return refuse(err, "NUL in the target");
    door->path = path;
    door->query = query;
    return 0;
}

int door_check(door_t *door, const struct mg_request_info *info, const char *hosts,
               plumb_err_t *err)
{
    *door = (door_t){.length = 0};
    if (info->num_headers >= MG_MAX_HEADERS) /* further ones were dropped unseen */
        return refuse(err, "too many headers");
    int rc = check_lines(info, err);
    if (rc == 0)
        rc = take_singles(door, info, err);
    if (rc == 0)
        rc = check_framing(door, info, err);
    if (rc == 0)
        rc = check_host(door, hosts, err);
    if (rc == 0)
        rc = check_target(door, info, err);
    return rc;
}
