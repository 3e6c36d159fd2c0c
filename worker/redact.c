/* Redaction. */
#include "redact.h"

#include "utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int compare_length(const void *a, const void *b)
{
    size_t x = strlen(*(char *const *)a), y = strlen(*(char *const *)b);
    return x < y ? 1 : x > y ? -1 : 0;
}

static int reserve(redact_t *redact)
{
    if (redact->count < redact->capacity)
        return 0;
    size_t capacity = redact->capacity == 0 ? 4 : redact->capacity * 2;
    char **grown = realloc(redact->secrets, capacity * sizeof *grown);
    if (grown == NULL)
        return -1;
    redact->secrets = grown;
    redact->capacity = capacity;
    return 0;
}

int redact_add(redact_t *redact, const char *secret, size_t length)
{
    if (length < REDACT_SHORTEST)
        return 0;
    char *copy = reserve(redact) == 0 ? strndup(secret, length) : NULL;
    if (copy == NULL)
        return -1;
    redact->secrets[redact->count++] = copy;
    qsort(redact->secrets, redact->count, sizeof *redact->secrets, compare_length);
    return 0;
}

int redact_add_json(redact_t *redact, const json_t *value)
{
    int rc = 0;
    size_t i;
    const char *key;
    json_t *member;
    if (json_is_string(value))
        return redact_add(redact, json_string_value(value), json_string_length(value));
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, member) rc |= redact_add_json(redact, member);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) rc |= redact_add_json(redact, member);
    }
    return rc;
}

void redact_fini(redact_t *redact)
{
    for (size_t i = 0; i < redact->count; i++)
        free(redact->secrets[i]);
    free(redact->secrets);
    *redact = (redact_t){0};
}

/* The first secret in the text: its place, and its length in `*length`; NULL: none. */
static const char *find(const redact_t *redact, const char *text, size_t size, size_t *length)
{
    const char *first = NULL;
    for (size_t i = 0; i < redact->count; i++) {
        size_t wanted = strlen(redact->secrets[i]);
        const char *at = memmem(text, size, redact->secrets[i], wanted);
        if (at != NULL && (first == NULL || at < first)) {
            first = at;
            *length = wanted;
        }
    }
    return first;
}

/* How many bytes from here on are plain characters, one byte each; at most `max`. */
static size_t plain_length(const char *text, size_t length, size_t max)
{
    size_t end = length < max ? length : max, i = 0;
    uint64_t word;
    for (; end - i >= sizeof word; i += sizeof word) { /* eight at a time: no high bit, no NUL */
        memcpy(&word, text + i, sizeof word);
        if (((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (i < end && (unsigned char)text[i] - 1u < 0x7fu)
        i++;
    return i;
}

/* Append up to `max` bytes, well-formed; the number of bytes of `text` that found room. */
static size_t put_clean(plumb_buf_t *out, const char *text, size_t length, size_t max)
{
    size_t begin = 0, i = 0, used = 0;
    while (i < length) {
        size_t plain = plain_length(text + i, length - i, max - used);
        used += plain;
        i += plain;
        if (i == length || used == max)
            break;
        size_t size = text[i] == '\0' ? 0 : plumb_utf8_length(text + i, length - i);
        size_t needs = size > 0 ? size : 1;
        if (used + needs > max)
            break;
        used += needs;
        if (size == 0) {
            plumb_buf_put(out, text + begin, i - begin);
            plumb_buf_put(out, "?", 1);
            begin = ++i;
        } else {
            i += size;
        }
    }
    plumb_buf_put(out, text + begin, i - begin);
    return i;
}

void redact_put(const redact_t *redact, plumb_buf_t *out, const char *text, size_t length,
                size_t max)
{
    const size_t end = out->length + max;
    const size_t longest = redact->count > 0 ? strlen(redact->secrets[0]) : 0;
    while (length > 0 && !out->failed) {
        size_t secret = 0, shown = end - out->length + longest; /* what begins behind is cut off */
        const char *found = find(redact, text, length < shown ? length : shown, &secret);
        size_t plain = found == NULL ? length : (size_t)(found - text);
        size_t put = put_clean(out, text, plain, end - out->length);
        if (found == NULL || put < plain || end - out->length < sizeof REDACT_MARK - 1)
            return;
        plumb_buf_text(out, REDACT_MARK);
        text = found + secret;
        length -= plain + secret;
    }
}
