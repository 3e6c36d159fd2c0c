/* Pairs of a log line. */
#include "log_pairs.h"

#include "json.h"
#include "utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Stands between pairs while they are formatted.  A value that holds it is broken text or worse. */
#define SEPARATOR '\x1f'

static bool is_key(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Does "key=" begin at `at`? */
static bool is_pair(const char *at)
{
    const char *end = at;
    while (is_key(*end))
        end++;
    return end > at && *end == '=';
}

/* Copy `format` with SEPARATOR for each blank between pairs; how many there are. */
static size_t separate(char *out, size_t size, const char *format)
{
    size_t found = 0;
    bool quoted = false;
    size_t i = 0;
    for (; i < size - 1 && format[i] != '\0'; i++) {
        quoted ^= format[i] == '"';
        bool between = format[i] == ' ' && !quoted && is_pair(format + i + 1);
        out[i] = between ? SEPARATOR : format[i];
        found += between;
    }
    out[i] = '\0';
    return found;
}

static size_t count_separators(const char *text)
{
    size_t found = 0;
    for (; *text != '\0'; text++)
        found += *text == SEPARATOR;
    return found;
}

/* Take off the quotes that the format wrote around a value. */
static char *unquote(char *value)
{
    if (value[0] != '"')
        return value;
    size_t length = strlen(value);
    if (length > 1 && value[length - 1] == '"')
        value[length - 1] = '\0';
    return value + 1;
}

static void add_pair(plumb_log_pairs_t *pairs, char *text)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || pairs->count == PLUMB_LOG_PAIRS_MAX)
        return;
    *equals = '\0';
    pairs->pair[pairs->count++] = (plumb_log_pair_t){text, unquote(equals + 1)};
}

void plumb_log_pairs(plumb_log_pairs_t *pairs, const char *format, va_list args)
{
    static const char separator[] = {SEPARATOR, '\0'};
    pairs->count = 0;
    size_t separators = separate(pairs->format, sizeof pairs->format, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the caller's literal, checked there */
    int length = vsnprintf(pairs->memory, sizeof pairs->memory, pairs->format, args);
#pragma GCC diagnostic pop
    bool cut = length < 0 || (size_t)length >= sizeof pairs->memory;
    if (cut ||
        count_separators(pairs->memory) != separators) { /* a value may hide or forge pairs */
        add_pair(pairs, pairs->memory);
        return;
    }
    char *rest = pairs->memory;
    for (char *text = strsep(&rest, separator); text != NULL; text = strsep(&rest, separator))
        add_pair(pairs, text);
}

/* ---- as text ---- */

typedef struct out {
    char *data;
    size_t length, size;
} out_t;

/* Append all of `text` or, when it does not fit, nothing more. */
static void put(out_t *out, const char *text, size_t length)
{
    if (length >= out->size - out->length) {
        out->size = out->length + 1;
        return;
    }
    memcpy(out->data + out->length, text, length);
    out->length += length;
    out->data[out->length] = '\0';
}

static void put_text(out_t *out, const char *text)
{
    put(out, text, strlen(text));
}

/* One character, `step` bytes of it, 0 when it is broken. */
static void put_character(out_t *out, const char *at, size_t step)
{
    char escape[8];
    unsigned char c = (unsigned char)*at;
    if (step > 1 || (step == 1 && c >= 0x20 && c != 0x7F && c != '"' && c != '\\'))
        put(out, at, step);
    else if (c == '"' || c == '\\')
        put(out, (char[]){'\\', (char)c}, 2);
    else if (c == '\n')
        put_text(out, "\\n");
    else {
        snprintf(escape, sizeof escape, "\\x%02x", c);
        put_text(out, escape);
    }
}

static void put_value(out_t *out, const char *value)
{
    bool quoted = value[0] == '\0' || strpbrk(value, " =\"") != NULL;
    if (quoted)
        put_text(out, "\"");
    for (const char *end = value + strlen(value); value < end;) {
        size_t step = plumb_utf8_length(value, (size_t)(end - value));
        put_character(out, value, step);
        value += step > 0 ? step : 1;
    }
    if (quoted)
        put_text(out, "\"");
}

size_t plumb_log_pairs_text(const plumb_log_pairs_t *pairs, char *text, size_t size)
{
    out_t out = {text, 0, size};
    text[0] = '\0';
    for (size_t i = 0; i < pairs->count; i++) {
        if (i > 0)
            put_text(&out, " ");
        put_text(&out, pairs->pair[i].key);
        put_text(&out, "=");
        put_value(&out, pairs->pair[i].value);
    }
    return out.length;
}
