/* The head of an answer, and its metrics. */
#include "respond.h"

#include "clock.h"
#include "count.h"
#include "metrics.h"
#include "negotiate.h"
#include "route.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {201, "Created"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {406, "Not Acceptable"},
                   {409, "Conflict"},
                   {413, "Content Too Large"},
                   {415, "Unsupported Media Type"},
                   {422, "Unprocessable Content"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {503, "Service Unavailable"}};
    for (size_t i = 0; i < PLUMB_COUNT(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Unknown";
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

static void write_head(request_t *request, plumb_buf_t *out)
{
    const answer_t *a = &request->answer;
    plumb_buf_printf(out, "HTTP/1.1 %d %s\r\n", a->status, phrase(a->status));
    put_date(request, out);
    plumb_buf_printf(out,
                     "Content-Type: %s\r\nContent-Length: %zu\r\nVary: Accept\r\n"
                     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                     "X-Request-Id: %s\r\n",
                     a->type == NULL ? JSONAPI_TYPE : a->type, a->body.length, request->trace_id);
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
    snprintf(label, sizeof label, "%s,%d", route, request->answer.status);
    plumb_metric_add(PLUMB_M_HTTP_ANSWERS, label, 1);
    plumb_metric_observe_ms(PLUMB_M_HTTP_SECONDS, series,
                            (double)(plumb_mono_us() - request->began_us) / 1000);
}

void respond(request_t *request)
{
    answer_t *a = &request->answer;
    plumb_buf_t *out = &request->out;
    if (a->body.failed || a->headers.failed) {
        plumb_buf_clear(&a->headers);
        answer_error(request, PLUMB_E_MEMORY, "our mistake; it is in the log");
    }
    /* What was not read, or was framed by chunks, could be taken for the next request. */
    if ((request->door.has_body && !request->body_read) || request->door.is_chunked ||
        a->status == 400 || client_closes(request))
        a->closes = true;
    if (a->closes)
        mg_disable_connection_keep_alive(request->conn);
    plumb_buf_clear(out);
    write_head(request, out);
    if (!request->is_head)
        plumb_buf_put(out, a->body.data, a->body.length);
    if (!out->failed)
        mg_write(request->conn, out->data, out->length);
    count(request);
}
