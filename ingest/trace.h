/* W3C trace context: taken over from the caller or begun here. */
#ifndef INGEST_TRACE_H
#define INGEST_TRACE_H

#include <stdint.h>

#define TRACE_ID 33
#define TRACEPARENT 56

#define TRACE_RANDOM 24

/* `header` may be NULL or malformed: a new trace begins. `parent` names our own part of it.
 * `random` makes both. */
void trace_begin(const char *header, const uint8_t random[TRACE_RANDOM], char id[TRACE_ID],
                 char parent[TRACEPARENT]);

#endif
