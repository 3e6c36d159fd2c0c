/* Trace context, version 00. */
#include "trace.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ID_DIGITS 32
#define SPAN_DIGITS 16

/* `digits` small hexadecimal digits, not all zero. */
static bool is_id(const char *text, size_t digits)
{
    return strspn(text, "0123456789abcdef") >= digits && strspn(text, "0") < digits;
}

/* "00-<trace>-<span>-<flags>" */
static bool is_traceparent(const char *text)
{
    return text != NULL && strlen(text) == TRACEPARENT - 1 && strncmp(text, "00-", 3) == 0 &&
           is_id(text + 3, ID_DIGITS) && text[35] == '-' && is_id(text + 36, SPAN_DIGITS) &&
           text[52] == '-' && strspn(text + 53, "0123456789abcdef") == 2;
}

void trace_begin(const char *header, char id[TRACE_ID], char parent[TRACEPARENT])
{
    uint8_t random[(ID_DIGITS + SPAN_DIGITS) / 2];
    char span[SPAN_DIGITS + 1];
    const char *flags = "01";
    randombytes_buf(random, sizeof random);
    if (is_traceparent(header)) {
        memcpy(id, header + 3, ID_DIGITS);
        id[ID_DIGITS] = '\0';
        flags = header + 53;
    } else {
        sodium_bin2hex(id, TRACE_ID, random, ID_DIGITS / 2);
    }
    sodium_bin2hex(span, sizeof span, random + ID_DIGITS / 2, SPAN_DIGITS / 2);
    snprintf(parent, TRACEPARENT, "00-%s-%s-%s", id, span, flags);
}
