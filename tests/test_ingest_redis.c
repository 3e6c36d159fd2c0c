/* Limits that two ingests share through a real Redis: exact, and what happens while it is away. */
#include "api_world.h"
#include "count.h"
#include "redis_server.h"

#include <pthread.h>
#include <signal.h>

#define THREADS 8
#define EACH 15
#define BURST 40

static redis_server_t server;
static plumb_err_t err;

static void configure(world_t *w, const char *key, const char *value)
{
    char assignment[256];
    snprintf(assignment, sizeof assignment, "%s=%s", key, value);
    if (plumb_conf_set(&w->account->conf, assignment, "test", &err) < 0)
        fail_msg("%s", err.text);
}

static int status_of(const world_t *w, unsigned ingest, const char *attributes)
{
    http_answer_t answer = world_post(w, ingest, w->account->token, attributes, "");
    int status = answer.status;
    http_answer_fini(&answer);
    return status;
}

/* Wait until /readyz?verbose has (or, `there` false, has not) that line. */
static void wait_line(const world_t *w, const char *line, bool there)
{
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    for (unsigned i = 0; i < w->count;) {
        http_answer_t answer = http_exchange(w->ports[i], "GET", "/readyz?verbose", "", NULL);
        assert_int_equal(answer.status, 200);
        bool is_there = strstr(answer.body, line) != NULL;
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("'%s' in %s", line, answer.body);
        http_answer_fini(&answer);
        if (is_there == there)
            i++;
        else
            pause_ms(5);
    }
}

static long alone(const world_t *w)
{
    static const char name[] = "\nplumb_limits_alone_total ";
    http_answer_t answer = http_exchange(w->ports[0], "GET", "/metrics", "", NULL);
    const char *found = strstr(answer.body, name);
    long count = found == NULL ? -1 : strtol(found + sizeof name - 1, NULL, 10);
    http_answer_fini(&answer);
    return count;
}

static void set_rates(world_t *w, plumb_rate_t token, plumb_rate_t account)
{
    for (unsigned i = 0; i < w->count; i++) {
        w->ingest[i].rates.token = token;
        w->ingest[i].rates.account = account;
    }
}

static plumb_rate_t hourly(int64_t burst)
{
    return (plumb_rate_t){
        .count = burst == 0 ? 0 : 1, .period_us = INT64_C(3600000000), .burst = burst};
}

static int setup(void **state)
{
    redis_server_start(&server);
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    configure(w, "redis.url", server.url);
    configure(w, "redis.timeout", "1s"); /* this machine may be busy */
    configure(w, "redis.retry", "20ms");
    configure(w, "redis.retry_max", "100ms");
    world_start(w);
    world_start(w);
    wait_line(w, "\nredis: ok\n", true);
    return 0;
}

static int teardown(void **state)
{
    int rc = world_teardown(state);
    redis_server_destroy(&server);
    return rc;
}

/* Begin with nothing charged. */
static void forget(void)
{
    redis_server_say(&server, "FLUSHALL");
}

/* ---- exactness ---- */

typedef struct sender {
    const world_t *w;
    unsigned ingest;
    int taken, refused;
    pthread_t thread;
} sender_t;

static void *send_main(void *self)
{
    sender_t *s = self;
    for (int i = 0; i < EACH; i++) {
        int status = status_of(s->w, s->ingest, "");
        s->taken += status == 201;
        s->refused += status == 429;
    }
    return NULL;
}

static void exact_across_hosts(void **state)
{
    world_t *w = *state;
    sender_t senders[THREADS];
    int taken = 0, refused = 0;
    long before = alone(w);
    forget();
    set_rates(w, hourly(1000), hourly(BURST));
    for (unsigned i = 0; i < THREADS; i++) {
        senders[i] = (sender_t){.w = w, .ingest = i % w->count};
        pthread_create(&senders[i].thread, NULL, send_main, &senders[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(senders[i].thread, NULL);
        taken += senders[i].taken;
        refused += senders[i].refused;
    }
    assert_int_equal(taken, BURST);
    assert_int_equal(refused, THREADS * EACH - BURST);
    assert_int_equal(alone(w), before);
}

static void tells_the_state(void **state)
{
    world_t *w = *state;
    forget();
    set_rates(w, hourly(0), hourly(3));
    for (unsigned i = 0; i < 4; i++) {
        char want[32];
        http_answer_t answer = world_post(w, i % 2, w->account->token, "", "");
        snprintf(want, sizeof want, "\"account\";r=%u;t=", i < 3 ? 2 - i : 0);
        assert_int_equal(answer.status, i < 3 ? 201 : 429);
        assert_int_equal(strncmp(http_header(&answer, "RateLimit"), want, strlen(want)), 0);
        if (i == 3)
            assert_in_range(strtol(http_header(&answer, "Retry-After"), NULL, 10), 3590, 3600);
        http_answer_fini(&answer);
    }
}

/* What one limit refuses costs nothing of the other, and a repeat gives back. */
static void refusals_and_repeats_are_free(void **state)
{
    world_t *w = *state;
    forget();
    account_sql(w->account,
                "UPDATE quizzes SET settings = settings || '{\"limits\":{\"clientPerMinute\":1}}'");
    set_rates(w, hourly(0), hourly(3));
    for (int i = 0; i < 5; i++) {
        http_answer_t again = world_post(w, i % 2, w->account->token, ",\"fingerprint\":\"one\"",
                                         "Idempotency-Key: shared\r\n");
        assert_int_equal(again.status, 201);
        http_answer_fini(&again);
        assert_int_equal(status_of(w, i % 2, ",\"fingerprint\":\"one\""), 429);
    }
    assert_int_equal(status_of(w, 0, ",\"fingerprint\":\"two\""), 201);
    assert_int_equal(status_of(w, 1, ",\"fingerprint\":\"three\""), 201);
    assert_int_equal(status_of(w, 0, ",\"fingerprint\":\"four\""), 429);
    account_sql(w->account, "UPDATE quizzes SET settings = settings - 'limits'");
}

/* A repeat that was let through gives back exactly what it was charged. */
static void repeats_give_back(void **state)
{
    world_t *w = *state;
    forget();
    set_rates(w, hourly(0), hourly(3));
    for (int i = 0; i < 5; i++) {
        http_answer_t again =
            world_post(w, i % 2, w->account->token, "", "Idempotency-Key: given-back\r\n");
        assert_int_equal(again.status, 201);
        http_answer_fini(&again);
    }
    assert_int_equal(status_of(w, 0, ""), 201);
    assert_int_equal(status_of(w, 1, ""), 201);
    assert_int_equal(status_of(w, 0, ""), 429);
}

/* A Redis that was emptied does not know the script any more. */
static void gives_the_script_again(void **state)
{
    world_t *w = *state;
    long before = alone(w);
    forget();
    set_rates(w, hourly(0), hourly(2));
    assert_int_equal(status_of(w, 0, ""), 201);
    redis_server_say(&server, "SCRIPT FLUSH");
    assert_int_equal(status_of(w, 1, ""), 201);
    redis_server_say(&server, "SCRIPT FLUSH");
    assert_int_equal(status_of(w, 0, ""), 429);
    assert_int_equal(alone(w), before);
}

/* Nothing stays for good: an arrival time that has passed is as none. */
static void forgets(void **state)
{
    world_t *w = *state;
    forget();
    plumb_rate_t fast = {.count = 20, .period_us = 1000000, .burst = 1};
    set_rates(w, hourly(0), fast);
    assert_int_equal(status_of(w, 0, ""), 201);
    int64_t deadline_ms = plumb_mono_ms() + 5000;
    while (status_of(w, 1, "") != 201)
        assert_true(plumb_mono_ms() < deadline_ms);
}

/* ---- away ---- */

static void holds_alone_while_away(void **state)
{
    world_t *w = *state;
    forget();
    set_rates(w, hourly(0), hourly(2));
    assert_int_equal(status_of(w, 0, ""), 201);
    assert_int_equal(status_of(w, 1, ""), 201);
    assert_int_equal(status_of(w, 0, ""), 429);
    long before = alone(w);
    redis_server_kill(&server);
    for (unsigned i = 0; i < w->count; i++) { /* each by itself */
        assert_int_equal(status_of(w, i, ""), 201);
        assert_int_equal(status_of(w, i, ""), 201);
        assert_int_equal(status_of(w, i, ""), 429);
    }
    assert_int_equal(alone(w), before + 6);
    wait_line(w, "\nredis: limits hold in this process alone: ", true);
    redis_server_start(&server);
    wait_line(w, "\nredis: ok\n", true);
    before = alone(w);
    assert_int_equal(status_of(w, 0, ""), 201);
    assert_int_equal(status_of(w, 1, ""), 201);
    assert_int_equal(status_of(w, 0, ""), 429);
    assert_int_equal(alone(w), before);
}

/* One that does not answer costs its time-out once, not at each request. */
static void waits_once(void **state)
{
    world_t *w = *state;
    forget();
    set_rates(w, hourly(0), hourly(1000));
    redis_server_signal(&server, SIGSTOP);
    int64_t began_ms = plumb_mono_ms();
    for (int i = 0; i < 50; i++)
        assert_int_equal(status_of(w, 0, ""), 201);
    assert_in_range(plumb_mono_ms() - began_ms, 0, 10000);
    redis_server_signal(&server, SIGCONT);
    wait_line(w, "\nredis: ok\n", true);
}

/* One that answers with errors is as good as away. */
static void passes_errors_by(void **state)
{
    world_t *w = *state;
    forget();
    long before = alone(w);
    set_rates(w, hourly(0), hourly(1000));
    redis_server_say(&server, "CONFIG SET maxmemory 1");
    assert_int_equal(status_of(w, 0, ""), 201);
    assert_true(alone(w) > before);
    redis_server_say(&server, "CONFIG SET maxmemory 0");
    wait_line(w, "\nredis: ok\n", true);
}

/* It may be away when an ingest starts, too. */
static void starts_without(void **state)
{
    world_t *w = *state;
    redis_server_kill(&server);
    ingest_close(&w->ingest[1]);
    w->count = 1;
    world_start(w);
    set_rates(w, hourly(0), hourly(1));
    assert_int_equal(status_of(w, 1, ""), 201);
    assert_int_equal(status_of(w, 1, ""), 429);
    wait_line(w, "\nredis: ok\n", false); /* also where nobody asks for anything */
    redis_server_start(&server);
    wait_line(w, "\nredis: ok\n", true);
    assert_int_equal(status_of(w, 1, ""), 201);
    assert_int_equal(status_of(w, 0, ""), 429);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_across_hosts),
        cmocka_unit_test(tells_the_state),
        cmocka_unit_test(refusals_and_repeats_are_free),
        cmocka_unit_test(repeats_give_back),
        cmocka_unit_test(gives_the_script_again),
        cmocka_unit_test(forgets),
        cmocka_unit_test(holds_alone_while_away),
        cmocka_unit_test(waits_once),
        cmocka_unit_test(passes_errors_by),
        cmocka_unit_test(starts_without),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, teardown);
}
