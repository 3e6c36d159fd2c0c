/* How many jobs a second go through the core: taken, handed out, done and acknowledged.  Prints a
 * figure and asserts none: machines differ. */
#include "broker_world.h"

#include "clock.h"

#define ROUNDS 40
#define BATCH 250
#define BODY 1200

typedef struct bench {
    broker_t *b;
    plumb_held_t given[BATCH];
    size_t count;
    plumb_buf_t frame;
} bench_t;

static bool to_worker(void *self, const char *slot, const void *frame, size_t length)
{
    bench_t *s = self;
    plumb_job_t job;
    plumb_err_t err = {0};
    (void)slot;
    if (plumb_job_decode(&job, frame, length, &err) == 0) {
        assert_true(s->count < BATCH);
        s->given[s->count++] = (plumb_held_t){.ticket = job.ticket};
    }
    return true;
}

static bool to_tracker(void *self, const void *frame, size_t length)
{
    (void)self, (void)frame, (void)length;
    return true;
}

static bool to_control(void *self, const void *identity, size_t identity_length, const void *frame,
                       size_t length)
{
    (void)self, (void)identity, (void)identity_length, (void)frame, (void)length;
    return true;
}

static void beacon(void *self, const void *frame, size_t length)
{
    (void)self, (void)frame, (void)length;
}

static void greet(bench_t *s)
{
    plumb_err_t err = {0};
    plumb_slice_t queue = WORLD_SLICE("integration-a");
    plumb_note_t hello = {.type = PLUMB_MSG_HELLO,
                          .name = {"worker-0", 8},
                          .instance = 1,
                          .credit = 65536,
                          .queues = &queue,
                          .queue_count = 1};
    assert_int_equal(plumb_note_encode(&s->frame, &hello, &err), 0);
    broker_work(s->b, 1, "worker-0", 8, s->frame.data, s->frame.length);
}

static void finish(bench_t *s)
{
    plumb_err_t err = {0};
    plumb_note_t acks = {.type = PLUMB_MSG_ACKS, .held = s->given, .held_count = s->count};
    for (size_t i = 0; i < s->count; i++) {
        plumb_note_t done = {.type = PLUMB_MSG_DONE, .held = &s->given[i], .held_count = 1};
        assert_int_equal(plumb_note_encode(&s->frame, &done, &err), 0);
        broker_work(s->b, 2, "worker-0", 8, s->frame.data, s->frame.length);
    }
    assert_int_equal(plumb_note_encode(&s->frame, &acks, &err), 0);
    broker_acks(s->b, 2, s->frame.data, s->frame.length);
    s->count = 0;
}

/* Jobs of 100 credentials of 10 accounts, encoded beforehand but for what tells them apart. */
static void figure(void **state)
{
    (void)state;
    bench_t s = {0};
    broker_ports_t ports = {.self = &s,
                            .to_worker = to_worker,
                            .to_tracker = to_tracker,
                            .to_control = to_control,
                            .beacon = beacon};
    broker_settings_t set = world_settings();
    set.destination_start = set.destination_max = 1000;
    s.b = broker_new(&set, &ports, 1, 0);
    assert_non_null(s.b);
    greet(&s);
    static char body[BODY];
    memset(body, 'x', sizeof body);
    static char frames[BATCH][BODY + 1024];
    size_t lengths[BATCH];
    int64_t spent_us = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned n = 0; n < BATCH; n++) {
            plumb_err_t err = {0};
            world_t w = {.b = s.b};
            plumb_job_t job = world_job(&w, round * BATCH + n);
            job.account = world_id(2, n % 10);
            job.credential = world_id(4, n % 100);
            job.mapping = (plumb_slice_t){body, sizeof body};
            assert_int_equal(plumb_job_encode(&s.frame, &job, &err), 0);
            assert_true(s.frame.length <= sizeof frames[n]);
            memcpy(frames[n], s.frame.data, s.frame.length);
            lengths[n] = s.frame.length;
        }
        int64_t began_us = plumb_mono_us();
        for (unsigned n = 0; n < BATCH; n++)
            broker_job(s.b, 1, frames[n], lengths[n]);
        broker_step(s.b, 2);
        assert_int_equal(s.count, BATCH);
        finish(&s);
        spent_us += plumb_mono_us() - began_us;
    }
    assert_int_equal(broker_held(s.b), 0);
    print_message("%d jobs/s through the core\n",
                  (int)((int64_t)ROUNDS * BATCH * 1000000 / (spent_us + 1)));
    broker_destroy(&s.b);
    plumb_buf_fini(&s.frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(figure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
