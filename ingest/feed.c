/* The reading thread, and what streams and it share. */
#include "feed.h"

#include "clock.h"
#include "feed_line.h"
#include "log.h"
#include "metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_MS 200
#define AGAIN_MS 1000 /* after an error */
#define PAGE 100      /* rows of each account; one may tell of some hundred leads */
#define NEWS_BYTES 65536
#define ASK_TIMES 2 /* the first write to a client that has gone away goes well */
#define ASK_MS 250

struct feed {
    pthread_mutex_t lock;
    pthread_cond_t news; /* for the streams */
    pthread_cond_t work; /* for the reader */
    pthread_cond_t left; /* for who waits for a seat */
    bool stops;
    unsigned streams, streams_max, account_max;
    struct seat {
        bool is_taken, is_asked; /* whether its client is still there */
        plumb_uuid_t account;
    } * seats;               /* owned; `streams_max` of them */
    feed_line_t *lines;      /* owned */
    reader_t reader;         /* owned */
    event_cursor_t *cursors; /* owned; the reader's */
    plumb_buf_t scratch;
    bool ill; /* the last reading failed: said once */
    pthread_t thread;
    bool running;
};

/* ---- reading ---- */

/* What to read; waits while there is nothing.  0: the end. */
static size_t next_cursors(feed_t *f)
{
    size_t count = 0;
    pthread_mutex_lock(&f->lock);
    while (f->lines == NULL && !f->stops)
        pthread_cond_wait(&f->work, &f->lock);
    for (feed_line_t *line = f->stops ? NULL : f->lines; line != NULL; line = line->next)
        f->cursors[count++] = (event_cursor_t){line->account, line->place, line->projects};
    pthread_mutex_unlock(&f->lock);
    return count;
}

static feed_line_t *find_line(feed_t *f, const plumb_uuid_t *account, bool projects)
{
    feed_line_t *line = f->lines;
    while (line != NULL &&
           (line->projects != projects || plumb_uuid_compare(&line->account, account) != 0))
        line = line->next;
    return line;
}

/* Of one cursor the rows from `row` on; returns the row behind them.  A line that began anew since
 * is left alone: what was read is not what follows its place. */
static int take_rows(feed_t *f, const PGresult *r, int row, bool *more)
{
    size_t cursor = store_event_cursor(r, row);
    const event_cursor_t *c = &f->cursors[cursor];
    feed_line_t *line = find_line(f, &c->account, c->projects);
    event_place_t horizon = store_event_horizon(r), last = c->place;
    int rows = 0;
    if (line != NULL && event_place_compare(&line->place, &c->place) != 0)
        line = NULL;
    for (; row < PQntuples(r) && store_event_cursor(r, row) == cursor; row++) {
        event_t event;
        if (!store_event(r, row, &event))
            continue;
        rows += plumb_uuid_compare(&event.place.id, &last.id) != 0 || rows == 0;
        last = event.place;
        if (line != NULL)
            line_add(line, r, row, &f->scratch);
    }
    if (rows >= PAGE)
        *more = true;
    else if (line != NULL && event_place_compare(&line->place, &horizon) < 0)
        line->place = horizon;
    return row;
}

static bool read_events(feed_t *f, size_t count, bool *more)
{
    PGresult *r = NULL;
    plumb_err_t err = {0};
    *more = false;
    int rc = store_events(&f->reader, f->cursors, count, PAGE, &r, &err);
    if (rc < 0 && !f->ill)
        plumb_log_event(LOG_WARNING, "events_not_read", "why=\"%s\"", err.text);
    f->ill = rc < 0;
    pthread_mutex_lock(&f->lock);
    for (int row = 0; rc == 0 && row < PQntuples(r);)
        row = take_rows(f, r, row, more);
    pthread_cond_broadcast(&f->news);
    pthread_mutex_unlock(&f->lock);
    PQclear(r);
    return rc == 0;
}

static struct timespec at_ms(int64_t mono_ms)
{
    return (struct timespec){.tv_sec = mono_ms / 1000, .tv_nsec = mono_ms % 1000 * 1000000};
}

static void rest(feed_t *f, int64_t ms)
{
    struct timespec until = at_ms(plumb_mono_ms() + ms);
    pthread_mutex_lock(&f->lock);
    while (!f->stops && pthread_cond_timedwait(&f->work, &f->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&f->lock);
}

static void *read_main(void *argument)
{
    feed_t *f = argument;
    size_t count;
    while ((count = next_cursors(f)) > 0) {
        bool more, good = read_events(f, count, &more);
        if (!more)
            rest(f, good ? POLL_MS : AGAIN_MS);
    }
    return NULL;
}

/* ---- life ---- */

static int open_reader(feed_t *f, const plumb_conf_t *conf, plumb_err_t *err)
{
    f->streams_max = (unsigned)conf->ingest_streams;
    f->account_max = (unsigned)conf->ingest_account_streams;
    f->seats = calloc(f->streams_max + 1, sizeof *f->seats);
    f->cursors = calloc(f->streams_max + 1, sizeof *f->cursors);
    f->reader.params = plumb_params_new();
    if (f->seats == NULL || f->cursors == NULL || f->reader.params == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "feed");
    int rc = plumb_db_new(&f->reader.db, conf->database, "plumb-ingest events", err);
    if (rc == 0 && pthread_create(&f->thread, NULL, read_main, f) != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "thread of the feed");
    f->running = rc == 0;
    return rc;
}

int feed_new(feed_t **ret, const plumb_conf_t *conf, plumb_err_t *err)
{
    feed_t *f = calloc(1, sizeof *f);
    *ret = f;
    if (f == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "feed");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->news, &attr);
    pthread_cond_init(&f->work, &attr);
    pthread_cond_init(&f->left, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&f->lock, NULL);
    int rc = open_reader(f, conf, err);
    if (rc < 0)
        feed_destroy(ret);
    return rc;
}

void feed_stop(feed_t *feed)
{
    if (feed == NULL)
        return;
    pthread_mutex_lock(&feed->lock);
    feed->stops = true;
    pthread_cond_broadcast(&feed->news);
    pthread_cond_broadcast(&feed->work);
    pthread_cond_broadcast(&feed->left);
    pthread_mutex_unlock(&feed->lock);
}

void feed_destroy(feed_t **feed)
{
    if (feed == NULL || *feed == NULL)
        return;
    feed_t *f = *feed;
    feed_stop(f);
    if (f->running)
        pthread_join(f->thread, NULL);
    while (f->lines != NULL) {
        feed_line_t *line = f->lines;
        f->lines = line->next;
        line_destroy(&line);
    }
    plumb_params_destroy(&f->reader.params);
    plumb_db_destroy(&f->reader.db);
    plumb_buf_fini(&f->scratch);
    pthread_cond_destroy(&f->news);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->left);
    pthread_mutex_destroy(&f->lock);
    free(f->seats);
    free(f->cursors);
    free(f);
    *feed = NULL;
}

/* ---- streams ---- */

/* A free one; NULL: `why` tells. */
static struct seat *find_seat(feed_t *f, const plumb_uuid_t *account, const char **why)
{
    struct seat *found = NULL;
    unsigned of_account = 0;
    for (unsigned i = 0; i < f->streams_max; i++) {
        struct seat *seat = &f->seats[i];
        if (!seat->is_taken)
            found = seat;
        else
            of_account += plumb_uuid_compare(&seat->account, account) == 0;
    }
    if (f->stops)
        *why = "stopping";
    else if (found == NULL)
        *why = "all event streams are taken";
    else if (of_account >= f->account_max)
        *why = "all event streams of the account are taken";
    else
        return found;
    return NULL;
}

/* Clients that went away are noticed when something is sent to them. */
static void ask_all(feed_t *f)
{
    struct timespec until = at_ms(plumb_mono_ms() + ASK_MS);
    for (unsigned i = 0; i < f->streams_max; i++)
        f->seats[i].is_asked = true;
    pthread_cond_broadcast(&f->news);
    while (!f->stops && pthread_cond_timedwait(&f->left, &f->lock, &until) == 0)
        continue;
}

int stream_enter(stream_t *stream, feed_t *feed, plumb_err_t *err)
{
    const char *why;
    pthread_mutex_lock(&feed->lock);
    struct seat *seat = find_seat(feed, &stream->account, &why);
    for (int times = 0; seat == NULL && times < ASK_TIMES && !feed->stops; times++) {
        ask_all(feed);
        seat = find_seat(feed, &stream->account, &why);
    }
    if (seat != NULL) {
        *seat = (struct seat){.is_taken = true, .account = stream->account};
        stream->seat = (unsigned)(seat - feed->seats);
        stream->feed = feed;
        plumb_metric_set(PLUMB_M_EVENT_STREAMS, "", ++feed->streams);
    }
    pthread_mutex_unlock(&feed->lock);
    return seat == NULL ? plumb_err_set(err, PLUMB_E_UNAVAILABLE, "%s", why) : 0;
}

static void leave_line(feed_t *f, feed_line_t *line)
{
    feed_line_t **at = &f->lines;
    if (line == NULL || --line->streams > 0)
        return;
    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    line_destroy(&line);
}

void stream_leave(stream_t *stream)
{
    feed_t *f = stream->feed;
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    leave_line(f, stream->line);
    f->seats[stream->seat].is_taken = false;
    plumb_metric_set(PLUMB_M_EVENT_STREAMS, "", --f->streams);
    pthread_cond_broadcast(&f->left);
    pthread_mutex_unlock(&f->lock);
    stream->feed = NULL;
    stream->line = NULL;
}

int stream_listen(stream_t *stream, const event_place_t *now, plumb_err_t *err)
{
    feed_t *f = stream->feed;
    bool projects = !plumb_uuid_is_nil(&stream->project);
    pthread_mutex_lock(&f->lock);
    feed_line_t *line = find_line(f, &stream->account, projects);
    if (line == NULL && (line = calloc(1, sizeof *line)) != NULL) {
        line->account = stream->account;
        line->projects = projects;
        line->floor = line->place = *now;
        line->next = f->lines;
        f->lines = line;
        pthread_cond_signal(&f->work);
    }
    if (line != NULL)
        line->streams++;
    stream->line = line;
    pthread_mutex_unlock(&f->lock);
    return line == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "stream") : 0;
}

static bool wants(const stream_t *s, const char *kind, const plumb_uuid_t *project)
{
    size_t length = strlen(kind);
    if (!plumb_uuid_is_nil(&s->project) && plumb_uuid_compare(&s->project, project) != 0)
        return false;
    if (s->kinds[0] == '\0')
        return true;
    for (const char *at = strstr(s->kinds, kind); at != NULL; at = strstr(at + 1, kind))
        if (at[-1] == ' ' && at[length] == ' ')
            return true;
    return false;
}

bool stream_wants(const stream_t *stream, const event_t *event)
{
    return wants(stream, event->kind, &event->project);
}

/* What the line has behind the stream's place. */
static void take_events(stream_t *s, plumb_buf_t *out)
{
    const feed_line_t *line = s->line;
    size_t i = line_find(line, &s->place);
    for (; i < line->count && out->length < NEWS_BYTES; i++) {
        const line_event_t *e = line_event(line, i);
        if (wants(s, e->kind, &e->project))
            plumb_buf_put(out, e->text, e->length);
        s->place = e->place;
    }
    if (i == line->count && event_place_compare(&s->place, &line->place) < 0)
        s->place = line->place;
}

stream_news_t stream_wait(stream_t *stream, int64_t until_ms, plumb_buf_t *out)
{
    feed_t *f = stream->feed;
    struct timespec until = at_ms(until_ms);
    stream_news_t news = STREAM_QUIET;
    int late = 0;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        if (f->stops)
            news = STREAM_STOPS;
        else if (event_place_compare(&stream->place, &stream->line->floor) < 0)
            news = STREAM_BEHIND;
        else
            take_events(stream, out);
        if (out->length > 0)
            news = STREAM_NEWS;
        if (news != STREAM_QUIET || late != 0 || f->seats[stream->seat].is_asked)
            break;
        late = pthread_cond_timedwait(&f->news, &f->lock, &until);
    }
    f->seats[stream->seat].is_asked = false;
    pthread_mutex_unlock(&f->lock);
    return news;
}

bool stream_pause(stream_t *stream, int64_t ms)
{
    feed_t *f = stream->feed;
    struct timespec until = at_ms(plumb_mono_ms() + ms);
    pthread_mutex_lock(&f->lock);
    while (!f->stops && pthread_cond_timedwait(&f->news, &f->lock, &until) == 0)
        continue;
    bool stops = f->stops;
    pthread_mutex_unlock(&f->lock);
    return stops;
}
