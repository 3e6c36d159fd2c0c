/* Group commit: a bad row fails alone, a killed connection never makes a false success. */
#include "account.h"
#include "clock.h"
#include "committer.h"
#include "count.h"
#include "metrics.h"
#include "pack.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define GROUP 500
#define SENDERS 16

typedef struct world {
    account_t *account;
    committers_t *committers;
} world_t;

static plumb_err_t err;

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/* Does it come to hold before long? */
static bool comes(bool (*holds)(world_t *), world_t *w)
{
    int64_t deadline_ms = plumb_mono_ms() + 30000;
    while (!holds(w)) {
        if (plumb_mono_ms() > deadline_ms)
            return false;
        pause_ms(2);
    }
    return true;
}

static void wait_until(bool (*holds)(world_t *), world_t *w, const char *what)
{
    if (!comes(holds, w))
        fail_msg("still not: %s", what);
}

static bool is_ready(world_t *w)
{
    return committers_ready(w->committers, &err) == 0;
}

static void start(world_t *w, int64_t committers, int64_t queue)
{
    w->account->conf.ingest_committers = committers;
    w->account->conf.ingest_group = GROUP;
    w->account->conf.ingest_queue = queue;
    if (committers_new(&w->committers, &w->account->conf, &err) < 0)
        fail_msg("committers: %s", err.text);
    wait_until(is_ready, w, "connected");
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    committers_destroy(&w->committers);
    account_destroy(&w->account);
    free(w);
    return 0;
}

/* ---- leads ---- */

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, text == NULL ? 0 : strlen(text)};
}

/* Pack a lead with one delivery; `key` NULL: none. `trace` is JSON unless the test wants an error.
 */
static void pack(const world_t *w, prepared_t *p, const char *key, const char *trace)
{
    const account_t *a = w->account;
    int64_t now_ms = committers_now_ms(w->committers);
    char user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT], quiz[PLUMB_UUID_TEXT];
    char hash[32] = {1};
    plumb_lead_t lead = {.account = a->id, .id = plumb_uuid_at(now_ms)};
    lead.value[PLUMB_LEAD_USER_ID] = slice(plumb_uuid_text(&a->user, user));
    lead.value[PLUMB_LEAD_PROJECT_ID] = slice(plumb_uuid_text(&a->project, project));
    lead.value[PLUMB_LEAD_QUIZ_ID] = slice(plumb_uuid_text(&a->quiz, quiz));
    lead.value[PLUMB_LEAD_STATUS] = slice("New");
    lead.value[PLUMB_LEAD_IS_TEST] = slice("false");
    lead.value[PLUMB_LEAD_DATA] = slice("{\"a\":[1]}");
    lead.value[PLUMB_LEAD_IP_ADDRESS] = slice("2001:db8::1");
    lead_record_t record = {.lead = &lead,
                            .created_ms = now_ms,
                            .sealed_key = slice("wrapped"),
                            .sealed = slice("sealed"),
                            .trace = slice(trace)};
    if (key != NULL) {
        record.route = slice("POST /test");
        record.key = slice(key);
        record.request_hash = (plumb_slice_t){hash, sizeof hash};
        record.integration_status = slice("none");
    }
    delivery_record_t delivery = {.account = &a->id,
                                  .lead = &lead.id,
                                  .id = plumb_uuid_at(now_ms),
                                  .credential = a->quiz,
                                  .channel = slice("null"),
                                  .state = slice("queued"),
                                  .attempt = 1,
                                  .epoch = 7,
                                  .due_ms = now_ms,
                                  .deadline_ms = now_ms + 1000,
                                  .created_ms = now_ms};
    prepared_clear(p);
    p->lead = lead.id;
    p->is_keyed = key != NULL;
    pack_lead(&p->record, &record);
    pack_delivery(&p->deliveries, &delivery);
    p->delivery_count = 1;
}

static void forget_rows(world_t *w)
{
    account_sql(w->account, "TRUNCATE leads, deliveries, idempotency");
}

/* ---- what is written ---- */

static void writes_everything(void **state)
{
    world_t *w = *state;
    prepared_t p = {.delivery_count = 0};
    start(w, 1, 100);
    pack(w, &p, "key", "[{\"check\":\"x\"}]");
    assert_int_equal(committers_commit(w->committers, &p), COMMIT_DONE);
    assert_int_equal(committers_commit(w->committers, &p), COMMIT_KNOWN);
    assert_int_equal(
        account_count(w->account,
                      "SELECT count(*) FROM leads l JOIN deliveries d ON d.lead_id = l.id JOIN "
                      "idempotency i ON i.lead_id = l.id WHERE l.status = 'New' AND NOT l.is_test "
                      "AND l.data->'a'->>0 = '1' AND host(l.ip_address) = '2001:db8::1' AND "
                      "l.sealed = 'sealed' AND l.trace->0->>'check' = 'x' AND l.created_at = "
                      "l.updated_at AND abs(extract(epoch FROM now() - l.created_at)) < 60 AND "
                      "l.tableoid <> 'leads_default'::regclass AND d.state = 'queued' AND d.epoch "
                      "= 7 AND d.queued_at = l.created_at AND i.status = 201 AND length("
                      "i.body_hash) = 32"),
        1);
    committers_destroy(&w->committers);
    prepared_fini(&p);
    forget_rows(w);
}

/* The types of sql/ and the attribute table belong together: a row of one without the other fails
 * here, not in production. */
static void agrees_with_the_table(void **state)
{
    world_t *w = *state;
    int number = 18; /* the columns before the attributes */
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_CREATE) == 0 || (attr->flags & PLUMB_ATTR_SEALED) != 0)
            continue;
        if (account_count(w->account,
                          "SELECT count(*) FROM pg_attribute WHERE attrelid = "
                          "(SELECT typrelid FROM pg_type WHERE typname = 'lead_intake_3') "
                          "AND attname = '%s' AND attnum = %d",
                          attr->column, number++) != 1)
            fail_msg("lead_intake_3 has no %s at %d", attr->column, number - 1);
    }
}

/* ---- groups ---- */

typedef struct sender {
    world_t *w;
    pthread_t thread;
    prepared_t prepared;
    commit_verdict_t verdict;
} sender_t;

static void *send_one(void *self)
{
    sender_t *s = self;
    s->verdict = committers_commit(s->w->committers, &s->prepared);
    return NULL;
}

static void start_sender(sender_t *s)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, (size_t)256 * 1024);
    assert_int_equal(pthread_create(&s->thread, &attr, send_one, s), 0);
    pthread_attr_destroy(&attr);
}

static bool is_blocked(world_t *w)
{
    return account_count(w->account, "SELECT count(*) FROM pg_stat_activity WHERE application_name "
                                     "= 'plumb-ingest commit' AND wait_event_type = 'Lock'") == 1;
}

/* Hold the committer at a locked table, so that a whole group gathers behind it. */
static void hold(world_t *w, sender_t *first)
{
    plumb_db_t *db = w->account->db;
    assert_int_equal(plumb_db_begin(db, 10000, &err), 0);
    assert_int_equal(plumb_db_script(db, "LOCK TABLE leads IN ACCESS EXCLUSIVE MODE", 10000, &err),
                     0);
    first->w = w;
    pack(w, &first->prepared, NULL, "[]");
    start_sender(first);
    wait_until(is_blocked, w, "the committer waits for the lock");
}

static void one_bad_row(void **state)
{
    world_t *w = *state;
    sender_t first = {.w = w};
    sender_t *senders = calloc(GROUP, sizeof *senders);
    int refused = 0, done = 0, bad = 123;
    start(w, 1, 1000);
    hold(w, &first);
    for (int i = 0; i < GROUP; i++) {
        senders[i].w = w;
        pack(w, &senders[i].prepared, NULL, i == bad ? "{" : "[]");
        start_sender(&senders[i]);
    }
    plumb_db_rollback(w->account->db);
    pthread_join(first.thread, NULL);
    assert_int_equal(first.verdict, COMMIT_DONE);
    for (int i = 0; i < GROUP; i++) {
        pthread_join(senders[i].thread, NULL);
        refused += senders[i].verdict == COMMIT_REFUSED;
        done += senders[i].verdict == COMMIT_DONE;
        prepared_fini(&senders[i].prepared);
    }
    assert_int_equal(senders[bad].verdict, COMMIT_REFUSED);
    assert_int_equal(refused, 1);
    assert_int_equal(done, GROUP - 1);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), GROUP);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM deliveries"), GROUP);
    prepared_fini(&first.prepared);
    free(senders);
    committers_destroy(&w->committers);
    forget_rows(w);
}

static void sheds_when_full(void **state)
{
    world_t *w = *state;
    sender_t first = {.w = w}, second = {.w = w};
    prepared_t third = {.delivery_count = 0};
    start(w, 1, 1);
    hold(w, &first);
    pack(w, &second.prepared, NULL, "[]");
    pack(w, &third, NULL, "[]");
    start_sender(&second);
    while (committers_waiting(w->committers) == 0)
        pause_ms(1);
    commit_verdict_t verdict = committers_commit(w->committers, &third);
    assert_int_equal(verdict, COMMIT_AWAY);
    plumb_db_rollback(w->account->db);
    pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    assert_int_equal(first.verdict, COMMIT_DONE);
    assert_int_equal(second.verdict, COMMIT_DONE);
    prepared_fini(&first.prepared);
    prepared_fini(&second.prepared);
    prepared_fini(&third);
    committers_destroy(&w->committers);
    forget_rows(w);
}

/* A committed lead is answered although the next group hangs. */
static void tells_while_the_next_group_runs(void **state)
{
    world_t *w = *state;
    plumb_db_t *db = w->account->db;
    sender_t first = {.w = w}, second = {.w = w};
    struct timespec until;
    start(w, 1, 100);
    assert_int_equal(plumb_db_begin(db, 10000, &err), 0);
    account_sql(w->account,
                "INSERT INTO idempotency (account_id, route, key, body_hash, status, "
                "integration_status) SELECT id, 'POST /test', 'second', 'x', 201, 'none' "
                "FROM accounts");
    account_sql(w->account, "SAVEPOINT locked; LOCK TABLE leads IN ACCESS EXCLUSIVE MODE");
    pack(w, &first.prepared, NULL, "[]");
    pack(w, &second.prepared, "second", "[]");
    start_sender(&first);
    wait_until(is_blocked, w, "the first group waits for the table");
    start_sender(&second);
    while (committers_waiting(w->committers) == 0)
        pause_ms(1);
    account_sql(w->account, "ROLLBACK TO locked");
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    bool told = pthread_timedjoin_np(first.thread, NULL, &until) == 0;
    bool hangs = comes(is_blocked, w);
    plumb_db_rollback(db);
    if (!told)
        pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    assert_true(told && hangs);
    assert_int_equal(first.verdict, COMMIT_DONE);
    assert_int_equal(second.verdict, COMMIT_DONE);
    prepared_fini(&first.prepared);
    prepared_fini(&second.prepared);
    committers_destroy(&w->committers);
    forget_rows(w);
}

/* ---- gathering ---- */

#define TOGETHER 4

/* One after the other: a group that does not wait for the next is gone before it comes. */
static bool joins(world_t *w, size_t waiting)
{
    int64_t until_ms = plumb_mono_ms() + 2 * w->account->conf.ingest_gather;
    while (plumb_mono_ms() < until_ms)
        if (committers_waiting(w->committers) == waiting)
            return true;
    return false;
}

/* Commit some, each sent once those before it wait. True: all of them went in one group. */
static bool go_together(world_t *w, bool crowded)
{
    sender_t senders[TOGETHER] = {{.w = w}};
    bool together = true;
    for (size_t i = 0; i < TOGETHER; i++) {
        senders[i].w = w;
        pack(w, &senders[i].prepared, NULL, "[]");
        senders[i].prepared.is_crowded = crowded;
        start_sender(&senders[i]);
        together = joins(w, i + 1) && together;
    }
    for (size_t i = 0; i < TOGETHER; i++) {
        pthread_join(senders[i].thread, NULL);
        assert_int_equal(senders[i].verdict, COMMIT_DONE);
        prepared_fini(&senders[i].prepared);
    }
    return together;
}

/* What the gauge says. */
static long gather_us(void)
{
    static const char name[] = "\nplumb_intake_gather_microseconds ";
    plumb_buf_t text = {0};
    plumb_metrics_write(&text, "ingest");
    const char *at = strstr(text.data, name);
    long value = at == NULL ? -1 : strtol(at + sizeof name - 1, NULL, 10);
    plumb_buf_fini(&text);
    return value;
}

static void gathers_while_crowded(void **state)
{
    world_t *w = *state;
    prepared_t p = {.delivery_count = 0};
    int64_t deadline_ms = plumb_mono_ms() + 60000;
    w->account->conf.ingest_gather = 50;
    start(w, 1, 100);
    while (!go_together(w, true))
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("leads never gather");
    assert_in_range(gather_us(), 1, 50000);
    w->account->conf.ingest_gather = 1;
    for (bool crowded = true; gather_us() > 0; crowded = false) { /* delivery keeps up again */
        pack(w, &p, NULL, "[]");
        p.is_crowded = crowded;
        assert_int_equal(committers_commit(w->committers, &p), COMMIT_DONE);
        assert_in_range(gather_us(), 0, 1000);
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("they gather for ever");
    }
    prepared_fini(&p);
    committers_destroy(&w->committers);
    forget_rows(w);
}

/* ---- killed connections ---- */

typedef struct storm {
    world_t *w;
    pthread_t thread;
    int number;
    atomic_bool *over;
    unsigned keys, done, known, away;
} storm_t;

/* Send lead after lead, each under its key until it is there. */
static void *send_many(void *self)
{
    storm_t *s = self;
    prepared_t p = {.delivery_count = 0};
    while (!atomic_load(s->over)) {
        char key[32];
        commit_verdict_t verdict;
        snprintf(key, sizeof key, "%d-%u", s->number, s->keys++);
        do {
            pack(s->w, &p, key, "[]");
            verdict = committers_commit(s->w->committers, &p);
            s->away += verdict == COMMIT_AWAY;
            if (verdict == COMMIT_AWAY)
                pause_ms(1);
        } while (verdict == COMMIT_AWAY);
        s->done += verdict == COMMIT_DONE;
        s->known += verdict == COMMIT_KNOWN;
    }
    prepared_fini(&p);
    return NULL;
}

static void killed_connections(void **state)
{
    world_t *w = *state;
    storm_t storms[SENDERS] = {{.number = 0}};
    atomic_bool over = false;
    unsigned keys = 0, settled = 0, away = 0;
    start(w, 2, 1000);
    for (int i = 0; i < SENDERS; i++) {
        storms[i] = (storm_t){.w = w, .number = i, .over = &over};
        assert_int_equal(pthread_create(&storms[i].thread, NULL, send_many, &storms[i]), 0);
    }
    for (int i = 0; i < 40; i++) {
        pause_ms(i % 7 * 5 + 1);
        account_count(w->account, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                  "WHERE application_name = 'plumb-ingest commit'");
    }
    atomic_store(&over, true);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(storms[i].thread, NULL);
        keys += storms[i].keys;
        settled += storms[i].done + storms[i].known;
        away += storms[i].away;
    }
    assert_true(away > 0);
    assert_int_equal(settled, keys);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads"), keys);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM deliveries"), keys);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM idempotency i JOIN leads l ON "
                                               "l.account_id = i.account_id AND l.id = i.lead_id"),
                     keys);
    committers_destroy(&w->committers);
    forget_rows(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_everything),
        cmocka_unit_test(agrees_with_the_table),
        cmocka_unit_test(one_bad_row),
        cmocka_unit_test(sheds_when_full),
        cmocka_unit_test(tells_while_the_next_group_runs),
        cmocka_unit_test(gathers_while_crowded),
        cmocka_unit_test(killed_connections),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, teardown);
}
