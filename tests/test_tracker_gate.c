/* What a beacon means to the feeder. */
#include "count.h"
#include "tracker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define EPOCH UINT64_C(5)
#define IDLE_MS 1000

static plumb_err_t err;

/* A tracker of which only the parts that a beacon touches are there; it looks again in a second. */
static int setup(void **state)
{
    static const epochs_times_t times = {10000, 3000, 10000};
    tracker_t *t = calloc(1, sizeof *t);
    *state = t;
    t->now_ms = 100000;
    epochs_init(&t->epochs, &times, t->now_ms);
    assert_int_equal(feeder_init(&t->feeder, 16, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    tracker_t *t = *state;
    gate_fini(&t->brokers.gate);
    feeder_fini(&t->feeder);
    epochs_fini(&t->epochs);
    free(t);
    return 0;
}

/* When the feeder looks after this beacon, from now on. */
static int64_t looks_in(tracker_t *t, plumb_note_t beacon)
{
    beacon.type = PLUMB_MSG_BEACON;
    beacon.name = (plumb_slice_t){"broker-0", 8};
    beacon.epoch = EPOCH;
    t->feeder.look_ms = t->feeder.next_ms = t->now_ms + IDLE_MS;
    brokers_beacon(t, &beacon);
    return t->feeder.look_ms - t->now_ms;
}

/* Ingest wrote pending rows while it was shut, and tells nobody. */
static void looks_soon_after_an_opening(void **state)
{
    static const plumb_uuid_t lanes[] = {{{1}}, {{2}}};
    static const int64_t waits[] = {1000, 1000};
    plumb_slice_t queues[] = {{"integration-null", 16}};
    const plumb_note_t open = {.room = 5000}, full = {.room = 0},
                       one = {.room = 5000, .lanes = lanes, .lane_wait_ms = waits, .lane_count = 1},
                       two = {.room = 5000, .lanes = lanes, .lane_wait_ms = waits, .lane_count = 2},
                       paused = {.room = 5000, .queues = queues, .queue_count = 1};
    const struct {
        const plumb_note_t *beacon;
        bool opens;
    } rows[] = {{&open, true}, {&open, false},   {&full, false},   {&full, false},
                {&open, true}, {&two, false},    {&two, false},    {&one, true},
                {&open, true}, {&paused, false}, {&paused, false}, {&open, true}};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        int64_t wait_ms = looks_in(*state, *rows[i].beacon);
        if ((wait_ms < IDLE_MS) != rows[i].opens)
            fail_msg("row %zu: looks in %d ms", i, (int)wait_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(looks_soon_after_an_opening, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
