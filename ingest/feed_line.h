/* The newest events of one account, as they are sent, in order; not locked by itself. */
#ifndef INGEST_FEED_LINE_H
#define INGEST_FEED_LINE_H

#include "store_events.h"

#define LINE_EVENTS 1024
#define LINE_BYTES 1048576

typedef struct line_event {
    event_place_t place;
    plumb_uuid_t lead, project;
    char *kind, *text; /* one allocation, owned: `kind` */
    size_t length;
} line_event_t;

typedef struct feed_line {
    plumb_uuid_t account;
    bool projects; /* events come with their projects: streams that are bound to one listen */
    unsigned streams;
    event_place_t floor; /* all between it … */
    event_place_t place; /* … and this is here */
    line_event_t ring[LINE_EVENTS];
    size_t first, count, bytes;
    struct feed_line *next;
} feed_line_t;

void line_destroy(feed_line_t **line);

/* Append an event that is behind `place`; what is before or at it is known already.  The oldest go
 * when there is no room; without memory all go, and readers are behind. */
void line_add(feed_line_t *line, const PGresult *r, int row, plumb_buf_t *scratch);

/* Event number `i` from the oldest. */
const line_event_t *line_event(const feed_line_t *line, size_t i);
/* The number of the first event behind `place`. */
size_t line_find(const feed_line_t *line, const event_place_t *place);

#endif
