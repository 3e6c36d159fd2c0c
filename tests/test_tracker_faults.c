/* A real tracker while others die: PostgreSQL, brokers, workers, ingests, itself. */
#include "clock.h"
#include "count.h"
#include "tracker_world.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { OLD = 1001, NEW = 1002, ROOM = 1 << 20 };

static void old_beat(world_t *w)
{
    world_beacon(w, OLD, ROOM);
}

static void new_beat(world_t *w)
{
    world_beacon(w, NEW, ROOM);
}

static void closed_beat(world_t *w) /* lives, takes nothing */
{
    world_beacon(w, OLD, 0);
}

static int set_up(void **state)
{
    static const char *const settings[] = {"retry.schedule=300ms",      "retry.jitter=0",
                                           "broker.epoch_dead=2s",      "tracker.census_wait=500ms",
                                           "tracker.audit_after=300ms", "tracker.audit_every=400ms",
                                           "worker.ping_every=300ms",   "worker.fence=1s",
                                           "broker.worker_dead=2s",     NULL};
    world_t *w = world_new(settings);
    account_sql(w->account, "INSERT INTO channels (code, title, version, fields, limits, present) "
                            "VALUES ('webhooks', 'W', '1', '[]', '{\"resends\": true}', true)");
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world_destroy((world_t **)state);
    return 0;
}

static long alive(world_t *w, uint64_t epoch)
{
    return account_count(w->account,
                         "SELECT count(*) FROM epochs WHERE epoch = %llu AND dead_at IS NULL",
                         (unsigned long long)epoch);
}

/* Beat until the table has the epoch as alive. */
static void reign(world_t *w, world_beat beat, uint64_t epoch)
{
    int64_t until_ms = plumb_mono_ms() + WORLD_WAIT_MS;
    while (alive(w, epoch) == 0) {
        assert_true(plumb_mono_ms() < until_ms);
        beat(w);
    }
}

/* ---- the database ---- */

static void results_wait_for_the_database(void **state)
{
    world_t *w = *state;
    plumb_ticket_t tickets[30];
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        tickets[i] = world_delivery(w, "queued", 1, OLD, NULL);
    pg_crash();
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        world_result(w, &tickets[i], i % 2 == 0 ? PLUMB_OUT_ok : PLUMB_OUT_permanent, NULL);
    assert_false(world_acks_within(w, &tickets[0], 700)); /* never before the commit */
    pg_start();
    world_acked(w, &tickets[0]);
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        world_becomes(w, &tickets[i], "state", i % 2 == 0 ? "delivered" : "failed");
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM attempts WHERE repeats = 0 AND counted"),
        PLUMB_COUNT(tickets));
}

/* In hundredths of a second. */
static unsigned long cpu_time(const world_t *w)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)w->tracker);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_int_equal(sscanf(strrchr(line, ')') + 2,
                            "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
                     2);
    return user + system;
}

static void waiting_costs_nothing(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    world_delivery(w, "pending", 0, 0, NULL);
    reign(w, closed_beat, OLD);
    unsigned long before = cpu_time(w);
    assert_false(world_acks_within(w, &ticket, 1000));
    assert_in_range(cpu_time(w) - before, 0, 30);
    pg_crash();
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    before = cpu_time(w);
    assert_false(world_acks_within(w, &ticket, 1500));
    assert_in_range(cpu_time(w) - before, 0, 45);
    pg_start();
    world_acked(w, &ticket);
}

static void it_starts_without_the_database(void **state)
{
    world_t *w = *state;
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    assert_int_equal(world_stop(w), 0);
    pg_stop();
    world_start(w);
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    assert_false(world_acks_within(w, &ticket, 500));
    pg_start();
    world_acked(w, &ticket);
    assert_true(world_is(w, &ticket, "state", "delivered"));
}

static void it_stops_without_the_database(void **state)
{
    world_t *w = *state;
    pg_stop();
    int64_t began_ms = plumb_mono_ms();
    assert_int_equal(world_stop(w), 0);
    assert_true(plumb_mono_ms() - began_ms < 25000);
    pg_start();
    world_start(w);
    world_connected(w);
}

/* ---- itself ---- */

static void kill_9_loses_nothing(void **state)
{
    world_t *w = *state;
    plumb_ticket_t tickets[40];
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        tickets[i] = world_delivery(w, "queued", 1, OLD, NULL);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PLUMB_COUNT(tickets); i++) /* as a worker repeats them */
            world_result(w, &tickets[i], PLUMB_OUT_ok, NULL);
        if (round < 2) {
            world_acks_within(w, &tickets[0], round * 3); /* die at some point within the group */
            world_kill(w);
            world_start(w);
            world_connected(w);
        }
    }
    for (size_t i = 0; i < PLUMB_COUNT(tickets); i++)
        world_becomes(w, &tickets[i], "state", "delivered");
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM attempts"),
                     PLUMB_COUNT(tickets));
}

static void its_own_pause_kills_nobody(void **state)
{
    world_t *w = *state;
    reign(w, closed_beat, OLD);
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    kill(w->tracker, SIGSTOP);
    for (int64_t until_ms = plumb_mono_ms() + 4500; plumb_mono_ms() < until_ms;) {
        closed_beat(w);
        world_job_within(w, 300);
    }
    kill(w->tracker, SIGCONT);
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    world_acked(w, &ticket);
    for (int i = 0; i < 5; i++) {
        closed_beat(w);
        world_job_within(w, 100);
    }
    assert_int_equal(alive(w, OLD), 1);
}

/* ---- epochs ---- */

static void answer_census(world_t *w, const plumb_ticket_t *ticket, uint64_t lease)
{
    plumb_held_t held = {.ticket = *ticket, .phase = PLUMB_PHASE_SENT};
    plumb_note_t note = {.type = PLUMB_MSG_INVENTORY,
                         .name = {"worker-0", 8},
                         .instance = 7,
                         .epoch = lease,
                         .held = &held,
                         .held_count = 1};
    world_note(w, w->results, &note);
}

static void a_new_start_takes_over(void **state)
{
    world_t *w = *state;
    reign(w, old_beat, OLD);
    plumb_ticket_t begun = world_delivery(w, "queued", 1, OLD, NULL);
    plumb_ticket_t waiting = world_delivery(w, "queued", 1, OLD, NULL);
    reign(w, new_beat, NEW);
    assert_int_equal(alive(w, OLD), 0);
    world_wait(w, w->acks, PLUMB_MSG_CENSUS, new_beat);
    answer_census(w, &begun, NEW);
    plumb_note_t adopt = world_wait(w, w->acks, PLUMB_MSG_ADOPT, new_beat);
    assert_true(world_holds(&adopt, &begun) && adopt.epoch == NEW);
    assert_true(world_is(w, &begun, "concat_ws('|', state, attempt, epoch)", "queued|1|1002"));
    plumb_job_t job = world_job(w, new_beat); /* the other is given out again */
    assert_int_equal(plumb_uuid_compare(&job.ticket.delivery, &waiting.delivery), 0);
    assert_int_equal(job.ticket.attempt, 2);
    assert_int_equal(job.epoch, NEW);
    assert_true(
        world_is(w, &waiting, "concat_ws('|', state, attempt, tries, epoch)", "queued|2|0|1002"));
    answer_census(w, &begun, NEW); /* it did not hear of it: told again */
    world_wait(w, w->acks, PLUMB_MSG_ADOPT, new_beat);
    assert_false(world_job_within(w, 1000));
}

static void nothing_is_given_out_before_a_worker_spoke(void **state)
{
    world_t *w = *state;
    reign(w, old_beat, OLD);
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    reign(w, new_beat, NEW);
    for (int i = 0; i < 10; i++) {
        new_beat(w);
        assert_false(world_job_within(w, 200));
    }
    world_wait(w, w->acks, PLUMB_MSG_CENSUS, new_beat);
    answer_census(w, &ticket, 0); /* it holds the call, without a lease yet */
    for (int i = 0; i < 8; i++) {
        new_beat(w);
        assert_false(world_job_within(w, 200));
    }
    assert_true(world_is(w, &ticket, "concat_ws('|', state, epoch)", "queued|1001"));
    world_result(w, &ticket, PLUMB_OUT_ok, NULL); /* and it comes to its end */
    world_acked(w, &ticket);
    assert_true(world_is(w, &ticket, "state", "delivered"));
}

static void a_silent_broker_dies(void **state)
{
    world_t *w = *state;
    reign(w, old_beat, OLD);
    int64_t began_ms = plumb_mono_ms();
    world_wait(w, w->acks, PLUMB_MSG_CENSUS, NULL);
    assert_true(plumb_mono_ms() - began_ms >= 1500); /* later on a loaded machine */
    assert_int_equal(alive(w, OLD), 0);
    plumb_note_t told =
        world_wait(w, w->control, PLUMB_MSG_STANDS, old_beat); /* without having asked */
    assert_true(told.epoch == OLD && !told.stands);
    assert_int_equal(alive(w, OLD), 0); /* for ever */
}

static void it_answers_who_asks(void **state)
{
    world_t *w = *state;
    reign(w, closed_beat, OLD);
    plumb_note_t question = {.type = PLUMB_MSG_STANDS, .name = {"broker-0", 8}, .epoch = OLD};
    world_note(w, w->results, &question);
    plumb_note_t answer = world_wait(w, w->control, PLUMB_MSG_STANDS, closed_beat);
    assert_true(answer.epoch == OLD && answer.stands);
    question.epoch = 4711;
    world_note(w, w->results, &question);
    do
        answer = world_wait(w, w->control, PLUMB_MSG_STANDS, closed_beat);
    while (answer.epoch != 4711);
    assert_false(answer.stands);
}

static void a_row_of_an_epoch_nobody_knows(void **state)
{
    world_t *w = *state;
    reign(w, new_beat, NEW);
    plumb_ticket_t ticket =
        world_delivery(w, "queued", 4, 999, "queued_at = now() - interval '1 minute'");
    world_wait(w, w->acks, PLUMB_MSG_CENSUS, new_beat);
    plumb_ticket_t other = {plumb_uuid_new(), 1};
    answer_census(w, &other, NEW);
    plumb_job_t job = world_job(w, new_beat);
    assert_int_equal(plumb_uuid_compare(&job.ticket.delivery, &ticket.delivery), 0);
    assert_int_equal(job.ticket.attempt, 5);
}

/* ---- workers ---- */

static void lost_and_given_up(void **state)
{
    world_t *w = *state;
    reign(w, closed_beat, OLD);
    plumb_ticket_t lost = world_delivery(w, "queued", 1, OLD, NULL),
                   given_up = world_delivery(w, "queued", 1, OLD, NULL);
    plumb_ticket_t past = world_delivery(w, "delivered", 1, OLD, NULL),
                   open = world_delivery(w, "queued", 1, OLD, NULL);
    plumb_held_t held[] = {{.ticket = lost, .phase = PLUMB_PHASE_SENT},
                           {.ticket = past, .done = true}};
    plumb_note_t note = {.type = PLUMB_MSG_LOST,
                         .name = {"broker-0", 8},
                         .epoch = OLD,
                         .held = held,
                         .held_count = 2};
    world_note(w, w->results, &note);
    world_acked(w, &lost);
    assert_true(world_is(w, &lost, "concat_ws('|', state, tries, outcome)", "pending|0|ambiguous"));
    assert_true(world_is(w, &past, "state", "delivered"));
    assert_int_equal(
        account_count(w->account,
                      "SELECT count(*) FROM attempts WHERE outcome = 'ambiguous' AND counted"),
        1);
    note.held = &(plumb_held_t){.ticket = given_up};
    note.held_count = 1;
    note.given_up = true;
    world_note(w, w->results, &note);
    world_acked(w, &given_up);
    assert_true(world_is(w, &given_up, "concat_ws('|', state, tries, attempt)", "pending|0|1"));
    plumb_held_t unacked[] = {{.ticket = open}, {.ticket = past}};
    note = (plumb_note_t){.type = PLUMB_MSG_UNACKED,
                          .name = {"broker-0", 8},
                          .epoch = OLD,
                          .held = unacked,
                          .held_count = 2};
    world_note(w, w->results, &note);
    plumb_note_t acks = world_wait(w, w->acks, PLUMB_MSG_ACKS, closed_beat);
    assert_true(world_holds(&acks, &past));
    assert_false(world_holds(&acks, &open)); /* its result is still to come */
    assert_false(world_acks_within(w, &open, 300));
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM attempts"), 1);
}

static void ask(world_t *w, uint64_t number, const plumb_held_t *held, size_t count)
{
    plumb_note_t note = {.type = PLUMB_MSG_UNACKED,
                         .name = {"broker-0", 8},
                         .epoch = OLD,
                         .instance = number,
                         .held = held,
                         .held_count = count};
    world_note(w, w->results, &note);
}

/* A broker in doubt numbers its questions: it hears also what is not recorded yet, as of the newest
 * that came before the rows were read. */
static void it_says_what_is_open(void **state)
{
    world_t *w = *state;
    reign(w, closed_beat, OLD);
    plumb_held_t held[] = {{.ticket = world_delivery(w, "queued", 2, OLD, NULL)},
                           {.ticket = world_delivery(w, "delivered", 1, OLD, NULL)},
                           {.ticket = world_delivery(w, "queued", 1, NEW, NULL)},
                           {.ticket = world_delivery(w, "queued", 2, OLD, NULL)}};
    held[3].ticket.attempt = 1;
    ask(w, 0, held, PLUMB_COUNT(held)); /* wants to hear of acks alone */
    plumb_note_t acks = world_wait(w, w->acks, PLUMB_MSG_ACKS, closed_beat);
    assert_true(world_holds(&acks, &held[1].ticket));
    ask(w, 8, held, PLUMB_COUNT(held));
    ask(w, 7, held, PLUMB_COUNT(held));
    plumb_note_t open;
    do /* the first it says of this kind, or the second where a walk came between */
        open = world_wait(w, w->acks, PLUMB_MSG_UNACKED, closed_beat);
    while (open.instance == 7);
    assert_true(open.instance == 8 && open.epoch == OLD);
    assert_int_equal(open.held_count, 1);
    assert_true(world_holds(&open, &held[0].ticket)); /* not of another epoch or attempt */
    world_result(w, &held[0].ticket, PLUMB_OUT_ok, NULL);
    ask(w, 9, held, 1);
    world_acked(w, &held[0].ticket);
    acks = world_wait(w, w->acks, PLUMB_MSG_ACKS, closed_beat);
    assert_true(acks.epoch == OLD && world_holds(&acks, &held[0].ticket));
}

/* A broker that does not know yet that it is dead says what it knows of rows that live on. */
static void lost_by_another_epoch(void **state)
{
    world_t *w = *state;
    reign(w, new_beat, NEW);
    plumb_ticket_t adopted = world_delivery(w, "queued", 1, NEW, NULL);
    plumb_held_t held = {.ticket = adopted, .phase = PLUMB_PHASE_SENT};
    plumb_note_t note = {.type = PLUMB_MSG_LOST,
                         .name = {"broker-0", 8},
                         .epoch = OLD,
                         .held = &held,
                         .held_count = 1};
    for (int i = 0; i < 2; i++) {
        note.given_up = i > 0;
        world_note(w, w->results, &note);
        world_acked(w, &adopted);
        assert_true(world_is(w, &adopted, "concat_ws('|', state, attempt, outcome)", "queued|1"));
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM attempts"), 0);
}

static void lost_after_the_result_came(void **state)
{
    world_t *w = *state;
    reign(w, closed_beat, OLD);
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    plumb_held_t held = {.ticket = ticket, .phase = PLUMB_PHASE_SENT};
    plumb_note_t note = {.type = PLUMB_MSG_LOST,
                         .name = {"broker-0", 8},
                         .epoch = OLD,
                         .held = &held,
                         .held_count = 1};
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    world_note(w, w->results, &note);
    world_acked(w, &ticket);
    world_acked(w, &ticket); /* once for each */
    assert_true(world_is(w, &ticket, "concat_ws('|', state, outcome)", "delivered|ok"));
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM attempts"), 1);
}

/* ---- the audit ---- */

static void the_audit_finds_what_is_missing(void **state)
{
    world_t *w = *state;
    reign(w, old_beat, OLD);
    plumb_ticket_t held = world_delivery(w, "queued", 1, OLD, NULL),
                   missing = world_delivery(w, "queued", 3, OLD, NULL);
    plumb_note_t audit;
    do
        audit = world_wait(w, w->control, PLUMB_MSG_AUDIT, old_beat);
    while (audit.held_count < 2);
    assert_true(audit.epoch == OLD && world_holds(&audit, &held) && world_holds(&audit, &missing));
    plumb_held_t answer = {.ticket = missing};
    world_answer(w, &(plumb_note_t){.type = PLUMB_MSG_MISSING,
                                    .instance = audit.instance,
                                    .epoch = OLD,
                                    .held = &answer,
                                    .held_count = 1});
    plumb_job_t job = world_job(w, old_beat);
    assert_int_equal(plumb_uuid_compare(&job.ticket.delivery, &missing.delivery), 0);
    assert_int_equal(job.ticket.attempt, 3); /* the same */
    assert_int_equal(job.epoch, OLD);
    assert_true(world_is(w, &missing, "concat_ws('|', state, attempt)", "queued|3"));
    assert_false(world_job_within(w, 300));
}

static void what_moved_on_is_not_pushed(void **state)
{
    world_t *w = *state;
    reign(w, old_beat, OLD);
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    plumb_note_t audit = world_wait(w, w->control, PLUMB_MSG_AUDIT, old_beat);
    uint64_t page = audit.instance;
    world_result(w, &ticket, PLUMB_OUT_ok, NULL);
    world_acked(w, &ticket); /* and the broker forgets it: so it is missing */
    plumb_held_t answer = {.ticket = ticket};
    world_answer(w, &(plumb_note_t){.type = PLUMB_MSG_MISSING,
                                    .instance = page,
                                    .epoch = OLD,
                                    .held = &answer,
                                    .held_count = 1});
    assert_false(world_job_within(w, 500));
}

static void a_silent_ingest_asks_for_an_audit(void **state)
{
    world_t *w = *state;
    assert_int_equal(world_stop(w), 0);
    w->settings[4] = "tracker.audit_after=1m"; /* the ordinary passes would not see it */
    world_start(w);
    world_connected(w);
    reign(w, closed_beat, OLD);
    plumb_note_t here = {.type = PLUMB_MSG_HERE, .name = {"ingest-0", 8}, .instance = 5};
    world_note(w, w->results, &here);
    plumb_ticket_t ticket = world_delivery(w, "queued", 1, OLD, NULL);
    here.instance = 6; /* another start: what the first had may be lost */
    world_note(w, w->results, &here);
    plumb_note_t audit = world_wait(w, w->control, PLUMB_MSG_AUDIT, closed_beat);
    assert_true(world_holds(&audit, &ticket));
    world_answer(
        w, &(plumb_note_t){.type = PLUMB_MSG_MISSING, .instance = audit.instance, .epoch = OLD});
    audit = world_wait(w, w->control, PLUMB_MSG_AUDIT, closed_beat); /* and it falls silent */
    assert_true(world_holds(&audit, &ticket));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(results_wait_for_the_database),  TEST(waiting_costs_nothing),
        TEST(it_starts_without_the_database), TEST(it_stops_without_the_database),
        TEST(kill_9_loses_nothing),           TEST(its_own_pause_kills_nobody),
        TEST(a_new_start_takes_over),         TEST(nothing_is_given_out_before_a_worker_spoke),
        TEST(a_silent_broker_dies),           TEST(it_answers_who_asks),
        TEST(a_row_of_an_epoch_nobody_knows), TEST(lost_and_given_up),
        TEST(it_says_what_is_open),           TEST(lost_by_another_epoch),
        TEST(lost_after_the_result_came),     TEST(the_audit_finds_what_is_missing),
        TEST(what_moved_on_is_not_pushed),    TEST(a_silent_ingest_asks_for_an_audit),
    };
    pg_conninfo(); /* before any thread */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
