/* Whose turn it is, how many calls at once, what may not go now: fairness, priorities, concurrency,
 * breaker, throttles, memory. */
#include "broker_world.h"

static const world_worker_t big = {"worker-0", 11, 4000};

/* Credential `c`'s job n; account `a`. */
static plumb_job_t job_of(const world_t *w, unsigned n, unsigned a, unsigned c)
{
    plumb_job_t job = world_job(w, n);
    job.account = world_id(2, a);
    job.credential = world_id(4, c);
    return job;
}

static unsigned number(const said_t *said)
{
    const uint8_t *b = said->job.delivery.b;
    return (unsigned)b[12] << 24 | (unsigned)b[13] << 16 | (unsigned)b[14] << 8 | b[15];
}

/* A place of the first job with a number from `low` to `high` among those given; -1: not given. */
static int place(const world_t *w, unsigned low, unsigned high)
{
    int given = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (w->said[i].type != PLUMB_MSG_JOB || w->said[i].port != TO_WORKER)
            continue;
        if (number(&w->said[i]) >= low && number(&w->said[i]) <= high)
            return given;
        given++;
    }
    return -1;
}

static size_t given_between(const world_t *w, unsigned low, unsigned high)
{
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++)
        count += w->said[i].type == PLUMB_MSG_JOB && w->said[i].port == TO_WORKER &&
                 number(&w->said[i]) >= low && number(&w->said[i]) <= high;
    return count;
}

static void begin(world_t *w, unsigned calls)
{
    broker_settings_t set = world_settings();
    set.memory = 256 << 20;
    set.destination_start = calls;
    set.destination_max = calls;
    world_init(w, &set);
}

/* --- whose turn --- */

static void account_is_not_delayed(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 10000);
    plumb_job_t job;
    for (unsigned n = 1; n <= 10000; n++) {
        job = job_of(&w, n, 1, n % 50);
        plumb_err_t err = {0};
        assert_int_equal(plumb_job_encode(&w.frame, &job, &err), 0);
        broker_job(w.b, w.now, w.frame.data, w.frame.length);
    }
    job = job_of(&w, 20000, 2, 1000);
    world_put(&w, &job);
    world_hello(&w, big, 0, NULL, 0);
    world_step(&w);
    assert_in_range(place(&w, 20000, 20000), 0, 1);
    world_fini(&w);
}

static void accounts_and_credentials_in_turn(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 10000);
    plumb_job_t job;
    /* account 1: credential 1 has 100 jobs, credential 2 has 10; account 2: 10 of credential 3 */
    for (unsigned n = 0; n < 100; n++) {
        job = job_of(&w, 1000 + n, 1, 1);
        world_put(&w, &job);
    }
    for (unsigned n = 0; n < 10; n++) {
        job = job_of(&w, 2000 + n, 1, 2);
        world_put(&w, &job);
        job = job_of(&w, 3000 + n, 2, 3);
        world_put(&w, &job);
    }
    world_worker_t worker = {"worker-0", 11, 160}; /* an account may hold 40 of its calls */
    world_hello(&w, worker, 0, NULL, 0);
    world_step(&w);
    assert_int_equal(given_between(&w, 1000, 1999), 30);
    assert_int_equal(given_between(&w, 2000, 2999), 10);
    assert_int_equal(given_between(&w, 3000, 3999), 10);
    unsigned order[3] = {1000, 2000, 3000}; /* first in, first out within each */
    for (size_t i = 0; i < w.count; i++) {
        if (w.said[i].type != PLUMB_MSG_JOB)
            continue;
        unsigned n = number(&w.said[i]);
        assert_int_equal(n, order[n / 1000 - 1]);
        order[n / 1000 - 1]++;
    }
    assert_in_range(place(&w, 3000, 3000), 0, 1);
    assert_in_range(place(&w, 2000, 2000), 0, 3);
    world_fini(&w);
}

/* A long job costs its account as many turns as it is long. */
static void long_jobs_cost_more(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 10000);
    static char body[160 << 10];
    memset(body, 'x', sizeof body);
    for (unsigned n = 0; n < 20; n++) {
        plumb_job_t job = job_of(&w, 1000 + n, 1, 1);
        job.mapping = (plumb_slice_t){body, sizeof body};
        world_put(&w, &job);
    }
    for (unsigned n = 0; n < 200; n++) {
        plumb_job_t job = job_of(&w, 2000 + n, 2, 2);
        world_put(&w, &job);
    }
    world_hello(&w, big, 0, NULL, 0);
    world_step(&w);
    size_t before = 0; /* short ones before the tenth long one */
    unsigned longs = 0;
    for (size_t i = 0; i < w.count && longs < 10; i++) {
        if (w.said[i].type != PLUMB_MSG_JOB)
            continue;
        longs += number(&w.said[i]) < 2000;
        before += number(&w.said[i]) >= 2000;
    }
    assert_in_range(before, 90, 120);
    world_fini(&w);
}

static void priorities_share(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 100000);
    for (unsigned p = 0; p < 3; p++) {
        for (unsigned n = 0; n < 300; n++) {
            plumb_job_t job = job_of(&w, (p + 1) * 1000 + n, 1 + p, 1 + p);
            job.priority = (plumb_priority_t)p;
            world_put(&w, &job);
        }
    }
    world_hello(&w, big, 0, NULL, 0);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 900);
    size_t seen[3] = {0};
    for (size_t i = 0, given = 0; i < w.count && given < 210; i++) {
        if (w.said[i].type != PLUMB_MSG_JOB)
            continue;
        seen[number(&w.said[i]) / 1000 - 1]++;
        given++;
    }
    assert_int_equal(seen[PLUMB_HIGH], 160);
    assert_int_equal(seen[PLUMB_NORMAL], 40);
    assert_int_equal(seen[PLUMB_LOW], 10);
    world_fini(&w);
}

static void workers_share(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 1000);
    static const world_worker_t workers[] = {{"worker-0", 1, 40}, {"worker-1", 2, 40}};
    world_hello(&w, workers[0], 0, NULL, 0);
    world_hello(&w, workers[1], 0, NULL, 0);
    world_put_many(&w, 1, 60);
    world_step(&w);
    assert_int_equal(world_given(&w, "worker-0"), 10);
    assert_int_equal(world_given(&w, "worker-1"), 10);
    world_fini(&w);
}

static void unreachable_worker_gets_nothing(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 10);
    world_hello(&w, big, 0, NULL, 0);
    w.deaf[TO_WORKER] = true;
    world_put_many(&w, 1, 3);
    world_step(&w);
    w.deaf[TO_WORKER] = false;
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0); /* not before it is heard again */
    world_ping(&w, big);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 3);
    world_pass(&w, 5001); /* silent for longer than the fence */
    world_put_many(&w, 4, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 3);
    world_fini(&w);
}

/* --- calls at once, breaker --- */

/* Sends one job after another through a credential, all with given outcomes. */
typedef struct stream {
    world_t w;
    unsigned next; /* number of the next job put */
    unsigned told; /* what was said until here is looked at */
    unsigned out[64];
    unsigned out_count; /* with the worker */
} stream_t;

static void stream_look(stream_t *s)
{
    world_step(&s->w);
    for (; s->told < s->w.count; s->told++) {
        if (s->w.said[s->told].type == PLUMB_MSG_JOB)
            s->out[s->out_count++] = number(&s->w.said[s->told]);
    }
}

static void stream_init(stream_t *s, const broker_settings_t *set)
{
    *s = (stream_t){.next = 1};
    world_init(&s->w, set);
    world_hello(&s->w, big, 0, NULL, 0);
}

static void stream_put(stream_t *s, unsigned count)
{
    world_put_many(&s->w, s->next, count);
    s->next += count;
    stream_look(s);
}

/* The oldest call with the worker ends. */
static void stream_end(stream_t *s, plumb_outcome_t outcome, int64_t retry_after_ms)
{
    assert_true(s->out_count > 0);
    plumb_ticket_t ticket = world_ticket(s->out[0], 1);
    memmove(s->out, s->out + 1, --s->out_count * sizeof s->out[0]);
    world_done_as(&s->w, big, ticket, outcome, retry_after_ms);
    world_ack_ticket(&s->w, ticket);
    stream_look(s);
}

static void stream_live(stream_t *s, int64_t ms)
{
    world_live(&s->w, &big, 1, ms);
    stream_look(s);
}

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
    world_say(&s.w, big, PLUMB_MSG_RETURN, s.out[0]);
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

/* --- throttles --- */

static void throttled_put(world_t *w, unsigned n, unsigned c, const char *key, uint32_t rate,
                          uint32_t burst)
{
    plumb_job_t job = job_of(w, n, c, c);
    job.throttles[0] =
        (plumb_throttle_t){.key = {key, strlen(key)}, .per_kilosecond = rate, .burst = burst};
    job.throttle_count = 1;
    world_put(w, &job);
}

static void throttle_rates(void **state)
{
    (void)state;
    static const struct {
        uint32_t per_kilosecond, burst;
        size_t at_once, after_10_s;
    } cases[] = {{7000, 1, 1, 71}, {7000, 7, 7, 77}, {500, 1, 1, 6}, {0, 0, 200, 200}};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        world_t w;
        begin(&w, 1000);
        world_hello(&w, big, 0, NULL, 0);
        for (unsigned n = 0; n < 200; n++) /* four credentials share one key */
            throttled_put(&w, n, n % 4, "a/0/host", cases[i].per_kilosecond, cases[i].burst);
        world_step(&w);
        assert_int_equal(world_given(&w, NULL), cases[i].at_once);
        world_live(&w, &big, 1, 10000);
        assert_in_range(world_given(&w, NULL), cases[i].after_10_s - 1, cases[i].after_10_s);
        world_fini(&w);
    }
}

/* All keys are looked at before any is charged; another key is not held up. */
static void throttle_levels(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 1000);
    world_hello(&w, big, 0, NULL, 0);
    for (unsigned n = 0; n < 20; n++) {
        plumb_job_t job = job_of(&w, n, 1, 1 + n % 2);
        job.throttles[0] =
            (plumb_throttle_t){.key = WORLD_SLICE("a/0/"), .per_kilosecond = 4000, .burst = 1};
        job.throttles[1] = (plumb_throttle_t){.key = {n % 2 ? "a/1/x" : "a/1/y", 5},
                                              .per_kilosecond = n % 2 ? 1000 : 4000,
                                              .burst = 1};
        job.throttle_count = 2;
        world_put(&w, &job);
    }
    throttled_put(&w, 100, 3, "b/0/z", 1000, 1);
    world_step(&w);
    assert_int_equal(given_between(&w, 100, 100), 1);
    world_live(&w, &big, 1, 2500);
    assert_in_range(given_between(&w, 0, 19), 10, 11); /* four a second */
    size_t x = 0;
    for (unsigned n = 1; n < 20; n += 2)
        x += given_between(&w, n, n);
    assert_in_range(x, 2, 3); /* one a second of them */
    world_fini(&w);
}

static void retry_after_holds_the_key(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 1000);
    world_hello(&w, big, 0, NULL, 0);
    throttled_put(&w, 1, 1, "a/0/host", 0, 0);
    world_step(&w);
    world_done_as(&w, big, world_ticket(1, 1), PLUMB_OUT_throttled, 3000);
    throttled_put(&w, 2, 2, "a/0/host", 0, 0); /* another credential, the same account there */
    throttled_put(&w, 3, 3, "a/0/other", 0, 0);
    world_step(&w);
    assert_int_equal(given_between(&w, 2, 2), 0);
    assert_int_equal(given_between(&w, 3, 3), 1);
    world_pass(&w, 20);
    const said_t *beacon = world_last(&w, BEACONS, PLUMB_MSG_BEACON);
    assert_int_equal(beacon->lane_count, 2);
    world_live(&w, &big, 1, 2900);
    assert_int_equal(given_between(&w, 2, 2), 0);
    world_live(&w, &big, 1, 200);
    assert_int_equal(given_between(&w, 2, 2), 1);
    assert_int_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->lane_count, 0);
    world_fini(&w);
}

/* A key that names the whole channel is nobody's account: then the credential is held. */
static void retry_after_without_key(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 1000);
    world_hello(&w, big, 0, NULL, 0);
    throttled_put(&w, 1, 1, "a/0/", 0, 0);
    world_step(&w);
    world_done_as(&w, big, world_ticket(1, 1), PLUMB_OUT_retry, 3000);
    throttled_put(&w, 2, 1, "a/0/", 0, 0);
    throttled_put(&w, 3, 2, "a/0/", 0, 0);
    world_step(&w);
    assert_int_equal(given_between(&w, 2, 2), 0);
    assert_int_equal(given_between(&w, 3, 3), 1);
    world_live(&w, &big, 1, 3000);
    assert_int_equal(given_between(&w, 2, 2), 1);
    world_fini(&w);
}

/* --- memory --- */

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
        plumb_job_t job = job_of(&w, n, n % 10, n % 10);
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
        plumb_job_t job = job_of(&w, n, 1, 1);
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
    plumb_job_t job = job_of(&w, 5000, 2, 2); /* others have room */
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

/* --- the operator --- */

static void pause_resume_drain(void **state)
{
    (void)state;
    world_t w;
    begin(&w, 1000);
    world_hello(&w, big, 0, NULL, 0);
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
    begin(&w, 1000);
    world_command(&w, "pause", "");
    world_hello(&w, big, 0, NULL, 0);
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
    begin(&w, 1000);
    world_put_many(&w, 1, 2);
    world_pass(&w, 9000);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "");
    world_pass(&w, 2100);
    assert_string_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->queues, "integration-a");
    world_hello(&w, big, 0, NULL, 0);
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
    world_live(&s.w, &big, 1, 1200);
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
        cmocka_unit_test(account_is_not_delayed),
        cmocka_unit_test(accounts_and_credentials_in_turn),
        cmocka_unit_test(long_jobs_cost_more),
        cmocka_unit_test(priorities_share),
        cmocka_unit_test(workers_share),
        cmocka_unit_test(unreachable_worker_gets_nothing),
        cmocka_unit_test(concurrency),
        cmocka_unit_test(breaker_opens),
        cmocka_unit_test(old_failures_fade),
        cmocka_unit_test(breaker_doubles_and_closes),
        cmocka_unit_test(open_breaker_spills),
        cmocka_unit_test(lost_probe_is_replaced),
        cmocka_unit_test(old_answers_do_not_count),
        cmocka_unit_test(throttle_rates),
        cmocka_unit_test(throttle_levels),
        cmocka_unit_test(retry_after_holds_the_key),
        cmocka_unit_test(retry_after_without_key),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(lane_has_a_share),
        cmocka_unit_test(throughput_is_told),
        cmocka_unit_test(pause_resume_drain),
        cmocka_unit_test(pause_of_all_holds_new_queues_too),
        cmocka_unit_test(unserved_queue_is_closed),
        cmocka_unit_test(statistics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
