/* A real tracker at work: results, feeding, credentials, channels. */
#include "clock.h"
#include "count.h"
#include "tracker_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { EPOCH = 1001, ROOM = 1 << 20 };

static void beat(world_t *w)
{
    world_beacon(w, EPOCH, ROOM);
}

static world_t *world_with(const char *const *settings)
{
    world_t *w = world_new(settings);
    account_sql(w->account, "INSERT INTO epochs (epoch, broker) VALUES (%d, 'broker-0')", EPOCH);
    return w;
}

static int set_up(void **state)
{
    static const char *const settings[] = {"retry.schedule=400ms,800ms", "retry.jitter=0", NULL};
    *state = world_with(settings);
    return 0;
}

static int tear_down(void **state)
{
    world_destroy((world_t **)state);
    return 0;
}

static long attempts(world_t *w, const plumb_ticket_t *ticket, const char *where)
{
    char id[PLUMB_UUID_TEXT];
    return account_count(w->account,
                         "SELECT count(*) FROM attempts WHERE delivery_id = '%s' AND %s",
                         plumb_uuid_text(&ticket->delivery, id), where);
}

/* ---- results ---- */

static void acked_means_committed(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 20; i++) {
        plumb_ticket_t ticket = world_delivery(w, "queued", 1, EPOCH, NULL);
        plumb_result_t more = {.status = 201, .external_id = {"x-1", 3}};
        world_result(w, &ticket, PLUMB_OUT_ok, &more);
        world_acked(w, &ticket);
        assert_true(world_is(w, &ticket,
                             "concat_ws('|', state, outcome, external_id, settled_at IS NOT NULL)",
                             "delivered|ok|x-1|t"));
        assert_int_equal(attempts(w, &ticket, "counted AND status = 201 AND worker = 'worker-0'"),
                         1);
    }
}

static void doubled_results(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, EPOCH, NULL);
    for (int i = 0; i < 3; i++) {
        world_result(w, &ticket, PLUMB_OUT_ok, NULL);
        world_acked(w, &ticket);
    }
    assert_int_equal(attempts(w, &ticket, "counted AND repeats = 2"), 1);
    assert_int_equal(attempts(w, &ticket, "true"), 1);
    plumb_ticket_t other = world_delivery(w, "queued", 1, EPOCH, NULL);
    for (int i = 0; i < 40; i++) /* many at once: some share a group */
        world_result(w, &other, PLUMB_OUT_retry, NULL);
    world_acked(w, &other);
    world_becomes(w, &other, "concat(state, tries)", "pending1");
    plumb_ticket_t last = {plumb_uuid_new(), 1};
    world_result(w, &last, PLUMB_OUT_ok, NULL);
    world_acked(w, &last);
    assert_int_equal(attempts(w, &other, "counted AND repeats = 39"), 1);
}

/* Behind a large group results gather for a while, but nobody waits for company. */
static void large_groups_keep_their_distance(void **state)
{
    world_t *w = *state;
    plumb_ticket_t tickets[400];
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        tickets[i] = world_delivery(w, "queued", 1, EPOCH, NULL);
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++) {
        world_result(w, &tickets[i], PLUMB_OUT_ok, NULL);
        if (i % 10 == 9)
            world_acked(w, &tickets[i]);
    }
    assert_int_equal(
        account_count(
            w->account,
            "SELECT count(*) FROM (SELECT count(*) size, lead(recorded_at) OVER (ORDER BY "
            "recorded_at) - recorded_at distance FROM attempts GROUP BY recorded_at) g "
            "WHERE size >= 8 AND distance < interval '9 ms'"),
        0);
    int64_t waited_ms = 0;
    for (size_t i = 0; i < 300; i += 30) {
        plumb_ticket_t last = world_delivery(w, "queued", 1, EPOCH, NULL);
        for (size_t n = 0; n < 30; n++)
            world_result(w, &tickets[i + n], PLUMB_OUT_ok, NULL);
        world_acked(w, &tickets[i + 29]);
        int64_t since_ms = plumb_mono_ms();
        world_result(w, &last, PLUMB_OUT_ok, NULL);
        world_acked(w, &last);
        waited_ms += plumb_mono_ms() - since_ms;
    }
    assert_in_range(waited_ms, 0, 5000); /* each to the end of a turn would be twice as long */
}

/* The common case takes it for granted that a row still queued has no success on record. */
static void a_success_on_record_is_recorded_with_its_group(void **state)
{
    world_t *w = *state;
    plumb_ticket_t tickets[9];
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        tickets[i] = world_delivery(w, "queued", 1, EPOCH, NULL);
    account_sql(w->account, "INSERT INTO attempts (account_id, delivery_id, attempt, outcome, "
                            "counted, worker) SELECT account_id, id, 1, 'ok', false, 'w' FROM "
                            "deliveries ORDER BY id OFFSET 4 LIMIT 1");
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        world_result(w, &tickets[i], PLUMB_OUT_ok, NULL);
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++) {
        world_becomes(w, &tickets[i], "state", "delivered");
        assert_int_equal(attempts(w, &tickets[i], i == 4 ? "counted AND repeats = 1" : "counted"),
                         1);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM attempts"),
                     PLUMB_COUNT(tickets));
}

static void late_failures_change_nothing(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 2, EPOCH, NULL), late = ticket;
    late.attempt = 1;
    world_result(w, &late, PLUMB_OUT_permanent, NULL);
    world_acked(w, &late);
    assert_true(world_is(w, &ticket, "concat(state, attempt)", "queued2"));
    assert_int_equal(attempts(w, &ticket, "NOT counted AND outcome = 'permanent' AND attempt = 1"),
                     1);
}

static void late_success_recalls_the_newer_attempt(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 2, EPOCH, NULL), late = ticket;
    late.attempt = 1;
    world_result(w, &late, PLUMB_OUT_ok, NULL);
    world_acked(w, &late);
    assert_true(world_is(w, &ticket, "state", "delivered"));
    for (int i = 0; i < 2; i++) { /* repeated until it is answered */
        plumb_note_t recall = world_wait(w, w->control, PLUMB_MSG_RECALL, NULL);
        assert_true(world_holds(&recall, &ticket));
    }
    plumb_held_t held = {.ticket = ticket};
    world_answer(w, &(plumb_note_t){.type = PLUMB_MSG_RECALLED, .held = &held, .held_count = 1});
}

static void success_after_failure_is_noted(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket =
        world_delivery(w, "failed", 1, EPOCH, "reason = 'deadline', settled_at = now()");
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    world_acked(w, &ticket);
    assert_true(
        world_is(w, &ticket, "concat_ws('|', state, reason, late_success)", "failed|deadline|t"));
    assert_int_equal(
        account_count(w->account,
                      "SELECT count(*) FROM events WHERE kind = 'delivery.late_success'"),
        1);
}

static void a_bad_row_suffers_alone(void **state)
{
    world_t *w = *state;
    plumb_ticket_t tickets[9];
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        tickets[i] = world_delivery(w, "queued", 1, EPOCH, NULL);
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++) {
        plumb_result_t more = {.external_id = {"x", 1}};
        if (i == 4) /* no JSON: jsonb refuses it */
            more.checkpoint = (plumb_slice_t){"{\"a\":", 5};
        world_result(w, &tickets[i], i == 7 ? PLUMB_OUT_permanent : PLUMB_OUT_ok, &more);
    }
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        world_becomes(w, &tickets[i], "concat_ws('|', state, external_id, checkpoint)",
                      i == 4   ? "delivered"
                      : i == 7 ? "failed|x"
                               : "delivered|x");
}

static void malformed_frames(void **state)
{
    world_t *w = *state;
    static const struct {
        const char *data;
        size_t length;
    } frames[] = {{"", 0},
                  {"GET / HTTP/1.1\r\n\r\n", 18},
                  {"\xc0", 1},
                  {"\x80", 1},
                  {"\xdf\3\3\3\xdf", 5},
                  {"\x82\xa1v\x01\xa1t\xa6result", 14},
                  {"\x82\xa1v\x02\xa1t\xa6result", 14}};
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < PLUMB_COUNT(frames); i++) {
            plumb_sock_send(w->results, frames[i].data, frames[i].length);
            plumb_sock_send(w->beacon, frames[i].data, frames[i].length);
        }
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, EPOCH, NULL);
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    world_acked(w, &ticket);
}

/* ---- feeding ---- */

static void is_job_of(const plumb_job_t *job, const plumb_ticket_t *ticket, uint32_t attempt,
                      uint64_t epoch)
{
    assert_int_equal(plumb_uuid_compare(&job->ticket.delivery, &ticket->delivery), 0);
    assert_int_equal(job->ticket.attempt, attempt);
    assert_int_equal(job->epoch, epoch);
}

static bool slice_has(const plumb_slice_t *slice, const char *text)
{
    return memmem(slice->data, slice->length, text, strlen(text)) != NULL;
}

static void pending_rows_are_fed(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(
        w, "pending", 0, 0, "tries = 2, external_id = 'e-9', checkpoint = '{\"c\":1}'");
    assert_false(world_job_within(w, 300)); /* no beacon, no hand-over */
    plumb_job_t job = world_job(w, beat);
    is_job_of(&job, &ticket, 1, EPOCH);
    assert_true(slice_has(&job.body, "Anna") && slice_has(&job.body, "budget"));
    assert_true(slice_has(&job.secrets, "https://hooks.example/in"));
    assert_true(slice_has(&job.queue, "integration-webhooks") &&
                slice_has(&job.channel, "webhooks"));
    assert_true(slice_has(&job.verb, "send") && slice_has(&job.external_id, "e-9"));
    assert_true(slice_has(&job.checkpoint, "c"));
    assert_int_equal(job.tries, 2);
    assert_int_equal(job.priority, PLUMB_NORMAL);
    assert_int_equal(job.credential_version, 1);
    world_becomes(w, &ticket, "concat_ws('|', state, attempt, epoch)", "queued|1|1001");
}

static void what_is_closed_is_not_fed(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "pending", 0, 0, NULL);
    const plumb_slice_t queue = {"integration-webhooks", 20};
    const int64_t wait = 60000;
    const plumb_note_t shut[] = {
        {.room = 0},
        {.room = ROOM, .queues = &queue, .queue_count = 1},
        {.room = ROOM, .lanes = &w->credential, .lane_wait_ms = &wait, .lane_count = 1}};
    for (size_t i = 0; i < PLUMB_COUNT(shut); i++) {
        plumb_note_t note = shut[i];
        note.type = PLUMB_MSG_BEACON;
        note.name = (plumb_slice_t){"broker-0", 8};
        note.epoch = EPOCH;
        for (int n = 0; n < 6; n++) {
            world_note(w, w->beacon, &note);
            assert_false(world_job_within(w, 200));
        }
    }
    int64_t began_ms = plumb_mono_ms();
    plumb_job_t job = world_job(w, beat); /* an open lane wakes it at once */
    is_job_of(&job, &ticket, 1, EPOCH);
    assert_true(plumb_mono_ms() - began_ms < 5000);
}

static void room_bounds_a_round(void **state)
{
    world_t *w = *state;
    for (int i = 0; i < 12; i++)
        world_delivery(w, "pending", 0, 0, NULL);
    world_beacon(w, EPOCH, 2000); /* a few jobs of some hundred bytes */
    world_job(w, NULL);
    int jobs = 1;
    while (world_job_within(w, 700))
        jobs++;
    assert_in_range(jobs, 1, 8);
    for (; jobs < 12; jobs++)
        world_job(w, beat);
    assert_false(world_job_within(w, 300));
}

static void a_retry_leaves_on_time(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, EPOCH, NULL);
    beat(w);
    world_result(w, &ticket, PLUMB_OUT_retry, NULL);
    int64_t began_ms = plumb_mono_ms();
    plumb_job_t job = world_job(w, beat);
    int64_t took_ms = plumb_mono_ms() - began_ms;
    is_job_of(&job, &ticket, 2, EPOCH);
    assert_int_equal(job.tries, 1);
    assert_in_range(took_ms, 395, 3000);
}

static void the_schedule_ends(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 3, EPOCH, "tries = 2");
    world_result(w, &ticket, PLUMB_OUT_retry, NULL);
    world_acked(w, &ticket);
    assert_true(
        world_is(w, &ticket, "concat_ws('|', state, reason, tries)", "failed|retries_used_up|3"));
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM events WHERE kind = 'delivery.failed'"), 1);
}

static void lanes_share_a_round(void **state)
{
    world_t *w = *state;
    plumb_uuid_t first = w->credential;
    for (int i = 0; i < 40; i++)
        world_delivery(w, "pending", 0, 0, "due_at = now() - interval '1 h'");
    w->credential =
        account_credential(w->account, "webhooks", "{\"url\":\"https://other.example/\"}", NULL);
    world_delivery(w, "pending", 0, 0, NULL);
    w->credential = first;
    bool seen = false;
    for (int i = 0; i < 41; i++) {
        plumb_job_t job = world_job(w, beat);
        seen = seen || slice_has(&job.secrets, "other.example");
    }
    assert_true(seen);
    assert_false(world_job_within(w, 300));
}

static void rows_that_cannot_be_jobs(void **state)
{
    world_t *w = *state;
    char id[PLUMB_UUID_TEXT];
    plumb_ticket_t erased = world_delivery(w, "pending", 0, 0, NULL),
                   late = world_delivery(w, "pending", 0, 0, "deadline_at = now()");
    plumb_ticket_t deleted =
        world_delivery(w, "pending", 0, 0, "credential_id = gen_random_uuid()");
    plumb_ticket_t swapped = world_delivery(w, "pending", 0, 0, NULL);
    account_sql(w->account,
                "UPDATE leads SET sealed_key = NULL, sealed = NULL WHERE id = (SELECT lead_id FROM "
                "deliveries WHERE id = '%s')",
                plumb_uuid_text(&erased.delivery, id));
    account_sql(w->account,
                "UPDATE leads l SET sealed = o.sealed FROM leads o WHERE o.id <> l.id AND o.sealed "
                "IS NOT NULL AND "
                "l.id = (SELECT lead_id FROM deliveries WHERE id = '%s')",
                plumb_uuid_text(&swapped.delivery, id));
    for (int i = 0; i < 5; i++) {
        beat(w);
        assert_false(world_job_within(w, 100));
    }
    world_becomes(w, &erased, "concat_ws('|', state, reason)", "canceled|erased");
    world_becomes(w, &late, "concat_ws('|', state, reason)", "failed|deadline");
    world_becomes(w, &deleted, "concat_ws('|', state, reason)", "skipped|credential_deleted");
    world_becomes(w, &swapped, "concat_ws('|', state, reason)", "held|cannot_open");
    assert_true(world_is(w, &swapped, "attempt", "0"));
}

/* ---- credentials ---- */

static void a_gone_destination_is_suspended(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, EPOCH, NULL);
    plumb_ticket_t waiting = world_delivery(w, "pending", 1, 0, "due_at = now() + interval '1 h'");
    plumb_ticket_t queued = world_delivery(w, "queued", 1, EPOCH, NULL);
    world_result(w, &ticket, PLUMB_OUT_gone, NULL);
    world_acked(w, &ticket);
    assert_true(world_is(w, &ticket, "concat_ws('|', state, reason)", "held|credential_suspended"));
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM credentials WHERE suspended_at IS NOT NULL "
                                  "AND suspended_reason = 'gone'"),
        1);
    assert_int_equal(
        account_count(w->account,
                      "SELECT count(*) FROM events WHERE kind = 'credential.suspended'"),
        1);
    world_becomes(w, &waiting, "concat_ws('|', state, reason)", "held|credential_suspended");
    world_result(w, &queued, PLUMB_OUT_retry, NULL); /* what comes back joins them */
    world_acked(w, &queued);
    assert_true(world_is(w, &queued, "state", "held"));
    beat(w);
    assert_false(world_job_within(w, 300));
}

static void three_refusals(void **state)
{
    world_t *w = *state;
    plumb_ticket_t tickets[3];
    for (size_t i = 0; i < 3; i++)
        tickets[i] = world_delivery(w, "queued", 1, EPOCH, NULL);
    for (size_t i = 0; i < 3; i++) {
        world_result(w, &tickets[i], PLUMB_OUT_credentials, NULL);
        world_acked(w, &tickets[i]);
    }
    assert_true(world_is(w, &tickets[2], "state", "held"));
    assert_int_equal(
        account_count(w->account,
                      "SELECT refused FROM credentials WHERE suspended_reason = 'credentials'"),
        3);
    for (size_t i = 0; i < 2; i++) /* they were pending */
        world_becomes(w, &tickets[i], "state", "held");
}

static void ambiguous_by_channel(void **state)
{
    world_t *w = *state;
    static const char text[] =
        "{\"code\":\"webhooks\",\"title\":\"Webhooks\",\"version\":\"1.2.3\",\"present\":true,"
        "\"fields\":[{\"name\":\"url\"}],\"limits\":{\"schedule\":\"service\",\"resends\":true,"
        "\"limits\":[]}}";
    plumb_note_t note = {
        .type = PLUMB_MSG_CHANNELS, .name = {"worker-0", 8}, .text = {text, sizeof text - 1}};
    static const char bad[] = "{\"code\":\"../etc\",\"title\":1}";
    plumb_note_t refused = {
        .type = PLUMB_MSG_CHANNELS, .name = {"worker-0", 8}, .text = {bad, sizeof bad - 1}};
    world_note(w, w->results, &refused);
    world_note(w, w->results, &note);
    plumb_ticket_t held = world_delivery(w, "queued", 1, EPOCH, NULL),
                   again = world_delivery(w, "queued", 1, EPOCH, NULL);
    world_result(w, &held, PLUMB_OUT_ambiguous, NULL);
    world_acked(w, &held);
    assert_true(world_is(w, &held, "concat_ws('|', state, reason)", "held|ambiguous"));
    world_result(w, &again, PLUMB_OUT_ambiguous, &(plumb_result_t){.resend = true});
    world_acked(w, &again);
    assert_true(world_is(w, &again, "concat_ws('|', state, tries)", "pending|0"));
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM channels"), 1);
    assert_int_equal(
        account_count(
            w->account,
            "SELECT count(*) FROM channels WHERE code = 'webhooks' AND version = '1.2.3' AND "
            "present AND fields->0->>'name' = 'url' AND (limits->>'resends')::boolean"),
        1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(acked_means_committed),
        TEST(doubled_results),
        TEST(large_groups_keep_their_distance),
        TEST(a_success_on_record_is_recorded_with_its_group),
        TEST(late_failures_change_nothing),
        TEST(late_success_recalls_the_newer_attempt),
        TEST(success_after_failure_is_noted),
        TEST(a_bad_row_suffers_alone),
        TEST(malformed_frames),
        TEST(pending_rows_are_fed),
        TEST(what_is_closed_is_not_fed),
        TEST(room_bounds_a_round),
        TEST(a_retry_leaves_on_time),
        TEST(the_schedule_ends),
        TEST(lanes_share_a_round),
        TEST(rows_that_cannot_be_jobs),
        TEST(a_gone_destination_is_suspended),
        TEST(three_refusals),
        TEST(ambiguous_by_channel),
    };
    pg_conninfo(); /* before any thread */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
