/* The broker's program with real sockets: a worker and a tracker played by the test. */
#include "buf.h"
#include "clock.h"
#include "msg.h"
#include "sock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 15000
#define JOBS 200

typedef struct stage {
    char dir[64];
    pid_t pid; /* 0: not running */
    zsock_t *jobs, *worker, *control, *beacon, *results, *acks;
    zmq_msg_t frame; /* the last received */
    bool has_frame;
    plumb_note_space_t space;
    plumb_buf_t out;
} stage_t;

/* --- sockets --- */

static zsock_t *open_sock(const stage_t *s, plumb_sock_kind_t kind, const char *name,
                          const char *identity, bool bind)
{
    char endpoint[128];
    plumb_err_t err = {0};
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", s->dir, name);
    zsock_t *sock = bind ? plumb_sock_bind(kind, endpoint, &err)
                         : plumb_sock_connect(kind, endpoint, identity, &err);
    if (sock == NULL)
        fail_msg("%s", err.text);
    return sock;
}

/* Wait for one frame; false: none came in time. */
static bool receive(stage_t *s, zsock_t *sock, int64_t ms)
{
    if (s->has_frame)
        zmq_msg_close(&s->frame);
    zmq_pollitem_t item = {.socket = zsock_resolve(sock), .events = ZMQ_POLLIN};
    s->has_frame = zmq_poll(&item, 1, (long)ms) > 0 && plumb_sock_receive(sock, &s->frame) == 1;
    return s->has_frame;
}

/* The next note of `type` from a socket, others skipped. */
static plumb_note_t note_of(stage_t *s, zsock_t *sock, plumb_msg_type_t type)
{
    int64_t end = plumb_mono_ms() + DEADLINE_MS;
    plumb_note_t note = {0};
    plumb_err_t err = {0};
    while (plumb_mono_ms() < end) {
        if (receive(s, sock, 100) &&
            plumb_note_decode(&note, &s->space, zmq_msg_data(&s->frame), zmq_msg_size(&s->frame),
                              &err) == 0 &&
            note.type == type)
            return note;
    }
    fail_msg("no %s came", plumb_msg_name(type));
    return note;
}

/* Send, again until the peer is there. */
static void send_frame(zsock_t *sock, const void *data, size_t length)
{
    int64_t end = plumb_mono_ms() + DEADLINE_MS;
    zmq_pollitem_t item = {.socket = zsock_resolve(sock), .events = ZMQ_POLLOUT};
    while (plumb_sock_send(sock, data, length) == 0) {
        assert_true(plumb_mono_ms() < end);
        zmq_poll(&item, 1, 100);
    }
}

static void send_note(stage_t *s, zsock_t *sock, const plumb_note_t *note)
{
    plumb_err_t err = {0};
    assert_int_equal(plumb_note_encode(&s->out, note, &err), 0);
    send_frame(sock, s->out.data, s->out.length);
}

/* --- the program --- */

static void start(stage_t *s)
{
    char program[512];
    char run_dir[96];
    snprintf(program, sizeof program, "%s/bin/plumb-broker", getenv("PLUMB_BUILD"));
    snprintf(run_dir, sizeof run_dir, "run_dir=%s", s->dir);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        execl(program, program, "--set", run_dir, "--set", "broker.epoch_dead=1s", "--set",
              "broker.beacon_every=100ms", "--set", "destination.start=50", "--set",
              "destination.max=50", (char *)NULL);
        _exit(127);
    }
}

/* Its exit status, once it has left; -1: it has not in time. */
static int wait_exit(stage_t *s, int64_t ms)
{
    int status = 0;
    int64_t end = plumb_mono_ms() + ms;
    while (waitpid(s->pid, &status, WNOHANG) == 0) {
        if (plumb_mono_ms() >= end)
            return -1;
        zmq_poll(NULL, 0, 10);
    }
    s->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int set_up(void **state)
{
    stage_t *s = calloc(1, sizeof *s);
    assert_non_null(s);
    *state = s;
    zsys_handler_set(NULL);
    snprintf(s->dir, sizeof s->dir, "/tmp/plumb-broker-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    start(s); /* before there are sockets in this process */
    s->results = open_sock(s, PLUMB_SOCK_PULL, "tracker.results", NULL, true);
    s->acks = open_sock(s, PLUMB_SOCK_PUB, "tracker.acks", NULL, true);
    s->beacon = open_sock(s, PLUMB_SOCK_SUB, "broker.beacon", NULL, false);
    s->jobs = open_sock(s, PLUMB_SOCK_PUSH, "broker.jobs", NULL, false);
    s->worker = open_sock(s, PLUMB_SOCK_DEALER, "broker.work", "worker-0", false);
    s->control = open_sock(s, PLUMB_SOCK_DEALER, "broker.control", "tracker-0", false);
    return 0;
}

static int tear_down(void **state)
{
    stage_t *s = *state;
    zsock_t **socks[] = {&s->jobs, &s->worker, &s->control, &s->beacon, &s->results, &s->acks};
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
    }
    if (s->has_frame)
        zmq_msg_close(&s->frame);
    for (size_t i = 0; i < sizeof socks / sizeof socks[0]; i++) {
        if (*socks[i] != NULL)
            zsock_set_linger(*socks[i], 0);
        zsock_destroy(socks[i]);
    }
    static const char *const files[] = {"broker.jobs",   "broker.work",     "broker.control",
                                        "broker.beacon", "tracker.results", "tracker.acks",
                                        "broker-0.http"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", s->dir, files[i]);
        unlink(path);
    }
    int rc = rmdir(s->dir);
    plumb_note_space_fini(&s->space);
    plumb_buf_fini(&s->out);
    free(s);
    return rc;
}

/* --- the story --- */

static plumb_ticket_t ticket(unsigned n)
{
    plumb_ticket_t t = {.attempt = 1};
    t.delivery.b[0] = 1;
    t.delivery.b[14] = (uint8_t)(n >> 8);
    t.delivery.b[15] = (uint8_t)n;
    return t;
}

static void put_job(stage_t *s, unsigned n, uint64_t epoch)
{
    plumb_err_t err = {0};
    plumb_job_t job = {.ticket = ticket(n),
                       .epoch = epoch,
                       .priority = PLUMB_NORMAL,
                       .queue = {"integration-null", 16},
                       .channel = {"null", 4},
                       .verb = {"send", 4},
                       .body = {"\x80", 1},
                       .secrets = {"\x80", 1}};
    assert_int_equal(plumb_job_encode(&s->out, &job, &err), 0);
    send_frame(s->jobs, s->out.data, s->out.length);
}

static void hello(stage_t *s, uint32_t credit)
{
    plumb_slice_t queues[] = {{"integration-null", 16}};
    plumb_note_t note = {.type = PLUMB_MSG_HELLO,
                         .name = {"worker-0", 8},
                         .instance = 7,
                         .clock_ms = plumb_boot_ms(),
                         .credit = credit,
                         .queues = queues,
                         .queue_count = 1};
    send_note(s, s->worker, &note);
}

static void say(stage_t *s, zsock_t *sock, plumb_msg_type_t type, plumb_ticket_t which)
{
    plumb_held_t held = {.ticket = which};
    plumb_note_t note = {.type = type, .held = &held, .held_count = 1};
    send_note(s, sock, &note);
}

/* True when the broker's statistics hold `text`. */
static bool shows(stage_t *s, const char *text)
{
    plumb_note_t question = {.type = PLUMB_MSG_CONTROL, .text = {"stats", 5}};
    send_note(s, s->control, &question);
    plumb_note_t answer = note_of(s, s->control, PLUMB_MSG_STATE);
    return answer.text.length > 0 &&
           memmem(answer.text.data, answer.text.length, text, strlen(text)) != NULL;
}

/* What is published before the broker has subscribed is lost, so it is said again. */
static void ack_until(stage_t *s, const plumb_held_t *held, size_t count, const char *text)
{
    int64_t end = plumb_mono_ms() + DEADLINE_MS;
    do {
        plumb_note_t acks = {.type = PLUMB_MSG_ACKS, .held = held, .held_count = count};
        send_note(s, s->acks, &acks);
        assert_true(plumb_mono_ms() < end);
    } while (!shows(s, text));
}

static void do_jobs(stage_t *s, uint64_t epoch)
{
    plumb_held_t held[JOBS];
    unsigned seen[JOBS] = {0};
    plumb_err_t err = {0};
    for (unsigned n = 0; n < JOBS; n++)
        put_job(s, n, epoch);
    for (unsigned i = 0; i < JOBS;) {
        plumb_job_t job;
        assert_true(receive(s, s->worker, DEADLINE_MS));
        if (plumb_job_decode(&job, zmq_msg_data(&s->frame), zmq_msg_size(&s->frame), &err) < 0)
            continue;
        unsigned n = (unsigned)job.ticket.delivery.b[14] << 8 | job.ticket.delivery.b[15];
        assert_in_range(n, 0, JOBS - 1);
        assert_int_equal(seen[n]++, 0);
        held[i++] = (plumb_held_t){.ticket = job.ticket};
        say(s, s->worker, PLUMB_MSG_DONE, job.ticket);
    }
    ack_until(s, held, JOBS, "\"tickets\":0");
    assert_true(shows(s, "\"handedOut\":200,\"done\":200"));
}

/* Text, nothing, and half a message to each socket: no answer, no change. */
static void throw_rubbish(stage_t *s)
{
    static const char *const rubbish[] = {"GET / HTTP/1.1\r\n\r\n", "", "\x82\xa1v\x01\xa1t"};
    zsock_t *socks[] = {s->jobs, s->worker, s->control, s->acks};
    for (size_t i = 0; i < sizeof socks / sizeof socks[0]; i++) {
        for (size_t k = 0; k < sizeof rubbish / sizeof rubbish[0]; k++)
            send_frame(socks[i], rubbish[k], strlen(rubbish[k]));
        say(s, socks[i], PLUMB_MSG_LOST, ticket(1)); /* well formed, but nobody's to say */
    }
    assert_true(shows(s, "\"tickets\":0"));
}

/* A new epoch after a sleep that the tracker took for death. */
static uint64_t sleep_and_ask(stage_t *s, uint64_t epoch)
{
    kill(s->pid, SIGSTOP);
    int64_t end = plumb_mono_ms() + 1500; /* the fault itself: longer than epoch_dead */
    while (plumb_mono_ms() < end)
        zmq_poll(NULL, 0, 50);
    kill(s->pid, SIGCONT);
    plumb_note_t question = note_of(s, s->results, PLUMB_MSG_STANDS);
    assert_true(question.epoch == epoch);
    plumb_note_t answer = {.type = PLUMB_MSG_STANDS, .epoch = epoch, .stands = false};
    send_note(s, s->control, &answer);
    int64_t deadline = plumb_mono_ms() + DEADLINE_MS;
    uint64_t next = epoch;
    while (next == epoch) {
        next = note_of(s, s->beacon, PLUMB_MSG_BEACON).epoch;
        assert_true(plumb_mono_ms() < deadline);
    }
    return next;
}

static void stop(stage_t *s, uint64_t epoch)
{
    put_job(s, 1, epoch); /* the new epoch knows no worker: it waits */
    int64_t end = plumb_mono_ms() + DEADLINE_MS;
    while (!shows(s, "\"waiting\":1"))
        assert_true(plumb_mono_ms() < end);
    kill(s->pid, SIGTERM);
    plumb_note_t lost = note_of(s, s->results, PLUMB_MSG_LOST);
    assert_true(lost.given_up);
    assert_int_equal(lost.held_count, 1);
    plumb_held_t held = {.ticket = ticket(1)};
    plumb_note_t acks = {.type = PLUMB_MSG_ACKS, .held = &held, .held_count = 1};
    send_note(s, s->acks, &acks);
    assert_int_equal(wait_exit(s, DEADLINE_MS), 0);
}

static void lives(void **state)
{
    stage_t *s = *state;
    uint64_t epoch = note_of(s, s->beacon, PLUMB_MSG_BEACON).epoch;
    hello(s, 1000);
    plumb_note_t welcome = note_of(s, s->worker, PLUMB_MSG_WELCOME);
    assert_true(welcome.epoch == epoch);
    do_jobs(s, epoch);
    throw_rubbish(s);
    uint64_t next = sleep_and_ask(s, epoch);
    plumb_note_t ping = {
        .type = PLUMB_MSG_PING, .name = {"worker-0", 8}, .instance = 7, .credit = 1};
    send_note(s, s->worker, &ping);
    (void)note_of(s, s->worker, PLUMB_MSG_FENCED);
    stop(s, next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lives, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
