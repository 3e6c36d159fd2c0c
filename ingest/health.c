/* /healthz: the process answers. /readyz: leads can be taken. /metrics. */
#include "handlers.h"
#include "metrics.h"

#include <string.h>

static void plain(request_t *request, int status, const char *text)
{
    request->answer.status = status;
    request->answer.type = "text/plain; charset=utf-8";
    plumb_buf_text(&request->answer.body, text);
}

void health_alive(request_t *request)
{
    plain(request, 200, "ok\n");
}

void health_ready(request_t *request)
{
    plumb_err_t err = {0};
    const char *query = request->door.query;
    bool verbose = query != NULL && strncmp(query, "verbose", strlen("verbose")) == 0;
    bool ready = ingest_ready(request->ingest, &err) == 0;
    plain(request, ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
    if (verbose)
        plumb_buf_printf(&request->answer.body, "%s\n", err.text);
    if (!ready)
        answer_header(request, "Retry-After", "1");
}

void health_metrics(request_t *request)
{
    request->answer.status = 200;
    request->answer.type = "text/plain; version=0.0.4; charset=utf-8";
    plumb_metrics_write(&request->answer.body, "ingest");
}
