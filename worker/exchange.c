/* The record of an exchange. */
#include "exchange.h"

#include <string.h>

/* Append `text` as a JSON string: redacted, at most `max` bytes. */
static void put_text(plumb_buf_t *out, plumb_buf_t *scratch, const redact_t *secrets,
                     const char *text, size_t length, size_t max)
{
    plumb_buf_clear(scratch);
    redact_put(secrets, scratch, text, length, max);
    plumb_buf_json(out, scratch->data != NULL ? scratch->data : "", scratch->length);
}

/* Headers that carry credentials whatever they are called in the credential's table. */
static bool is_private(const char *name, size_t length)
{
    static const char *const names[] = {"Authorization", "Cookie", "Set-Cookie"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && strncasecmp(names[i], name, length) == 0)
            return true;
    return false;
}

static void put_header(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x, size_t index,
                       const char *name, size_t name_length, const char *value)
{
    plumb_buf_text(out, index > 0 ? "," : "");
    put_text(out, scratch, x->secrets, name, name_length, EXCHANGE_VALUE_MAX);
    plumb_buf_text(out, ":");
    if (is_private(name, name_length))
        plumb_buf_json_text(out, REDACT_MARK);
    else
        put_text(out, scratch, x->secrets, value, strlen(value), EXCHANGE_VALUE_MAX);
}

static bool is_doubled(const struct curl_slist *first, const struct curl_slist *line, size_t length)
{
    for (; first != line; first = first->next)
        if (strncasecmp(first->data, line->data, length) == 0 &&
            (first->data[length] == ':' || first->data[length] == ';'))
            return true;
    return false;
}

static void put_request_headers(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x)
{
    size_t index = 0;
    const struct curl_slist *line = x->ask->headers;
    plumb_buf_text(out, ",\"headers\":{");
    for (; line != NULL && index < EXCHANGE_HEADERS_MAX; line = line->next) {
        size_t length = strcspn(line->data, ":;");
        const char *value = line->data + length;
        bool suppressed = value[0] == ':' && value[1] == '\0';
        if (suppressed || is_doubled(x->ask->headers, line, length))
            continue;
        value += strspn(value, ":; ");
        put_header(out, scratch, x, index++, line->data, length, value);
    }
    plumb_buf_text(out, "}");
}

static void put_body(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x,
                     const plumb_buf_t *body)
{
    plumb_buf_text(out, ",\"body\":");
    put_text(out, scratch, x->secrets, body->data != NULL ? body->data : "", body->length,
             x->brief ? EXCHANGE_BRIEF_MAX : EXCHANGE_BODY_MAX);
    plumb_buf_text(out, "}");
}

static void put_url(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x)
{
    const char *url = x->ask->url.data, *host = strstr(url, "://");
    size_t origin = 0;
    if (host != NULL)
        origin = (size_t)(host + 3 - url) + strcspn(host + 3, "/?#");
    if (!x->hide_path || host == NULL) {
        put_text(out, scratch, x->secrets, url, x->ask->url.length, EXCHANGE_BODY_MAX);
        return;
    }
    plumb_buf_clear(scratch);
    plumb_buf_put(scratch, url, origin);
    if (url[origin] != '\0' && strcmp(url + origin, "/") != 0)
        plumb_buf_text(scratch, "/" REDACT_MARK);
    plumb_buf_json(out, scratch->data, scratch->length);
}

static void put_request(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x)
{
    plumb_buf_text(out, "{\"request\":{\"method\":");
    plumb_buf_json_text(out, x->ask->mail ? "MAIL" : x->ask->method);
    plumb_buf_text(out, ",\"url\":");
    put_url(out, scratch, x);
    if (!x->brief)
        put_request_headers(out, scratch, x);
    put_body(out, scratch, x, &x->ask->body);
}

static void put_response_headers(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x)
{
    void *at = NULL;
    const char *name, *value;
    plumb_buf_text(out, ",\"headers\":{");
    for (size_t i = 0;
         i < EXCHANGE_HEADERS_MAX && transfer_next_header(x->transfer, &at, &name, &value); i++)
        put_header(out, scratch, x, i, name, strlen(name), value);
    plumb_buf_text(out, "}");
}

static void put_response(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *x)
{
    plumb_buf_printf(out, ",\"response\":{\"status\":%d", x->status);
    if (!x->brief)
        put_response_headers(out, scratch, x);
    put_body(out, scratch, x, transfer_body(x->transfer));
    plumb_buf_text(out, "}");
}

void exchange_write(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *exchange)
{
    put_request(out, scratch, exchange);
    if (exchange->transfer != NULL && exchange->status > 0)
        put_response(out, scratch, exchange);
    else
        plumb_buf_text(out, ",\"response\":null}");
}
