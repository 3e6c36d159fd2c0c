/* SQL that reads events, and how one is told. */
#ifndef INGEST_STORE_EVENTS_H
#define INGEST_STORE_EVENTS_H

#include "buf.h"
#include "event_place.h"
#include "readers.h"

/* Whose events are wanted, from where on. */
typedef struct event_cursor {
    plumb_uuid_t account;
    event_place_t place;
    bool projects; /* tell of each event's project too */
} event_cursor_t;

/* One of the leads that a row tells of. */
typedef struct event {
    event_place_t place;
    const char *kind;
    plumb_uuid_t lead, project; /* nil: none, or not asked for */
} event_t;

/* Read from each cursor on, at most `limit` rows of each account.  Only what no transaction still
 * under way could come before.  The result (PQclear) has at least one row a cursor, in their
 * order. */
int store_events(reader_t *reader, const event_cursor_t *list, size_t count, int limit,
                 PGresult **r, plumb_err_t *err);

/* Row `row` of it; what it points to lives as long as `r`.  False: it only says that its cursor has
 * no more. */
bool store_event(const PGresult *r, int row, event_t *event);

/* The number of the cursor that the row belongs to. */
size_t store_event_cursor(const PGresult *r, int row);

/* The place before which everything was seen, had there been no limit. */
event_place_t store_event_horizon(const PGresult *r);

/* Append the event as server-sent events write it. */
void store_event_write(plumb_buf_t *out, const PGresult *r, int row);

/* Where reading stands now, and how far `place` is behind (xid 0: none). */
typedef struct event_start {
    event_place_t now;
    bool is_far; /* more than `far` rows behind */
} event_start_t;
int store_event_start(reader_t *reader, const plumb_uuid_t *account, const event_place_t *place,
                      int far, event_start_t *start, plumb_err_t *err);

#endif
