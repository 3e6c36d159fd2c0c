/* Recounting. */
#include "counts.h"

#include "pg.h"

#include <stdlib.h>

#define FLAGS                                                                                      \
    "plumb_lead_flags(viewed, paid, blocked, is_test, duplicate_of IS NOT NULL, "                  \
    "deleted_at IS NOT NULL)"

static const char recount[] =
    "WITH lead AS (SELECT account_id, project_id, quiz_id, "
    "(created_at AT TIME ZONE 'UTC')::date AS day, status, " FLAGS " AS flags, -1 AS leads "
    "FROM leads), day AS (SELECT sum(leads) AS n FROM (SELECT * FROM lead "
    "UNION ALL SELECT * FROM lead_deltas UNION ALL SELECT * FROM lead_counts) d "
    "GROUP BY account_id, project_id, quiz_id, day, status, flags), "
    "total AS (SELECT sum(leads) AS n FROM ("
    "SELECT account_id, project_id, quiz_id, status, flags, leads FROM lead UNION ALL "
    "SELECT account_id, project_id, quiz_id, status, flags, leads FROM lead_deltas UNION ALL "
    "SELECT account_id, project_id, quiz_id, status, flags, leads FROM lead_totals) t "
    "GROUP BY account_id, project_id, quiz_id, status, flags) "
    "SELECT (SELECT count(*) FROM day WHERE n <> 0) + (SELECT count(*) FROM total WHERE n <> 0)";

long counts_off(const char *conninfo)
{
    char value[32] = "";
    pg_run(conninfo, recount, value, sizeof value);
    return strtol(value, NULL, 10);
}
