/* Changed configuration is heard by every ingest long before what it keeps would be too old. */
#include "api_world.h"
#include "count.h"

#define MOMENT_MS 3000 /* below the five seconds that a token's row may live */

static int two_with_a_cache(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    plumb_err_t err = {0};
    *state = w;
    w->account = account_new();
    if (plumb_conf_set(&w->account->conf, "ingest.cache=60000ms", "test", &err) < 0)
        fail_msg("%s", err.text);
    world_start(w);
    world_start(w);
    return 0;
}

static int get(const world_t *w, unsigned ingest, const char *token)
{
    http_answer_t answer = world_ask(
        w, ingest, token, "GET", "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000", "", NULL);
    int status = answer.status;
    http_answer_fini(&answer);
    return status;
}

static int post(const world_t *w, unsigned ingest, const char *token)
{
    http_answer_t answer = world_post(w, ingest, token, "", "");
    int status = answer.status;
    http_answer_fini(&answer);
    return status;
}

typedef int (*ask_t)(const world_t *w, unsigned ingest, const char *token);

static void want_both(const char *what, const world_t *w, ask_t ask, const char *token, int status)
{
    for (unsigned i = 0; i < w->count; i++) {
        int64_t deadline_ms = plumb_mono_ms() + MOMENT_MS;
        long wait_ms = 5; /* doubled, since who presents a bad token too often is kept out */
        int got;
        for (; (got = ask(w, i, token)) != status; wait_ms *= 2) {
            if (plumb_mono_ms() > deadline_ms)
                fail_msg("%s: ingest %u answers %d, want %d", what, i, got, status);
            pause_ms(wait_ms);
        }
    }
}

/* Both ingests listen, so that what follows is heard and not merely read for the first time. */
static void wait_heard(const world_t *w)
{
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    while (account_count(
               w->account,
               "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
               "AND application_name = 'plumb-ingest changes' AND query ~ '^(LISTEN|SELECT 1)'") <
           (long)w->count) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("nobody listens");
        pause_ms(5);
    }
}

static void a_revoked_token_is_refused(void **state)
{
    world_t *w = *state;
    char token[64];
    wait_heard(w);
    account_token(w->account, "revokedtoken", "read,write", NULL, token);
    want_both("good", w, get, token, 404);
    account_sql(w->account, "UPDATE tokens SET revoked_at = now() WHERE id = 'revokedtoken'");
    want_both("revoked", w, get, token, 401);
    account_sql(w->account, "UPDATE tokens SET revoked_at = NULL WHERE id = 'revokedtoken'");
    want_both("given back", w, get, token, 404);
    account_sql(w->account, "UPDATE tokens SET scopes = '{write}' WHERE id = 'revokedtoken'");
    want_both("other scopes", w, get, token, 403);
}

static void a_token_that_was_asked_for_before_it_was(void **state)
{
    world_t *w = *state;
    char token[64];
    wait_heard(w);
    want_both("not yet", w, get, "latertoken12.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", 401);
    account_token(w->account, "latertoken12", "read", NULL, token);
    want_both("made", w, get, token, 404);
}

static void quizzes_and_their_owners_follow(void **state)
{
    static const char *const owners[] = {"quizzes", "projects", "users"};
    world_t *w = *state;
    wait_heard(w);
    for (size_t i = 0; i < PLUMB_COUNT(owners); i++) {
        want_both("active", w, post, w->account->token, 201);
        account_sql(w->account, "UPDATE %s SET active = false", owners[i]);
        want_both(owners[i], w, post, w->account->token, 422);
        account_sql(w->account, "UPDATE %s SET active = true", owners[i]);
    }
    account_sql(w->account, "UPDATE accounts SET active = false");
    want_both("account", w, post, w->account->token, 401);
}

/* What changed while the connection was away is not missed. */
static void a_lost_connection_drops_all(void **state)
{
    world_t *w = *state;
    char token[64];
    wait_heard(w);
    account_token(w->account, "unheardtoken", "read", NULL, token);
    want_both("good", w, get, token, 404);
    account_sql(w->account, "ALTER TABLE tokens DISABLE TRIGGER changed_in; "
                            "UPDATE tokens SET revoked_at = now() WHERE id = 'unheardtoken'; "
                            "ALTER TABLE tokens ENABLE TRIGGER changed_in");
    account_sql(w->account,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                "current_database() AND application_name = 'plumb-ingest changes'");
    want_both("after the break", w, get, token, 401);
}

/* What is written in passing tells nobody. */
static void passing_writes_are_silent(void **state)
{
    world_t *w = *state;
    plumb_uuid_t credential = account_credential(w->account, "webhooks", "{\"url\":\"x\"}", NULL);
    char id[PLUMB_UUID_TEXT];
    account_sql(w->account, "LISTEN plumb_changed");
    account_sql(w->account,
                "UPDATE credentials SET failures = 3, refused = 1, succeeded_at = now() "
                "WHERE id = '%s'; UPDATE tokens SET used_at = now()",
                plumb_uuid_text(&credential, id));
    assert_null(PQnotifies(plumb_db_conn(w->account->db)));
    account_sql(w->account, "UPDATE credentials SET enabled = false WHERE id = '%s'", id);
    account_sql(w->account, "SELECT 1");
    PGnotify *note = PQnotifies(plumb_db_conn(w->account->db));
    assert_non_null(note);
    assert_memory_equal(note->extra, "credentials ", 12);
    PQfreemem(note);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_with_a_cache, world_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_revoked_token_is_refused),      TEST(a_token_that_was_asked_for_before_it_was),
        TEST(quizzes_and_their_owners_follow), TEST(a_lost_connection_drops_all),
        TEST(passing_writes_are_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
