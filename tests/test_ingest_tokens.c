/* Who may ask, and from where, over raw HTTP: address filters, bounds and ends of tokens. */
#include "api_world.h"
#include "count.h"

static plumb_err_t err;

/* ---- address filters ---- */

static void filter(world_t *w, const char *allowed, const char *denied)
{
    ip_filter_release(&w->ingest[0].filter);
    if (ip_filter_new(&w->ingest[0].filter, allowed, denied, &err) < 0)
        fail_msg("%s", err.text);
}

/* Post behind a proxy that says so. */
static int status_behind(world_t *w, const char *forwarded)
{
    char more[128];
    snprintf(more, sizeof more, "X-Forwarded-For: %s\r\n", forwarded);
    http_answer_t answer = world_post(w, 0, w->account->token, "", more);
    int status = answer.status;
    http_answer_fini(&answer);
    return status;
}

static void filters_all(void **state)
{
    static const struct {
        const char *allowed, *denied;
        int status;
    } cases[] = {
        {"", "", 201},
        {"127.0.0.1", "", 201},
        {"10.0.0.0/8, 127.0.0.0/8", "", 201},
        {"10.0.0.0/8", "", 403},
        {"2001:db8::/32", "", 403},
        {"", "127.0.0.0/8", 403},
        {"", "127.0.0.2,::1", 201},
        {"127.0.0.1", "127.0.0.0/8", 403}, /* denied wins */
        {"", "::ffff:127.0.0.0/104", 403}, /* mapped is the same */
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        filter(w, cases[i].allowed, cases[i].denied);
        world_want(w, cases[i].denied, "", cases[i].status);
        http_answer_t health = http_exchange(w->ports[0], "GET", "/healthz", "", NULL);
        assert_int_equal(health.status, 200);
        http_answer_fini(&health);
    }
    http_answer_t stranger = http_exchange(
        w->ports[0], "GET", "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000", "", NULL);
    assert_int_equal(stranger.status, 403); /* before anything is said of tokens */
    assert_non_null(strstr(stranger.body, "\"forbidden\""));
    http_answer_fini(&stranger);
    filter(w, "", "");
}

/* X-Forwarded-For counts only where a trusted proxy wrote it. */
static void filters_behind_proxies(void **state)
{
    world_t *w = *state;
    filter(w, "", "192.0.2.0/24,2001:db8::/48");
    assert_int_equal(status_behind(w, "192.0.2.7"), 201); /* anybody may write that */
    assert_true(plumb_cidr_parse(&w->ingest[0].proxies[0], "127.0.0.1", strlen("127.0.0.1")));
    w->ingest[0].proxy_count = 1;
    assert_int_equal(status_behind(w, "192.0.2.7"), 403);
    assert_int_equal(status_behind(w, "198.51.100.7, 192.0.2.7"), 403);
    assert_int_equal(status_behind(w, "192.0.2.7, 198.51.100.7"), 201);
    assert_int_equal(status_behind(w, "2001:db8::7"), 403);
    assert_int_equal(status_behind(w, "2001:db8:1::7"), 201); /* all 128 bits are looked at */
    w->ingest[0].proxy_count = 0;
    filter(w, "", "");
}

static void filters_tokens(void **state)
{
    static const struct {
        const char *allowed, *denied;
        int status;
    } cases[] = {
        {"'{127.0.0.1,2001:db8::/32}'", "NULL", 201},
        {"'{10.0.0.0/8}'", "NULL", 403},
        {"NULL", "'{127.0.0.0/8}'", 403},
        {"'{127.0.0.1}'", "'{127.0.0.1}'", 403},
        {"'{}'", "'{}'", 201},
        {"NULL", "NULL", 201},
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        account_sql(w->account,
                    "UPDATE tokens SET allowed_ips = %s, denied_ips = %s WHERE id = "
                    "'abcdefghijkl'",
                    cases[i].allowed, cases[i].denied);
        world_want(w, cases[i].allowed, "", cases[i].status);
        http_answer_t guess = world_post(w, 0, "abcdefghijkl.guess", "", "");
        assert_int_equal(guess.status, 401); /* the list is told to nobody who has no token */
        http_answer_fini(&guess);
    }
}

/* ---- tokens ---- */

static void binds_tokens_to_quizzes(void **state)
{
    world_t *w = *state;
    char token[64], wide[64], id[PLUMB_UUID_TEXT], other[PLUMB_UUID_TEXT];
    plumb_uuid_t quiz = plumb_uuid_new();
    account_token(w->account, "intakeonlyxx", "intake", NULL, token);
    account_token(w->account, "intakewidexx", "intake,read,write,admin", NULL, wide);
    account_sql(w->account, "UPDATE tokens SET quiz_id = '%s' WHERE id LIKE 'intake%%'",
                plumb_uuid_text(&w->account->quiz, id));
    account_sql(w->account,
                "INSERT INTO quizzes (account_id, id, project_id, name) SELECT account_id, '%s', "
                "project_id, 'other' FROM quizzes LIMIT 1",
                plumb_uuid_text(&quiz, other));
    http_answer_t own = world_post(w, 0, token, "", "");
    assert_int_equal(own.status, 201);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM leads WHERE id = '%s' AND "
                                   "trace->0->>2 = 'quiz'",
                                   strrchr(http_header(&own, "Location"), '/') + 1),
                     1);
    plumb_uuid_t was = w->account->quiz;
    w->account->quiz = quiz;
    http_answer_t foreign = world_post(w, 0, token, "", "");
    assert_int_equal(foreign.status, 422);
    assert_non_null(strstr(foreign.body, "/data/attributes/quizId"));
    w->account->quiz = was;
    char headers[256];
    const char *const both[] = {token, wide};
    for (size_t i = 0; i < PLUMB_COUNT(both); i++) { /* whatever else its scopes say */
        snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", both[i]);
        http_answer_t read =
            http_exchange(w->ports[0], "GET", http_header(&own, "Location"), headers, NULL);
        assert_int_equal(read.status, 403);
        http_answer_fini(&read);
    }
    http_answer_fini(&own);
    http_answer_fini(&foreign);
}

static void ends_tokens(void **state)
{
    world_t *w = *state;
    const struct {
        const char *set;
        int status;
    } cases[] = {{"expires_at = now() + interval '1 hour'", 201},
                 {"expires_at = now()", 401},
                 {"expires_at = NULL", 201},
                 {"revoked_at = now()", 401}};
    char token[64];
    account_token(w->account, "endingxxxxxx", "write", NULL, token);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        account_sql(w->account, "UPDATE tokens SET %s WHERE id = 'endingxxxxxx'", cases[i].set);
        http_answer_t answer = world_post(w, 0, token, "", "");
        if (answer.status != cases[i].status)
            fail_msg("%s: %d", cases[i].set, answer.status);
        http_answer_fini(&answer);
    }
}

static void notes_use(void **state)
{
    world_t *w = *state;
    char used[64], guessed[64];
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    account_token(w->account, "usedxxxxxxxx", "write", NULL, used);
    account_token(w->account, "guessedxxxxx", "write", NULL, guessed);
    http_answer_t guess = world_post(w, 0, "guessedxxxxx.guess", "", "");
    http_answer_t made = world_post(w, 0, used, "", "");
    assert_int_equal(made.status, 201);
    while (account_count(w->account, "SELECT count(*) FROM tokens WHERE id = 'usedxxxxxxxx' AND "
                                     "used_at > now() - interval '1 minute'") != 1) {
        assert_true(plumb_mono_ms() < deadline_ms);
        pause_ms(5);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM tokens WHERE id = "
                                               "'guessedxxxxx' AND used_at IS NULL"),
                     1);
    http_answer_fini(&guess);
    http_answer_fini(&made);
}

/* With rows kept for a while, too; the last use is written when it stops. */
static void caches_filters(void **state)
{
    world_t *w = *state;
    ingest_close(&w->ingest[0]);
    assert_int_equal(plumb_conf_set(&w->account->conf, "ingest.cache=2s", "test", &err), 0);
    assert_int_equal(plumb_conf_set(&w->account->conf, "tokens.used_every=60s", "test", &err), 0);
    w->count = 0;
    world_start(w);
    account_sql(w->account, "UPDATE tokens SET allowed_ips = '{127.0.0.1}', used_at = NULL");
    for (int i = 0; i < 20; i++)
        world_want(w, "cached", "", 201);
    account_sql(w->account, "UPDATE tokens SET allowed_ips = '{10.0.0.0/8}'");
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    http_answer_t answer;
    while ((answer = world_post(w, 0, w->account->token, "", "")).status != 403) {
        assert_int_equal(answer.status, 201);
        assert_true(plumb_mono_ms() < deadline_ms);
        http_answer_fini(&answer);
    }
    http_answer_fini(&answer);
    ingest_close(&w->ingest[0]);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM tokens WHERE id = "
                                               "'abcdefghijkl' AND used_at IS NOT NULL"),
                     1);
    account_sql(w->account, "UPDATE tokens SET allowed_ips = NULL");
    w->count = 0;
    world_start(w);
}

/* ---- readiness ---- */

static void tells_readiness(void **state)
{
    world_t *w = *state;
    http_answer_t brief = http_exchange(w->ports[0], "GET", "/readyz", "", NULL);
    http_answer_t whole = http_exchange(w->ports[0], "GET", "/readyz?verbose", "", NULL);
    assert_int_equal(brief.status, 200);
    assert_string_equal(brief.body, "ready\n");
    assert_string_equal(whole.body, "ready\ndatabase: ok\nbroker: no beacon is heard: leads wait "
                                    "for the tracker\nredis: off\ngeo: off\n");
    http_answer_fini(&brief);
    http_answer_fini(&whole);
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    if (plumb_conf_set(&w->account->conf, "tokens.used_every=50ms", "test", &err) < 0)
        fail_msg("%s", err.text);
    world_start(w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_all),    cmocka_unit_test(filters_behind_proxies),
        cmocka_unit_test(filters_tokens), cmocka_unit_test(binds_tokens_to_quizzes),
        cmocka_unit_test(ends_tokens),    cmocka_unit_test(notes_use),
        cmocka_unit_test(caches_filters), cmocka_unit_test(tells_readiness),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
