/* Reading a request's body within a size and a time.
 *
 * civetweb bounds each read but not their sum, so that a byte a second goes on for ever, and gives
 * nobody its socket.  A small thread watches the clock and shuts the reading side of a
 * connection whose time is over. */
#ifndef INGEST_BODY_H
#define INGEST_BODY_H

#include "buf.h"
#include "door.h"

typedef struct body_clock body_clock_t;

/* For `slots` handler threads. `time_ms` is what a whole body may take. */
int body_clock_new(body_clock_t **ret, unsigned slots, int64_t time_ms, plumb_err_t *err);
void body_clock_destroy(body_clock_t **clock);

/* Read the whole body that `door` announces into `out` (cleared first).  TOO_LARGE: above `max`;
 * BAD_REQUEST: malformed, cut short, or too slow. */
int body_read(body_clock_t *clock, unsigned slot, struct mg_connection *conn, const door_t *door,
              size_t max, plumb_buf_t *out, plumb_err_t *err);

/* Read the next bytes of a body that is taken as it comes, at most `size`, within the time of a
 * whole body.  Returns how many, 0 at the end.  BAD_REQUEST: malformed, cut short, or too slow. */
int body_piece(body_clock_t *clock, unsigned slot, struct mg_connection *conn, char *out,
               size_t size, plumb_err_t *err);

/* Read and throw away for a short while what a refused client still sends: closing before it has
 * read our answer would make the system reset the connection. */
void body_drain(body_clock_t *clock, unsigned slot, struct mg_connection *conn);

#endif
