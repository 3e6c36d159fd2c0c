/* What the broker holds has a bound, and it says how much room is left. */
#include "broker_stream.h"

static void memory_is_bounded(void **state)
{
    (void)state;
    broker_settings_t set = world_settings();
    set.memory = 256 << 10;
    world_t w;
    world_init(&w, &set);
    static char body[1000];
    memset(body, 'x', sizeof body);
    for (unsigned n = 0; n < 1000; n++) {
        plumb_job_t job = world_job_of(&w, n, n % 10, n % 10);
        job.mapping = (plumb_slice_t){body, sizeof body};
        world_put(&w, &job);
        assert_true(broker_held(w.b) <= (256 << 10) * 5 / 4 + 2048);
    }
    world_step(&w);
    const said_t *lost = world_last(&w, TO_TRACKER, PLUMB_MSG_LOST);
    assert_true(lost->note.given_up);
    assert_true(broker_counts(w.b)->taken > 100);
    assert_int_equal(broker_counts(w.b)->taken + broker_counts(w.b)->given_up +
                         broker_counts(w.b)->refused,
                     1000);
    world_pass(&w, 20);
    assert_int_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->note.room, 0);
    for (unsigned n = 0; n < 1000; n++)
        world_ack(&w, n);
    assert_int_equal(broker_held(w.b), 0);
    world_pass(&w, 20);
    assert_int_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->note.room, (256 << 10) / 5 * 4);
    world_fini(&w);
}

static void lane_has_a_share(void **state)
{
    (void)state;
    broker_settings_t set = world_settings();
    set.memory = 1 << 20;
    world_t w;
    world_init(&w, &set);
    static char body[1000];
    memset(body, 'x', sizeof body);
    for (unsigned n = 0; n < 1000; n++) {
        plumb_job_t job = world_job_of(&w, n, 1, 1);
        job.mapping = (plumb_slice_t){body, sizeof body};
        world_put(&w, &job);
    }
    int64_t lane = (int64_t)broker_counts(w.b)->taken * 1200;
    assert_in_range(lane, (1 << 20) / 5, (1 << 20) / 4);
    world_pass(&w, 20);
    const said_t *beacon = world_last(&w, BEACONS, PLUMB_MSG_BEACON);
    assert_int_equal(beacon->lane_count, 1);
    plumb_uuid_t id = world_id(4, 1);
    assert_memory_equal(&beacon->lanes[0], &id, sizeof id);
    plumb_job_t job = world_job_of(&w, 5000, 2, 2); /* others have room */
    uint64_t taken = broker_counts(w.b)->taken;
    world_put(&w, &job);
    assert_int_equal(broker_counts(w.b)->taken, taken + 1);
    world_fini(&w);
}

/* Ingest counts what it pushed against the room last told: what came in is worth a beacon even when
 * it has gone out again. */
static void throughput_is_told(void **state)
{
    (void)state;
    broker_settings_t set = world_settings();
    set.memory = 256 << 10;
    stream_t s;
    stream_init(&s, &set);
    world_pass(&s.w, 100);
    size_t before = world_count(&s.w, BEACONS, PLUMB_MSG_BEACON, NULL);
    for (int i = 0; i < 400; i++) {
        stream_put(&s, 1);
        stream_end(&s, PLUMB_OUT_ok, 0);
        world_pass(&s.w, 1);
    }
    size_t beacons = world_count(&s.w, BEACONS, PLUMB_MSG_BEACON, NULL) - before;
    assert_in_range(beacons, 4, 40); /* not one in 10 ms either */
    world_fini(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(lane_has_a_share),
        cmocka_unit_test(throughput_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
