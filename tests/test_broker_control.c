/* The operator's hand: pause, resume, drain, statistics. */
#include "broker_stream.h"

static void open_breaker(stream_t *s)
{
    stream_put(s, 10);
    for (int i = 0; i < 5; i++)
        stream_end(s, PLUMB_OUT_retry, 0);
    while (s->out_count > 0)
        stream_end(s, PLUMB_OUT_permanent, 0);
    assert_int_equal(s->w.events[BROKER_BREAKER_OPEN], 1);
}

static void pause_resume_drain(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    world_hello(&w, world_wide, 0, NULL, 0);
    world_step(&w);
    world_command(&w, "pause", "integration-a");
    world_put_many(&w, 1, 2);
    world_pass(&w, 20);
    assert_int_equal(world_given(&w, NULL), 0);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "integration-a");
    assert_non_null(strstr(world_last(&w, TO_CONTROL, PLUMB_MSG_STATE)->text, "\"paused\""));
    world_command(&w, "drain", "integration-a");
    world_put_many(&w, 3, 1); /* not taken any more */
    world_pass(&w, 20);
    assert_int_equal(world_given(&w, NULL), 2);
    assert_int_equal(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST)->note.held_count, 1);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "integration-a");
    world_command(&w, "resume", "");
    world_put_many(&w, 4, 1);
    world_pass(&w, 20);
    assert_int_equal(world_given(&w, NULL), 3);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "");
    static const char *const wrong[][2] = {{"stop", ""}, {"pause", "no such/queue"}};
    for (size_t i = 0; i < PLUMB_COUNT(wrong); i++) {
        world_command(&w, wrong[i][0], wrong[i][1]);
        assert_memory_equal(world_last(&w, TO_CONTROL, PLUMB_MSG_STATE)->text, "{\"error\":", 9);
    }
    world_fini(&w);
}

static void pause_of_all_holds_new_queues_too(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    world_command(&w, "pause", "");
    world_hello(&w, world_wide, 0, NULL, 0);
    world_put_many(&w, 1, 2);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0);
    world_command(&w, "resume", "");
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 2);
    world_fini(&w);
}

static void unserved_queue_is_closed(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    world_put_many(&w, 1, 2);
    world_pass(&w, 9000);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "");
    world_pass(&w, 2100);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "integration-a");
    world_hello(&w, world_wide, 0, NULL, 0);
    world_pass(&w, 20);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "");
    assert_int_equal(world_given(&w, NULL), 2);
    world_fini(&w);
}

static void statistics(void **state)
{
    (void)state;
    stream_t s;
    stream_init(&s, NULL);
    open_breaker(&s);
    stream_put(&s, 1);
    world_live(&s.w, &world_wide, 1, 1200);
    world_command(&s.w, "stats", "");
    const char *text = world_last(&s.w, TO_CONTROL, PLUMB_MSG_STATE)->text;
    static const char *const wanted[] = {
        "{\"broker\":\"broker-t\",\"epoch\":\"",
        "\"memory\":{\"held\":",
        ",\"limit\":4194304},\"tickets\":6,\"queues\":[{\"name\":\"integration-",
        "{\"name\":\"integration-a\",\"state\":\"open\",\"waiting\":5,\"assigned\":0,"
        "\"unacked\":0,\"oldestMs\":1200,\"handedOut\":5,\"done\":5,",
        "\"workers\":[{\"slot\":\"worker-0\",\"credit\":4000,\"assigned\":0,\"silentMs\":",
        "\"lanes\":[{\"credential\":\"04000000-0000-7000-8000-000000000001\",\"state\":\"open\","
        "\"waitMs\":1"};
    for (size_t i = 0; i < PLUMB_COUNT(wanted); i++) {
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("no %s in %s", wanted[i], text);
    }
    world_fini(&s.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pause_resume_drain),
        cmocka_unit_test(pause_of_all_holds_new_queues_too),
        cmocka_unit_test(unserved_queue_is_closed),
        cmocka_unit_test(statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
