/* Rate limits over raw HTTP: what is told, of whom they are, what is free. */
#include "api_world.h"
#include "count.h"

#define SECOND INT64_C(1000000)

static void set_quiz(world_t *w, const char *settings)
{
    account_sql(w->account,
                "UPDATE quizzes SET settings = '{\"identical\": {\"windowSeconds\": 0}, "
                "\"duplicates\": {\"policy\": \"allow\"}}'::jsonb || '%s'",
                settings);
}

/* ---- rate limits ---- */

static void off(void **state)
{
    world_t *w = *state;
    http_answer_t made = world_post(w, 0, w->account->token, "", "");
    assert_int_equal(made.status, 201);
    assert_string_equal(http_header(&made, "RateLimit"), "");
    assert_string_equal(http_header(&made, "RateLimit-Policy"), "");
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads, json_array_elements("
                                               "trace) t WHERE t->>0 = 'limits' AND t->>1 = "
                                               "'skipped'"),
                     1);
    http_answer_fini(&made);
}

static void tells_of_limits(void **state)
{
    world_t *w = *state;
    w->ingest[0].rates.account = (plumb_rate_t){60, 3600 * SECOND, 3};
    w->ingest[0].rates.token = (plumb_rate_t){1000, SECOND, 1000};
    for (int left = 2; left >= 0; left--) {
        char state_of[64];
        http_answer_t made = world_post(w, 0, w->account->token, "", "");
        snprintf(state_of, sizeof state_of, "\"account\";r=%d;t=", left);
        assert_int_equal(made.status, 201);
        assert_string_equal(http_header(&made, "RateLimit-Policy"), "\"account\";q=3;w=180");
        if (strncmp(http_header(&made, "RateLimit"), state_of, strlen(state_of)) != 0)
            fail_msg("%s, want %s", http_header(&made, "RateLimit"), state_of);
        http_answer_fini(&made);
    }
    http_answer_t refused = world_post(w, 0, w->account->token, "", "");
    assert_int_equal(refused.status, 429);
    assert_non_null(strstr(refused.body, "\"rate_limited\""));
    long wait = strtol(http_header(&refused, "Retry-After"), NULL, 10);
    char state_of[64];
    snprintf(state_of, sizeof state_of, "\"account\";r=0;t=%ld", wait);
    assert_in_range(wait, 1, 60);
    assert_string_equal(http_header(&refused, "RateLimit"), state_of);
    http_answer_t read =
        http_exchange(w->ports[0], "GET", "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000",
                      "Authorization: Bearer abcdefghijkl."
                      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\r\n",
                      NULL);
    assert_int_equal(read.status, 429); /* reads count too */
    w->ingest[0].rates = (rates_t){.token = {.count = 0}};
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads, json_array_elements("
                                               "trace) t WHERE t->>0 = 'limits' AND t->>1 = "
                                               "'passed'"),
                     3);
    http_answer_fini(&refused);
    http_answer_fini(&read);
}

/* By fingerprint, else by address; each client of its own. */
static void limits_clients(void **state)
{
    world_t *w = *state;
    set_quiz(w, "{\"limits\":{\"clientPerMinute\":2}}");
    static const char *const clients[] = {
        ",\"fingerprint\":\"f1\",\"ipAddress\":\"192.0.2.1\"",
        ",\"fingerprint\":\"f2\",\"ipAddress\":\"192.0.2.1\"",
        ",\"ipAddress\":\"192.0.2.1\"",
        ",\"ipAddress\":\"192.0.2.2\"",
        "",
    };
    for (size_t i = 0; i < PLUMB_COUNT(clients); i++) {
        world_want(w, "first", clients[i], 201);
        world_want(w, "second", clients[i], 201);
        http_answer_t refused = world_post(w, 0, w->account->token, clients[i], "");
        assert_int_equal(refused.status, 429);
        assert_string_equal(http_header(&refused, "RateLimit-Policy"), "\"client\";q=2;w=60");
        assert_in_range(strtol(http_header(&refused, "Retry-After"), NULL, 10), 1, 30);
        http_answer_fini(&refused);
    }
    set_quiz(w, "{}");
    world_want(w, "turned off", clients[0], 201);
}

static void limits_tests(void **state)
{
    world_t *w = *state;
    set_quiz(w, "{\"limits\":{\"testsPerDay\":2}}");
    world_want(w, "first test", ",\"isTest\":true", 201);
    world_want(w, "second test", ",\"isTest\":true", 201);
    http_answer_t refused = world_post(w, 0, w->account->token, ",\"isTest\":true", "");
    assert_int_equal(refused.status, 429);
    assert_string_equal(http_header(&refused, "RateLimit-Policy"), "\"tests\";q=2;w=86400");
    assert_in_range(strtol(http_header(&refused, "Retry-After"), NULL, 10), 43000, 43200);
    world_want(w, "no test", ",\"isTest\":false", 201);
    set_quiz(w, "{}");
    world_want(w, "turned off", ",\"isTest\":true", 201);
    http_answer_fini(&refused);
}

/* What one limit refuses costs nothing of another, and what is refused for its shape costs nothing
 * at all. */
static void refusals_are_free(void **state)
{
    world_t *w = *state;
    set_quiz(w, "{\"limits\":{\"clientPerMinute\":1}}");
    w->ingest[0].rates.token = (plumb_rate_t){1, 3600 * SECOND, 3};
    world_want(w, "first", ",\"fingerprint\":\"free\"", 201);
    for (int i = 0; i < 5; i++) {
        world_want(w, "client", ",\"fingerprint\":\"free\"", 429);
        world_want(w, "shape", ",\"nose\":1", 422);
    }
    world_want(w, "another", ",\"fingerprint\":\"free2\"", 201);
    world_want(w, "a third", ",\"fingerprint\":\"free3\"", 201);
    world_want(w, "token", ",\"fingerprint\":\"free4\"", 429);
    w->ingest[0].rates.token.count = 0;
    set_quiz(w, "{}");
}

/* A repeat gives back what it was charged, also to the client's limit. */
static void repeats_are_free(void **state)
{
    world_t *w = *state;
    set_quiz(w, "{\"limits\":{\"clientPerMinute\":3}}");
    for (int i = 0; i < 5; i++) {
        http_answer_t again = world_post(w, 0, w->account->token, ",\"fingerprint\":\"again\"",
                                         "Idempotency-Key: free\r\n");
        assert_int_equal(again.status, 201);
        assert_string_equal(http_header(&again, "Idempotency-Replayed"), i == 0 ? "" : "true");
        http_answer_fini(&again);
    }
    world_want(w, "second", ",\"fingerprint\":\"again\"", 201);
    world_want(w, "third", ",\"fingerprint\":\"again\"", 201);
    world_want(w, "fourth", ",\"fingerprint\":\"again\"", 429);
    set_quiz(w, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off),
        cmocka_unit_test(tells_of_limits),
        cmocka_unit_test(limits_clients),
        cmocka_unit_test(limits_tests),
        cmocka_unit_test(refusals_are_free),
        cmocka_unit_test(repeats_are_free),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
