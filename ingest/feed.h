/* Live events: one thread reads them for all streams of this process, while there are any, and
 * keeps the newest of each account for them. */
#ifndef INGEST_FEED_H
#define INGEST_FEED_H

#include "conf.h"
#include "store_events.h"

#define FEED_KINDS_MAX 1024

typedef struct feed feed_t;
typedef struct feed_line feed_line_t;

int feed_new(feed_t **ret, const plumb_conf_t *conf, plumb_err_t *err);
/* All streams end, no new one begins. */
void feed_stop(feed_t *feed);
void feed_destroy(feed_t **feed); /* once no stream is left */

/* One client's stream; it belongs to one thread. */
typedef struct stream {
    feed_t *feed;
    feed_line_t *line; /* NULL: not begun */
    unsigned seat;
    plumb_uuid_t account;
    plumb_uuid_t project;       /* nil: all */
    char kinds[FEED_KINDS_MAX]; /* " a b ": only these; "": all */
    event_place_t place;        /* what is behind it was not sent yet */
} stream_t;

/* Take one of the seats for streams, to be given back by stream_leave; while none is free, streams
 * find out whether their clients are still there (half a second).  UNAVAILABLE: all are taken, or
 * all of the account's, or the process stops. */
int stream_enter(stream_t *stream, feed_t *feed, plumb_err_t *err);
void stream_leave(stream_t *stream);

/* Begin to listen; `now` is a place that nothing could be written before any more. */
int stream_listen(stream_t *stream, const event_place_t *now, plumb_err_t *err);

/* Does the stream want it? */
bool stream_wants(const stream_t *stream, const event_t *event);

typedef enum stream_news {
    STREAM_NEWS,   /* `out` has some */
    STREAM_QUIET,  /* nothing until then, or it was asked about; the place may have moved all the
                      same */
    STREAM_BEHIND, /* what comes next is not kept here: read it from the table */
    STREAM_STOPS
} stream_news_t;

/* Wait until `until_ms` (monotonic) for events behind the stream's place and append them to `out`,
 * some 64 KB at most; the place moves behind them. */
stream_news_t stream_wait(stream_t *stream, int64_t until_ms, plumb_buf_t *out);

/* Wait for nothing but the end.  True: the stream must end. */
bool stream_pause(stream_t *stream, int64_t ms);

#endif
