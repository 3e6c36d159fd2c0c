/* Hostile frames: malformed, on the wrong socket, in another's name.  None changes the state. */
#include "broker_world.h"

typedef enum door { JOBS, WORK, CONTROL, ACKS, DOORS } door_t;

/* What may be said at each door. */
static const plumb_msg_type_t welcome[DOORS][6] = {
    [JOBS] = {PLUMB_MSG_JOB, PLUMB_MSG_COUNT},
    [WORK] = {PLUMB_MSG_HELLO, PLUMB_MSG_PING, PLUMB_MSG_DONE, PLUMB_MSG_RETURN, PLUMB_MSG_RECALLED,
              PLUMB_MSG_COUNT},
    [CONTROL] = {PLUMB_MSG_AUDIT, PLUMB_MSG_RECALL, PLUMB_MSG_STANDS, PLUMB_MSG_CONTROL,
                 PLUMB_MSG_COUNT},
    [ACKS] = {PLUMB_MSG_ACKS, PLUMB_MSG_UNACKED, PLUMB_MSG_CENSUS, PLUMB_MSG_ADOPT,
              PLUMB_MSG_COUNT},
};

static void push(world_t *w, door_t door, const void *frame, size_t length)
{
    switch (door) {
    case JOBS:
        broker_job(w->b, w->now, frame, length);
        break;
    case WORK:
        broker_work(w->b, w->now, "worker-0", 8, frame, length);
        break;
    case CONTROL:
        broker_control(w->b, w->now, "asker", 5, frame, length);
        break;
    default:
        broker_acks(w->b, w->now, frame, length);
        break;
    }
    world_check(w);
}

/* Everything an operator can see, as one text. */
static char *look(world_t *w)
{
    world_command(w, "stats", "");
    char *text = strdup(world_last(w, TO_CONTROL, PLUMB_MSG_STATE)->text);
    assert_non_null(text);
    return text;
}

/* Jobs in every phase: waiting, assigned, done, given up, gone. */
static void begin(world_t *w)
{
    world_init(w, NULL);
    world_hello(w, world_alpha, 0, NULL, 0);
    world_put_many(w, 1, 6);
    world_step(w);
    world_done(w, world_alpha, 1);
    plumb_held_t held = world_held(6, 0);
    world_ask_list(w, PLUMB_MSG_RECALL, &held, 1);
    world_step(w);
    world_pass(w, 20);
    world_forget(w);
}

static size_t encode(world_t *w, plumb_msg_type_t type)
{
    plumb_err_t err = {0};
    plumb_held_t held[] = {world_held(1, 0), world_held(2, 0), world_held(3, 0)};
    if (type == PLUMB_MSG_JOB) {
        plumb_job_t job = world_job(w, 100);
        assert_int_equal(plumb_job_encode(&w->frame, &job, &err), 0);
    } else if (type == PLUMB_MSG_RESULT) {
        plumb_result_t result = {.ticket = world_ticket(1, 1)};
        assert_int_equal(plumb_result_encode(&w->frame, &result, &err), 0);
    } else {
        plumb_note_t note = {.type = type,
                             .name = {"worker-0", 8},
                             .instance = 11,
                             .epoch = broker_epoch(w->b),
                             .text = {"stats", 5},
                             .held = held,
                             .held_count = 3};
        assert_int_equal(plumb_note_encode(&w->frame, &note, &err), 0);
    }
    return w->frame.length;
}

static bool is_welcome(door_t door, plumb_msg_type_t type)
{
    for (size_t i = 0; welcome[door][i] != PLUMB_MSG_COUNT; i++) {
        if (welcome[door][i] == type)
            return true;
    }
    return false;
}

static void wrong_types(void **state)
{
    (void)state;
    world_t w;
    begin(&w);
    char *before = look(&w);
    uint64_t foreign = 0;
    for (int door = 0; door < DOORS; door++) {
        for (int type = 0; type < PLUMB_MSG_COUNT; type++) {
            if (is_welcome((door_t)door, (plumb_msg_type_t)type))
                continue;
            size_t length = encode(&w, (plumb_msg_type_t)type);
            push(&w, (door_t)door, w.frame.data, length);
            foreign++;
        }
    }
    assert_int_equal(broker_counts(w.b)->foreign, foreign);
    assert_int_equal(broker_counts(w.b)->malformed, 0);
    assert_int_equal(w.count, 1); /* the statistics; nothing was answered */
    char *after = look(&w);
    assert_string_equal(before, after);
    free(before);
    free(after);
    world_fini(&w);
}

/* Every frame cut at every place, and with every byte changed: refused, or well formed by chance
 * and then no more than what its sender may say. */
static void cut_and_bent(void **state)
{
    (void)state;
    world_t w;
    begin(&w);
    uint64_t refused = 0;
    for (int type = 0; type < PLUMB_MSG_COUNT; type++) {
        char frame[1024];
        size_t length = encode(&w, (plumb_msg_type_t)type);
        assert_in_range(length, 1, sizeof frame);
        memcpy(frame, w.frame.data, length);
        for (int door = 0; door < DOORS; door++) {
            for (size_t cut = 0; cut < length; cut++)
                push(&w, (door_t)door, frame, cut);
            refused += length;
            assert_int_equal(broker_counts(w.b)->malformed, refused);
        }
    }
    for (int type = 0; type < PLUMB_MSG_COUNT; type++) {
        char frame[1024];
        size_t length = encode(&w, (plumb_msg_type_t)type);
        memcpy(frame, w.frame.data, length);
        for (size_t at = 0; at < length; at++) {
            frame[at] = (char)(frame[at] ^ (1 << (at % 8)));
            for (int door = 0; door < DOORS; door++)
                push(&w, (door_t)door, frame, length);
            frame[at] = (char)(frame[at] ^ (1 << (at % 8)));
        }
        world_step(&w);
        world_forget(&w);
    }
    world_fini(&w);
}

static void rubbish(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "GET / HTTP/1.1\r\n\r\n", "\xdf\x03\x03\x03\xdf", "\xc1", "{\"v\":1}", "\x80"};
    world_t w;
    begin(&w);
    char *before = look(&w);
    for (int door = 0; door < DOORS; door++) {
        for (size_t i = 0; i < PLUMB_COUNT(texts); i++)
            push(&w, (door_t)door, texts[i], strlen(texts[i]));
    }
    assert_int_equal(broker_counts(w.b)->malformed, DOORS * PLUMB_COUNT(texts));
    char *after = look(&w);
    assert_string_equal(before, after);
    free(before);
    free(after);
    world_fini(&w);
}

/* Who speaks at the workers' door is who its connection says, and speaks of its own work only. */
static void names(void **state)
{
    (void)state;
    static const struct {
        const char *title, *identity;
        plumb_note_t note;
    } cases[] = {
        {"hello in another's name",
         "worker-1",
         {.type = PLUMB_MSG_HELLO, .name = {"worker-0", 8}, .instance = 5}},
        {"hello without a name", "worker-1", {.type = PLUMB_MSG_HELLO, .instance = 5}},
        {"hello without an instance",
         "worker-1",
         {.type = PLUMB_MSG_HELLO, .name = {"worker-1", 8}}},
        {"ping in another's name",
         "worker-1",
         {.type = PLUMB_MSG_PING, .name = {"worker-0", 8}, .instance = 11}},
        {"done from nobody we know", "worker-1", {.type = PLUMB_MSG_DONE}},
        {"done of another instance", "worker-0", {.type = PLUMB_MSG_DONE, .instance = 12}},
        {"done in another's name",
         "worker-0",
         {.type = PLUMB_MSG_DONE, .name = {"worker-1", 8}, .instance = 11}},
        {"recalled by nobody", "worker-1", {.type = PLUMB_MSG_RECALLED}},
        {"returned by nobody", "worker-1", {.type = PLUMB_MSG_RETURN}},
        {"a name of bytes", "worker\n1", {.type = PLUMB_MSG_PING, .name = {"worker\n1", 8}}},
        {"no name of a peer", "", {.type = PLUMB_MSG_PING}},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        world_t w;
        begin(&w);
        char *before = look(&w);
        plumb_held_t held[] = {world_held(2, 0), world_held(3, 0)};
        plumb_note_t note = cases[i].note;
        note.held = held;
        note.held_count = 2;
        size_t said = w.count;
        world_encode(&w, &note);
        broker_work(w.b, w.now, cases[i].identity, strlen(cases[i].identity), w.frame.data,
                    w.frame.length);
        world_check(&w);
        if (broker_counts(w.b)->misaddressed != 1 || w.count != said)
            fail_msg("%s: let through", cases[i].title);
        char *after = look(&w);
        assert_string_equal(before, after);
        free(before);
        free(after);
        world_fini(&w);
    }
}

/* A worker speaks of tickets that are another's, unknown, waiting, or long done. */
static void words_of_others_work(void **state)
{
    (void)state;
    static const plumb_msg_type_t types[] = {PLUMB_MSG_DONE, PLUMB_MSG_RETURN, PLUMB_MSG_RECALLED};
    static const world_worker_t beta = {"worker-1", 21, 0};
    for (size_t i = 0; i < PLUMB_COUNT(types); i++) {
        world_t w;
        begin(&w);
        world_hello(&w, beta, 0, NULL, 0);
        world_step(&w);
        char *before = look(&w);
        for (unsigned n = 1; n <= 7; n++)
            world_say(&w, beta, types[i], n);
        world_step(&w);
        char *after = look(&w);
        assert_string_equal(before, after);
        free(before);
        free(after);
        world_fini(&w);
    }
}

static void jobs_out_of_bounds(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    plumb_job_t job = world_job(&w, 1);
    job.ticket.attempt = 0;
    world_put(&w, &job);
    static const char *const queues[] = {"", "a b", "a\n", "../x", "\xd0\xb0"};
    for (size_t i = 0; i < PLUMB_COUNT(queues); i++) {
        job = world_job(&w, 1);
        job.queue = (plumb_slice_t){queues[i], strlen(queues[i])};
        world_put(&w, &job);
    }
    assert_int_equal(broker_counts(w.b)->malformed, 1 + PLUMB_COUNT(queues));
    assert_int_equal(broker_tickets(w.b), 0);
    world_fini(&w);
}

/* Names of queues and throttle keys cannot fill the memory. */
static void flood_of_names(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    for (unsigned n = 0; n < 2000; n++) {
        char name[32];
        plumb_job_t job = world_job(&w, n);
        job.credential = world_id(4, n);
        job.queue = (plumb_slice_t){name, (size_t)snprintf(name, sizeof name, "q-%u", n)};
        world_put(&w, &job);
        if (n % 2) /* half of the queues are free again */
            world_ack(&w, n);
    }
    world_step(&w);
    world_command(&w, "stats", "");
    size_t queues = 0;
    for (const char *at = world_last(&w, TO_CONTROL, PLUMB_MSG_STATE)->text;
         (at = strstr(at, "{\"name\":")) != NULL; at++)
        queues++;
    assert_int_equal(queues, 256);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(cut_and_bent),
        cmocka_unit_test(rubbish),
        cmocka_unit_test(names),
        cmocka_unit_test(words_of_others_work),
        cmocka_unit_test(jobs_out_of_bounds),
        cmocka_unit_test(flood_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
