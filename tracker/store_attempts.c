/* SQL of results and the attempt log: the hot path. */
#include "count.h"
#include "store_bind.h"

/* ---- records: one row of a table for each column ---- */

static void put_small(plumb_params_t *p, uint64_t value, uint64_t max)
{
    if (value == 0 || value > max)
        plumb_item_null(p);
    else
        plumb_item_int4(p, (int32_t)value);
}

#define ATTEMPT_COLUMN(name, call)                                                                 \
    static void put_##name(plumb_params_t *p, const attempt_write_t *w)                            \
    {                                                                                              \
        const plumb_result_t *r = w->result;                                                       \
        call;                                                                                      \
    }
ATTEMPT_COLUMN(account, plumb_item_uuid(p, &r->account))
ATTEMPT_COLUMN(delivery, plumb_item_uuid(p, &r->ticket.delivery))
ATTEMPT_COLUMN(attempt, plumb_item_int4(p, (int32_t)r->ticket.attempt))
ATTEMPT_COLUMN(outcome, bind_name(p, plumb_outcome_name(r->outcome)))
ATTEMPT_COLUMN(worker, plumb_item_textn(p, r->worker.data ? r->worker.data : "", r->worker.length))
ATTEMPT_COLUMN(status, put_small(p, r->status, INT16_MAX))
ATTEMPT_COLUMN(requests, plumb_item_int4(p, r->requests < INT16_MAX ? r->requests : INT16_MAX))
ATTEMPT_COLUMN(dns, put_small(p, r->timings.dns_us, INT32_MAX))
ATTEMPT_COLUMN(connect, put_small(p, r->timings.connect_us, INT32_MAX))
ATTEMPT_COLUMN(tls, put_small(p, r->timings.tls_us, INT32_MAX))
ATTEMPT_COLUMN(first_byte, put_small(p, r->timings.first_byte_us, INT32_MAX))
ATTEMPT_COLUMN(total, put_small(p, r->timings.total_us, INT32_MAX))
ATTEMPT_COLUMN(detail, bind_slice(p, &r->detail))
ATTEMPT_COLUMN(external_id, bind_slice(p, &r->external_id))
ATTEMPT_COLUMN(exchange, plumb_item_bytes(p, r->exchange.data, r->exchange.length))
ATTEMPT_COLUMN(checkpoint, bind_slice(p, &r->checkpoint))
ATTEMPT_COLUMN(counted, (void)r; plumb_item_bool(p, w->counted))
ATTEMPT_COLUMN(repeats, (void)r; plumb_item_int4(p, w->repeats))

static void put_retry_after(plumb_params_t *p, const attempt_write_t *w)
{
    if (w->result->retry_after_ms > 0)
        plumb_item_int8(p, w->result->retry_after_ms);
    else
        plumb_item_null(p);
}

/* The worker's clock may be anything; what no calendar has is left out. */
static void put_started(plumb_params_t *p, const attempt_write_t *w)
{
    const int64_t year_2200 = INT64_C(7258118400000);
    if (w->result->started_ms > 0 && w->result->started_ms < year_2200)
        plumb_item_time(p, w->result->started_ms);
    else
        plumb_item_null(p);
}

typedef struct result_column {
    plumb_array_type_t type;
    void (*put)(plumb_params_t *p, const attempt_write_t *w);
} result_column_t;

/* Columns of type attempt_result_1, in its order. */
static const result_column_t result_columns[] = {
    {PLUMB_ARRAY_UUID, put_account},     {PLUMB_ARRAY_UUID, put_delivery},
    {PLUMB_ARRAY_INT4, put_attempt},     {PLUMB_ARRAY_TEXT, put_outcome},
    {PLUMB_ARRAY_TEXT, put_worker},      {PLUMB_ARRAY_INT4, put_status},
    {PLUMB_ARRAY_INT4, put_requests},    {PLUMB_ARRAY_INT4, put_dns},
    {PLUMB_ARRAY_INT4, put_connect},     {PLUMB_ARRAY_INT4, put_tls},
    {PLUMB_ARRAY_INT4, put_first_byte},  {PLUMB_ARRAY_INT4, put_total},
    {PLUMB_ARRAY_INT8, put_retry_after}, {PLUMB_ARRAY_TEXT, put_detail},
    {PLUMB_ARRAY_TEXT, put_external_id}, {PLUMB_ARRAY_BYTES, put_exchange},
    {PLUMB_ARRAY_TIME, put_started},     {PLUMB_ARRAY_BOOL, put_counted},
    {PLUMB_ARRAY_INT4, put_repeats},     {PLUMB_ARRAY_TEXT, put_checkpoint}};

/* $1 of each statement here: one array of records, since each unnest of a column would be a
 * function scan of its own. */
#define RESULTS                                                                                    \
    "unnest($1::attempt_result_1[]) WITH ORDINALITY AS g(account_id, delivery_id, attempt, "       \
    "outcome, worker, status, requests, dns_us, connect_us, tls_us, first_byte_us, total_us, "     \
    "retry_after_ms, detail, external_id, exchange, started_at, counted, repeats, checkpoint, n)"
#define LOGGED                                                                                     \
    "account_id, delivery_id, attempt, outcome, worker, status, requests, dns_us, connect_us, "    \
    "tls_us, first_byte_us, total_us, retry_after_ms, detail, external_id, exchange, started_at"
#define LOG_RESULTS "INSERT INTO attempts (" LOGGED ", counted, repeats) SELECT " LOGGED ", "

static void bind_results(store_t *s, const attempt_write_t *list, size_t count)
{
    plumb_params_clear(s->p);
    plumb_array_begin_of(s->p, s->result_array, s->result_type);
    for (size_t i = 0; i < count; i++) {
        plumb_record_begin(s->p);
        for (size_t c = 0; c < PLUMB_COUNT(result_columns); c++) {
            plumb_record_column(s->p, result_columns[c].type);
            result_columns[c].put(s->p, &list[i]);
        }
        plumb_record_end(s->p);
    }
    plumb_array_end(s->p);
}

/* ---- successes ---- */

/* A success that is the current attempt's needs nothing of what is in the row.  Its credential is
 * touched only where that tells something.  It is logged boldly, since an attempt that is still
 * under way has no success on record. */
static const plumb_stmt_t record_successes = {
    .name = "tracker_record_successes",
    .params = 1,
    .sql =
        "WITH moved AS (UPDATE deliveries d SET state = 'delivered', outcome = g.outcome, "
        "reason = NULL, settled_at = now(), external_id = coalesce(g.external_id, d.external_id), "
        "checkpoint = coalesce(g.checkpoint::jsonb, d.checkpoint) FROM " RESULTS
        " WHERE d.account_id = g.account_id AND d.id = g.delivery_id "
        "AND d.state IS NOT DISTINCT FROM 'queued' AND d.attempt = g.attempt "
        "RETURNING g.*, d.channel, d.credential_id, d.created_at), "
        "logged AS (" LOG_RESULTS "true, 0 FROM moved), "
        "touched AS (UPDATE credentials c SET succeeded_at = now(), refused = 0, failures = 0 "
        "FROM (SELECT DISTINCT account_id, credential_id FROM moved ORDER BY 1, 2) m "
        "WHERE c.account_id = m.account_id AND c.id = m.credential_id AND (c.refused > 0 "
        "OR c.failures > 0 OR c.succeeded_at IS NULL "
        "OR c.succeeded_at < now() - interval '5 s')) "
        "SELECT n, channel, (extract(epoch FROM now() - created_at) * 1000)::bigint FROM moved"};

int store_record_successes(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                           plumb_err_t *err)
{
    bind_results(s, list, count);
    return store_run(s, &record_successes, r, err);
}

/* ---- any result ---- */

static const plumb_stmt_t lock_deliveries = {
    .name = "tracker_lock_deliveries",
    .params = 1,
    .sql = "SELECT g.n, d.state, d.attempt, d.tries, d.crashes::int, d.deadline_at, now(), "
           "d.late_success, d.credential_id, d.channel, d.lead_id, "
           "(extract(epoch FROM now() - d.created_at) * 1000)::bigint, "
           "EXISTS (SELECT FROM attempts a WHERE a.account_id = g.account_id AND a.delivery_id = "
           "g.delivery_id AND a.attempt = g.attempt AND a.outcome = g.outcome), "
           "coalesce(h.limits->>'schedule' = 'mail', false), "
           "coalesce((h.limits->>'resends')::boolean, false), c.settings->>'schedule' "
           "FROM " RESULTS " "
           "JOIN deliveries d ON d.account_id = g.account_id AND d.id = g.delivery_id "
           "LEFT JOIN credentials c ON c.account_id = d.account_id AND c.id = d.credential_id "
           "LEFT JOIN channels h ON h.code = d.channel FOR UPDATE OF d"};

int store_lock_deliveries(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                          plumb_err_t *err)
{
    bind_results(s, list, count);
    return store_run(s, &lock_deliveries, r, err);
}

static const plumb_stmt_t write_attempts = {
    .name = "tracker_write_attempts",
    .params = 1,
    .sql = LOG_RESULTS "counted, repeats FROM " RESULTS
                       " ON CONFLICT (account_id, delivery_id, attempt, outcome) "
                       "DO UPDATE SET repeats = attempts.repeats + 1 + excluded.repeats, "
                       "counted = attempts.counted OR excluded.counted"};

int store_write_attempts(store_t *s, const attempt_write_t *list, size_t count, plumb_err_t *err)
{
    bind_results(s, list, count);
    return store_run(s, &write_attempts, NULL, err);
}
