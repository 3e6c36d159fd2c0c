/* Media types as RFC 9110 writes them, and what JSON:API 1.1 makes of them. */
#include "negotiate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A media range under way: what is left of the entry. */
typedef struct entry {
    const char *at, *end;
} entry_t;

static void skip_blanks(entry_t *e)
{
    while (e->at < e->end && (*e->at == ' ' || *e->at == '\t'))
        e->at++;
}

/* The text up to a character of `stops`, trimmed. */
static entry_t take_until(entry_t *e, const char *stops)
{
    skip_blanks(e);
    entry_t taken = {e->at, e->at};
    bool quoted = false;
    while (e->at < e->end && (quoted || strchr(stops, *e->at) == NULL)) {
        if (*e->at == '"')
            quoted = !quoted;
        else if (*e->at == '\\' && quoted && e->at + 1 < e->end)
            e->at++;
        e->at++;
    }
    taken.end = e->at;
    while (taken.end > taken.at && (taken.end[-1] == ' ' || taken.end[-1] == '\t'))
        taken.end--;
    return taken;
}

static bool is_word(const entry_t *e, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(e->end - e->at) == length && strncasecmp(e->at, word, length) == 0;
}

/* q=0, q=0.0, …: not wanted. */
static bool is_zero(const entry_t *value)
{
    bool zero = value->at < value->end;
    for (const char *at = value->at; at < value->end; at++)
        zero = zero && (*at == '0' || *at == '.');
    return zero;
}

typedef struct range {
    bool jsonapi, any; /* its type */
    bool atomic;       /* with that extension, and no other */
    bool foreign;      /* a parameter that JSON:API does not allow */
    bool unwanted;     /* q=0 */
} range_t;

static range_t read_range(entry_t *e)
{
    entry_t type = take_until(e, ";,");
    range_t r = {.jsonapi = is_word(&type, JSONAPI_TYPE),
                 .any = is_word(&type, "*/*") || is_word(&type, "application/*")};
    while (e->at < e->end && *e->at == ';') {
        e->at++;
        entry_t name = take_until(e, "=;,");
        entry_t value = {e->at, e->at};
        if (e->at < e->end && *e->at == '=') {
            e->at++;
            value = take_until(e, ";,");
        }
        if (is_word(&name, "q"))
            r.unwanted = is_zero(&value);
        else if (is_word(&name, "ext") && is_word(&value, "\"" ATOMIC_EXT "\""))
            r.atomic = true;
        else if (!is_word(&name, "profile") && name.end > name.at)
            r.foreign = true; /* also "ext" of any other name */
    }
    return r;
}

bool negotiate_body(const char *content_type)
{
    if (content_type == NULL)
        return false;
    if (strcmp(content_type, JSONAPI_TYPE) == 0)
        return true;
    entry_t e = {content_type, content_type + strlen(content_type)};
    range_t r = read_range(&e);
    return r.jsonapi && !r.foreign && !r.atomic && e.at == e.end;
}

bool negotiate_body_atomic(const char *content_type)
{
    if (content_type == NULL)
        return false;
    entry_t e = {content_type, content_type + strlen(content_type)};
    range_t r = read_range(&e);
    return r.jsonapi && !r.foreign && r.atomic && e.at == e.end;
}

static bool accepts(const char *accept, bool atomic)
{
    entry_t e = {accept, accept + strlen(accept)};
    skip_blanks(&e);
    if (e.at == e.end)
        return true;
    while (e.at < e.end) {
        range_t r = read_range(&e);
        if (!r.unwanted && (r.any || (r.jsonapi && !r.foreign && r.atomic == atomic)))
            return true;
        if (e.at < e.end)
            e.at++; /* the comma */
    }
    return false;
}

bool negotiate_accept(const char *accept)
{
    return strcmp(accept, JSONAPI_TYPE) == 0 || accepts(accept, false);
}

bool negotiate_accept_atomic(const char *accept)
{
    return accepts(accept, true);
}

/* ---- queries ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode up to a character of `stops` into `out`.  False: bad escape, NUL, or no room. */
static bool decode(const char **at, const char *stops, char *out, size_t size)
{
    size_t n = 0;
    bool good = true;
    for (; **at != '\0' && strchr(stops, **at) == NULL; (*at)++) {
        char c = **at;
        if (c == '%') {
            int high = hex_value((*at)[1]);
            int low = high < 0 ? -1 : hex_value((*at)[2]);
            good = good && low >= 0 && high + low > 0;
            if (!good)
                break;
            c = (char)(high << 4 | low);
            *at += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (n + 1 < size)
            out[n++] = c;
        else
            good = false;
    }
    out[n] = '\0';
    return good;
}

int query_next(const char **query, query_parameter_t *parameter)
{
    parameter->name[0] = parameter->value[0] = '\0';
    while (*query != NULL && **query == '&')
        (*query)++;
    if (*query == NULL || **query == '\0')
        return 0;
    bool good = decode(query, "=&", parameter->name, sizeof parameter->name);
    if (good && **query == '=') {
        (*query)++;
        good = decode(query, "&", parameter->value, sizeof parameter->value);
    }
    return good ? 1 : -1;
}

bool list_next(const char **list, const char **item, size_t *length)
{
    *list += strspn(*list, ", ");
    if (**list == '\0')
        return false;
    *item = *list;
    *length = strcspn(*list, ",");
    *list += *length;
    while (*length > 0 && (*item)[*length - 1] == ' ')
        (*length)--;
    return true;
}
