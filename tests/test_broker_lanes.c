/* Calls at once to a credential, and its breaker. */
#include "broker_stream.h"

static void concurrency(void **state)
{
    (void)state;
    broker_settings_t set = world_settings();
    set.breaker_run = 1000;
    stream_t s;
    stream_init(&s, &set);
    stream_put(&s, 600);
    assert_int_equal(s.out_count, 5);
    for (unsigned calls = 5; calls < 20; calls++) { /* one more for each full round */
        for (unsigned i = 0; i < calls; i++) {
            assert_int_equal(s.out_count, calls);
            stream_end(&s, i % 2 ? PLUMB_OUT_ok : PLUMB_OUT_duplicate, 0);
        }
        assert_int_equal(s.out_count, calls + 1);
    }
    for (unsigned i = 0; i < 25; i++)
        stream_end(&s, PLUMB_OUT_ok, 0);
    assert_int_equal(s.out_count, 20); /* at most */
    static const struct {
        plumb_outcome_t outcome;
        unsigned calls;
    } falls[] = {{PLUMB_OUT_permanent, 20}, {PLUMB_OUT_retry, 10},    {PLUMB_OUT_credentials, 10},
                 {PLUMB_OUT_ambiguous, 5},  {PLUMB_OUT_throttled, 2}, {PLUMB_OUT_retry, 1},
                 {PLUMB_OUT_retry, 1}};
    for (size_t i = 0; i < PLUMB_COUNT(falls); i++) {
        stream_end(&s, falls[i].outcome, 0);
        for (int k = 0; k < 25; k++) /* neither way: until the calls of before have ended */
            stream_end(&s, PLUMB_OUT_permanent, 0);
        assert_int_equal(s.out_count, falls[i].calls);
    }
    world_fini(&s.w);
}

static void breaker_opens(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char
            *outcomes; /* r retry, a ambiguous, o ok, t throttled, p permanent, d duplicate */
        bool open;
    } cases[] = {
        {"five in a row", "rarar", true},
        {"four in a row", "rara", false},
        {"a success between", "rrrrorrrr", false},
        {"what counts neither way does not end a run", "rrtrpdrr", true},
        {"throttled never opens", "tttttttttttttttttttttttt", false},
        {"half of twenty", "rorororororororororor", true},
        {"half of nineteen", "rorororororororor", false},
        {"a third of many", "roorooroorooroorooroorooroo", false},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        stream_t s;
        stream_init(&s, NULL);
        stream_put(&s, 1);
        for (const char *at = cases[i].outcomes; *at != '\0'; at++) {
            if (s.out_count == 0)
                stream_put(&s, 1);
            if (s.out_count == 0)
                fail_msg("%s: opened too early", cases[i].name);
            stream_end(&s,
                       *at == 'r'   ? PLUMB_OUT_retry
                       : *at == 'a' ? PLUMB_OUT_ambiguous
                       : *at == 't' ? PLUMB_OUT_throttled
                       : *at == 'p' ? PLUMB_OUT_permanent
                       : *at == 'd' ? PLUMB_OUT_duplicate
                                    : PLUMB_OUT_ok,
                       0);
        }
        if ((s.w.events[BROKER_BREAKER_OPEN] == 1) != cases[i].open)
            fail_msg("%s: opened %u times", cases[i].name, s.w.events[BROKER_BREAKER_OPEN]);
        world_fini(&s.w);
    }
}

static void old_failures_fade(void **state)
{
    (void)state;
    stream_t s;
    stream_init(&s, NULL);
    for (int i = 0; i < 15; i++) { /* 15 calls, 10 failed; then a minute; then 20, 5 failed */
        stream_put(&s, 1);
        stream_end(&s, i % 3 ? PLUMB_OUT_retry : PLUMB_OUT_ok, 0);
    }
    stream_live(&s, 61000);
    for (int i = 0; i < 20; i++) {
        stream_put(&s, 1);
        stream_end(&s, i % 4 ? PLUMB_OUT_ok : PLUMB_OUT_retry, 0);
    }
    assert_int_equal(s.w.events[BROKER_BREAKER_OPEN], 0);
    world_fini(&s.w);
}

static void open_breaker(stream_t *s)
{
    stream_put(s, 10);
    for (int i = 0; i < 5; i++)
        stream_end(s, PLUMB_OUT_retry, 0);
    while (s->out_count > 0)
        stream_end(s, PLUMB_OUT_permanent, 0);
    assert_int_equal(s->w.events[BROKER_BREAKER_OPEN], 1);
}

static void breaker_doubles_and_closes(void **state)
{
    (void)state;
    stream_t s;
    stream_init(&s, NULL);
    open_breaker(&s);
    world_pass(&s.w, 20);
    const said_t *beacon = world_last(&s.w, BEACONS, PLUMB_MSG_BEACON);
    assert_int_equal(beacon->lane_count, 1);
    assert_in_range(beacon->waits[0], 14900, 18000);
    int64_t open_ms = 15000;
    for (int i = 0; i < 8; i++) { /* each probe that fails doubles it, to 15 minutes */
        stream_live(&s, open_ms - 500);
        assert_int_equal(s.out_count, 0);
        stream_live(&s, open_ms / 5 + 1500);
        assert_int_equal(s.out_count, 1); /* one call */
        stream_put(&s, 1);
        assert_int_equal(s.out_count, 1);
        stream_end(&s, PLUMB_OUT_ambiguous, 0);
        assert_int_equal(s.out_count, 0);
        open_ms = open_ms * 2 < 900000 ? open_ms * 2 : 900000;
    }
    stream_live(&s, open_ms * 6 / 5 + 1000);
    stream_put(&s, 10);
    assert_int_equal(s.out_count, 1);
    stream_end(&s, PLUMB_OUT_duplicate, 0); /* counts neither way */
    assert_int_equal(s.out_count, 1);
    stream_end(&s, PLUMB_OUT_ok, 0);
    assert_int_equal(s.out_count, 1);
    assert_int_equal(s.w.events[BROKER_BREAKER_CLOSED], 0);
    stream_end(&s, PLUMB_OUT_ok, 0);
    assert_int_equal(s.w.events[BROKER_BREAKER_CLOSED], 1);
    assert_int_equal(s.out_count, 1); /* one call at once after half-open … */
    stream_end(&s, PLUMB_OUT_ok, 0);
    assert_int_equal(s.out_count, 2); /* … growing from there */
    world_fini(&s.w);
}

/* What waits behind an open breaker gives its room away, but for a few to try with. */
static void open_breaker_spills(void **state)
{
    (void)state;
    stream_t s;
    stream_init(&s, NULL);
    stream_put(&s, 100);
    for (int i = 0; i < 5; i++)
        stream_end(&s, PLUMB_OUT_retry, 0);
    stream_look(&s);
    const said_t *lost = world_last(&s.w, TO_TRACKER, PLUMB_MSG_LOST);
    assert_non_null(lost);
    assert_true(lost->note.given_up);
    assert_int_equal(lost->note.held_count, 100 - 5 - s.out_count - 4);
    world_fini(&s.w);
}

/* The half-open call may be lost with its worker: another is let through. */
static void lost_probe_is_replaced(void **state)
{
    (void)state;
    stream_t s;
    stream_init(&s, NULL);
    open_breaker(&s);
    stream_put(&s, 3);
    stream_live(&s, 19000);
    assert_int_equal(s.out_count, 1);
    world_say(&s.w, world_wide, PLUMB_MSG_RETURN, s.out[0]);
    stream_live(&s, 2000);
    assert_int_equal(s.out_count, 2); /* again */
    world_fini(&s.w);
}

static void old_answers_do_not_count(void **state)
{
    (void)state;
    broker_settings_t set = world_settings();
    set.destination_start = 20;
    stream_t s;
    stream_init(&s, &set);
    stream_put(&s, 40);
    for (int i = 0; i < 5; i++)
        stream_end(&s, PLUMB_OUT_retry, 0);
    assert_int_equal(s.w.events[BROKER_BREAKER_OPEN], 1);
    assert_int_equal(s.out_count, 15);
    stream_live(&s, 19000); /* half-open */
    assert_int_equal(s.out_count, 16);
    for (unsigned i = 0; i < 15; i++)
        stream_end(&s, i % 2 ? PLUMB_OUT_retry : PLUMB_OUT_ok, 0);
    assert_int_equal(s.w.events[BROKER_BREAKER_OPEN], 1);
    assert_int_equal(s.w.events[BROKER_BREAKER_CLOSED], 0);
    assert_int_equal(s.out_count, 1);
    stream_end(&s, PLUMB_OUT_retry, 0);
    assert_int_equal(s.w.events[BROKER_BREAKER_OPEN], 2);
    world_fini(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(concurrency),
        cmocka_unit_test(breaker_opens),
        cmocka_unit_test(old_failures_fade),
        cmocka_unit_test(breaker_doubles_and_closes),
        cmocka_unit_test(open_breaker_spills),
        cmocka_unit_test(lost_probe_is_replaced),
        cmocka_unit_test(old_answers_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
