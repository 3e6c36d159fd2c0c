/* Every statement of the tracker against a real server: what it changes, and by which index. */
#include "../tracker/store.h" /* tests/ has one of its own */

#include "count.h"
#include "lead.h"
#include "migrate.h"
#include "pg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ACCOUNT "018f0000-0000-7000-8000-00000000000a"
#define CREDENTIAL "018f0000-0000-7000-8000-00000000000c"
#define OTHER "018f0000-0000-7000-8000-00000000000d"

static plumb_err_t err;
static char conninfo[PG_CONNINFO_MAX];
static store_t store;

static void good(int rc)
{
    if (rc < 0)
        fail_msg("%s", err.text);
}

static plumb_uuid_t uuid(const char *text)
{
    plumb_uuid_t id;
    assert_true(plumb_uuid_parse(&id, text, strlen(text)));
    return id;
}

#define sql(...)                                                                                   \
    do {                                                                                           \
        char text_[4096];                                                                          \
        snprintf(text_, sizeof text_, __VA_ARGS__);                                                \
        pg_run(conninfo, text_, NULL, 0);                                                          \
    } while (0)

static void want(const char *expected, const char *query)
{
    char value[1024];
    pg_run(conninfo, query, value, sizeof value);
    if (strcmp(value, expected) != 0)
        fail_msg("%s\n  got '%s', want '%s'", query, value, expected);
}

static int open_store(void **state)
{
    (void)state;
    plumb_conf_t conf = {0};
    plumb_db_t *db = NULL;
    plumb_migrated_t done;
    pg_new_database(conninfo);
    good(plumb_db_new(&db, conninfo, "test", &err));
    good(plumb_migrate(db, PLUMB_SQL_DIR, &done, &err));
    plumb_db_destroy(&db);
    good(plumb_conf_init(&conf, &err));
    free(conf.database);
    conf.database = strdup(conninfo);
    good(store_init(&store, &conf, &err));
    good(store_ready(&store, &err));
    plumb_conf_fini(&conf);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    store_fini(&store);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    sql("SET client_min_messages = warning; TRUNCATE accounts, credentials, leads, deliveries, "
        "attempts, events, epochs, channels, "
        "idempotency CASCADE");
    sql("INSERT INTO accounts (id, name) VALUES ('" ACCOUNT "', 'a');"
        "INSERT INTO credentials (account_id, id, channel, name, sealed) VALUES "
        "('" ACCOUNT "', '" CREDENTIAL "', 'webhooks', 'c', ''), "
        "('" ACCOUNT "', '" OTHER "', 'webhooks', 'o', '');"
        "INSERT INTO epochs (epoch, broker) VALUES (100, 'broker-0');"
        "INSERT INTO epochs (epoch, broker, dead_at) VALUES (90, 'broker-0', now())");
    return 0;
}

/* A delivery in `state`, its id of now; further columns as SQL. */
static delivery_key_t delivery(const char *state, uint32_t attempt, const char *more)
{
    delivery_key_t key = {uuid(ACCOUNT), {plumb_uuid_new(), attempt}};
    char id[PLUMB_UUID_TEXT];
    sql("INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, state, attempt, "
        "deadline_at, epoch, queued_at) VALUES ('" ACCOUNT
        "', '%s', gen_random_uuid(), '" CREDENTIAL
        "', 'webhooks', '%s', %u, now() + interval '7 days', 100, now())",
        plumb_uuid_text(&key.ticket.delivery, id), state, attempt);
    if (more != NULL)
        sql("UPDATE deliveries SET %s WHERE id = '%s'", more, id);
    return key;
}

static const char *of(const delivery_key_t *key, const char *columns)
{
    static char query[512];
    char id[PLUMB_UUID_TEXT];
    snprintf(query, sizeof query, "SELECT %s FROM deliveries WHERE id = '%s'", columns,
             plumb_uuid_text(&key->ticket.delivery, id));
    return query;
}

static plumb_result_t result_of(const delivery_key_t *key, plumb_outcome_t outcome)
{
    return (plumb_result_t){.ticket = key->ticket,
                            .account = key->account,
                            .credential = uuid(CREDENTIAL),
                            .worker = {"worker-0", 8},
                            .outcome = outcome,
                            .status = 200,
                            .requests = 1,
                            .timings = {.total_us = 1500},
                            .started_ms = 1700000000000,
                            .external_id = {"ext-1", 5},
                            .checkpoint = {"{\"a\": 1}", 8},
                            .exchange = {"\0\1\2", 3}};
}

/* ---- results ---- */

static void successes(void **state)
{
    (void)state;
    delivery_key_t keys[] = {delivery("queued", 1, NULL),
                             delivery("queued", 2, NULL),
                             delivery("delivered", 1, NULL),
                             delivery("queued", 1, NULL),
                             {uuid(ACCOUNT), {plumb_uuid_new(), 1}}};
    plumb_result_t results[PLUMB_COUNT(keys)];
    attempt_write_t writes[PLUMB_COUNT(keys)];
    keys[1].ticket.attempt = 1; /* an older attempt is not this statement's */
    for (size_t i = 0; i < PLUMB_COUNT(keys); i++) {
        results[i] = result_of(&keys[i], i == 3 ? PLUMB_OUT_duplicate : PLUMB_OUT_ok);
        writes[i] = (attempt_write_t){.result = &results[i]};
    }
    PGresult *r = NULL;
    good(store_record_successes(&store, writes, PLUMB_COUNT(keys), &r, &err));
    assert_int_equal(PQntuples(r), 2);
    int64_t sum = plumb_get_int8(r, 0, RECORDED_N) + plumb_get_int8(r, 1, RECORDED_N);
    assert_int_equal(sum, 1 + 4);
    assert_string_equal(plumb_get_text(r, 0, RECORDED_CHANNEL), "webhooks");
    assert_true(plumb_get_int8(r, 0, RECORDED_AGE_MS) >= 0);
    PQclear(r);
    want("delivered|ok||ext-1|{\"a\": 1}|t",
         of(&keys[0],
            "concat_ws('|', state, outcome, coalesce(reason, ''), external_id, checkpoint, "
            "settled_at IS NOT NULL)"));
    want("queued", of(&keys[1], "state"));
    want("2", "SELECT count(*) FROM attempts");
    want("t|200|worker-0|1|1500|0|\\x000102|2023-11-14",
         "SELECT concat_ws('|', counted, status, worker, requests, total_us, repeats, exchange, "
         "(started_at AT TIME ZONE 'UTC')::date, dns_us, retry_after_ms) FROM attempts WHERE "
         "outcome = 'ok'");
    good(store_record_successes(&store, writes, PLUMB_COUNT(keys), &r, &err));
    assert_int_equal(PQntuples(r), 0); /* the same again does nothing */
    PQclear(r);
}

static void successes_touch_their_credential(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        const char *after;
    } rows[] = {{"succeeded_at = NULL", "t"},
                {"succeeded_at = now() - interval '1 s'", "f"},
                {"succeeded_at = now() - interval '6 s'", "t"},
                {"succeeded_at = now() - interval '1 s', failures = 3", "t"},
                {"succeeded_at = now() - interval '1 s', refused = 2", "t"}};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        sql("UPDATE credentials SET %s WHERE id = '" CREDENTIAL "'", rows[i].before);
        char before[64], after[64];
        const char *look = "SELECT xmin FROM credentials WHERE id = '" CREDENTIAL "'";
        pg_run(conninfo, look, before, sizeof before);
        delivery_key_t key = delivery("queued", 1, NULL);
        plumb_result_t result = result_of(&key, PLUMB_OUT_ok);
        attempt_write_t write = {.result = &result};
        good(store_record_successes(&store, &write, 1, NULL, &err));
        pg_run(conninfo, look, after, sizeof after);
        if ((strcmp(before, after) != 0) != (rows[i].after[0] == 't'))
            fail_msg("%s: written %d", rows[i].before, strcmp(before, after) != 0);
        want("0|0",
             "SELECT refused || '|' || failures FROM credentials WHERE id = '" CREDENTIAL "'");
    }
}

static void bad_rows_fail_as_a_whole(void **state)
{
    (void)state;
    delivery_key_t keys[] = {delivery("queued", 1, NULL), delivery("queued", 1, NULL)};
    plumb_result_t results[] = {result_of(&keys[0], PLUMB_OUT_ok),
                                result_of(&keys[1], PLUMB_OUT_ok)};
    attempt_write_t writes[] = {{.result = &results[0]}, {.result = &results[1]}};
    results[1].checkpoint = (plumb_slice_t){"{\"a\":\"\\u0000\"}", 14};
    assert_int_equal(store_record_successes(&store, writes, 2, NULL, &err), -PLUMB_E_DB_VALUE);
    want("queued", of(&keys[0], "state"));
}

/* It cannot be, but if it were, the row would have to wait for the careful way. */
static void a_success_on_record_is_refused_here(void **state)
{
    (void)state;
    delivery_key_t key = delivery("queued", 1, NULL);
    plumb_result_t result = result_of(&key, PLUMB_OUT_ok);
    attempt_write_t write = {.result = &result};
    good(store_write_attempts(&store, &write, 1, &err));
    assert_int_equal(store_record_successes(&store, &write, 1, NULL, &err), -PLUMB_E_DB_VALUE);
    want("queued", of(&key, "state"));
}

/* The records of statements and the type of sql/ belong together. */
static void columns_of_results_arrive(void **state)
{
    (void)state;
    delivery_key_t key = delivery("queued", 3, NULL);
    plumb_result_t result = result_of(&key, PLUMB_OUT_retry);
    result.timings = (plumb_timings_t){11, 12, 13, 14, 15};
    result.retry_after_ms = 16;
    result.detail = (plumb_slice_t){"why", 3};
    attempt_write_t write = {.result = &result, .counted = true, .repeats = 17};
    good(store_write_attempts(&store, &write, 1, &err));
    want("3|retry|t|17|200|worker-0|1|11|12|13|14|15|16|why|ext-1|\\x000102|1700000000",
         "SELECT concat_ws('|', attempt, outcome, counted, repeats, status, worker, requests, "
         "dns_us, connect_us, tls_us, first_byte_us, total_us, retry_after_ms, detail, "
         "external_id, exchange, extract(epoch FROM started_at)::bigint) FROM attempts");
    want("t", "SELECT bool_and(account_id = '" ACCOUNT "' AND delivery_id = (SELECT id FROM "
              "deliveries)) FROM attempts");
}

static void locking(void **state)
{
    (void)state;
    delivery_key_t key = delivery("queued", 2, "tries = 1, crashes = 1, reason = 'x'");
    delivery_key_t unknown = {uuid(ACCOUNT), {plumb_uuid_new(), 1}};
    plumb_result_t results[] = {result_of(&unknown, PLUMB_OUT_retry),
                                result_of(&key, PLUMB_OUT_retry), result_of(&key, PLUMB_OUT_ok)};
    attempt_write_t writes[] = {
        {.result = &results[0]}, {.result = &results[1]}, {.result = &results[2]}};
    sql("INSERT INTO channels (code, title, version, fields, limits, present) VALUES ('webhooks', "
        "'W', "
        "'1', '[]', '{\"schedule\": \"mail\", \"resends\": true}', true);"
        "UPDATE credentials SET settings = '{\"schedule\": \"5s\"}' WHERE id = '" CREDENTIAL "'");
    good(store_write_attempts(&store, &writes[2], 1, &err));
    good(store_begin(&store, &err));
    PGresult *r = NULL;
    good(store_lock_deliveries(&store, writes, 3, &r, &err));
    assert_int_equal(PQntuples(r), 2);
    int ok = plumb_get_int8(r, 0, LOCKED_N) == 3 ? 0 : 1;
    assert_int_equal(plumb_get_int8(r, 1 - ok, LOCKED_N), 2);
    assert_true(plumb_get_bool(r, ok, LOCKED_KNOWN));
    assert_false(plumb_get_bool(r, 1 - ok, LOCKED_KNOWN));
    assert_string_equal(plumb_get_text(r, 0, LOCKED_STATE), "queued");
    assert_int_equal(plumb_get_int4(r, 0, LOCKED_ATTEMPT), 2);
    assert_int_equal(plumb_get_int4(r, 0, LOCKED_TRIES), 1);
    assert_int_equal(plumb_get_int4(r, 0, LOCKED_CRASHES), 1);
    int64_t week = plumb_get_time(r, 0, LOCKED_DEADLINE) - plumb_get_time(r, 0, LOCKED_NOW);
    assert_in_range(week, INT64_C(604790000), INT64_C(604800000));
    assert_false(plumb_get_bool(r, 0, LOCKED_LATE_SUCCESS));
    assert_true(plumb_get_bool(r, 0, LOCKED_MAIL));
    assert_true(plumb_get_bool(r, 0, LOCKED_RESENDS));
    assert_string_equal(plumb_get_text(r, 0, LOCKED_SCHEDULE), "5s");
    PQclear(r);
    char count[8]; /* the row is locked */
    char query[256];
    snprintf(query, sizeof query,
             "SELECT count(*) FROM (SELECT FROM deliveries WHERE state = 'queued' FOR UPDATE SKIP "
             "LOCKED) q");
    pg_run(conninfo, query, count, sizeof count);
    assert_string_equal(count, "0");
    store_rollback(&store);
}

static void writing_deliveries(void **state)
{
    (void)state;
    delivery_key_t keys[] = {
        delivery("queued", 1, "external_id = 'old'"), delivery("queued", 1, "external_id = 'old'"),
        delivery("failed", 1, "reason = 'deadline', settled_at = '2020-01-01'")};
    delivery_write_t writes[] = {
        {.row = {.state = STATE_PENDING, .tries = 1},
         .wait_ms = 10500,
         .moved = true,
         .outcome = "retry"},
        {.row = {.state = STATE_FAILED, .tries = 2, .crashes = 2, .reason = REASON_BUG},
         .moved = true,
         .outcome = "bug",
         .external_id = {"new", 3}},
        {.row = {.state = STATE_FAILED, .late_success = true}}};
    for (size_t i = 0; i < PLUMB_COUNT(writes); i++) {
        writes[i].account = keys[i].account;
        writes[i].id = keys[i].ticket.delivery;
    }
    good(store_write_deliveries(&store, writes, PLUMB_COUNT(writes), &err));
    want("pending|1|retry||old|t|f",
         of(&keys[0],
            "concat_ws('|', state, tries, outcome, coalesce(reason, ''), external_id, due_at "
            "BETWEEN now() + interval '5 s' AND now() + interval '10.5 s', settled_at IS NOT "
            "NULL)"));
    want("failed|2|bug|bug|new|t", of(&keys[1], "concat_ws('|', state, crashes, outcome, reason, "
                                                "external_id, settled_at IS NOT NULL)"));
    want("failed|deadline|t|2020", of(&keys[2], "concat_ws('|', state, reason, late_success, "
                                                "extract(year FROM settled_at))"));
}

static void writing_attempts(void **state)
{
    (void)state;
    delivery_key_t key = delivery("queued", 1, NULL);
    plumb_result_t result = result_of(&key, PLUMB_OUT_retry);
    result.retry_after_ms = 5000;
    result.started_ms = INT64_MAX;
    attempt_write_t write = {.result = &result, .counted = true, .repeats = 2};
    good(store_write_attempts(&store, &write, 1, &err));
    want("t|2|5000",
         "SELECT concat_ws('|', counted, repeats, retry_after_ms, started_at) FROM attempts");
    write = (attempt_write_t){.result = &result};
    good(store_write_attempts(&store, &write, 1, &err));
    want("t|3",
         "SELECT concat_ws('|', counted, repeats) FROM attempts"); /* what counted, counted */
    result.outcome = PLUMB_OUT_ok;
    good(store_write_attempts(&store, &write, 1, &err));
    want("2", "SELECT count(*) FROM attempts");
}

static void credentials(void **state)
{
    (void)state;
    credential_write_t list[] = {{.account = uuid(ACCOUNT), .id = uuid(CREDENTIAL)},
                                 {.account = uuid(ACCOUNT), .id = uuid(ACCOUNT)},
                                 {.account = uuid(ACCOUNT), .id = uuid(OTHER)}};
    bool found[3];
    sql("UPDATE credentials SET refused = 2, failures = 7, enabled = false WHERE id = '" CREDENTIAL
        "'");
    good(store_lock_credentials(&store, list, found, 3, &err));
    assert_true(found[0] && !found[1] && found[2]);
    assert_int_equal(list[0].row.refused, 2);
    assert_int_equal(list[0].row.failures, 7);
    assert_int_equal(list[0].row.succeeded_ms, 0);
    assert_true(list[0].row.created_ms > 0);
    assert_false(list[0].row.enabled || list[0].row.suspended);
    assert_true(list[2].row.enabled);
    list[0].row.refused = 3;
    list[0].row.suspended_reason = "credentials";
    list[1] = list[2];
    list[1].row.succeeded_ms = 1700000000000;
    good(store_write_credentials(&store, list, 2, &err));
    want("3|7|t|credentials",
         "SELECT concat_ws('|', refused, failures, suspended_at IS NOT NULL, "
         "suspended_reason, succeeded_at) FROM credentials WHERE id = '" CREDENTIAL "'");
    want("f|2023", "SELECT concat_ws('|', suspended_at IS NOT NULL, suspended_reason, "
                   "extract(year FROM succeeded_at)) FROM credentials WHERE id = '" OTHER "'");
    PGresult *r = NULL;
    plumb_uuid_t account = uuid(ACCOUNT), id = uuid(CREDENTIAL);
    good(store_credential(&store, &account, &id, &r, &err));
    assert_int_equal(PQntuples(r), 1);
    assert_int_equal(PQnfields(r), PLUMB_CREDENTIAL_COLUMNS);
    PQclear(r);
}

static void events(void **state)
{
    (void)state;
    event_write_t list[] = {
        {.account = uuid(ACCOUNT),
         .id = plumb_uuid_new(),
         .kind = "delivery.failed",
         .delivery = uuid(OTHER),
         .reason = "bug"},
        {.account = uuid(ACCOUNT), .id = plumb_uuid_new(), .kind = "credential.suspended"}};
    good(store_write_events(&store, list, 2, &err));
    good(store_write_events(&store, list, 2, &err));
    want("credential.suspended-,delivery.failed-{\"reason\": \"bug\"}",
         "SELECT string_agg(kind || '-' || coalesce(data::text, ''), ',' ORDER BY kind) FROM "
         "events");
}

/* ---- feeding ---- */

static void lanes(void **state)
{
    (void)state;
    delivery("pending", 0, "due_at = now() - interval '3 s'");
    delivery("pending", 0, "due_at = now() - interval '1 s'");
    delivery("pending", 0, "due_at = now() + interval '9 s', credential_id = '" OTHER "'");
    delivery("pending", 0, "credential_id = '018f0000-0000-7000-8000-0000000000ff'");
    delivery("queued", 1, "credential_id = '018f0000-0000-7000-8000-0000000000fe'");
    sql("UPDATE credentials SET suspended_at = now(), enabled = false, version = 4 WHERE id = "
        "'" OTHER "'");
    PGresult *r = NULL;
    plumb_uuid_t nil = {0};
    good(store_lanes(&store, &nil, 10, &r, &err));
    assert_int_equal(PQntuples(r), 3);
    plumb_uuid_t first = plumb_get_uuid(r, 0, LANE_CREDENTIAL), known = uuid(CREDENTIAL);
    assert_int_equal(plumb_uuid_compare(&first, &known), 0);
    assert_in_range(-plumb_get_int8(r, 0, LANE_DUE_IN_MS), 2900, 60000);
    assert_true(plumb_get_bool(r, 0, LANE_EXISTS) && plumb_get_bool(r, 0, LANE_ENABLED));
    assert_false(plumb_get_bool(r, 0, LANE_SUSPENDED));
    assert_string_equal(plumb_get_text(r, 0, LANE_CHANNEL), "webhooks");
    assert_in_range(plumb_get_int8(r, 1, LANE_DUE_IN_MS), 1, 9000);
    assert_true(plumb_get_bool(r, 1, LANE_SUSPENDED) && !plumb_get_bool(r, 1, LANE_ENABLED));
    assert_int_equal(plumb_get_int4(r, 1, LANE_VERSION), 4);
    assert_false(plumb_get_bool(r, 2, LANE_EXISTS));
    PQclear(r);
    good(store_lanes(&store, &nil, 2, &r, &err));
    assert_int_equal(PQntuples(r), 2);
    PQclear(r);
    good(store_lanes(&store, &first, 10, &r, &err));
    assert_int_equal(PQntuples(r), 2);
    PQclear(r);
}

static void picking(void **state)
{
    (void)state;
    delivery_key_t old = delivery("pending", 3, "due_at = now() - interval '9 s'");
    delivery("pending", 0, "due_at = now() - interval '5 s'");
    delivery("pending", 0, "due_at = now() - interval '1 s'");
    delivery("pending", 0, "due_at = now() + interval '1 h'");
    delivery("pending", 0, "credential_id = '" OTHER "'");
    plumb_uuid_t both[] = {uuid(CREDENTIAL), uuid(OTHER)};
    PGresult *r = NULL;
    char seen[8];
    good(store_begin(&store, &err));
    good(store_pick(&store, both, 2, 2, &r, &err));
    assert_int_equal(PQntuples(r), 3);
    plumb_uuid_t first = plumb_get_uuid(r, 0, JOB_DELIVERY);
    assert_int_equal(plumb_uuid_compare(&first, &old.ticket.delivery), 0);
    assert_int_equal(plumb_get_int4(r, 0, JOB_ATTEMPT), 3);
    assert_false(plumb_get_bool(r, 0, JOB_HAS_LEAD));
    assert_int_equal(PQnfields(r), JOB_LEAD_FIRST + PLUMB_LEAD_COLUMNS);
    PQclear(r);
    pg_run(conninfo,
           "SELECT count(*) FROM (SELECT FROM deliveries WHERE due_at <= now() FOR UPDATE SKIP "
           "LOCKED) q",
           seen, sizeof seen);
    assert_string_equal(seen, "1"); /* the others are locked */
    size_t moved = 0;
    good(store_hand_over(&store, &old, 1, 100, &moved, &err));
    assert_int_equal(moved, 1);
    good(store_commit(&store, &err));
    want("queued|4|100|t",
         of(&old, "concat_ws('|', state, attempt, epoch, queued_at = now() OR queued_at > "
                  "now() - interval '1 minute')"));
    good(store_hand_over(&store, &old, 1, 100, &moved, &err));
    assert_int_equal(moved, 0); /* only once */
}

static void no_hand_over_under_a_dead_epoch(void **state)
{
    (void)state;
    delivery_key_t key = delivery("pending", 0, NULL);
    size_t moved = 9;
    good(store_hand_over(&store, &key, 1, 90, &moved, &err));
    assert_int_equal(moved, 0);
    good(store_hand_over(&store, &key, 1, 12345, &moved, &err));
    assert_int_equal(moved, 0);
}

static void an_update_waits_for_its_send(void **state)
{
    (void)state;
    delivery_key_t send = delivery("queued", 1, "lead_id = id"); /* of the same moment */
    char id[PLUMB_UUID_TEXT], of_lead[128];
    snprintf(of_lead, sizeof of_lead, "verb = 'update', lead_id = '%s'",
             plumb_uuid_text(&send.ticket.delivery, id));
    delivery_key_t update = delivery("pending", 0, of_lead);
    plumb_uuid_t lane = uuid(CREDENTIAL);
    PGresult *r = NULL;
    good(store_pick(&store, &lane, 1, 5, &r, &err));
    assert_int_equal(PQntuples(r), 0);
    PQclear(r);
    sql("UPDATE deliveries SET state = 'delivered' WHERE id = '%s'",
        plumb_uuid_text(&send.ticket.delivery, id));
    good(store_pick(&store, &lane, 1, 5, &r, &err));
    assert_int_equal(PQntuples(r), 1);
    plumb_uuid_t got = plumb_get_uuid(r, 0, JOB_DELIVERY);
    assert_int_equal(plumb_uuid_compare(&got, &update.ticket.delivery), 0);
    PQclear(r);
}

static void rebuilding(void **state)
{
    (void)state;
    delivery_key_t keys[] = {delivery("queued", 2, NULL), delivery("queued", 2, NULL),
                             delivery("delivered", 2, NULL)};
    keys[1].ticket.attempt = 1;
    PGresult *r = NULL;
    good(store_rebuild(&store, keys, 3, &r, &err));
    assert_int_equal(PQntuples(r), 1);
    assert_int_equal(plumb_get_int8(r, 0, JOB_EPOCH), 100);
    assert_string_equal(plumb_get_text(r, 0, JOB_STATE), "queued");
    assert_string_equal(plumb_get_text(r, 0, JOB_VERB), "send");
    PQclear(r);
}

static void holding_a_lane(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        delivery("pending", 0, "due_at = now() + interval '1 h'");
    delivery("pending", 0, "credential_id = '" OTHER "'");
    plumb_uuid_t lane = uuid(CREDENTIAL);
    size_t moved = 0;
    good(store_hold_lane(&store, &lane, "credential_suspended", 3, &moved, &err));
    assert_int_equal(moved, 3);
    good(store_hold_lane(&store, &lane, "credential_suspended", 3, &moved, &err));
    assert_int_equal(moved, 2);
    want(
        "5",
        "SELECT count(*) FROM deliveries WHERE state = 'held' AND reason = 'credential_suspended'");
}

static void expiring(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) /* many share one due time: a page must not stop there */
        delivery("pending", 1,
                 i % 2 == 0 ? "deadline_at = now() - interval '1 s', due_at = '2020-01-01'"
                            : "due_at = '2020-01-01'");
    delivery("queued", 1, "deadline_at = now() - interval '1 s'");
    pending_cursor_t cursor = {0};
    size_t expired = 0, sum = 0;
    bool end = false;
    for (int pages = 0; !end && pages < 10; pages++) {
        good(store_expire(&store, &cursor, 2, &expired, &end, &err));
        sum += expired;
    }
    assert_true(end);
    assert_int_equal(sum, 4);
    want("4", "SELECT count(*) FROM deliveries WHERE state = 'failed' AND reason = 'deadline' AND "
              "settled_at IS NOT NULL");
    want("4", "SELECT count(DISTINCT delivery_id) FROM events WHERE kind = 'delivery.failed' AND "
              "data->>'reason' = 'deadline' AND credential_id IS NOT NULL AND tableoid <> "
              "'events_default'::regclass");
}

/* ---- epochs and queued rows ---- */

static void epochs(void **state)
{
    (void)state;
    bool yes = false;
    good(store_epoch_seen(&store, 100, "broker-0", &yes, &err));
    assert_true(yes);
    good(store_epoch_seen(&store, 90, "broker-0", &yes, &err));
    assert_false(yes);
    good(store_epoch_seen(&store, 110, "broker-0", &yes, &err));
    assert_true(yes);
    good(store_epoch_stands(&store, 110, &yes, &err));
    assert_true(yes);
    good(store_epoch_stands(&store, 90, &yes, &err));
    assert_false(yes);
    good(store_epoch_stands(&store, 12345, &yes, &err));
    assert_false(yes);
    PGresult *r = NULL;
    good(store_epochs_alive(&store, &r, &err));
    assert_int_equal(PQntuples(r), 2);
    assert_int_equal(plumb_get_int8(r, 0, EPOCH_ID), 100);
    assert_string_equal(plumb_get_text(r, 0, EPOCH_BROKER), "broker-0");
    PQclear(r);
}

static void dying(void **state)
{
    (void)state;
    bool dead = true;
    good(store_epoch_dead(&store, 100, "broker-0", 10000, &dead, &err));
    assert_false(dead); /* somebody saw it just now */
    sql("UPDATE epochs SET seen_at = now() - interval '10.1 s' WHERE epoch = 100");
    good(store_epoch_dead(&store, 100, "broker-0", 10000, &dead, &err));
    assert_true(dead);
    good(store_epoch_dead(&store, 100, "broker-0", 10000, &dead, &err));
    assert_true(dead); /* and stays so */
    good(store_epoch_dead(&store, 120, "broker-0", 10000, &dead, &err));
    assert_true(dead); /* one that nobody wrote down */
    sql("INSERT INTO epochs (epoch, broker) VALUES (130, 'broker-0')");
    good(store_epoch_dead(&store, 130, "broker-0", 0, &dead, &err));
    assert_true(dead); /* superseded: whoever saw it */
    want("0", "SELECT count(*) FROM epochs WHERE dead_at IS NULL");
}

static size_t walk_queued(int64_t start_ms, int64_t older_ms, int limit)
{
    queued_cursor_t cursor = {0};
    size_t rows = 0;
    bool end = false;
    if (start_ms > 0)
        good(store_queued_start(&store, &cursor, start_ms, &err));
    while (!end) {
        PGresult *r = NULL;
        good(store_queued(&store, &cursor, older_ms, limit, &end, &r, &err));
        rows += (size_t)PQntuples(r);
        PQclear(r);
    }
    return rows;
}

static void walking_queued_rows(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        delivery("queued", 1, "queued_at = now() - interval '20 s'");
    for (int i = 0; i < 5; i++) /* equal times: the id goes on */
        delivery("queued", 1, "queued_at = '2020-01-01'");
    delivery("queued", 1, NULL);
    delivery("pending", 1, NULL);
    assert_int_equal(walk_queued(0, 0, 2), 11);
    assert_int_equal(walk_queued(0, 10000, 3), 10);
    assert_int_equal(walk_queued(0, 300000, 100), 5);
    assert_int_equal(walk_queued(300000, 10000, 2), 5);
}

static void orphans(void **state)
{
    (void)state;
    delivery("queued", 1, NULL);
    delivery_key_t dead = delivery("queued", 1, "epoch = 90");
    delivery("queued", 1, "epoch = 12345"); /* not known: too young to tell */
    delivery_key_t stranger =
        delivery("queued", 1, "epoch = 12345, queued_at = now() - interval '11 s'");
    const uint64_t standing[] = {100};
    queued_cursor_t cursor = {0};
    bool end = false;
    PGresult *r = NULL;
    good(store_orphans(&store, &cursor, standing, 1, 10000, 10, &end, &r, &err));
    assert_true(end);
    assert_int_equal(PQntuples(r), 2);
    plumb_uuid_t first = plumb_get_uuid(r, 0, QUEUED_ID), second = plumb_get_uuid(r, 1, QUEUED_ID);
    assert_int_equal(plumb_uuid_compare(&first, &stranger.ticket.delivery), 0);
    assert_int_equal(plumb_uuid_compare(&second, &dead.ticket.delivery), 0);
    assert_int_equal(plumb_get_int8(r, 1, QUEUED_EPOCH), 90);
    PQclear(r);
    cursor = (queued_cursor_t){0};
    good(store_orphans(&store, &cursor, NULL, 0, 10000, 10, &end, &r, &err));
    assert_int_equal(PQntuples(r), 2); /* the table says that 100 is alive */
    PQclear(r);
}

static void taking_back(void **state)
{
    (void)state;
    delivery_key_t keys[] = {delivery("queued", 1, "epoch = 90, due_at = '2020-01-01'"),
                             delivery("queued", 1, NULL), delivery("queued", 2, "epoch = 90"),
                             delivery("delivered", 1, "epoch = 90")};
    keys[2].ticket.attempt = 1;
    size_t moved = 0;
    good(store_requeue_orphans(&store, keys, 4, &moved, &err));
    assert_int_equal(moved, 1);
    want("pending|1|0|t",
         of(&keys[0],
            "concat_ws('|', state, attempt, tries, due_at > now() - interval '1 minute')"));
    want("queued", of(&keys[1], "state"));
    good(store_requeue_given_up(&store, keys, 4, &moved, &err));
    assert_int_equal(moved, 1);
    want("pending", of(&keys[1], "state"));
    want("queued", of(&keys[2], "state"));
}

static void adopting(void **state)
{
    (void)state;
    delivery_key_t keys[] = {delivery("queued", 1, "epoch = 90"),
                             delivery("queued", 3, "epoch = 100"),
                             delivery("queued", 2, "epoch = 90")};
    keys[2].ticket.attempt = 1;
    PGresult *r = NULL;
    good(store_adopt(&store, keys, 3, 100, &r, &err));
    assert_int_equal(PQntuples(r), 1);
    assert_int_equal(plumb_get_int4(r, 0, ADOPTED_ATTEMPT), 1);
    PQclear(r);
    want("queued|1|100", of(&keys[0], "concat_ws('|', state, attempt, epoch)"));
    good(store_adopt(&store, &keys[2], 1, 12345, &r, &err));
    assert_int_equal(PQntuples(r), 0);
    PQclear(r);
}

/* ---- upkeep ---- */

static void channels(void **state)
{
    (void)state;
    channel_write_t channel = {"webhooks", "Webhooks", "1.0.0", "[{\"name\": \"url\"}]",
                               "{}",       true};
    char first[32], second[32];
    good(store_channel(&store, &channel, &err));
    pg_run(conninfo, "SELECT xmin FROM channels", first, sizeof first);
    good(store_channel(&store, &channel, &err));
    pg_run(conninfo, "SELECT xmin FROM channels", second, sizeof second);
    assert_string_equal(first, second); /* no news is not written */
    channel.present = false;
    channel.version = "1.0.1";
    good(store_channel(&store, &channel, &err));
    want("1.0.1|f|url",
         "SELECT concat_ws('|', version, present, fields->0->>'name') FROM channels");
    sql("UPDATE channels SET seen_at = now() - interval '2 minutes'");
    good(store_channel(&store, &channel, &err));
    want("t", "SELECT seen_at > now() - interval '1 minute' FROM channels");
    channel.limits = "{";
    assert_int_equal(store_channel(&store, &channel, &err), -PLUMB_E_DB_VALUE);
}

static void locks(void **state)
{
    (void)state;
    bool got = false;
    good(store_try_lock(&store, LOCK_AUDIT, &got, &err));
    assert_true(got);
    want("f", "SELECT pg_try_advisory_lock(1886155117, 2)");
    want("t", "SELECT pg_try_advisory_lock(1886155117, 3)");
    good(store_unlock(&store, LOCK_AUDIT, &err));
    want("t", "SELECT pg_try_advisory_lock(1886155117, 2)");
}

static void partitions(void **state)
{
    (void)state;
    char name[64];
    bool live = true;
    good(store_make_partitions(&store, &err));
    sql("SELECT plumb_make_partitions('2020-03-02', '2020-04-15')");
    good(store_old_partition(&store, "deliveries", 86400000, name, sizeof name, &err));
    assert_string_equal(name, "deliveries_2020_03");
    good(store_month_is_live(&store, "attempts_2020_03", &live, &err));
    assert_false(live);
    sql("INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, state, "
        "deadline_at) VALUES "
        "('" ACCOUNT "', plumb_id_floor('2020-03-15'), gen_random_uuid(), '" CREDENTIAL
        "', 'x', 'held', now())");
    good(store_month_is_live(&store, "attempts_2020_03", &live, &err));
    assert_true(live);
    good(store_month_is_live(&store, "attempts_2020_04", &live, &err));
    assert_false(live);
    good(store_drop_partition(&store, "attempts_2020_03", &err));
    want("f", "SELECT to_regclass('attempts_2020_03') IS NOT NULL");
    assert_int_equal(store_drop_partition(&store, "x; DROP TABLE leads", &err), -PLUMB_E_DATABASE);
    good(store_old_partition(&store, "deliveries", INT64_C(86400000) * 365 * 90, name, sizeof name,
                             &err));
    assert_string_equal(name, "");
    sql("DROP TABLE deliveries_2020_03, deliveries_2020_04, leads_2020_03, leads_2020_04, "
        "attempts_2020_04, "
        "events_2020_03, events_2020_04");
}

static void pruning(void **state)
{
    (void)state;
    bool more = false, end = false;
    sql("INSERT INTO idempotency (account_id, route, key, body_hash, status, "
        "integration_status, created_at) "
        "SELECT '" ACCOUNT "', 'r', n::text, '', 201, 'none', now() - n * interval '1 h' FROM "
        "generate_series(1, 10) n");
    good(store_prune_idempotency(&store, INT64_C(18000000), 3, &more, &err));
    assert_true(more);
    good(store_prune_idempotency(&store, INT64_C(18000000), 4, &more, &err));
    assert_false(more);
    want("4", "SELECT count(*) FROM idempotency");
    sql("UPDATE epochs SET dead_at = now() - interval '8 days' WHERE epoch = 90");
    good(store_prune_epochs(&store, &err));
    want("100", "SELECT string_agg(epoch::text, ',') FROM epochs");
    sql("INSERT INTO attempts (account_id, delivery_id, attempt, outcome, counted, worker, "
        "exchange, recorded_at) "
        "SELECT '" ACCOUNT
        "', plumb_id_floor(now() - interval '40 days'), n, o, true, 'w', 'x', now() - "
        "CASE WHEN n = 5 THEN interval '1 day' ELSE interval '39 days' END FROM generate_series(1, "
        "5) n, "
        "unnest('{ok,retry,bug}'::text[]) o");
    sql("INSERT INTO attempts (account_id, delivery_id, attempt, outcome, counted, worker, "
        "exchange) "
        "VALUES ('" ACCOUNT "', plumb_id_floor(now()), 1, 'ok', true, 'w', 'x')");
    attempt_cursor_t cursor = {0};
    for (int pages = 0; !end && pages < 20; pages++)
        good(store_prune_exchanges(&store, &cursor, INT64_C(30) * 86400000, 2, &end, &err));
    assert_true(end);
    want("4", "SELECT count(*) FROM attempts WHERE exchange IS NOT NULL");
}

static void dead_letters(void **state)
{
    (void)state;
    PGresult *r = NULL;
    delivery("failed", 1, NULL);
    delivery("failed", 1, NULL);
    delivery("delivered", 1, NULL);
    good(store_dead_letters(&store, &r, &err));
    assert_int_equal(PQntuples(r), 1);
    assert_string_equal(plumb_get_text(r, 0, DEAD_CHANNEL), "webhooks");
    assert_int_equal(plumb_get_int8(r, 0, DEAD_COUNT), 2);
    PQclear(r);
}

/* ---- plans ---- */

static void explain(const char *name, int params, char *plan, size_t size)
{
    char query[1024];
    int length = snprintf(query, sizeof query, "EXPLAIN (COSTS OFF) EXECUTE %s(", name);
    for (int i = 0; i < params; i++)
        length +=
            snprintf(query + length, sizeof query - (size_t)length, "%sNULL", i > 0 ? ", " : "");
    snprintf(query + length, sizeof query - (size_t)length, ")");
    PGresult *r = PQexec(plumb_db_conn(store.db), query);
    *plan = '\0';
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", query, PQresultErrorMessage(r));
    for (int row = 0; row < PQntuples(r); row++)
        snprintf(plan + strlen(plan), size - strlen(plan), "%s\n", PQgetvalue(r, row, 0));
    PQclear(r);
}

/* On a table that was never analyzed, which is where a planner errs most. */
static void plans_use_their_index(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int params;
        const char *has;
    } rows[] = {
        {"tracker_record_successes", 1,
         "Index Cond: ((account_id = g.account_id) AND (id = g.delivery_id))"},
        {"tracker_record_successes", 1,
         "Index Cond: ((account_id = m.account_id) AND (id = m.credential_id))"},
        {"tracker_lock_deliveries", 1,
         "Index Cond: ((account_id = g.account_id) AND (id = g.delivery_id))"},
        {"tracker_lock_deliveries", 1,
         "Index Cond: ((account_id = g.account_id) AND (delivery_id = g.delivery_id) AND (attempt "
         "= g.attempt)"},
        {"tracker_write_deliveries", 12, "Index Cond: ((account_id = g.account) AND (id = g.id))"},
        {"tracker_lanes", 2, "deliveries_default_credential_id_due_at_idx"},
        {"tracker_pick", 2, "Index Cond: ((credential_id = c.id) AND (due_at <= now()))"},
        {"tracker_pick", 2, "Index Cond: ((account_id = d.account_id) AND (id = d.lead_id))"},
        {"tracker_pick", 2, "AND (id >= ((\"left\"((x_1.lead_id)::text, 13)"},
        {"tracker_rebuild", 3, "Index Cond: ((account_id = k.account) AND (id = k.id))"},
        {"tracker_hand_over", 4, "Index Cond: ((account_id = k.account) AND (id = k.id))"},
        {"tracker_requeue_orphans", 3, "Index Cond: ((account_id = k.account) AND (id = k.id))"},
        {"tracker_requeue_given_up", 3, "Index Cond: ((account_id = k.account) AND (id = k.id))"},
        {"tracker_adopt", 4, "Index Cond: ((account_id = k.account) AND (id = k.id))"},
        {"tracker_queued", 4, "deliveries_default_queued_at_id_idx"},
        {"tracker_orphans", 5, "deliveries_default_queued_at_id_idx"},
        {"tracker_hold_lane", 3, "deliveries_default_credential_id_due_at_idx"},
        {"tracker_hold_lane", 3, "Index Cond: ((account_id = k.account_id) AND (id = k.id))"},
        {"tracker_expire", 4, "deliveries_default_credential_id_due_at_idx"},
        {"tracker_prune_exchanges", 6, "attempts_default_pkey"},
    };
    static char plan[65536];
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        explain(rows[i].name, rows[i].params, plan, sizeof plan);
        if (strstr(plan, rows[i].has) == NULL)
            fail_msg("%s lacks '%s':\n%s", rows[i].name, rows[i].has, plan);
        if (strstr(plan, "Seq Scan on deliveries") || strstr(plan, "Seq Scan on attempts") ||
            strstr(plan, "Hash Join") || strstr(plan, "Merge Join"))
            fail_msg("%s reads a whole table:\n%s", rows[i].name, plan);
    }
}

/* ---- the session ---- */

static void settings_come_back_with_the_connection(void **state)
{
    (void)state;
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
        "'plumb-tracker'");
    for (int tries = 0; store_ready(&store, &err) < 0 && tries < 1000; tries++)
        continue;
    while (store_begin(&store, &err) < 0) /* one that notices the loss backs off */
        continue;
    store_rollback(&store);
    good(store_ready(&store, &err));
    PGresult *r = PQexec(plumb_db_conn(store.db), "SHOW plan_cache_mode");
    assert_string_equal(PQgetvalue(r, 0, 0), "force_generic_plan");
    PQclear(r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, clean)
    const struct CMUnitTest tests[] = {
        TEST(successes),
        TEST(successes_touch_their_credential),
        TEST(bad_rows_fail_as_a_whole),
        TEST(a_success_on_record_is_refused_here),
        TEST(columns_of_results_arrive),
        TEST(locking),
        TEST(writing_deliveries),
        TEST(writing_attempts),
        TEST(credentials),
        TEST(events),
        TEST(lanes),
        TEST(picking),
        TEST(no_hand_over_under_a_dead_epoch),
        TEST(an_update_waits_for_its_send),
        TEST(rebuilding),
        TEST(holding_a_lane),
        TEST(expiring),
        TEST(epochs),
        TEST(dying),
        TEST(walking_queued_rows),
        TEST(orphans),
        TEST(taking_back),
        TEST(adopting),
        TEST(channels),
        TEST(locks),
        TEST(partitions),
        TEST(pruning),
        TEST(dead_letters),
        TEST(plans_use_their_index),
        TEST(settings_come_back_with_the_connection),
    };
    return cmocka_run_group_tests(tests, open_store, close_store);
}
