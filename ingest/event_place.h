/* Where a reader of events stands.  Events are ordered by the transaction that wrote them, then by
 * id; one row may tell of several leads, so a third number counts within it. */
#ifndef INGEST_EVENT_PLACE_H
#define INGEST_EVENT_PLACE_H

#include "uuid.h"

#include <stdbool.h>

typedef struct event_place {
    int64_t xid;     /* below 2^63 */
    plumb_uuid_t id; /* nil: before all of that transaction */
    int32_t n;       /* from 1; 0: before all of that row */
    int64_t at_ms;   /* Unix time; tells how old it is, not compared */
} event_place_t;

int event_place_compare(const event_place_t *a, const event_place_t *b);

/* "xid.uuid.n" behind an event, "xid.milliseconds" before a transaction; returns `out`. */
#define EVENT_PLACE_TEXT 72
char *event_place_text(const event_place_t *place, char out[EVENT_PLACE_TEXT]);

/* False: not such a text; `place` is unspecified then. */
bool event_place_parse(event_place_t *place, const char *text);

#endif
