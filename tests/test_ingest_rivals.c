/* What only the commit decides: identical leads, persons who are there, payment. */
#include "api_world.h"
#include "count.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RACERS 64

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    w->account->conf.ingest_committers = 2;
    account_credential(w->account, "webhooks", "{\"url\":\"http://127.0.0.1:1/\"}", NULL);
    for (int i = 0; i < WORLD_INGESTS; i++)
        world_start(w);
    return 0;
}

/* Begin with no leads, these settings of the quiz, this plan. */
static void begin(world_t *w, const char *settings, const char *plan, int left)
{
    account_sql(w->account,
                "TRUNCATE leads, deliveries, idempotency, events, lead_deltas, balances");
    account_sql(w->account, "UPDATE quizzes SET settings = '%s'", settings);
    account_sql(w->account, "UPDATE accounts SET plan = '%s'", plan);
    account_sql(w->account,
                "INSERT INTO balances (account_id, leads_left) SELECT id, %d FROM accounts", left);
}

static http_answer_t post(const world_t *w, int ingest, const char *key, const char *attributes)
{
    char more[300] = "";
    if (key != NULL)
        snprintf(more, sizeof more, "Idempotency-Key: %s\r\n", key);
    return world_post(w, (unsigned)ingest, w->account->token, attributes, more);
}

/* The lead's id as the answer's text has it. */
static void id_of(const http_answer_t *answer, char id[PLUMB_UUID_TEXT])
{
    const char *at = strstr(answer->body, "\"type\":\"leads\",\"id\":\"");
    snprintf(id, PLUMB_UUID_TEXT, "%s", at == NULL ? "" : at + 21);
}

/* Send and expect a status and, in the body, a text; the lead's id goes to `id`. */
static void want(const world_t *w, int ingest, const char *attributes, int status, const char *text,
                 char id[PLUMB_UUID_TEXT])
{
    char unused[PLUMB_UUID_TEXT];
    http_answer_t answer = post(w, ingest, NULL, attributes);
    if (answer.status != status || (text != NULL && strstr(answer.body, text) == NULL))
        fail_msg("%s: status %d, want %d with %s: %s", attributes, answer.status, status, text,
                 answer.body);
    id_of(&answer, id == NULL ? unused : id);
    http_answer_fini(&answer);
}

#define DUPLICATES(rest) "{\"identical\":{\"windowSeconds\":0},\"duplicates\":{" rest "}}"

/* ---- 7: identical payload ---- */

static void identical(void **state)
{
    world_t *w = *state;
    static const char *const bodies[] = {
        ",\"phone\":\"+79001234567\",\"name\":\"Anna\"",
        ",\"email\":\"a@b.example\"",
        ",\"data\":{\"a\":[1,2]}",
    };
    char first[PLUMB_UUID_TEXT], again[PLUMB_UUID_TEXT];
    begin(w, "{\"duplicates\":{\"policy\":\"allow\"}}", "unlimited", 0);
    for (size_t i = 0; i < PLUMB_COUNT(bodies); i++) {
        want(w, 0, bodies[i], 201, "\"duplicateOf\":null", first);
        want(w, 1, bodies[i], 200, "\"paid\":true", again);
        assert_string_equal(first, again);
        assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), i + 1);
    }
    want(w, 0, ",\"phone\":\"8 (900) 123-45-67\",\"name\":\"Anna\"", 200, NULL, NULL);
    want(w, 0, ",\"phone\":\"+79001234567\",\"name\":\"Vera\"", 201, NULL, NULL);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), 4);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE trace::text LIKE "
                                               "'%%[\"identical\",\"passed\"]%%'"),
                     4);
}

static void old_leads_are_not_identical(void **state)
{
    world_t *w = *state;
    char first[PLUMB_UUID_TEXT], again[PLUMB_UUID_TEXT];
    begin(w, "{\"identical\":{\"windowSeconds\":0},\"duplicates\":{\"policy\":\"allow\"}}",
          "unlimited", 0);
    want(w, 0, ",\"name\":\"Anna\"", 201, NULL, first);
    want(w, 0, ",\"name\":\"Anna\"", 201, NULL, again); /* turned off */
    assert_string_not_equal(first, again);
    begin(w, "{\"identical\":{\"windowSeconds\":60},\"duplicates\":{\"policy\":\"allow\"}}",
          "unlimited", 0);
    want(w, 0, ",\"name\":\"Anna\"", 201, NULL, first);
    account_sql(w->account, "UPDATE leads SET deleted_at = now()");
    want(w, 0, ",\"name\":\"Anna\"", 201, NULL, again);
    assert_string_not_equal(first, again);
    account_sql(w->account, "DELETE FROM leads WHERE id = '%s'", first);
    account_sql(w->account, "UPDATE leads SET id = plumb_id_floor(now() - interval '61 s')");
    want(w, 0, ",\"name\":\"Anna\"", 201, NULL, NULL);
    account_sql(w->account,
                "DELETE FROM leads WHERE created_at = (SELECT max(created_at) FROM leads)");
    account_sql(w->account, "UPDATE leads SET id = plumb_id_floor(now() - interval '55 s')");
    want(w, 0, ",\"name\":\"Anna\"", 200, NULL, NULL);
}

/* The key's row names the first lead. */
static void identical_under_a_key(void **state)
{
    world_t *w = *state;
    begin(w, "{}", "unlimited", 0);
    http_answer_t first = post(w, 0, NULL, ",\"phone\":\"+79001234567\"");
    http_answer_t keyed = post(w, 1, "k1", ",\"phone\":\"+79001234567\"");
    http_answer_t again = post(w, 0, "k1", ",\"phone\":\"+79001234567\"");
    http_answer_t other = post(w, 0, "k1", ",\"phone\":\"+79001234568\"");
    assert_int_equal(first.status, 201);
    assert_int_equal(keyed.status, 200);
    assert_int_equal(again.status, 200);
    assert_int_equal(other.status, 422);
    assert_string_equal(keyed.body, first.body);
    assert_string_equal(again.body, first.body);
    assert_string_equal(http_header(&again, "Idempotency-Replayed"), "true");
    assert_string_equal(http_header(&keyed, "Idempotency-Replayed"), "");
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), 1);
    http_answer_fini(&first);
    http_answer_fini(&keyed);
    http_answer_fini(&again);
    http_answer_fini(&other);
}

/* ---- 8: duplicate persons ---- */

typedef struct step {
    const char *attributes;
    int status;
    int original; /* step whose lead it duplicates; -1: nobody's */
    const char *text;
} step_t;

static const struct {
    const char *name, *settings;
    step_t steps[4];
} persons[] = {
    {"flag by any key",
     DUPLICATES("\"policy\":\"flag\""),
     {{",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"email\":\"a@b.example\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\",\"email\":\"c@d.example\"", 201, 0, NULL},
      {",\"email\":\"C@D.example\"", 201, 0, NULL}}},
    {"empty values never match",
     DUPLICATES("\"policy\":\"flag\",\"keys\":[\"phone\",\"externalId\",\"data.inn\"]"),
     {{",\"data\":{\"inn\":\"\"},\"externalId\":\"\"", 201, -1, NULL},
      {",\"data\":{\"inn\":\"\"},\"externalId\":\"\"", 201, -1, NULL},
      {",\"data\":{\"inn\":null}", 201, -1, NULL},
      {"", 201, -1, NULL}}},
    {"by external id and data",
     DUPLICATES("\"policy\":\"flag\",\"keys\":[\"externalId\",\"data.inn\"]"),
     {{",\"externalId\":\"7\",\"data\":{\"inn\":\"123\"}", 201, -1, NULL},
      {",\"externalId\":\"7\"", 201, 0, NULL},
      {",\"data\":{\"inn\":\"123\"}", 201, 0, NULL},
      {",\"data\":{\"inn\":\"124\"},\"phone\":\"+79001234567\"", 201, -1, NULL}}},
    {"all keys",
     DUPLICATES("\"mode\":\"all\",\"keys\":[\"phone\",\"data.inn\"]"),
     {{",\"phone\":\"+79001234567\",\"data\":{\"inn\":\"1\"}", 201, -1, NULL},
      {",\"phone\":\"+79001234567\",\"data\":{\"inn\":\"2\"}", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\",\"data\":{\"inn\":\"1\"}", 201, 0, NULL}}},
    {"reject names the field",
     DUPLICATES("\"policy\":\"reject\",\"keys\":[\"email\",\"data.inn\"]"),
     {{",\"email\":\"a@b.example\",\"data\":{\"inn\":\"1\"}", 201, -1, NULL},
      {",\"email\":\"a@b.example\"", 409, -1, "\"pointer\":\"/data/attributes/email\""},
      {",\"data\":{\"inn\":\"1\"}", 409, -1, "\"pointer\":\"/data/attributes/data/inn\""},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL}}},
    {"allow",
     DUPLICATES("\"policy\":\"allow\""),
     {{",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL}}},
    {"window 0",
     DUPLICATES("\"windowMinutes\":0"),
     {{",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL}}},
    {"tests neither look nor count",
     DUPLICATES("\"policy\":\"reject\""),
     {{",\"phone\":\"+79001234567\",\"isTest\":true", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 201, -1, NULL},
      {",\"phone\":\"+79001234567\",\"isTest\":true", 201, -1, NULL},
      {",\"phone\":\"+79001234567\"", 409, -1, "/data/attributes/phone"}}},
};

static void duplicates(void **state)
{
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(persons); i++) {
        char ids[4][PLUMB_UUID_TEXT], text[80];
        begin(w, persons[i].settings, "unlimited", 0);
        print_message("%s\n", persons[i].name);
        for (int k = 0; k < 4; k++) {
            const step_t *step = &persons[i].steps[k];
            snprintf(text, sizeof text, "\"duplicateOf\":null");
            if (step->original >= 0)
                snprintf(text, sizeof text, "\"duplicateOf\":\"%s\"", ids[step->original]);
            want(w, k % WORLD_INGESTS, step->attributes, step->status,
                 step->status == 201 ? text : step->text, ids[k]);
            if (step->original >= 0)
                assert_int_equal(
                    account_count(w->account,
                                  "SELECT count(*) FROM leads l JOIN deliveries d ON d.lead_id = "
                                  "l.id AND d.state = 'held' AND d.reason = 'lead_duplicate' WHERE "
                                  "l.id = '%s' AND l.duplicate_of = '%s' AND l.trace::text LIKE "
                                  "'%%[\"duplicate\",\"marked\",\"%s\"]%%'",
                                  ids[k], ids[step->original], ids[step->original]),
                    1);
        }
    }
}

/* A repeat under its key is answered as the first time, whoever is there by now. */
static void repeats_are_no_duplicates(void **state)
{
    world_t *w = *state;
    begin(w, DUPLICATES("\"policy\":\"reject\""), "unlimited", 0);
    http_answer_t first = post(w, 0, "k2", ",\"phone\":\"+79001234567\"");
    http_answer_t again = post(w, 1, "k2", ",\"phone\":\"+79001234567\"");
    assert_int_equal(first.status, 201);
    assert_int_equal(again.status, 201);
    assert_string_equal(first.body, again.body);
    http_answer_fini(&first);
    http_answer_fini(&again);
}

/* Deleted and blocked leads do not count; nor do those before the window. */
static void who_does_not_count(void **state)
{
    world_t *w = *state;
    static const char *const changes[] = {"deleted_at = now()", "blocked = true",
                                          "id = plumb_id_floor(now() - interval '61 min')"};
    for (size_t i = 0; i < PLUMB_COUNT(changes); i++) {
        begin(w, DUPLICATES("\"policy\":\"reject\",\"windowMinutes\":60"), "unlimited", 0);
        want(w, 0, ",\"phone\":\"+79001234567\"", 201, NULL, NULL);
        want(w, 1, ",\"phone\":\"+79001234567\"", 409, NULL, NULL);
        account_sql(w->account, "UPDATE leads SET %s", changes[i]);
        want(w, 1, ",\"phone\":\"+79001234567\"", 201, "\"duplicateOf\":null", NULL);
    }
}

/* ---- 9: payment ---- */

static void payment(void **state)
{
    world_t *w = *state;
    begin(w, DUPLICATES("\"policy\":\"allow\""), "balance", 2);
    want(w, 0, "", 201, "\"paid\":true", NULL);
    want(w, 0, ",\"isTest\":true", 201, "\"paid\":true", NULL); /* costs nothing */
    want(w, 1, "", 201, "\"paid\":true", NULL);
    want(w, 0, "", 201, "\"paid\":false", NULL);
    assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"), 0);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM leads l JOIN deliveries d ON d.lead_id = "
                                   "l.id AND d.state = 'held' AND d.reason = 'lead_unpaid' WHERE "
                                   "NOT l.paid AND l.trace::text LIKE "
                                   "'%%[\"payment\",\"marked\",\"unpaid\"]%%'"),
                     1);
    begin(w, DUPLICATES("\"policy\":\"allow\""), "none", 5);
    want(w, 0, "", 201, "\"paid\":false", NULL);
    assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"), 5);
    begin(w, "{\"payment\":false}", "none", 5);
    want(w, 0, "", 201, "\"paid\":true", NULL);
}

/* ---- 10: blocked ---- */

/* The sender never learns; the owner sees it, and nothing goes out. */
static void blocked(void **state)
{
    world_t *w = *state;
    begin(w, DUPLICATES("\"policy\":\"allow\""), "unlimited", 0);
    account_sql(w->account, "INSERT INTO blocklist (account_id, id, kind, value) SELECT id, "
                            "gen_random_uuid(), 'domain', 'bad.example' FROM accounts");
    want(w, 0, ",\"email\":\"a@bad.example\"", 201, "\"blocked\":false", NULL);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM leads l JOIN deliveries d ON d.lead_id = "
                                   "l.id WHERE l.blocked AND d.state = 'held' AND d.reason = "
                                   "'lead_blocked' AND d.attempt = 0"),
                     1);
    account_sql(w->account, "DELETE FROM blocklist");
}

/* ---- what a commit writes besides ---- */

/* One event and few counters a commit; together they tell of each stored lead once. */
static void tells_and_counts(void **state)
{
    world_t *w = *state;
    begin(w, "{}", "balance", 1);
    want(w, 0, ",\"phone\":\"+79001234567\"", 201, NULL, NULL);
    want(w, 0, ",\"phone\":\"+79001234567\"", 200, NULL, NULL);
    want(w, 1, ",\"phone\":\"+79001234567\",\"name\":\"Anna\"", 201, NULL, NULL);
    want(w, 1, ",\"phone\":\"+79001234568\",\"isTest\":true", 201, NULL, NULL);
    assert_int_equal(account_count(w->account, "SELECT sum(leads) FROM lead_deltas"), 3);
    assert_int_equal(
        account_count(
            w->account,
            "SELECT count(*) FROM (SELECT project_id, quiz_id, status, flags, sum(leads) "
            "FROM lead_deltas GROUP BY 1, 2, 3, 4 EXCEPT SELECT project_id, quiz_id, "
            "status, plumb_lead_flags(viewed, paid, blocked, is_test, duplicate_of IS NOT "
            "NULL, false), count(*) FROM leads GROUP BY 1, 2, 3, 4) x"),
        0);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM events e, unnest(e.lead_ids) i JOIN leads "
                                   "l ON l.id = i WHERE e.kind = 'lead.created' AND e.account_id = "
                                   "l.account_id"),
                     3);
}

/* ---- races ---- */

typedef struct racer {
    const world_t *w;
    const char *key, *attributes; /* with one %d, the racer's number; or none */
    pthread_barrier_t *line;
    int number;
    pthread_t thread;
    http_answer_t answer;
} racer_t;

static void *race(void *self)
{
    racer_t *r = self;
    char attributes[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(attributes, sizeof attributes, r->attributes, r->number);
#pragma GCC diagnostic pop
    pthread_barrier_wait(r->line);
    for (;;) {
        r->answer = post(r->w, r->number % WORLD_INGESTS, r->key, attributes);
        if (r->answer.status != 409 || strstr(r->answer.body, "idempotency_running") == NULL)
            return NULL;
        http_answer_fini(&r->answer); /* the first of the key still runs */
        pause_ms(2);
    }
}

typedef struct outcome {
    int created, same, refused, other, unpaid, marked;
} outcome_t;

static outcome_t run_race(const world_t *w, const char *key, const char *attributes)
{
    racer_t racers[RACERS];
    pthread_barrier_t line;
    outcome_t o = {0};
    pthread_barrier_init(&line, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i] =
            (racer_t){.w = w, .key = key, .attributes = attributes, .line = &line, .number = i};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        const http_answer_t *a = &racers[i].answer;
        o.created += a->status == 201;
        o.same += a->status == 200;
        o.refused += a->status == 409;
        o.other += a->status != 200 && a->status != 201 && a->status != 409;
        o.unpaid += strstr(a->body, "\"paid\":false") != NULL;
        o.marked += strstr(a->body, "\"duplicateOf\":\"") != NULL;
        http_answer_fini(&racers[i].answer);
    }
    pthread_barrier_destroy(&line);
    return o;
}

#define RACES 5

static void race_for_one_person(void **state)
{
    world_t *w = *state;
    for (int n = 0; n < RACES; n++) {
        begin(w, DUPLICATES("\"policy\":\"flag\""), "unlimited", 0);
        outcome_t o = run_race(w, NULL, ",\"phone\":\"+79001234567\",\"name\":\"Anna %d\"");
        assert_int_equal(o.created, RACERS);
        assert_int_equal(o.marked, RACERS - 1);
        assert_int_equal(account_count(w->account,
                                       "SELECT count(*) FROM leads l JOIN leads o ON o.id = "
                                       "l.duplicate_of WHERE o.duplicate_of IS NULL"),
                         RACERS - 1);
        begin(w, DUPLICATES("\"policy\":\"reject\""), "unlimited", 0);
        o = run_race(w, NULL, ",\"email\":\"a@b.example\",\"name\":\"Anna %d\"");
        assert_int_equal(o.created, 1);
        assert_int_equal(o.refused, RACERS - 1);
        assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), 1);
    }
}

/* Somebody else is at the account all the time, so that the gate is shared and keys are locked. */
static void race_for_one_person_by_keys(void **state)
{
    world_t *w = *state;
    int64_t gate;
    crypto_shorthash_siphashx24((uint8_t *)&gate, (const uint8_t *)"account", 7, w->account->id.b);
    account_sql(w->account, "SELECT pg_advisory_lock_shared(%" PRId64 ")", gate);
    race_for_one_person(state);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
                                   "mode = 'ExclusiveLock'"),
                     0);
    account_sql(w->account, "SELECT pg_advisory_unlock_shared(%" PRId64 ")", gate);
}

static void race_of_identical_leads(void **state)
{
    world_t *w = *state;
    static const char *const bodies[] = {",\"phone\":\"+79001234567\"", ",\"data\":{\"a\":1}"};
    for (int n = 0; n < RACES; n++) {
        begin(w, "{\"duplicates\":{\"policy\":\"reject\"}}", "balance", 10);
        outcome_t o = run_race(w, NULL, bodies[n % 2]);
        assert_int_equal(o.created, 1);
        assert_int_equal(o.same, RACERS - 1);
        assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), 1);
        assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"), 9);
    }
}

static void race_under_one_key(void **state)
{
    world_t *w = *state;
    for (int n = 0; n < RACES; n++) {
        begin(w, "{}", "balance", 10);
        outcome_t o = run_race(w, "key", ",\"phone\":\"+79001234567\"");
        assert_int_equal(o.created, RACERS);
        assert_int_equal(o.unpaid + o.marked, 0);
        assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), 1);
        assert_int_equal(account_count(w->account, "SELECT count(*) FROM idempotency"), 1);
        assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"), 9);
    }
}

static void race_for_the_balance(void **state)
{
    world_t *w = *state;
    for (int n = 0; n < RACES; n++) {
        begin(w, "{}", "balance", 40);
        outcome_t o = run_race(w, NULL, ",\"phone\":\"+790012345%02d\"");
        assert_int_equal(o.created, RACERS);
        assert_int_equal(o.unpaid, RACERS - 40);
        assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"), 0);
        assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE paid"), 40);
    }
}

/* Connections are cut while leads race: what was not told may be there or not, what was told is. */
static atomic_bool cutting;

static void *cut(void *self)
{
    const world_t *w = self;
    while (atomic_load(&cutting)) {
        pg_run(w->account->conninfo,
               "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
               "application_name = 'plumb-ingest commit' AND state = 'active'",
               NULL, 0);
        pause_ms(3);
    }
    return NULL;
}

static void race_with_lost_connections(void **state)
{
    world_t *w = *state;
    for (int n = 0; n < RACES; n++) {
        pthread_t cutter;
        begin(w, DUPLICATES("\"policy\":\"flag\",\"keys\":[\"email\"]"), "balance", 1000);
        atomic_store(&cutting, true);
        assert_int_equal(pthread_create(&cutter, NULL, cut, w), 0);
        outcome_t o = run_race(w, NULL, ",\"email\":\"a@b.example\",\"name\":\"Anna %d\"");
        atomic_store(&cutting, false);
        pthread_join(cutter, NULL);
        long stored = account_count(w->account, "SELECT count(*) FROM leads");
        assert_in_range(stored, o.created, RACERS);
        assert_int_equal(o.created + o.other, RACERS);
        assert_true(account_count(w->account,
                                  "SELECT count(*) FROM leads WHERE duplicate_of IS NULL") <= 1);
        assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"),
                         1000 - stored);
        assert_int_equal(
            account_count(w->account, "SELECT coalesce(sum(leads), 0) FROM lead_deltas"), stored);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identical),
        cmocka_unit_test(old_leads_are_not_identical),
        cmocka_unit_test(identical_under_a_key),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(repeats_are_no_duplicates),
        cmocka_unit_test(who_does_not_count),
        cmocka_unit_test(payment),
        cmocka_unit_test(blocked),
        cmocka_unit_test(tells_and_counts),
        cmocka_unit_test(race_for_one_person),
        cmocka_unit_test(race_for_one_person_by_keys),
        cmocka_unit_test(race_of_identical_leads),
        cmocka_unit_test(race_under_one_key),
        cmocka_unit_test(race_for_the_balance),
        cmocka_unit_test(race_with_lost_connections),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
