/* The schema of sql/: partitions take what is theirs, and look-ups touch one of them by its key. */
#include "count.h"
#include "store.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OWNER "'0190c9d2-0000-7000-8000-000000000001'"

/* The first value of a query. */
static const char *value_of(const store_t *s, const char *sql)
{
    static char value[512];
    pg_run(s->conninfo, sql, value, sizeof value);
    return value;
}

static void want(const store_t *s, const char *sql, const char *expected)
{
    const char *got = value_of(s, sql);
    if (strcmp(got, expected) != 0)
        fail_msg("%s: got '%s', want '%s'", sql, got, expected);
}

/* All lines of a query's first column. */
static char *lines_of(const store_t *s, const char *sql)
{
    plumb_buf_t out = {0};
    PGconn *conn = PQconnectdb(s->conninfo);
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    for (int row = 0; row < PQntuples(r); row++)
        plumb_buf_printf(&out, "%s\n", PQgetvalue(r, row, 0));
    PQclear(r);
    PQfinish(conn);
    return out.data;
}

/* ---- the floor of a moment ---- */

static void floor_parts_ids_by_their_moment(void **state)
{
    static const int64_t moments[] = {0, 1, 1700000000000, 1793491200000, 281474976710655};
    for (size_t i = 0; i < PLUMB_COUNT(moments); i++) {
        char sql[128], text[PLUMB_UUID_TEXT];
        plumb_uuid_t floor, id = plumb_uuid_at(moments[i]);
        snprintf(sql, sizeof sql, "SELECT plumb_id_floor(to_timestamp(%" PRId64 ".%03" PRId64 "))",
                 moments[i] / 1000, moments[i] % 1000);
        assert_true(plumb_uuid_parse(&floor, value_of(*state, sql), 36));
        assert_true(plumb_uuid_compare(&floor, &id) <= 0);
        assert_true(plumb_uuid_unix_ms(&floor) == moments[i]);
        if (moments[i] > 0) {
            plumb_uuid_t before = plumb_uuid_at(moments[i] - 1);
            if (plumb_uuid_compare(&before, &floor) >= 0)
                fail_msg("%s is not below %s", plumb_uuid_text(&before, text), sql);
        }
    }
}

/* All ids of one moment lie between its bounds, those of its neighbours do not. */
static void moments_have_bounds(void **state)
{
    static const int64_t moments[] = {1, 1700000000000, 281474976710654};
    for (size_t i = 0; i < PLUMB_COUNT(moments); i++)
        for (int64_t ms = moments[i] - 1; ms <= moments[i] + 1; ms++) {
            char sql[256], text[PLUMB_UUID_TEXT], other[PLUMB_UUID_TEXT];
            plumb_uuid_t id = plumb_uuid_at(ms), lead = plumb_uuid_at(moments[i]);
            plumb_uuid_text(&id, text);
            plumb_uuid_text(&lead, other);
            snprintf(sql, sizeof sql,
                     "SELECT '%s' BETWEEN plumb_id_low('%s') AND plumb_id_high('%s')", text, other,
                     other);
            want(*state, sql, ms == moments[i] ? "t" : "f");
        }
    want(*state,
         "SELECT plumb_id_low('0190c9d2-0001-7abc-8def-0123456789ab') || ' ' || "
         "plumb_id_high('0190c9d2-0001-7abc-8def-0123456789ab')",
         "0190c9d2-0001-7000-8000-000000000000 0190c9d2-0001-7fff-bfff-ffffffffffff");
}

/* ---- what no row may hold ---- */

static void words_are_guarded(void **state)
{
    static const struct {
        const char *columns, *values, *sqlstate;
    } rows[] = {{"state", "'pending'", "00000"},
                {"state, verb", "'held', 'update'", "00000"},
                {"state, priority", "'skipped', 2", "00000"},
                {"state, epoch, queued_at, attempt", "'queued', 7, now(), 1", "00000"},
                {"state", "'lost'", "22P02"},
                {"state, verb", "'pending', 'drop'", "22P02"},
                {"state, priority", "'pending', 3", "23514"},
                {"state, priority", "'pending', -1", "23514"},
                {"state", "NULL", "23502"},
                {"state, queued_at, attempt", "'queued', now(), 1", "23514"},
                {"state, epoch, attempt", "'queued', 7, 1", "23514"},
                {"state, epoch, queued_at", "'queued', 7, now()", "23514"}};
    PGconn *conn = PQconnectdb(((const store_t *)*state)->conninfo);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char sql[512];
        snprintf(sql, sizeof sql,
                 "INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, "
                 "deadline_at, %s) VALUES (" OWNER ", gen_random_uuid(), " OWNER ", " OWNER
                 ", 'c', now(), %s)",
                 rows[i].columns, rows[i].values);
        PGresult *r = PQexec(conn, sql);
        const char *got = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        if (strcmp(got == NULL ? "00000" : got, rows[i].sqlstate) != 0)
            fail_msg("%s: %s, want %s", rows[i].values, got, rows[i].sqlstate);
        PQclear(r);
    }
    PGresult *r = PQexec(conn, "UPDATE leads SET status = 'Lost'");
    assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), "22P02");
    PQclear(r);
    PQfinish(conn);
}

/* ---- making partitions ---- */

static void three_months_are_there(void **state)
{
    want(*state,
         "SELECT string_agg(DISTINCT parent::text || ' ' || n, ',' ORDER BY parent::text || ' ' || "
         "n) FROM (SELECT inhparent::regclass parent, count(*) n FROM pg_inherits i JOIN pg_class "
         "c ON c.oid = i.inhrelid AND c.relkind = 'r' GROUP BY 1) p",
         "attempts 4,deliveries 4,events 4,leads 4");
    want(*state, "SELECT plumb_make_partitions(now(), now() + interval '2 months')", "0");
}

static void months_join_without_a_gap(void **state)
{
    want(*state, "SELECT plumb_make_partitions('2030-11-30 23:59:59+00', '2031-02-01 00:00+00')",
         "16");
    want(*state, "SELECT plumb_make_partitions('2030-12-01 00:00+00', '2031-03-31 23:59+00')", "4");
    want(*state,
         "SELECT string_agg(substring(pg_get_expr(relpartbound, oid) FROM 17), ' ' ORDER BY "
         "relname) = (SELECT string_agg(format('(''%s'') TO (''%s'')', plumb_id_floor(m AT TIME "
         "ZONE 'UTC'), plumb_id_floor((m + interval '1 month') AT TIME ZONE 'UTC')), ' ' ORDER BY "
         "m) FROM generate_series('2030-11-01'::timestamp, '2031-03-01', '1 month') m) FROM "
         "pg_class WHERE relname LIKE 'attempts_203%' AND relkind = 'r'",
         "t");
}

/* Where a lead with the lowest id of a moment lies. */
static void want_place(store_t *s, const char *moment, const char *partition)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id) VALUES (" OWNER
             ", plumb_id_floor('%s'), " OWNER ", " OWNER ", " OWNER
             ") RETURNING tableoid::regclass::text",
             moment);
    want(s, sql, partition);
}

static void rows_go_to_their_month(void **state)
{
    store_t *s = *state;
    want(s, "SELECT plumb_make_partitions('2030-01-01', '2030-02-10')", "12"); /* from December */
    want_place(s, "2030-01-01 00:00:00+00", "leads_2030_01");
    want_place(s, "2029-12-31 23:59:59.999+00", "leads_2029_12");
    want_place(s, "2030-02-28 23:59:59.999+00", "leads_2030_02");
    want_place(s, "2030-03-01 00:00:00+00", "leads_default"); /* as of a wrong clock */
    want_place(s, "1971-01-01 00:00:00+00", "leads_default");
}

static void late_partition_takes_over_its_rows(void **state)
{
    store_t *s = *state;
    want_place(s, "2035-05-01 00:00:00+00", "leads_default");
    want_place(s, "2035-05-31 23:59:59.999+00", "leads_default");
    want_place(s, "2035-06-01 00:00:00+00", "leads_default");
    store_script(s, "INSERT INTO attempts (account_id, delivery_id, attempt, outcome, counted, "
                    "worker) VALUES (" OWNER ", plumb_id_floor('2035-05-20'), 1, 'ok', true, 'w')");
    want(s, "SELECT plumb_make_partitions('2035-05-07 00:00+00', '2035-05-08 00:00+00')", "4");
    want(s, "SELECT count(*) FROM leads_2035_05", "2");
    want(s, "SELECT count(*) FROM leads_default", "1");
    want(s, "SELECT count(*) FROM attempts_2035_05", "1");
    want(s, "SELECT count(*) FROM leads", "3");
}

static void partitions_have_the_indexes_of_their_parent(void **state)
{
    want(*state,
         "SELECT count(*) FROM pg_index i JOIN pg_inherits c ON c.inhrelid = i.indrelid AND "
         "c.inhparent = 'deliveries'::regclass WHERE NOT EXISTS (SELECT FROM pg_inherits p WHERE "
         "p.inhrelid = i.indexrelid)",
         "0");
    want(*state,
         "SELECT string_agg(DISTINCT n::text, ',') FROM (SELECT count(*) n FROM pg_index i JOIN "
         "pg_inherits c ON c.inhrelid = i.indrelid AND c.inhparent = 'deliveries'::regclass GROUP "
         "BY i.indrelid) x",
         "5");
}

static void makers_at_once_do_not_collide(void **state)
{
    store_t *s = *state;
    static const char make[] = "SELECT plumb_make_partitions('2040-01-01+00', '2040-06-01+00')";
    PGconn *conns[4];
    for (size_t i = 0; i < PLUMB_COUNT(conns); i++) {
        conns[i] = PQconnectdb(s->conninfo);
        assert_true(PQsendQuery(conns[i], make));
    }
    for (size_t i = 0; i < PLUMB_COUNT(conns); i++) {
        PGresult *r = PQgetResult(conns[i]);
        if (PQresultStatus(r) != PGRES_TUPLES_OK)
            fail_msg("%s", PQerrorMessage(conns[i]));
        PQclear(r);
        PQfinish(conns[i]);
    }
    want(s, "SELECT count(*) FROM pg_class WHERE relname LIKE 'events_2040_%' AND relkind = 'r'",
         "6");
}

/* ---- plans, on tables that nobody has analyzed: the daemons' are made when all is empty ---- */

static void want_plan(const store_t *s, const char *name, const char *sql, const char *index)
{
    char *plan = lines_of(s, sql);
    int scans = 0;
    for (const char *at = plan; (at = strstr(at, "Scan using ")) != NULL; at++)
        scans++;
    if (scans != 1 || strstr(plan, index) == NULL || strstr(plan, "Seq Scan") != NULL)
        fail_msg("%s: %d scans:\n%s", name, scans, plan);
    free(plan);
}

static void look_ups_touch_one_partition_by_its_key(void **state)
{
    store_t *s = *state;
    static const struct {
        const char *name, *types, *sql, *index;
    } cases[] = {
        {"lead", "uuid, uuid", "SELECT * FROM leads WHERE account_id = $1 AND id = $2", "_pkey"},
        {"lead's update", "uuid, uuid",
         "UPDATE leads SET status = 'New' WHERE account_id = $1 AND id = $2", "_pkey"},
        {"delivery", "uuid, uuid", "SELECT * FROM deliveries WHERE account_id = $1 AND id = $2",
         "_pkey"},
        {"delivery's update", "uuid, uuid",
         "UPDATE deliveries SET state = 'failed' WHERE account_id = $1 AND id = $2", "_pkey"},
        {"deliveries of a lead", "uuid, uuid",
         "SELECT * FROM deliveries WHERE account_id = $1 AND id BETWEEN plumb_id_low($2) AND "
         "plumb_id_high($2) AND lead_id = $2",
         "_pkey"},
        {"attempts", "uuid, uuid",
         "SELECT * FROM attempts WHERE account_id = $1 AND delivery_id = $2", "_pkey"},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char sql[1024];
        for (int generic = 0; generic < 2; generic++) {
            snprintf(sql, sizeof sql,
                     "SET plan_cache_mode = force_%s_plan; PREPARE q(%s) AS %s; "
                     "EXPLAIN (COSTS OFF) EXECUTE q(" OWNER ", plumb_id_floor(now()))",
                     generic ? "generic" : "custom", cases[i].types, cases[i].sql);
            want_plan(s, cases[i].name, sql, cases[i].index);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(floor_parts_ids_by_their_moment),
        WITH_STORE(moments_have_bounds),
        WITH_STORE(words_are_guarded),
        WITH_STORE(three_months_are_there),
        WITH_STORE(months_join_without_a_gap),
        WITH_STORE(rows_go_to_their_month),
        WITH_STORE(late_partition_takes_over_its_rows),
        WITH_STORE(partitions_have_the_indexes_of_their_parent),
        WITH_STORE(makers_at_once_do_not_collide),
        WITH_STORE(look_ups_touch_one_partition_by_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
