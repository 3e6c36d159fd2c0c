/* Life and death of brokers' starts: sequences of events with a clock of our own. */
#include "epochs.h"

#include "count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { DEAD_MS = 10000, CENSUS_MS = 3000, WORKER_MS = 10000 };
enum { OLD = 100, NEW = 200 };

static const epochs_times_t times = {DEAD_MS, CENSUS_MS, WORKER_MS};

static int set_up(void **state)
{
    static epochs_t e;
    epochs_init(&e, &times, 0);
    e.began_ms = -WORKER_MS; /* it has heard of every worker by now */
    *state = &e;
    return 0;
}

static int tear_down(void **state)
{
    epochs_fini(*state);
    return 0;
}

static plumb_ticket_t ticket(uint8_t number)
{
    plumb_ticket_t t = {.attempt = 1};
    t.delivery.b[15] = number;
    return t;
}

/* A beacon that the table took. */
static epoch_t *beacon(epochs_t *e, const char *broker, uint64_t id, int64_t now_ms)
{
    epoch_t *epoch = epochs_beacon(e, broker, id, now_ms);
    if (!epoch->registered)
        epochs_registered(e, epoch);
    return epoch;
}

static void bury_all(epochs_t *e, int64_t now_ms)
{
    epoch_t *epoch;
    while ((epoch = epochs_suspect(e, now_ms)) != NULL)
        epochs_died(e, epoch, now_ms);
}

static void inventory(epochs_t *e, const char *slot, uint64_t lease, int number, int64_t now_ms)
{
    plumb_held_t held = {.ticket = ticket((uint8_t)number), .phase = PLUMB_PHASE_SENT}, again;
    epochs_inventory(e, slot, lease, &held, number > 0, &again, now_ms);
}

static epochs_fate_t fate(epochs_t *e, uint64_t id, int number, int64_t now_ms)
{
    uint64_t under = 0;
    plumb_ticket_t t = ticket((uint8_t)number);
    epochs_fate_t f = epochs_fate(e, id, &t, now_ms, &under);
    if (f == FATE_ADOPT)
        assert_int_equal(under, NEW);
    return f;
}

/* An old start that died at `now_ms` because a new one appeared. */
static void succession(epochs_t *e, int64_t now_ms)
{
    beacon(e, "broker-0", OLD, now_ms - 1000);
    beacon(e, "broker-0", NEW, now_ms);
    bury_all(e, now_ms);
}

/* ---- dying ---- */

static void silence_kills(void **state)
{
    epochs_t *e = *state;
    beacon(e, "broker-0", OLD, 1000);
    assert_null(epochs_suspect(e, 1000 + DEAD_MS));
    epoch_t *epoch = epochs_suspect(e, 1001 + DEAD_MS);
    assert_non_null(epoch);
    assert_int_equal(fate(e, OLD, 1, 1001 + DEAD_MS), FATE_WAIT); /* the table has not agreed yet */
    epochs_died(e, epoch, 1001 + DEAD_MS);
    assert_null(epochs_suspect(e, 1001 + DEAD_MS));
    assert_int_equal(beacon(e, "broker-0", OLD, 20000)->state, EPOCH_DEAD); /* for ever */
}

static void another_tracker_saw_it(void **state)
{
    epochs_t *e = *state;
    beacon(e, "broker-0", OLD, 0);
    epoch_t *epoch = epochs_suspect(e, DEAD_MS + 1);
    epochs_revived(epoch, DEAD_MS + 1);
    assert_null(epochs_suspect(e, DEAD_MS + 2));
    assert_int_equal(fate(e, OLD, 1, DEAD_MS + 2), FATE_LEAVE);
}

static void a_successor_kills(void **state)
{
    epochs_t *e = *state;
    beacon(e, "broker-0", OLD, 1000);
    beacon(e, "broker-1", 300, 1000); /* another broker stays */
    epoch_t *young = epochs_beacon(e, "broker-0", NEW, 1500);
    assert_null(epochs_suspect(e, 1500)); /* not before the table has taken it in */
    epochs_registered(e, young);
    epoch_t *epoch = epochs_suspect(e, 1500);
    assert_int_equal(epoch->id, OLD);
    assert_true(epoch->superseded);
    epochs_died(e, epoch, 1500);
    assert_null(epochs_suspect(e, 1500));
    assert_int_equal(fate(e, NEW, 1, 1500), FATE_LEAVE);
    assert_int_equal(fate(e, 300, 1, 1500), FATE_LEAVE);
}

static void a_late_beacon_of_the_old_start(void **state)
{
    epochs_t *e = *state;
    beacon(e, "broker-0", NEW, 1000);
    epoch_t *old = epochs_beacon(e, "broker-0", OLD, 1001); /* the table has it as dead */
    epochs_died(e, old, 1001);
    assert_null(epochs_suspect(e, 1002));
    assert_int_equal(fate(e, NEW, 1, 1002), FATE_LEAVE);
}

static void loaded_epochs_get_their_time(void **state)
{
    epochs_t *e = *state;
    epochs_load(e, OLD, "broker-0", 5000);
    assert_null(epochs_suspect(e, 5000 + DEAD_MS));
    assert_non_null(epochs_suspect(e, 5001 + DEAD_MS));
}

static void our_own_pause_kills_nobody(void **state)
{
    epochs_t *e = *state;
    beacon(e, "broker-0", OLD, 0);
    assert_false(epochs_tick(e, 1000));
    assert_false(epochs_tick(e, 1000 + STALL_MS));
    assert_true(epochs_tick(e, 60000));
    epochs_restart(e, 60000);
    assert_null(epochs_suspect(e, 60000));
    assert_false(epochs_tick(e, 60001));
    assert_non_null(epochs_suspect(e, 60001 + DEAD_MS)); /* but silence goes on counting */
}

static void our_own_pause_asks_again(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", NEW, 0, 1100);
    epochs_restart(e, 60000);
    assert_int_equal(fate(e, OLD, 1, 60001), FATE_WAIT);
    assert_true(epochs_census_due(e, 60001));
    inventory(e, "w", NEW, 0, 63000);
    assert_int_equal(fate(e, OLD, 1, 60000 + CENSUS_MS), FATE_REQUEUE);
}

/* ---- rows of the dead ---- */

static void nobody_holds_it(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", NEW, 0, 1500);
    assert_int_equal(fate(e, OLD, 1, 1000 + CENSUS_MS - 1), FATE_WAIT);
    assert_int_equal(fate(e, OLD, 1, 1000 + CENSUS_MS), FATE_REQUEUE);
}

/* A worker that died together with the tracker before us is not known, yet it may have called. */
static void we_have_just_begun(void **state)
{
    epochs_t *e = *state;
    epochs_init(e, &times, 0);
    succession(e, 1000);
    inventory(e, "w", NEW, 0, 3900);
    assert_int_equal(fate(e, OLD, 1, 1000 + CENSUS_MS), FATE_WAIT);
    inventory(e, "w", NEW, 0, 9900);
    assert_int_equal(fate(e, OLD, 1, WORKER_MS - 1), FATE_WAIT);
    assert_int_equal(fate(e, OLD, 1, WORKER_MS), FATE_REQUEUE);
}

static void no_worker_answers(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    assert_int_equal(fate(e, OLD, 1, 1000 + 100 * CENSUS_MS), FATE_WAIT);
    inventory(e, "w", NEW, 0, 400000);
    assert_int_equal(fate(e, OLD, 1, 400001), FATE_REQUEUE);
}

static void a_worker_that_may_still_begin(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", OLD, 0, 3900); /* its lease under the dead broker has not run out */
    assert_int_equal(fate(e, OLD, 1, 4000), FATE_WAIT);
    inventory(e, "w", 0, 0, 4900);
    assert_int_equal(fate(e, OLD, 1, 5000), FATE_REQUEUE);
}

static void one_worker_is_silent(void **state)
{
    epochs_t *e = *state;
    epochs_heard(e, "sleeper", 500);
    succession(e, 1000);
    inventory(e, "w", NEW, 0, 4000);
    assert_int_equal(fate(e, OLD, 1, 4100), FATE_WAIT);
    inventory(e, "w", NEW, 0, 10900);
    assert_int_equal(fate(e, OLD, 1, 1000 + WORKER_MS), FATE_REQUEUE);
}

static void a_worker_of_long_ago(void **state)
{
    epochs_t *e = *state;
    epochs_heard(e, "removed", 0);
    succession(e, WORKER_KNOWN_MS + 1000);
    inventory(e, "w", NEW, 0, WORKER_KNOWN_MS + 1100);
    assert_int_equal(fate(e, OLD, 1, WORKER_KNOWN_MS + 1000 + CENSUS_MS), FATE_REQUEUE);
}

static void its_worker_lives_under_the_new_one(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", NEW, 1, 1500);
    assert_int_equal(fate(e, OLD, 1, 1600), FATE_ADOPT); /* at once */
    assert_int_equal(fate(e, OLD, 2, 1000 + CENSUS_MS), FATE_REQUEUE);
}

static void its_worker_has_no_lease_yet(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    for (int64_t now = 2000; now < 60000; now += 1000) {
        inventory(e, "w", 0, 1, now);
        assert_int_equal(fate(e, OLD, 1, now + 10), FATE_WAIT);
    }
    inventory(e, "w", NEW, 1, 60000);
    assert_int_equal(fate(e, OLD, 1, 60010), FATE_ADOPT);
}

static void its_worker_lets_go(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", 0, 1, 2000);
    inventory(e, "w", NEW, 0, 4000);
    assert_int_equal(fate(e, OLD, 1, 4100), FATE_REQUEUE);
}

static void its_worker_falls_silent(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", 0, 1, 2000);
    inventory(e, "other", NEW, 0, 11900); /* who knows nothing of it */
    assert_int_equal(fate(e, OLD, 1, 2000 + WORKER_MS - 1), FATE_WAIT);
    assert_int_equal(fate(e, OLD, 1, 2000 + WORKER_MS), FATE_LOST);
}

static void only_begun_calls_count(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    plumb_held_t held = {.ticket = ticket(1), .phase = PLUMB_PHASE_ASSIGNED}, again;
    epochs_inventory(e, "w", NEW, &held, 1, &again, 3900);
    assert_int_equal(fate(e, OLD, 1, 1000 + CENSUS_MS), FATE_REQUEUE);
}

static void adoption_is_told_again(void **state)
{
    epochs_t *e = *state;
    succession(e, 1000);
    inventory(e, "w", NEW, 1, 1500);
    plumb_ticket_t t = ticket(1);
    epochs_adopted(e, &t, NEW);
    plumb_held_t held = {.ticket = t, .phase = PLUMB_PHASE_SENT}, again;
    assert_int_equal(epochs_inventory(e, "w", NEW, &held, 1, &again, 2500), 1);
    assert_int_equal(again.ticket.delivery.b[15], 1);
    assert_int_equal(epochs_inventory(e, "w", 300, &held, 1, &again, 2600), 0);
}

static void an_epoch_from_before_our_time(void **state)
{
    epochs_t *e = *state;
    inventory(e, "w", NEW, 0, 900);
    assert_int_equal(fate(e, 12345, 1, 1000), FATE_WAIT); /* begins a census */
    assert_true(epochs_census_due(e, 1000));
    inventory(e, "w", NEW, 0, 1100);
    assert_int_equal(fate(e, 12345, 1, 3900), FATE_WAIT);
    inventory(e, "w", NEW, 0, 3950);
    assert_int_equal(fate(e, 12345, 1, 4000), FATE_REQUEUE);
}

static void more_dead_epochs_than_places(void **state)
{
    epochs_t *e = *state;
    for (uint64_t id = 1; id <= UINT64_C(5) * EPOCHS_MAX; id++)
        assert_int_equal(fate(e, 1000 + id, 1, 1000), FATE_WAIT);
    for (int64_t now = 2000; now <= 4000; now += 1000) {
        inventory(e, "w", NEW, 0, now);
        for (uint64_t id = 1; id <= UINT64_C(5) * EPOCHS_MAX; id++)
            assert_int_equal(fate(e, 1000 + id, 1, now), now < 4000 ? FATE_WAIT : FATE_REQUEUE);
    }
}

/* ---- the census ---- */

static void census_comes_each_second(void **state)
{
    epochs_t *e = *state;
    assert_false(epochs_census_due(e, 0));
    succession(e, 1000);
    assert_true(epochs_census_due(e, 1000));
    assert_false(epochs_census_due(e, 1999));
    assert_true(epochs_census_due(e, 2000));
    assert_int_equal(fate(e, OLD, 1, 5900), FATE_WAIT); /* a row needs it: it goes on */
    assert_true(epochs_census_due(e, 10899));
    assert_false(epochs_census_due(e, 12000)); /* and ends */
    assert_false(epochs_census_runs(e, 12000));
}

static void standing_ones(void **state)
{
    epochs_t *e = *state;
    uint64_t out[EPOCHS_MAX];
    succession(e, 1000);
    beacon(e, "broker-1", 300, 1000);
    assert_int_equal(epochs_standing(e, out), 2);
    assert_int_equal(out[0] + out[1], NEW + 300);
}

static void many_reports(void **state)
{
    epochs_t *e = *state;
    static plumb_held_t held[PLUMB_HELD_MAX], again[PLUMB_HELD_MAX];
    succession(e, 1000);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < PLUMB_HELD_MAX; i++) {
            held[i] = (plumb_held_t){.ticket = {.attempt = 1}, .phase = PLUMB_PHASE_PLUGIN};
            memcpy(held[i].ticket.delivery.b + 8, &(unsigned){i * 3 + round}, sizeof i);
        }
        epochs_inventory(e, "w", NEW, held, PLUMB_HELD_MAX, again, 1500);
    }
    assert_int_equal(e->report_count, 3 * PLUMB_HELD_MAX);
    uint64_t under;
    for (unsigned i = 0; i < PLUMB_HELD_MAX; i++)
        assert_int_equal(epochs_fate(e, OLD, &held[i].ticket, 1600, &under), FATE_ADOPT);
    assert_false(epochs_census_due(e, 60000)); /* over: their memory is given back */
    assert_int_equal(e->report_count, 0);
    assert_null(e->reports);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(silence_kills),
        TEST(another_tracker_saw_it),
        TEST(a_successor_kills),
        TEST(a_late_beacon_of_the_old_start),
        TEST(loaded_epochs_get_their_time),
        TEST(our_own_pause_kills_nobody),
        TEST(our_own_pause_asks_again),
        TEST(nobody_holds_it),
        TEST(we_have_just_begun),
        TEST(no_worker_answers),
        TEST(a_worker_that_may_still_begin),
        TEST(one_worker_is_silent),
        TEST(a_worker_of_long_ago),
        TEST(its_worker_lives_under_the_new_one),
        TEST(its_worker_has_no_lease_yet),
        TEST(its_worker_lets_go),
        TEST(its_worker_falls_silent),
        TEST(only_begun_calls_count),
        TEST(adoption_is_told_again),
        TEST(an_epoch_from_before_our_time),
        TEST(more_dead_epochs_than_places),
        TEST(census_comes_each_second),
        TEST(standing_ones),
        TEST(many_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
