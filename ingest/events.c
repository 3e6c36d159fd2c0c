/* GET /api/v1/events: what happens to the account's leads, as server-sent events. */
#include "checks.h"
#include "clock.h"
#include "feed.h"
#include "handlers.h"
#include "log.h"
#include "metrics.h"
#include "negotiate.h"
#include "respond.h"

#include <string.h>

#define PAGE 100                 /* rows of a reading of what was missed */
#define FAR_ROWS 10000           /* more are not told one by one */
#define AGE_MS INT64_C(86400000) /* nor what is older: the client reads lists anew */
#define AGAIN_MS 1000            /* after an error */
#define KEEP 262144              /* bytes of a buffer that are not given back */

/* ---- what is asked for ---- */

static bool take_kind(stream_t *s, const char *kind, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t used = strlen(s->kinds);
    if (length == 0 || strspn(kind, letters) < length || used + length + 3 > sizeof s->kinds)
        return false;
    if (used == 0)
        s->kinds[used++] = ' ';
    *stpncpy(stpncpy(s->kinds + used, kind, length), " ", 2) = '\0';
    return true;
}

static bool take_kinds(stream_t *s, const char *value)
{
    const char *item;
    size_t length;
    bool any = false;
    while (list_next(&value, &item, &length)) {
        if (!take_kind(s, item, length))
            return false;
        any = true;
    }
    return any;
}

static bool read_query(request_t *request, stream_t *s)
{
    query_parameter_t parameter;
    const char *query = request->door.query;
    int rc;
    while ((rc = query_next(&query, &parameter)) != 0) {
        bool known = rc > 0 && (strcmp(parameter.name, "filter[kind]") == 0 ||
                                strcmp(parameter.name, "filter[kind][]") == 0);
        if (known && take_kinds(s, parameter.value))
            continue;
        answer_problem(request, PLUMB_E_BAD_PARAMETER, SOURCE_PARAMETER, parameter.name,
                       known ? "want kinds of events, such as lead.created"
                             : "there is no such parameter here");
        return false;
    }
    return true;
}

static bool read_place(request_t *request, stream_t *s)
{
    const char *text = mg_get_header(request->conn, "Last-Event-ID");
    if (text == NULL || *text == '\0' || event_place_parse(&s->place, text))
        return true;
    answer_problem(request, PLUMB_E_BAD_PARAMETER, SOURCE_HEADER, "Last-Event-ID",
                   "want an id that a stream gave");
    return false;
}

/* ---- sending ---- */

typedef struct streaming {
    request_t *request;
    stream_t stream;
    plumb_buf_t out; /* owned */
    int64_t ping_ms; /* when the client hears from us at the latest */
} streaming_t;

/* False: the client is gone, or does not read. */
static bool send_out(streaming_t *s)
{
    size_t length = s->out.length;
    bool good = !s->out.failed &&
                (length == 0 || mg_write(s->request->conn, s->out.data, length) == (int)length);
    if (s->out.capacity > KEEP)
        plumb_buf_fini(&s->out);
    plumb_buf_clear(&s->out);
    s->ping_ms = plumb_mono_ms() + s->request->ingest->conf->ingest_ping;
    return good;
}

/* A client that gets nothing that it wants moves on as well, lest it be far behind one day. */
static void put_place(streaming_t *s, const char *before)
{
    char place[EVENT_PLACE_TEXT];
    plumb_buf_printf(&s->out, "%sid: %s\n\n", before, event_place_text(&s->stream.place, place));
}

/* ---- what was missed ---- */

/* A place ahead of all is none of this database, or of a former life of it. */
static bool is_lost(const event_place_t *place, const event_start_t *start)
{
    return start->is_far || place->at_ms < start->now.at_ms - AGE_MS ||
           event_place_compare(place, &start->now) > 0;
}

static void put_reset(streaming_t *s, const event_place_t *now)
{
    s->stream.place = *now;
    put_place(s, "event: reset\ndata: {}\n");
    plumb_metric_add(PLUMB_M_EVENT_RESETS, "", 1);
}

static int read_start(streaming_t *s, reader_t *reader, event_start_t *start, plumb_err_t *err)
{
    return store_event_start(reader, &s->stream.account, &s->stream.place, FAR_ROWS, start, err);
}

/* Take what the page has; the place moves behind it. */
static void take_page(streaming_t *s, const PGresult *r)
{
    event_place_t horizon = store_event_horizon(r), last = {.xid = 0};
    int rows = 0;
    for (int row = 0; row < PQntuples(r); row++) {
        event_t event;
        if (!store_event(r, row, &event))
            continue;
        rows += rows == 0 || plumb_uuid_compare(&event.place.id, &last.id) != 0;
        last = event.place;
        if (event_place_compare(&event.place, &s->stream.place) <= 0)
            continue;
        if (stream_wants(&s->stream, &event))
            store_event_write(&s->out, r, row);
        s->stream.place = event.place;
    }
    if (rows < PAGE && event_place_compare(&s->stream.place, &horizon) < 0)
        s->stream.place = horizon;
}

/* One page of it, or a reset. */
static int catch_up(streaming_t *s, plumb_err_t *err)
{
    reader_t *reader = NULL;
    PGresult *r = NULL;
    event_start_t start = {.is_far = false};
    event_cursor_t cursor = {s->stream.account, s->stream.place,
                             !plumb_uuid_is_nil(&s->stream.project)};
    int rc = readers_take(s->request->ingest->readers, &reader, err);
    if (rc == 0)
        rc = read_start(s, reader, &start, err);
    if (rc == 0 && is_lost(&s->stream.place, &start)) {
        put_reset(s, &start.now);
    } else if (rc == 0) {
        rc = store_events(reader, &cursor, 1, PAGE, &r, err);
        if (rc == 0)
            take_page(s, r);
    }
    PQclear(r);
    readers_give(s->request->ingest->readers, reader);
    return rc;
}

/* ---- a stream ---- */

/* Its token may have been revoked since, or bound to other addresses. */
static bool ping(streaming_t *s)
{
    plumb_err_t err = {0};
    identity_t identity;
    bool presented;
    int rc = tokens_check(s->request->ingest->tokens, s->request->door.authorization,
                          (const struct sockaddr *)&s->request->source.exact, false, &identity,
                          &presented, &err);
    put_place(s, ": ping\n");
    return rc != -PLUMB_E_UNAUTHENTICATED && rc != -PLUMB_E_FORBIDDEN && send_out(s);
}

/* True: go on. */
static bool step(streaming_t *s)
{
    plumb_err_t err = {0};
    switch (stream_wait(&s->stream, s->ping_ms, &s->out)) {
    case STREAM_NEWS:
        return send_out(s);
    case STREAM_QUIET:
        return ping(s);
    case STREAM_BEHIND:
        if (catch_up(s, &err) == 0)
            return s->out.length == 0 || send_out(s);
        plumb_log_event(LOG_WARNING, "events_not_read", "why=\"%s\"", err.text);
        return !stream_pause(&s->stream, AGAIN_MS) && (plumb_mono_ms() < s->ping_ms || ping(s));
    default:
        return false;
    }
}

/* From the place that the client gave, or from now on. */
static int begin(streaming_t *s, plumb_err_t *err)
{
    request_t *request = s->request;
    reader_t *reader = NULL;
    event_start_t start = {.is_far = false};
    int rc = stream_enter(&s->stream, request->ingest->feed, err);
    if (rc == 0)
        rc = readers_take(request->ingest->readers, &reader, err);
    if (rc == 0)
        rc = read_start(s, reader, &start, err);
    readers_give(request->ingest->readers, reader);
    if (rc == 0)
        rc = stream_listen(&s->stream, &start.now, err);
    if (rc < 0)
        return rc;
    plumb_buf_text(&s->out, "retry: 2000\n");
    if (s->stream.place.xid > 0 && is_lost(&s->stream.place, &start)) {
        put_reset(s, &start.now);
    } else {
        if (s->stream.place.xid == 0)
            s->stream.place = start.now;
        put_place(s, "");
    }
    return 0;
}

static void run(streaming_t *s)
{
    if (!respond_open(s->request))
        return;
    for (bool goes_on = send_out(s); goes_on;)
        goes_on = step(s);
}

void events_get(request_t *request)
{
    plumb_err_t err = {0};
    streaming_t s = {
        .request = request,
        .stream = {.account = request->identity.account, .project = request->identity.project}};
    if (!read_query(request, &s.stream) || !read_place(request, &s.stream) ||
        !checks_charge(request))
        return;
    request->answer.status = 200;
    request->answer.type = "text/event-stream";
    if (!request->is_head) {
        int rc = begin(&s, &err);
        request_rest(request);
        if (rc == 0)
            run(&s);
        else
            answer_failure(request, &err);
        stream_leave(&s.stream);
    }
    plumb_buf_fini(&s.out);
}
