/* SQL of epochs and of queued rows. */
#include "store_bind.h"

/* ---- epochs ---- */

static const plumb_stmt_t epochs_alive = {
    .name = "tracker_epochs_alive",
    .params = 0,
    .sql = "SELECT epoch, broker FROM epochs WHERE dead_at IS NULL ORDER BY began_at"};

int store_epochs_alive(store_t *s, PGresult **r, plumb_err_t *err)
{
    return store_run(s, &epochs_alive, r, err);
}

/* Did the statement return a row? */
static int ask(store_t *s, const plumb_stmt_t *stmt, bool *yes, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_run(s, stmt, &r, err);
    if (rc == 0)
        *yes = PQntuples(r) > 0;
    PQclear(r);
    return rc;
}

static const plumb_stmt_t epoch_seen = {
    .name = "tracker_epoch_seen",
    .params = 2,
    .sql = "INSERT INTO epochs AS e (epoch, broker) VALUES ($1, $2) ON CONFLICT (epoch) "
           "DO UPDATE SET seen_at = now() WHERE e.dead_at IS NULL RETURNING 1"};

int store_epoch_seen(store_t *s, uint64_t epoch, const char *broker, bool *alive, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_int8(s->p, (int64_t)epoch);
    plumb_param_text(s->p, broker);
    return ask(s, &epoch_seen, alive, err);
}

/* One that was never written down is entered as dead, so that all agree from now on. */
static const plumb_stmt_t epoch_dead = {
    .name = "tracker_epoch_dead",
    .params = 3,
    .sql = "INSERT INTO epochs AS e (epoch, broker, dead_at) VALUES ($1, $2, now()) "
           "ON CONFLICT (epoch) DO UPDATE SET dead_at = coalesce(e.dead_at, now()) "
           "WHERE $3::bigint = 0 OR e.dead_at IS NOT NULL "
           "OR e.seen_at < now() - $3 * interval '1 millisecond' RETURNING 1"};

int store_epoch_dead(store_t *s, uint64_t epoch, const char *broker, int64_t dead_ms, bool *dead,
                     plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_int8(s->p, (int64_t)epoch);
    plumb_param_text(s->p, broker);
    plumb_param_int8(s->p, dead_ms);
    return ask(s, &epoch_dead, dead, err);
}

static const plumb_stmt_t epoch_stands = {
    .name = "tracker_epoch_stands",
    .params = 1,
    .sql = "UPDATE epochs SET seen_at = now() WHERE epoch = $1 AND dead_at IS NULL RETURNING 1"};

int store_epoch_stands(store_t *s, uint64_t epoch, bool *stands, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_int8(s->p, (int64_t)epoch);
    return ask(s, &epoch_stands, stands, err);
}

/* ---- walks ---- */

#define QUEUED_LIST                                                                                \
    "SELECT d.account_id, d.id, d.attempt, d.epoch, d.queued_at, "                                 \
    "(extract(epoch FROM d.queued_at) * 1000000)::bigint FROM deliveries d "                       \
    "WHERE d.state = 'queued' AND (d.queued_at, d.id) > "                                          \
    "('epoch'::timestamptz + $1 * interval '1 microsecond', $2) "

static int walk(store_t *s, const plumb_stmt_t *stmt, queued_cursor_t *cursor, int limit, bool *end,
                PGresult **r, plumb_err_t *err)
{
    int rc = store_run(s, stmt, r, err);
    if (rc < 0)
        return rc;
    int rows = PQntuples(*r);
    *end = rows < limit;
    if (rows > 0) {
        cursor->queued_us = plumb_get_int8(*r, rows - 1, QUEUED_US);
        cursor->id = plumb_get_uuid(*r, rows - 1, QUEUED_ID);
    }
    return 0;
}

static void bind_cursor(plumb_params_t *p, const queued_cursor_t *cursor)
{
    plumb_params_clear(p);
    plumb_param_int8(p, cursor->queued_us);
    plumb_param_uuid(p, &cursor->id);
}

static const plumb_stmt_t queued_start = {
    .name = "tracker_queued_start",
    .params = 1,
    .sql = "SELECT (extract(epoch FROM now() - $1 * interval '1 millisecond') * 1000000)::bigint"};

int store_queued_start(store_t *s, queued_cursor_t *cursor, int64_t younger_ms, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_int8(s->p, younger_ms);
    int rc = store_run(s, &queued_start, &r, err);
    *cursor = (queued_cursor_t){.queued_us = rc == 0 ? plumb_get_int8(r, 0, 0) : 0};
    PQclear(r);
    return rc;
}

static const plumb_stmt_t queued = {.name = "tracker_queued",
                                    .params = 4,
                                    .sql = QUEUED_LIST
                                    "AND d.queued_at <= now() - $3 * interval '1 millisecond' "
                                    "ORDER BY d.queued_at, d.id LIMIT $4"};

int store_queued(store_t *s, queued_cursor_t *cursor, int64_t older_ms, int limit, bool *end,
                 PGresult **r, plumb_err_t *err)
{
    bind_cursor(s->p, cursor);
    plumb_param_int8(s->p, older_ms);
    plumb_param_int8(s->p, limit);
    return walk(s, &queued, cursor, limit, end, r, err);
}

static const plumb_stmt_t orphans = {
    .name = "tracker_orphans",
    .params = 5,
    .sql = QUEUED_LIST
    "AND d.epoch <> ALL ($3::bigint[]) AND CASE WHEN EXISTS (SELECT FROM epochs e "
    "WHERE e.epoch = d.epoch) THEN EXISTS (SELECT FROM epochs e WHERE e.epoch = d.epoch "
    "AND e.dead_at IS NOT NULL) ELSE d.queued_at < now() - $4 * interval '1 millisecond' END "
    "ORDER BY d.queued_at, d.id LIMIT $5"};

int store_orphans(store_t *s, queued_cursor_t *cursor, const uint64_t *standing, size_t count,
                  int64_t unknown_ms, int limit, bool *end, PGresult **r, plumb_err_t *err)
{
    bind_cursor(s->p, cursor);
    plumb_array_begin(s->p, PLUMB_ARRAY_INT8);
    for (size_t i = 0; i < count; i++)
        plumb_item_int8(s->p, (int64_t)standing[i]);
    plumb_array_end(s->p);
    plumb_param_int8(s->p, unknown_ms);
    plumb_param_int8(s->p, limit);
    return walk(s, &orphans, cursor, limit, end, r, err);
}

/* ---- taking back ---- */

#define TAKE_BACK                                                                                  \
    "UPDATE deliveries d SET state = 'pending', due_at = now() "                                   \
    "FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k(account, id, attempt) "                   \
    "WHERE d.account_id = k.account AND d.id = k.id AND d.state IS NOT DISTINCT FROM 'queued' "    \
    "AND d.attempt = k.attempt"
#define NOT_STANDING                                                                               \
    " AND NOT EXISTS (SELECT FROM epochs e WHERE e.epoch = d.epoch AND e.dead_at IS NULL)"

static const plumb_stmt_t requeue_orphans = {
    .name = "tracker_requeue_orphans", .params = 3, .sql = TAKE_BACK NOT_STANDING};

static const plumb_stmt_t requeue_given_up = {
    .name = "tracker_requeue_given_up", .params = 3, .sql = TAKE_BACK};

int store_requeue_orphans(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                          plumb_err_t *err)
{
    plumb_params_clear(s->p);
    bind_keys(s->p, keys, count);
    return store_count(s, &requeue_orphans, moved, err);
}

int store_requeue_given_up(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                           plumb_err_t *err)
{
    plumb_params_clear(s->p);
    bind_keys(s->p, keys, count);
    return store_count(s, &requeue_given_up, moved, err);
}

static const plumb_stmt_t adopt = {
    .name = "tracker_adopt",
    .params = 4,
    .sql =
        "UPDATE deliveries d SET epoch = $4 "
        "FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k(account, id, attempt) "
        "WHERE d.account_id = k.account AND d.id = k.id AND d.state IS NOT DISTINCT FROM 'queued' "
        "AND d.attempt = k.attempt" NOT_STANDING
        " AND EXISTS (SELECT FROM epochs e WHERE e.epoch = $4 AND e.dead_at IS NULL) "
        "RETURNING d.id, d.attempt"};

int store_adopt(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch, PGresult **r,
                plumb_err_t *err)
{
    plumb_params_clear(s->p);
    bind_keys(s->p, keys, count);
    plumb_param_int8(s->p, (int64_t)epoch);
    return store_run(s, &adopt, r, err);
}
