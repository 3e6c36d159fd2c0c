/* W3C trace context: taken over from the caller or begun here. */
#ifndef INGEST_TRACE_H
#define INGEST_TRACE_H

#define TRACE_ID 33
#define TRACEPARENT 56

/* `header` may be NULL or malformed: a new trace begins. `parent` names our own part of it. */
void trace_begin(const char *header, char id[TRACE_ID], char parent[TRACEPARENT]);

#endif
