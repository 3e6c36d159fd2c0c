/* Sums of counters: what trackers have added up and what they have not yet, seen in one snapshot,
 * so that nothing is counted twice or missed while they are at it. */
#include "store_counts.h"

#include "conditions.h"
#include "lead.h"

#include <string.h>

#define COUNTERS_MS 5000
#define ROWS_MS 7000      /* the client's patience; the server gives up sooner: */
#define ROWS_LIMIT "2000" /* ms */
#define DAY_MS INT64_C(86400000)
#define FIRST_DAY (-2000000)             /* no lead is from before it, … */
#define LAST_DAY 4000000                 /* … or behind it */
#define LAST_MS INT64_C(253370764800000) /* the year 9999 */

#define COLUMNS "project_id, quiz_id, status, flags"
/* Of int4, since the sum of int8 is a numeric, which takes five times as long. */
#define FINISH                                                                                     \
    "SELECT c.project_id, c.quiz_id, p.user_id, c.status::text, c.flags::int4, c.leads "           \
    "FROM (SELECT " COLUMNS ", sum(leads::int4) AS leads FROM part "                               \
    "WHERE $2::uuid IS NULL OR project_id = $2 GROUP BY " COLUMNS                                  \
    " HAVING sum(leads::int4) <> 0) c "                                                            \
    "LEFT JOIN projects p ON p.account_id = $1 AND p.id = c.project_id "                           \
    "WHERE c.flags < 32" /* what is put away */

static const plumb_stmt_t select_totals = {
    .name = "ingest_lead_totals",
    .params = 2,
    .sql = "WITH part AS (SELECT " COLUMNS ", leads FROM lead_totals WHERE account_id = $1 "
           "UNION ALL SELECT " COLUMNS ", leads FROM lead_deltas WHERE account_id = $1) " FINISH};

#define IN_DAYS                                                                                    \
    "WHERE account_id = $1 AND day >= date '1970-01-01' + $3::int4 AND day < date '1970-01-01' + " \
    "$4::int4"
#define IN_PART(from, to)                                                                          \
    "SELECT project_id, quiz_id, status, plumb_lead_flags(viewed, paid, blocked, is_test, "        \
    "duplicate_of IS NOT NULL, deleted_at IS NOT NULL), 1 FROM leads WHERE account_id = $1 "       \
    "AND id >= plumb_id_floor(" from ") AND id < plumb_id_floor(" to ")"

static const plumb_stmt_t select_days = {
    .name = "ingest_lead_days",
    .params = 8,
    .sql = "WITH part AS (SELECT " COLUMNS ", leads FROM lead_counts " IN_DAYS
           " UNION ALL SELECT " COLUMNS ", leads FROM lead_deltas " IN_DAYS
           " UNION ALL " IN_PART("$5", "$6") " UNION ALL " IN_PART("$7", "$8") ") " FINISH};

/* Whole days, and what stands out at both ends; all of it at the first end if there is none. */
static void bind_range(plumb_params_t *p, const counts_range_t *range)
{
    bool open_from = range->from_ms<0, open_to = range->to_ms> LAST_MS;
    int64_t from = open_from ? 0 : range->from_ms > LAST_MS ? LAST_MS : range->from_ms;
    int64_t to = open_to ? LAST_MS : range->to_ms < from ? from : range->to_ms;
    int64_t first = (from + DAY_MS - 1) / DAY_MS * DAY_MS, last = to / DAY_MS * DAY_MS;
    bool inside = !open_from && !open_to && first > last; /* one day */
    plumb_param_int4(p, open_from ? FIRST_DAY : (int32_t)(first / DAY_MS));
    plumb_param_int4(p, open_to ? LAST_DAY : (int32_t)((inside ? first : last) / DAY_MS));
    plumb_param_time(p, from);
    plumb_param_time(p, inside ? to : first);
    plumb_param_time(p, inside || open_to ? to : last);
    plumb_param_time(p, to);
}

int store_counts(reader_t *reader, const identity_t *who, const counts_range_t *range, PGresult **r,
                 plumb_err_t *err)
{
    bool all = range->from_ms == INT64_MIN && range->to_ms == INT64_MAX;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &who->account);
    plumb_param_uuid(reader->params, plumb_uuid_is_nil(&who->project) ? NULL : &who->project);
    if (!all)
        bind_range(reader->params, range);
    return plumb_db_exec(reader->db, all ? &select_totals : &select_days, reader->params,
                         COUNTERS_MS, r, err);
}

/* ---- from the leads ---- */

static void write_sql(plumb_buf_t *sql, plumb_params_t *params, const api_selection_t *s)
{
    api_sql_t b = {sql, params, 1};
    plumb_params_clear(params);
    plumb_param_uuid(params, &s->who->account);
    plumb_buf_text(sql, "SELECT c.project_id, c.quiz_id, p.user_id, c.status::text, c.flags::int4, "
                        "c.leads FROM (SELECT t.project_id, t.quiz_id, t.status, "
                        "plumb_lead_flags(t.viewed, t.paid, t.blocked, t.is_test, "
                        "t.duplicate_of IS NOT NULL, false) AS flags, count(*) AS leads "
                        "FROM leads t WHERE t.account_id = $1");
    api_put_conditions(&b, s, false);
    plumb_buf_text(sql, " GROUP BY 1, 2, 3, 4) c LEFT JOIN projects p ON p.account_id = $1 "
                        "AND p.id = c.project_id");
}

/* The server's own limit, so that nothing goes on working behind our back. */
static int run_limited(reader_t *reader, const plumb_buf_t *sql, PGresult **r, plumb_err_t *err)
{
    int rc = plumb_db_begin(reader->db, ROWS_MS, err);
    if (rc == 0)
        rc = plumb_db_script(reader->db, "SET LOCAL statement_timeout = " ROWS_LIMIT, ROWS_MS, err);
    if (rc == 0)
        rc = plumb_db_query(reader->db, "a count of leads", sql->data, reader->params, ROWS_MS, r,
                            err);
    if (rc == 0)
        return plumb_db_commit(reader->db, ROWS_MS, err);
    plumb_db_rollback(reader->db);
    return strstr(err->text, "57014") == NULL
               ? rc
               : plumb_err_set(err, PLUMB_E_UNAVAILABLE, "counting takes too long");
}

int store_counts_of_rows(reader_t *reader, const api_selection_t *s, PGresult **r, plumb_err_t *err)
{
    plumb_buf_t sql = {0};
    write_sql(&sql, reader->params, s);
    int rc = sql.failed ? plumb_err_set(err, PLUMB_E_MEMORY, "a count's statement")
                        : run_limited(reader, &sql, r, err);
    plumb_buf_fini(&sql);
    return rc;
}

void store_count_row(count_row_t *row, const PGresult *r, int number)
{
    for (int i = 0; i < FACET_IDS; i++)
        row->ids[i] = plumb_get_uuid(r, number, i);
    row->status = plumb_get_text(r, number, 3);
    row->flags = (unsigned)plumb_get_int4(r, number, 4);
    row->leads = plumb_get_int8(r, number, 5);
}
