/* One request's way: the door, the route, who asks, what is wanted, the body, the handler. */
#include "serve.h"

#include "clock.h"
#include "negotiate.h"
#include "route.h"
#include "source.h"
#include "trace.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

/* ---- who asks ---- */

bool serve_limit_stranger(request_t *request)
{
    limit_t limit = {.kind = LIMIT_STRANGER, .rate = request->ingest->rates.stranger};
    limit_state_t state;
    memcpy(limit.subject, request->source.address, sizeof limit.subject);
    if (limits_take(request->ingest->limits, &limit, 1, plumb_mono_us(), &state))
        return true;
    answer_limited(request, &state);
    return false;
}

static void refuse_stranger(request_t *request, bool presented, int64_t kept_out_ms,
                            const plumb_err_t *err)
{
    if (kept_out_ms > 0) {
        answer_kept_out(request, kept_out_ms);
    } else if (serve_limit_stranger(request)) {
        if (presented)
            strangers_failed(request->ingest->strangers, request->source.address, plumb_mono_ms());
        answer_error(request, PLUMB_E_UNAUTHENTICATED, err->text);
    }
}

/* Whoever guessed too often is asked about in the cache
 * only, so that a busy sender behind the same address goes on while the guesser learns nothing. */
bool serve_authenticate(request_t *request, unsigned scopes)
{
    ingest_t *in = request->ingest;
    plumb_err_t err = {0};
    bool presented;
    int64_t kept_out_ms =
        strangers_kept_out(in->strangers, request->source.address, plumb_mono_ms());
    int rc = tokens_check(in->tokens, request->door.authorization,
                          (const struct sockaddr *)&request->source.exact, kept_out_ms > 0,
                          &request->identity, &presented, &err);
    if (rc == -PLUMB_E_UNAUTHENTICATED) {
        refuse_stranger(request, presented, kept_out_ms, &err);
        return false;
    }
    if (rc < 0) {
        answer_failure(request, &err);
        return false;
    }
    if ((request->identity.scopes & scopes) == 0) {
        answer_error(request, PLUMB_E_FORBIDDEN, "the token's scopes do not allow this");
        return false;
    }
    return true;
}

/* Of everything but health and metrics. */
static bool pass_address(request_t *request)
{
    static const char api[] = "/api/";
    if (strncmp(request->route->path, api, sizeof api - 1) != 0 ||
        ip_filter_passes(request->ingest->filter, (struct sockaddr *)&request->source.exact))
        return true;
    answer_error(request, PLUMB_E_FORBIDDEN, "requests from this address are not taken");
    return false;
}

/* ---- what is sent and wanted ---- */

static bool accepts_ours(const request_t *request)
{
    bool any = false, is_atomic = (request->route->flags & ROUTE_ATOMIC) != 0;
    for (int i = 0; i < request->info->num_headers; i++) {
        const struct mg_header *h = &request->info->http_headers[i];
        if (strcasecmp(h->name, "Accept") != 0)
            continue;
        if (is_atomic ? negotiate_accept_atomic(h->value) : negotiate_accept(h->value))
            return true;
        any = true;
    }
    return !any;
}

static bool negotiate(request_t *request)
{
    bool is_atomic = (request->route->flags & ROUTE_ATOMIC) != 0;
    if ((request->route->flags & ROUTE_JSONAPI) == 0)
        return true;
    if (!accepts_ours(request)) {
        answer_problem(request, PLUMB_E_NOT_ACCEPTABLE, SOURCE_HEADER, "Accept",
                       is_atomic ? "the answer is " ATOMIC_TYPE
                                 : "the answer is " JSONAPI_TYPE " without parameters");
        return false;
    }
    if ((request->route->flags & ROUTE_BODY) == 0)
        return true;
    query_parameter_t parameter;
    const char *query = request->door.query;
    if (query_next(&query, &parameter) != 0) {
        answer_problem(request, PLUMB_E_BAD_PARAMETER, SOURCE_PARAMETER, parameter.name,
                       "there is no such parameter here");
        return false;
    }
    if (!(is_atomic ? negotiate_body_atomic : negotiate_body)(request->door.content_type)) {
        answer_problem(request, PLUMB_E_MEDIA_TYPE, SOURCE_HEADER, "Content-Type",
                       is_atomic ? "want " ATOMIC_TYPE
                                 : "want " JSONAPI_TYPE " without parameters");
        return false;
    }
    return true;
}

/* ---- the body ---- */

bool serve_let_continue(request_t *request)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request->door.expect == NULL)
        return true;
    if (strcasecmp(request->door.expect, "100-continue") != 0) {
        answer_error(request, PLUMB_E_BAD_REQUEST, "Expect other than 100-continue");
        return false;
    }
    return mg_write(request->conn, go_on, sizeof go_on - 1) > 0;
}

static bool read_body(request_t *request, body_clock_t *clock)
{
    plumb_err_t err = {0};
    if ((request->route->flags & ROUTE_BODY) == 0)
        return true;
    if (!serve_let_continue(request))
        return false;
    int rc = body_read(clock, request->slot, request->conn, &request->door,
                       (size_t)request->ingest->conf->ingest_body, &request->body, &err);
    if (rc < 0) {
        answer_error(request, err.code, err.text);
        request->answer.closes = true;
        return false;
    }
    request->body_read = true;
    return true;
}

/* ---- one request ---- */

static void handle(request_t *request)
{
    if (request_work(request))
        request->route->handle(request);
    else
        answer_error(request, PLUMB_E_MEMORY, "our mistake; it is in the log");
}

/* Random bytes come many at a time: each call costs a cipher's round. */
void serve_trace(request_t *request)
{
    if (request->random_left < TRACE_RANDOM) {
        randombytes_buf(request->random, sizeof request->random);
        request->random_left = sizeof request->random;
    }
    request->random_left -= TRACE_RANDOM;
    trace_begin(request->door.traceparent, request->random + request->random_left,
                request->trace_id, request->traceparent);
}

static void refuse_route(request_t *request, const char *allow, const plumb_err_t *err)
{
    answer_error(request, err->code, err->text);
    if (err->code == PLUMB_E_METHOD)
        answer_header(request, "Allow", allow);
}

void serve(request_t *request, body_clock_t *clock, bool draining)
{
    const struct mg_request_info *info = request->info;
    plumb_err_t err = {0};
    char allow[ROUTE_ALLOW];
    request->clock = clock;
    int rc = door_check(&request->door, info, request->ingest->conf->ingest_hosts, &err);
    serve_trace(request);
    if (rc < 0) {
        answer_error(request, err.code, err.text);
        request->answer.closes = true;
    } else if (draining) {
        answer_error(request, PLUMB_E_UNAVAILABLE, "stopping; try again in a moment");
        request->answer.closes = true;
    } else if (route_find(request, info->request_method, allow, &err) < 0) {
        refuse_route(request, allow, &err);
    } else if (negotiate(request)) {
        source_find(request);
        if (pass_address(request) &&
            (request->route->scopes == 0 || serve_authenticate(request, request->route->scopes)) &&
            read_body(request, clock))
            handle(request);
    }
}
