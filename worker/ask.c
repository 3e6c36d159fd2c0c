/* Putting a request together; what comes from outside cannot change its framing. */
#include "ask.h"

#include <string.h>

#define BODY_KEPT_MAX 65536 /* a larger buffer is given back after its call */

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool is_token_char(unsigned char c)
{
    unsigned char letter = c | 0x20;
    return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           (c != '\0' && strchr("!#$%&'*+.^_`|~", c) != NULL);
}

static bool is_token(const char *text, size_t max)
{
    size_t length = 0;
    while (is_token_char((unsigned char)text[length]))
        length++;
    return length > 0 && length <= max && text[length] == '\0';
}

/* Framing and routing are the host's; the last row keeps answers from being bombs. */
static bool is_reserved(const char *name, size_t length)
{
#define NAME(text)                                                                                 \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
    static const struct {
        const char *text;
        size_t length;
    } names[] = {
        NAME("Host"),       NAME("Content-Length"), NAME("Transfer-Encoding"), NAME("Expect"),
        NAME("Connection"), NAME("Keep-Alive"),     NAME("Upgrade"),           NAME("TE"),
        NAME("Trailer"),    NAME("Accept-Encoding")};
#undef NAME
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].length == length && strcasecmp(name, names[i].text) == 0)
            return true;
    return strncasecmp(name, "Proxy-", 6) == 0;
}

/* Append the three texts as one line.  The library only reads its lists, so their items need not
 * come from its own functions: here they are one piece each of the request's memory. */
static void append(ask_t *ask, struct curl_slist **first, struct curl_slist **last,
                   const char *const texts[3])
{
    size_t lengths[3], size = 1;
    for (size_t i = 0; i < 3; i++) {
        lengths[i] = strlen(texts[i]);
        size += lengths[i];
    }
    struct curl_slist *item = arena_take(&ask->memory, sizeof *item + size);
    if (item == NULL) {
        ask->broken = "out of memory";
        return;
    }
    char *at = (char *)(item + 1);
    *item = (struct curl_slist){.data = at};
    for (size_t i = 0; i < 3; i++) {
        memcpy(at, texts[i], lengths[i]);
        at += lengths[i];
    }
    *at = '\0';
    *(*last != NULL ? &(*last)->next : first) = item;
    *last = item;
}

static void append_header(ask_t *ask, const char *name, const char *between, const char *value)
{
    append(ask, &ask->headers, &ask->last_header, (const char *const[]){name, between, value});
}

bool ask_suppress(ask_t *ask, const char *name)
{
    append_header(ask, name, ":", "");
    return ask->broken == NULL;
}

static bool begin(ask_t *ask, const char *url)
{
    if (ask->broken != NULL)
        return false;
    plumb_buf_clear(&ask->url);
    if (ask->begun)
        ask->broken = "a step asked for two requests";
    else if (url == NULL || url[0] == '\0' || strlen(url) > ASK_URL_MAX || !is_plain(url))
        ask->broken = "an address is empty, too long or holds control characters";
    else
        plumb_buf_text(&ask->url, url);
    ask->begun = true;
    return ask->broken == NULL;
}

void ask_request(ask_t *ask, const char *method, const char *url)
{
    if (!begin(ask, url))
        return;
    if (method == NULL || !is_token(method, sizeof ask->method - 1))
        ask->broken = "a method is malformed";
    else
        memcpy(ask->method, method, strlen(method) + 1);
}

void ask_header(ask_t *ask, const char *name, const char *value)
{
    if (ask->broken != NULL)
        return;
    if (!ask->begun || ask->mail)
        ask->broken = "a header without an HTTP request";
    else if (name == NULL || value == NULL || !is_token(name, 128) || !is_plain(value))
        ask->broken = "a header holds control characters";
    else if (is_reserved(name, strlen(name)))
        ask->broken = "a header that is the host's alone";
    else if (++ask->header_count > ASK_HEADERS_MAX)
        ask->broken = "too many headers";
    if (ask->broken != NULL)
        return;
    ask->has_type = ask->has_type || strcasecmp(name, "Content-Type") == 0;
    /* The library reads "Name:" as "leave it out" and "Name;" as an empty value. */
    append_header(ask, name, value[0] == '\0' ? ";" : ": ", value);
}

/* All of it, at least where it is not above ASK_BODY_MAX. */
static size_t length_of(const plumb_part_t *parts, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count && length <= ASK_BODY_MAX; i++)
        length += parts[i].length <= ASK_BODY_MAX ? parts[i].length : (size_t)ASK_BODY_MAX + 1;
    return length;
}

static bool is_missing(const plumb_part_t *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (parts[i].data == NULL)
            return true;
    return false;
}

void ask_body(ask_t *ask, const char *content_type, const plumb_part_t *parts, size_t count)
{
    if (ask->broken != NULL)
        return;
    if (!ask->begun || is_missing(parts, count) || ask->has_body)
        ask->broken = "a body without a request, or a second one";
    else if (length_of(parts, count) > ASK_BODY_MAX)
        ask->broken = "a body above 1 MiB";
    if (ask->broken != NULL)
        return;
    if (!ask->mail && content_type != NULL && !ask->has_type)
        ask_header(ask, "Content-Type", content_type);
    ask->has_body = true;
    plumb_buf_clear(&ask->body);
    for (size_t i = 0; i < count; i++)
        plumb_buf_put(&ask->body, parts[i].data, parts[i].length);
    if (ask->body.failed)
        ask->broken = "out of memory";
}

static char *copy_text(ask_t *ask, const char *text)
{
    if (text == NULL)
        return NULL;
    if (!is_plain(text)) {
        ask->broken = "a mail address or login holds control characters";
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = arena_take(&ask->memory, size);
    if (copy == NULL)
        ask->broken = "out of memory";
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* "<address>"; nothing in it may end it early. */
static bool is_address(const char *text)
{
    return text != NULL && is_plain(text) && strpbrk(text, "<> ") == NULL && strlen(text) <= 320;
}

void ask_mail(ask_t *ask, const char *url, const char *from, const char *user, const char *password)
{
    if (!begin(ask, url))
        return;
    ask->mail = true;
    if (!is_address(from)) {
        ask->broken = "a sender's address is malformed";
        return;
    }
    ask->from = copy_text(ask, from);
    ask->user = copy_text(ask, user);
    ask->password = copy_text(ask, password);
}

void ask_mail_to(ask_t *ask, const char *address)
{
    if (ask->broken != NULL)
        return;
    if (!ask->mail || !is_address(address) || address[0] == '\0')
        ask->broken = "a recipient's address is malformed";
    else
        append(ask, &ask->recipients, &ask->last_recipient, (const char *const[]){address, "", ""});
}

void ask_timeout(ask_t *ask, int64_t ms)
{
    if (ms > 0)
        ask->timeout_ms = ms;
}

const char *ask_complete(const ask_t *ask)
{
    if (ask->broken != NULL)
        return ask->broken;
    if (!ask->begun)
        return "a step asked without a request";
    if (ask->mail && (ask->recipients == NULL || !ask->has_body))
        return "a mail without recipient or text";
    return NULL;
}

void ask_clear(ask_t *ask)
{
    plumb_buf_t url = ask->url, body = ask->body;
    arena_t memory = ask->memory;
    if (body.capacity > BODY_KEPT_MAX)
        plumb_buf_fini(&body);
    plumb_buf_clear(&url);
    plumb_buf_clear(&body);
    arena_clear(&memory);
    *ask = (ask_t){.url = url, .body = body, .memory = memory};
}

void ask_fini(ask_t *ask)
{
    ask_clear(ask);
    plumb_buf_fini(&ask->url);
    plumb_buf_fini(&ask->body);
    arena_fini(&ask->memory);
}
