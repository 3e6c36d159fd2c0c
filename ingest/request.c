/* Requests and their answers. */
#include "request.h"

#include "clock.h"
#include "count.h"
#include "log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

request_t *request_new(ingest_t *ingest)
{
    request_t *r = calloc(1, sizeof *r);
    if (r != NULL)
        r->ingest = ingest;
    return r;
}

/* All buffers of a request; most of them hold personal data at one time or another. */
enum { BUFFERS = 8 };
static void buffers_of(request_t *r, plumb_buf_t *list[BUFFERS])
{
    plumb_buf_t *const all[] = {
        &r->answer.headers, &r->answer.body,     &r->problems.json,       &r->body,
        &r->texts,          &r->prepared.record, &r->prepared.deliveries, &r->prepared.jobs};
    _Static_assert(PLUMB_COUNT(all) == BUFFERS, "every buffer is listed");
    for (int i = 0; i < BUFFERS; i++)
        list[i] = all[i];
}

void request_destroy(request_t **request)
{
    if (request == NULL || *request == NULL)
        return;
    plumb_buf_t *list[BUFFERS];
    buffers_of(*request, list);
    for (int i = 0; i < BUFFERS; i++)
        plumb_buf_wipe(list[i]);
    free(*request);
    *request = NULL;
}

void request_again(request_t *request)
{
    catalog_release(request->quiz);
    request->quiz = NULL;
    request->is_hashed = request->blocked = request->is_blinded = false;
    request->verification = (plumb_uuid_t){{0}};
    request->charge.count = 0;
    request->answer.status = 0;
    request->answer.type = NULL;
    request->answer.closes = request->answer.is_open = false;
    plumb_buf_clear(&request->answer.headers);
    plumb_buf_clear(&request->answer.body);
    problems_clear(&request->problems);
}

void request_begin(request_t *request, struct mg_connection *conn)
{
    request->conn = conn;
    request->info = mg_get_request_info(conn);
    request->began_us = plumb_mono_us();
    request->route = NULL;
    request->is_head = request->body_read = false;
    request->identity = (identity_t){.scopes = 0};
    request->source = (source_t){.exact = {.sin6_family = AF_UNSPEC}};
    request->quiz = NULL;
    request_again(request);
}

void request_end(request_t *request)
{
    plumb_buf_t *list[BUFFERS];
    catalog_release(request->quiz);
    request->quiz = NULL;
    request_rest(request);
    buffers_of(request, list);
    for (int i = 0; i < BUFFERS; i++)
        workspace_trim(list[i]);
}

bool request_work(request_t *request)
{
    if (request->work == NULL)
        request->work = workspaces_take(request->ingest->workspaces);
    return request->work != NULL;
}

void request_rest(request_t *request)
{
    workspaces_give(request->ingest->workspaces, request->work);
    request->work = NULL;
}

const plumb_blind_t *request_blind(request_t *request)
{
    const plumb_slice_t *value = request->lead.value;
    if (!request->is_blinded)
        plumb_blind_lead(&request->blind, &request->quiz->index_key, &value[PLUMB_LEAD_NAME],
                         &value[PLUMB_LEAD_PHONE], &value[PLUMB_LEAD_EMAIL]);
    request->is_blinded = true;
    return &request->blind;
}

/* ---- answers ---- */

void answer_header(request_t *request, const char *name, const char *value)
{
    plumb_buf_printf(&request->answer.headers, "%s: %s\r\n", name, value);
}

/* What goes with some codes, whoever answers so. */
static void add_usual_headers(request_t *request, plumb_code_t code)
{
    switch (plumb_code_http(code)) {
    case 401:
        answer_header(request, "WWW-Authenticate", "Bearer realm=\"plumb\"");
        break;
    case 409:
        if (code == PLUMB_E_RUNNING)
            answer_header(request, "Retry-After", "1");
        break;
    case 503:
        answer_header(request, "Retry-After", "1");
        break;
    default:
        break;
    }
}

void answer_problems(request_t *request)
{
    answer_t *a = &request->answer;
    plumb_buf_clear(&a->body);
    problems_document(&request->problems, &a->body);
    a->status = plumb_code_http(request->problems.first);
    a->type = NULL; /* JSON:API's */
    add_usual_headers(request, request->problems.first);
}

void answer_problem(request_t *request, plumb_code_t code, document_source_t kind,
                    const char *source, const char *detail)
{
    problems_clear(&request->problems);
    problems_add(&request->problems, code, kind, source, detail);
    answer_problems(request);
}

void answer_error(request_t *request, plumb_code_t code, const char *detail)
{
    answer_problem(request, code, SOURCE_NONE, NULL, detail);
}

void answer_failure(request_t *request, const plumb_err_t *err)
{
    int status = plumb_code_http(err->code);
    if (status < 500) {
        answer_error(request, err->code, err->text);
        return;
    }
    if (status == 503) {
        answer_error(request, err->code, "try again in a moment");
        return;
    }
    plumb_log_event(LOG_ERR, "request_failed", "trace=%s why=\"%s\"", request->trace_id, err->text);
    answer_error(request, err->code, "our mistake; it is in the log");
}

static int64_t seconds_of(int64_t us)
{
    return (us + 999999) / 1000000;
}

/* Policy: `q` at once, all of them again after `w` seconds.  State: `r` at once, and in `t` seconds
 * one that is refused now, else all. */
void answer_limit_headers(request_t *request, const limit_state_t *state)
{
    if (state->limit == NULL)
        return;
    const plumb_rate_t *rate = &state->limit->rate;
    const char *name = limit_name(state->limit->kind);
    plumb_buf_printf(&request->answer.headers,
                     "RateLimit-Policy: \"%s\";q=%" PRId64 ";w=%" PRId64
                     "\r\nRateLimit: \"%s\";r=%" PRId64 ";t=%" PRId64 "\r\n",
                     name, rate->burst, seconds_of(limit_tolerance_us(rate)), name,
                     state->remaining,
                     seconds_of(state->retry_us > 0 ? state->retry_us : state->full_us));
}

static void answer_too_many(request_t *request, int64_t retry_us)
{
    answer_error(request, PLUMB_E_RATE_LIMITED, "more requests than the limit allows");
    plumb_buf_printf(&request->answer.headers, "Retry-After: %" PRId64 "\r\n",
                     seconds_of(retry_us));
}

void answer_limited(request_t *request, const limit_state_t *state)
{
    answer_too_many(request, state->retry_us);
    answer_limit_headers(request, state);
}

void answer_kept_out(request_t *request, int64_t ms)
{
    answer_too_many(request, ms * 1000);
}
