/* The counters of leads while everything happens to them at once. */
#include "../tracker/store.h" /* tests/ has one of its own */

#include "clock.h"
#include "counts.h"
#include "tracker_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define WRITERS 3
#define FOLDERS 1
#define KILLS 6

/* The interval of asking again, never a wait by itself. */
static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/* What intake and changes do, in one transaction each: rows, and what they add to the counters. */
static const char functions[] =
    "SET client_min_messages = warning;"
    "CREATE FUNCTION storm_insert(account uuid, project uuid, quiz uuid, n int) RETURNS void "
    "LANGUAGE sql AS $$ WITH made AS (INSERT INTO leads (account_id, id, user_id, project_id, "
    "quiz_id, status, viewed, created_at) SELECT account, gen_random_uuid(), account, project, "
    "quiz, (ARRAY['New', 'AtWork'])[1 + i % 2]::lead_status, i % 3 = 0, "
    "now() - i * interval '1 day' FROM generate_series(1, n) i RETURNING *) "
    "INSERT INTO lead_deltas SELECT account_id, project_id, quiz_id, "
    "(created_at AT TIME ZONE 'UTC')::date, status, plumb_lead_flags(viewed, paid, blocked, "
    "is_test, duplicate_of IS NOT NULL, deleted_at IS NOT NULL), count(*) FROM made "
    "GROUP BY 1, 2, 3, 4, 5, 6 $$;"
    "CREATE FUNCTION storm_change() RETURNS void LANGUAGE sql AS $$ "
    "WITH was AS (SELECT * FROM leads ORDER BY random() LIMIT 3 FOR UPDATE SKIP LOCKED), "
    "now_ AS (UPDATE leads l SET status = 'Success', viewed = NOT l.viewed, deleted_at = "
    "CASE WHEN random() < 0.3 THEN now() END FROM was WHERE l.id = was.id RETURNING l.*) "
    "INSERT INTO lead_deltas SELECT account_id, project_id, quiz_id, "
    "(created_at AT TIME ZONE 'UTC')::date, status, plumb_lead_flags(viewed, paid, blocked, "
    "is_test, duplicate_of IS NOT NULL, deleted_at IS NOT NULL), n "
    "FROM (SELECT *, -1 AS n FROM was UNION ALL SELECT *, 1 FROM now_) both_ $$";

typedef struct storm {
    world_t *world;
    atomic_bool ends;
    atomic_int broken;
    atomic_uint seeds;
    char insert[256];
} storm_t;

/* One round: some transactions are rolled back, some lose their connection in the middle. */
static void write_once(PGconn *conn, const char *insert, unsigned dice)
{
    PQclear(PQexec(conn, "BEGIN"));
    PQclear(PQexec(conn, dice % 2 == 0 ? insert : "SELECT storm_change()"));
    if (dice % 7 == 0)
        PQclear(PQexec(conn, "SELECT pg_terminate_backend(pg_backend_pid())"));
    else
        PQclear(PQexec(conn, dice % 5 == 0 ? "ROLLBACK" : "COMMIT"));
}

static void *writer(void *argument)
{
    storm_t *s = argument;
    PGconn *conn = PQconnectdb(s->world->account->conninfo);
    unsigned seed = atomic_fetch_add(&s->seeds, 1);
    while (!atomic_load(&s->ends)) {
        write_once(conn, s->insert, (unsigned)rand_r(&seed));
        if (PQstatus(conn) != CONNECTION_OK)
            PQreset(conn);
    }
    PQfinish(conn);
    return NULL;
}

/* Another tracker's hand, at the same time. */
static void *folder(void *argument)
{
    storm_t *s = argument;
    store_t store;
    plumb_err_t err = {0};
    size_t folded;
    if (store_init(&store, &s->world->account->conf, &err) < 0)
        atomic_fetch_add(&s->broken, 1);
    while (!atomic_load(&s->ends))
        if (store_ready(&store, &err) < 0 || store_fold_counters(&store, 7, &folded, &err) < 0)
            atomic_fetch_add(&s->broken, 1);
    store_fini(&store);
    return NULL;
}

static void wait_folded(world_t *w)
{
    int64_t deadline_ms = plumb_mono_ms() + WORLD_WAIT_MS;
    while (account_count(w->account, "SELECT count(*) FROM lead_deltas") > 0) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("lead_deltas is not folded");
        pause_ms(20);
    }
}

static void exact_in_a_storm(void **state)
{
    world_t *w = *state;
    storm_t storm = {.world = w};
    unsigned dice = 1;
    pthread_t threads[WRITERS + FOLDERS];
    char id[3][PLUMB_UUID_TEXT];
    pg_run(w->account->conninfo, functions, NULL, 0);
    snprintf(storm.insert, sizeof storm.insert, "SELECT storm_insert('%s', '%s', '%s', 5)",
             plumb_uuid_text(&w->account->id, id[0]), plumb_uuid_text(&w->account->project, id[1]),
             plumb_uuid_text(&w->account->quiz, id[2]));
    for (int i = 0; i < WRITERS + FOLDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? writer : folder, &storm),
                         0);
    long off = 0;
    for (int kills = 0; kills < KILLS && off == 0; kills++) {
        int64_t until_ms = plumb_mono_ms() + rand_r(&dice) % 700;
        while (off == 0 && plumb_mono_ms() < until_ms)
            off = counts_off(w->account->conninfo);
        world_kill(w);
        world_start(w);
    }
    atomic_store(&storm.ends, true);
    for (int i = 0; i < WRITERS + FOLDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(off, 0);
    assert_int_equal(atomic_load(&storm.broken), 0);
    world_connected(w);
    wait_folded(w);
    assert_int_equal(counts_off(w->account->conninfo), 0);
    assert_true(account_count(w->account, "SELECT count(*) FROM leads WHERE deleted_at IS NULL") >
                100);
}

/* A minute of 1,000 commits a second that nobody folded. */
static void catches_up(void **state)
{
    world_t *w = *state;
    account_sql(w->account, "TRUNCATE leads, lead_deltas, lead_counts, lead_totals;"
                            "INSERT INTO lead_deltas SELECT gen_random_uuid(), gen_random_uuid(), "
                            "gen_random_uuid(), now(), 'New', 2, 1 FROM generate_series(1, 20000);"
                            "INSERT INTO lead_deltas SELECT a.id, p.id, p.id, now(), 'New', 2, 1 "
                            "FROM accounts a, projects p, generate_series(1, 40000)");
    wait_folded(w);
    assert_int_equal(account_count(w->account, "SELECT sum(leads) FROM lead_counts"), 60000);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM lead_totals"), 20001);
}

/* One statement that takes all of it. */
static void another_holds_the_lock(void **state)
{
    world_t *w = *state;
    store_t store;
    plumb_err_t err = {0};
    size_t folded = 1;
    assert_int_equal(world_stop(w), 0);
    account_sql(w->account, "INSERT INTO lead_deltas SELECT id, id, id, now(), 'New', 2, 3 "
                            "FROM accounts");
    assert_int_equal(store_init(&store, &w->account->conf, &err), 0);
    assert_int_equal(store_ready(&store, &err), 0);
    account_sql(w->account, "SELECT pg_advisory_lock(1886155117, %d)", LOCK_COUNTERS);
    assert_int_equal(store_fold_counters(&store, 100, &folded, &err), 0);
    assert_int_equal(folded, 0);
    account_sql(w->account, "SELECT pg_advisory_unlock_all()");
    assert_int_equal(store_fold_counters(&store, 100, &folded, &err), 0);
    assert_int_equal(folded, 1);
    store_fini(&store);
    world_start(w);
    world_connected(w);
}

static int set_up(void **state)
{
    static const char *const settings[] = {NULL};
    *state = world_new(settings);
    return 0;
}

static int tear_down(void **state)
{
    world_destroy((world_t **)state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exact_in_a_storm),
                                       cmocka_unit_test(catches_up),
                                       cmocka_unit_test(another_holds_the_lock)};
    return cmocka_run_group_tests_name("tracker counters", tests, set_up, tear_down);
}
