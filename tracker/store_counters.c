/* SQL of the leads' counters. */
#include "store_bind.h"

/* One statement, so one transaction: rows that were added up are gone, or nothing happened.  The
 * lock, since two at once would add the same counters up in different orders and lock each other
 * out.  A row that another tracker took between this statement's snapshot and its lock is not
 * deleted again, so it is not returned. */
static const plumb_stmt_t fold = {
    .name = "tracker_fold_counters",
    .params = 2,
    .sql =
        "WITH alone AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(" STORE_LOCK_CLASS
        ", $1) AS got), "
        "taken AS (DELETE FROM lead_deltas WHERE ctid = ANY (ARRAY(SELECT d.ctid "
        "FROM lead_deltas d WHERE (SELECT got FROM alone) LIMIT $2)) RETURNING *), "
        "days AS (INSERT INTO lead_counts AS c (account_id, project_id, quiz_id, day, status, "
        "flags, leads) SELECT account_id, project_id, quiz_id, day, status, flags, sum(leads) "
        "FROM taken GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(leads) <> 0 "
        "ON CONFLICT (account_id, project_id, quiz_id, day, status, flags) "
        "DO UPDATE SET leads = c.leads + excluded.leads), "
        "totals AS (INSERT INTO lead_totals AS c (account_id, project_id, quiz_id, status, flags, "
        "leads) SELECT account_id, project_id, quiz_id, status, flags, sum(leads) "
        "FROM taken GROUP BY 1, 2, 3, 4, 5 HAVING sum(leads) <> 0 "
        "ON CONFLICT (account_id, project_id, quiz_id, status, flags) "
        "DO UPDATE SET leads = c.leads + excluded.leads) "
        "SELECT count(*) FROM taken"};

int store_fold_counters(store_t *s, int limit, size_t *folded, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_int4(s->p, LOCK_COUNTERS);
    plumb_param_int8(s->p, limit);
    int rc = store_run(s, &fold, &r, err);
    *folded = rc == 0 ? (size_t)plumb_get_int8(r, 0, 0) : 0;
    PQclear(r);
    return rc;
}
