/* Trace context, version 00. */
#include "trace.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ID_DIGITS 32
#define SPAN_DIGITS 16
#define SPAN_AT (3 + ID_DIGITS + 1)
#define FLAGS_AT (SPAN_AT + SPAN_DIGITS + 1)

/* `digits` small hexadecimal digits, not all zero. */
static bool is_id(const char *text, size_t digits)
{
    return strspn(text, "0123456789abcdef") >= digits && strspn(text, "0") < digits;
}

/* "00-<trace>-<span>-<flags>" */
static bool is_traceparent(const char *text)
{
    return text != NULL && strlen(text) == TRACEPARENT - 1 && strncmp(text, "00-", 3) == 0 &&
           is_id(text + 3, ID_DIGITS) && text[SPAN_AT - 1] == '-' &&
           is_id(text + SPAN_AT, SPAN_DIGITS) && text[FLAGS_AT - 1] == '-' &&
           strspn(text + FLAGS_AT, "0123456789abcdef") == 2;
}

void trace_begin(const char *header, const uint8_t random[TRACE_RANDOM], char id[TRACE_ID],
                 char parent[TRACEPARENT])
{
    bool goes_on = is_traceparent(header);
    if (goes_on)
        snprintf(id, TRACE_ID, "%s", header + 3);
    else
        sodium_bin2hex(id, TRACE_ID, random, ID_DIGITS / 2);
    memcpy(mempcpy(parent, "00-", 3), id, ID_DIGITS);
    sodium_bin2hex(parent + SPAN_AT, SPAN_DIGITS + 1, random + ID_DIGITS / 2, SPAN_DIGITS / 2);
    parent[SPAN_AT - 1] = parent[FLAGS_AT - 1] = '-';
    memcpy(parent + FLAGS_AT, goes_on ? header + FLAGS_AT : "01", 3);
}
