/* One key, one answer: repeats, races over two ingests, other bodies, old keys, erased leads. */
#include "api_world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RACERS 64
#define RACES 5

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    w->account->conf.ingest_committers = 2;
    for (int i = 0; i < WORLD_INGESTS; i++)
        world_start(w);
    return 0;
}

static http_answer_t post(const world_t *w, int ingest, const char *key, const char *attributes)
{
    char more[300];
    snprintf(more, sizeof more, "Idempotency-Key: %s\r\n", key);
    return world_post(w, (unsigned)ingest, w->account->token, attributes, more);
}

static bool is_replay(const http_answer_t *answer)
{
    return strcmp(http_header(answer, "Idempotency-Replayed"), "true") == 0;
}

static void want_code(const http_answer_t *answer, int status, const char *code)
{
    char member[64];
    snprintf(member, sizeof member, "\"code\":\"%s\"", code);
    if (answer->status != status || strstr(answer->body, member) == NULL)
        fail_msg("status %d, want %d %s: %s", answer->status, status, code, answer->body);
}

/* ---- races ---- */

typedef struct racer {
    const world_t *w;
    const char *key;
    pthread_barrier_t *line;
    int ingest;
    pthread_t thread;
    http_answer_t answer;
} racer_t;

static void *race(void *self)
{
    racer_t *r = self;
    pthread_barrier_wait(r->line);
    for (;;) {
        r->answer = post(r->w, r->ingest, r->key, ",\"name\":\"Anna\"");
        if (r->answer.status != 409)
            return NULL;
        http_answer_fini(&r->answer); /* the first still runs: again, as we tell clients */
        pause_ms(2);
    }
}

static void one_stored_answer(void **state)
{
    world_t *w = *state;
    racer_t racers[RACERS];
    pthread_barrier_t line;
    pthread_barrier_init(&line, NULL, RACERS);
    for (int n = 0; n < RACES; n++) {
        char key[32];
        int firsts = 0;
        snprintf(key, sizeof key, "race-%d", n);
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (racer_t){.w = w, .key = key, .line = &line, .ingest = i % WORLD_INGESTS};
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < RACERS; i++)
            pthread_join(racers[i].thread, NULL);
        for (int i = 0; i < RACERS; i++) {
            firsts += !is_replay(&racers[i].answer);
            assert_int_equal(racers[i].answer.status, 201);
            assert_string_equal(racers[i].answer.body, racers[0].answer.body);
            assert_string_equal(http_header(&racers[i].answer, "Location"),
                                http_header(&racers[0].answer, "Location"));
        }
        for (int i = 0; i < RACERS; i++)
            http_answer_fini(&racers[i].answer);
        assert_int_equal(firsts, 1);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), RACES);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM idempotency"), RACES);
    pthread_barrier_destroy(&line);
}

/* ---- one sender ---- */

static void repeats(void **state)
{
    world_t *w = *state;
    http_answer_t first = post(w, 0, "k1", ",\"name\":\"Anna\",\"phone\":\"+79001234567\"");
    http_answer_t again = post(w, 1, "k1", ",\"phone\":\"8 900 123-45-67\",\"name\":\"Anna\"");
    http_answer_t other = post(w, 0, "k1", ",\"name\":\"Vera\"");
    assert_int_equal(first.status, 201);
    assert_false(is_replay(&first));
    assert_int_equal(again.status, 201);
    assert_true(is_replay(&again));
    assert_string_equal(first.body, again.body);
    want_code(&other, 422, "idempotency_mismatch");
    http_answer_fini(&first);
    http_answer_fini(&again);
    http_answer_fini(&other);
}

/* A refusal is no answer to be kept. */
static void forgets_refusals(void **state)
{
    world_t *w = *state;
    http_answer_t refused = post(w, 0, "k2", ",\"email\":\"nonsense\"");
    http_answer_t fixed = post(w, 0, "k2", ",\"email\":\"a@b.example\"");
    want_code(&refused, 422, "invalid");
    assert_int_equal(fixed.status, 201);
    assert_false(is_replay(&fixed));
    http_answer_fini(&refused);
    http_answer_fini(&fixed);
}

static void forgets_old_keys(void **state)
{
    world_t *w = *state;
    http_answer_t first = post(w, 0, "k3", "");
    account_sql(w->account,
                "UPDATE idempotency SET created_at = now() - interval '73 h' WHERE key = 'k3'");
    http_answer_t other = post(w, 1, "k3", ",\"name\":\"Vera\"");
    assert_int_equal(other.status, 201);
    assert_false(is_replay(&other));
    assert_string_not_equal(http_header(&first, "Location"), http_header(&other, "Location"));
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM idempotency WHERE key = 'k3' "
                                               "AND created_at > now() - interval '1 h'"),
                     1);
    http_answer_fini(&first);
    http_answer_fini(&other);
}

static void knows_erased_leads(void **state)
{
    world_t *w = *state;
    http_answer_t first = post(w, 0, "k4", "");
    account_sql(w->account, "UPDATE leads SET sealed_key = NULL, sealed = NULL WHERE id = (SELECT "
                            "lead_id FROM idempotency WHERE key = 'k4')");
    http_answer_t again = post(w, 0, "k4", "");
    want_code(&again, 409, "conflict");
    http_answer_fini(&first);
    http_answer_fini(&again);
}

/* A repeat costs nothing, and is answered when nothing else would be. */
static void repeats_beyond_limits(void **state)
{
    world_t *w = *state;
    http_answer_t first = post(w, 0, "k5", "");
    for (int i = 0; i < 2; i++)
        w->ingest[i].rates.token = (plumb_rate_t){.count = 1, .period_us = 1000000, .burst = 2};
    for (int i = 0; i < 5; i++) {
        http_answer_t again = post(w, 0, "k5", "");
        assert_int_equal(again.status, 201);
        assert_true(is_replay(&again));
        http_answer_fini(&again);
    }
    int taken = 0;
    http_answer_t fresh;
    for (;;) {
        char key[32];
        snprintf(key, sizeof key, "k5-%d", taken);
        fresh = post(w, 0, key, "");
        if (fresh.status != 201 || taken++ > 50)
            break;
        http_answer_fini(&fresh);
    }
    assert_in_range(taken, 2, 10);
    want_code(&fresh, 429, "rate_limited");
    assert_string_equal(http_header(&fresh, "RateLimit-Policy"), "\"token\";q=2;w=2");
    assert_string_equal(http_header(&fresh, "RateLimit"), "\"token\";r=0;t=1");
    assert_string_equal(http_header(&fresh, "Retry-After"), "1");
    http_answer_t again = post(w, 0, "k5", "");
    assert_int_equal(again.status, 201);
    for (int i = 0; i < 2; i++)
        w->ingest[i].rates.token.count = 0;
    http_answer_fini(&first);
    http_answer_fini(&fresh);
    http_answer_fini(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_stored_answer),  cmocka_unit_test(repeats),
        cmocka_unit_test(forgets_refusals),   cmocka_unit_test(forgets_old_keys),
        cmocka_unit_test(knows_erased_leads), cmocka_unit_test(repeats_beyond_limits),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
