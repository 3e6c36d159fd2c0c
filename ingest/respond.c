/* The head of an answer, and its metrics. */
#include "respond.h"

#include "clock.h"
#include "count.h"
#include "metrics.h"
#include "negotiate.h"
#include "route.h"

#include <string.h>
#include <strings.h>
#include <time.h>

/* Every status that is answered: its line, and as a metric's label. */
static const struct {
    int status;
    const char *line, *label;
} statuses[] = {
#define STATUS(number, phrase)                                                                     \
    {                                                                                              \
        number, "HTTP/1.1 " #number " " phrase "\r\n", "," #number                                 \
    }
    STATUS(201, "Created"),
    STATUS(200, "OK"),
    STATUS(204, "No Content"),
    STATUS(303, "See Other"),
    STATUS(400, "Bad Request"),
    STATUS(401, "Unauthorized"),
    STATUS(403, "Forbidden"),
    STATUS(404, "Not Found"),
    STATUS(405, "Method Not Allowed"),
    STATUS(406, "Not Acceptable"),
    STATUS(409, "Conflict"),
    STATUS(412, "Precondition Failed"),
    STATUS(413, "Content Too Large"),
    STATUS(415, "Unsupported Media Type"),
    STATUS(422, "Unprocessable Content"),
    STATUS(429, "Too Many Requests"),
    STATUS(503, "Service Unavailable"),
    STATUS(500, "Internal Server Error"), /* the last: also what no row has */
};

static size_t row_of(int status)
{
    size_t i = 0;
    while (i + 1 < PLUMB_COUNT(statuses) && statuses[i].status != status)
        i++;
    return i;
}

/* civetweb keeps a connection on exactly these terms. */
static bool client_closes(const request_t *request)
{
    const char *connection = mg_get_header(request->conn, "Connection");
    if (connection != NULL)
        return strcasestr(connection, "keep-alive") == NULL;
    return strcmp(request->info->http_version, "1.1") != 0;
}

/* The date changes once a second; a thread writes it then. */
static void put_date(request_t *request, plumb_buf_t *out)
{
    time_t now = time(NULL);
    if (now != request->date_s) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(request->date, sizeof request->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        request->date_s = now;
    }
    plumb_buf_text(out, request->date);
}

static void put_number(plumb_buf_t *out, size_t number)
{
    char digits[24], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    plumb_buf_put(out, at, (size_t)(digits + sizeof digits - at));
}

static void write_head(request_t *request, plumb_buf_t *out)
{
    const answer_t *a = &request->answer;
    plumb_buf_text(out, statuses[row_of(a->status)].line);
    put_date(request, out);
    if (a->status != 204) { /* which has no body to speak of */
        plumb_buf_text(out, "Content-Type: ");
        plumb_buf_text(out, a->type == NULL ? JSONAPI_TYPE : a->type);
        plumb_buf_text(out, "\r\nContent-Length: ");
        put_number(out, a->body.length);
        plumb_buf_put(out, "\r\n", 2);
    }
    plumb_buf_text(out, "Vary: Accept\r\nCache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\nX-Request-Id: ");
    plumb_buf_text(out, request->trace_id);
    plumb_buf_put(out, "\r\n", 2);
    plumb_buf_put(out, a->headers.data, a->headers.length);
    if (a->closes)
        plumb_buf_text(out, "Connection: close\r\n");
    plumb_buf_put(out, "\r\n", 2);
}

static void count(const request_t *request)
{
    const char *route = request->route == NULL ? "none" : request->route->name;
    const char *series = request->route == NULL ? "none,none" : request->route->series;
    char label[80];
    *stpncpy(stpncpy(label, route, sizeof label - 8),
             statuses[row_of(request->answer.status)].label, 7) = '\0';
    plumb_metric_add(PLUMB_M_HTTP_ANSWERS, label, 1);
    if (request->answer.is_open)
        return;
    plumb_metric_observe_ms(PLUMB_M_HTTP_SECONDS, series,
                            (double)(plumb_mono_us() - request->began_us) / 1000);
}

/* In one piece.  False: no memory, so that nothing was sent. */
static bool send_answer(request_t *request)
{
    const answer_t *a = &request->answer;
    if (!request_work(request))
        return false;
    plumb_buf_t *out = &request->work->out;
    plumb_buf_clear(out);
    write_head(request, out);
    if (!request->is_head)
        plumb_buf_put(out, a->body.data, a->body.length);
    if (!out->failed)
        mg_write(request->conn, out->data, out->length);
    return !out->failed;
}

bool respond_open(request_t *request)
{
    answer_t *a = &request->answer;
    plumb_buf_t *out = &a->body;
    a->is_open = true;
    plumb_buf_text(out, statuses[row_of(a->status)].line);
    put_date(request, out);
    plumb_buf_printf(out,
                     "Content-Type: %s\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
                     "X-Content-Type-Options: nosniff\r\nX-Request-Id: %s\r\n"
                     "Connection: close\r\n\r\n",
                     a->type, request->trace_id);
    return !out->failed && mg_write(request->conn, out->data, out->length) == (int)out->length;
}

void respond(request_t *request)
{
    answer_t *a = &request->answer;
    if (a->is_open) {
        mg_disable_connection_keep_alive(request->conn);
        count(request);
        return;
    }
    if (a->body.failed || a->headers.failed) {
        plumb_buf_clear(&a->headers);
        answer_error(request, PLUMB_E_MEMORY, "our mistake; it is in the log");
    }
    /* What was not read, or was framed by chunks, could be taken for the next request. */
    if ((request->door.has_body && !request->body_read) || request->door.is_chunked ||
        a->status == 400 || client_closes(request))
        a->closes = true;
    if (!send_answer(request))
        a->closes = true;
    if (a->closes)
        mg_disable_connection_keep_alive(request->conn);
    count(request);
}
