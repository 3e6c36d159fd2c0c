/* The real worker between a broker and a tracker that are this test: every message of the delivery
 * protocol from the worker's side, and what is left when it dies at a bad moment. */
#include "fake_http.h"

#include "clock.h"
#include "count.h"
#include "msg.h"
#include "sock.h"

#include <fcntl.h>
#include <msgpack.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EPOCH 1001
#define WAIT_MS 10000

typedef struct world {
    char dir[64], channels[96];
    zsock_t *work, *results, *acks;
    fake_http_t *http;
    plumb_slice_t body; /* of jobs, as it is; data NULL: a lead */
    pid_t pid;
    bool mute;     /* pings are not answered */
    bool welcomed; /* every hello is answered */
    uint64_t epoch, instance;
    plumb_note_t note; /* the newest one that was waited for, and its memory */
    plumb_result_t result;
    zmq_msg_t frame;
    bool framed;
    plumb_note_space_t space;
    uint32_t credit; /* of the newest ping */
} world_t;

/* ---- files and processes ---- */

static void copy_file(const char *from, const char *to)
{
    char block[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, block, sizeof block)) > 0;)
        assert_int_equal(write(out, block, (size_t)n), n);
    close(in);
    close(out);
}

static void install(const world_t *w, const char *folder, const char *code)
{
    char from[256], to[160];
    snprintf(from, sizeof from, "%s/%s/%s.so", getenv("PLUMB_BUILD"), folder, code);
    snprintf(to, sizeof to, "%s/%s.so", w->channels, code);
    copy_file(from, to);
}

static void start_worker(world_t *w)
{
    char program[256], run[128], channels[160], log[128];
    snprintf(program, sizeof program, "%s/bin/plumb-worker", getenv("PLUMB_BUILD"));
    snprintf(run, sizeof run, "run_dir=%s", w->dir);
    snprintf(channels, sizeof channels, "channel_dir=%s", w->channels);
    snprintf(log, sizeof log, "%s/worker.log", w->dir);
    const char *argv[] = {program,
                          "--set",
                          run,
                          "--set",
                          channels,
                          "--set",
                          "development=yes",
                          "--set",
                          "egress.allow=127.0.0.1/32",
                          "--set",
                          "worker.ping_every=100ms",
                          "--set",
                          "worker.fence=1500ms",
                          "--set",
                          "worker.result_resend=200ms",
                          "--set",
                          "worker.call_timeout=20s",
                          "--set",
                          "worker.credit=8",
                          "--set",
                          "worker.slot=w",
                          NULL};
    w->pid = fork();
    assert_true(w->pid >= 0);
    if (w->pid > 0)
        return;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDERR_FILENO);
    execv(program, (char **)argv);
    _exit(127);
}

/* Its wait status. */
static int reap(world_t *w)
{
    int status = 0;
    for (int64_t end = plumb_mono_ms() + 30000; plumb_mono_ms() < end;) {
        if (waitpid(w->pid, &status, WNOHANG) == w->pid) {
            w->pid = 0;
            return status;
        }
        zclock_sleep(10); /* the interval of polling a condition */
    }
    fail_msg("the worker does not end");
    return 0;
}

static void kill_worker(world_t *w)
{
    w->welcomed = false;
    kill(w->pid, SIGKILL);
    reap(w);
}

static bool log_has(const world_t *w, const char *word)
{
    static char text[1 << 20];
    char path[128];
    snprintf(path, sizeof path, "%s/worker.log", w->dir);
    FILE *file = fopen(path, "re");
    size_t size = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
    text[size] = '\0';
    if (file != NULL)
        fclose(file);
    return strstr(text, word) != NULL;
}

/* ---- sockets ---- */

static zsock_t *bind_socket(const world_t *w, plumb_sock_kind_t kind, const char *name)
{
    char endpoint[128];
    plumb_err_t err = {0};
    snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", w->dir, name);
    zsock_t *sock = plumb_sock_bind(kind, endpoint, &err);
    if (sock == NULL)
        fail_msg("%s", err.text);
    return sock;
}

static void tell(world_t *w, const plumb_note_t *note)
{
    plumb_buf_t frame = {0};
    plumb_err_t err = {0};
    assert_int_equal(plumb_note_encode(&frame, note, &err), 0);
    assert_true(plumb_sock_send_to(w->work, "w", 1, frame.data, frame.length));
    plumb_buf_fini(&frame);
}

static void publish(world_t *w, const plumb_note_t *note)
{
    plumb_buf_t frame = {0};
    plumb_err_t err = {0};
    assert_int_equal(plumb_note_encode(&frame, note, &err), 0);
    assert_true(plumb_sock_send(w->acks, frame.data, frame.length));
    plumb_buf_fini(&frame);
}

static void drop_frame(world_t *w)
{
    if (w->framed)
        zmq_msg_close(&w->frame);
    w->framed = false;
}

static void answer_hello(world_t *w)
{
    plumb_note_t note = {
        .type = PLUMB_MSG_WELCOME, .epoch = w->epoch, .clock_ms = w->note.clock_ms};
    tell(w, &note);
}

/* Take the next note from the worker, answering heartbeats; false: none now. */
static bool take_work(world_t *w)
{
    zmq_msg_t identity;
    plumb_err_t err = {0};
    drop_frame(w);
    if (!plumb_sock_receive_from(w->work, &identity, &w->frame))
        return false;
    w->framed = true;
    assert_int_equal(zmq_msg_size(&identity), 1);
    zmq_msg_close(&identity);
    if (plumb_note_decode(&w->note, &w->space, zmq_msg_data(&w->frame), zmq_msg_size(&w->frame),
                          &err))
        fail_msg("%s", err.text);
    if (w->note.type == PLUMB_MSG_PING) {
        w->credit = w->note.credit;
        plumb_note_t pong = {
            .type = PLUMB_MSG_PONG, .epoch = w->epoch, .clock_ms = w->note.clock_ms};
        if (!w->mute)
            tell(w, &pong);
    }
    if (w->note.type == PLUMB_MSG_HELLO && w->welcomed)
        answer_hello(w);
    return true;
}

static bool take_result(world_t *w)
{
    plumb_err_t err = {0};
    plumb_msg_type_t type;
    drop_frame(w);
    if (!plumb_sock_receive(w->results, &w->frame))
        return false;
    w->framed = true;
    const void *data = zmq_msg_data(&w->frame);
    size_t size = zmq_msg_size(&w->frame);
    assert_int_equal(plumb_msg_check(data, size, &type, &err), 0);
    w->note = (plumb_note_t){.type = type};
    int rc = type == PLUMB_MSG_RESULT ? plumb_result_decode(&w->result, data, size, &err)
                                      : plumb_note_decode(&w->note, &w->space, data, size, &err);
    assert_int_equal(rc, 0);
    return true;
}

/* Wait for a message of `type`; the lease is kept alive meanwhile. */
static void expect_from(world_t *w, plumb_msg_type_t type, bool (*take)(world_t *))
{
    for (int64_t end = plumb_mono_ms() + WAIT_MS; plumb_mono_ms() < end;) {
        while (take(w))
            if (w->note.type == type)
                return;
        if (take != take_work)
            while (take_work(w)) {
            }
        zclock_sleep(2); /* the interval of polling a condition */
    }
    fail_msg("no %s came", plumb_msg_name(type));
}

static void expect(world_t *w, plumb_msg_type_t type)
{
    expect_from(w, type, take_work);
}

static void expect_result(world_t *w, const plumb_ticket_t *ticket)
{
    do
        expect_from(w, PLUMB_MSG_RESULT, take_result);
    while (memcmp(&w->result.ticket, ticket, sizeof *ticket) != 0);
}

/* It says hello until it is welcomed, and takes jobs then: it pings. */
static void welcome(world_t *w)
{
    answer_hello(w);
    w->welcomed = true;
    expect(w, PLUMB_MSG_PING);
}

static void hello(world_t *w)
{
    expect(w, PLUMB_MSG_HELLO);
    w->instance = w->note.instance;
    welcome(w);
}

static void ack(world_t *w, const plumb_ticket_t *ticket)
{
    plumb_held_t held = {.ticket = *ticket};
    plumb_note_t note = {.type = PLUMB_MSG_ACKS, .held = &held, .held_count = 1};
    publish(w, &note);
}

/* Let time pass while heartbeats are answered. */
static void idle(world_t *w, int64_t ms)
{
    for (int64_t end = plumb_mono_ms() + ms; plumb_mono_ms() < end;) {
        while (take_work(w)) {
        }
        zclock_sleep(5); /* what is waited for is that nothing happens */
    }
}

static void wait_requests(world_t *w, int count)
{
    for (int64_t end = plumb_mono_ms() + WAIT_MS; fake_http_requests(w->http) < count;) {
        if (plumb_mono_ms() > end)
            fail_msg("%d requests, want %d", fake_http_requests(w->http), count);
        while (take_work(w)) {
        }
        zclock_sleep(2); /* the interval of polling a condition */
    }
}

/* ---- jobs ---- */

static void pack_text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

/* A map of texts: name, value, …, NULL. */
static plumb_slice_t pack_map(msgpack_sbuffer *out, const char *const *pairs)
{
    msgpack_packer packer;
    size_t count = 0;
    while (pairs[count] != NULL)
        count++;
    msgpack_sbuffer_init(out);
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, count / 2);
    for (size_t i = 0; i < count; i++)
        pack_text(&packer, pairs[i]);
    return (plumb_slice_t){out->data, out->size};
}

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

static plumb_ticket_t give(world_t *w, const char *channel, const char *how, const char *path)
{
    msgpack_sbuffer body, secrets;
    plumb_buf_t frame = {0};
    plumb_err_t err = {0};
    char url[128], queue[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", fake_http_port(w->http), path);
    snprintf(queue, sizeof queue, "integration-%s", channel);
    const char *lead[] = {"id", "L-1", "name", "Anna", NULL},
               *fields[] = {"how", how, "url", url, NULL};
    plumb_job_t job = {.ticket = {plumb_uuid_new(), 1},
                       .account = plumb_uuid_new(),
                       .lead = plumb_uuid_new(),
                       .credential = plumb_uuid_new(),
                       .epoch = w->epoch,
                       .priority = PLUMB_NORMAL,
                       .queue = slice(queue),
                       .channel = slice(channel),
                       .verb = slice("send"),
                       .is_ours = w->body.data != NULL, /* else it would not be encoded */
                       .body = pack_map(&body, lead),
                       .secrets = pack_map(&secrets, fields)};
    if (w->body.data != NULL)
        job.body = w->body;
    if (plumb_job_encode(&frame, &job, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(plumb_sock_send_to(w->work, "w", 1, frame.data, frame.length));
    plumb_buf_fini(&frame);
    msgpack_sbuffer_destroy(&body);
    msgpack_sbuffer_destroy(&secrets);
    return job.ticket;
}

static const plumb_held_t *held_of(const world_t *w, const plumb_ticket_t *ticket)
{
    for (size_t i = 0; i < w->note.held_count; i++)
        if (memcmp(&w->note.held[i].ticket, ticket, sizeof *ticket) == 0)
            return &w->note.held[i];
    return NULL;
}

/* ---- the world ---- */

static int open_world(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    strcpy(w->dir, "/tmp/plumb-wp-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->channels, sizeof w->channels, "%s/channels", w->dir);
    assert_int_equal(mkdir(w->channels, 0755), 0);
    install(w, "channels", "webhooks");
    install(w, "channels", "null");
    install(w, "tests/channels", "crash");
    install(w, "tests/channels", "two");
    w->epoch = EPOCH;
    w->work = bind_socket(w, PLUMB_SOCK_ROUTER, "broker.work");
    w->results = bind_socket(w, PLUMB_SOCK_PULL, "tracker.results");
    w->acks = bind_socket(w, PLUMB_SOCK_PUB, "tracker.acks");
    w->http = fake_http_start();
    start_worker(w);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    world_t *w = *state;
    char command[256];
    if (w->pid > 0)
        kill_worker(w);
    drop_frame(w);
    zsock_destroy(&w->work);
    zsock_destroy(&w->results);
    zsock_destroy(&w->acks);
    fake_http_stop(&w->http);
    plumb_note_space_fini(&w->space);
    bool clean = !log_has(w, "ERROR: ") && !log_has(w, "runtime error");
    if (!clean || getenv("PLUMB_KEEP") != NULL)
        fprintf(stderr, "kept %s\n", w->dir);
    else {
        snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
        clean = system(command) == 0; /* NOLINT(cert-env33-c): a directory of ours */
    }
    free(w);
    return clean ? 0 : -1;
}

/* ---- tests ---- */

static void a_job_from_hello_to_ack(void **state)
{
    world_t *w = *state;
    bool served = false;
    expect(w, PLUMB_MSG_HELLO);
    assert_int_equal(w->note.previous, 0);
    assert_int_equal(w->note.held_count, 0);
    assert_int_equal(w->note.credit, 8);
    assert_true(w->note.instance != 0);
    for (size_t i = 0; i < w->note.queue_count; i++)
        served = served || (w->note.queues[i].length == 20 &&
                            memcmp(w->note.queues[i].data, "integration-webhooks", 20) == 0);
    assert_true(served);
    /* Sent before it was welcomed: it comes again, so it is not taken. */
    plumb_ticket_t early = give(w, "null", "", "/");
    welcome(w);
    plumb_ticket_t t = give(w, "webhooks", "", "/ok");
    expect(w, PLUMB_MSG_DONE);
    assert_non_null(held_of(w, &t));
    assert_int_equal(w->note.outcome, PLUMB_OUT_ok);
    expect_result(w, &t);
    assert_int_equal(w->result.outcome, PLUMB_OUT_ok);
    assert_int_equal(w->result.status, 200);
    assert_true(w->result.exchange.length > 100);
    plumb_ticket_t other = {plumb_uuid_new(), 1};
    ack(w, &other);       /* somebody else's */
    expect_result(w, &t); /* until it is acked */
    expect_result(w, &t);
    ack(w, &t);
    plumb_note_t census = {.type = PLUMB_MSG_CENSUS};
    publish(w, &census);
    expect_from(w, PLUMB_MSG_INVENTORY, take_result); /* it has read what was published before */
    assert_int_equal(w->note.held_count, 0);
    idle(w, 600);
    while (take_result(w))
        assert_true(w->note.type != PLUMB_MSG_RESULT);
    assert_int_equal(fake_http_requests(w->http), 1);
    (void)early;
}

/* Refused as a frame it would be asked for, and given, again and again. */
static void a_malformed_lead_ends(void **state)
{
    static const plumb_slice_t bodies[] = {{"\xc1", 1}, {"\x90", 1}, {"\x82\xa1n\xc0\xa1n\xc0", 7}};
    world_t *w = *state;
    hello(w);
    for (size_t i = 0; i < PLUMB_COUNT(bodies); i++) {
        w->body = bodies[i];
        plumb_ticket_t t = give(w, "null", "", "/");
        expect(w, PLUMB_MSG_DONE);
        assert_non_null(held_of(w, &t));
        expect_result(w, &t);
        assert_int_equal(w->result.outcome, PLUMB_OUT_bug);
        ack(w, &t);
    }
}

/* What ends in one turn: jobs wait for the lease, and the answer that renews it comes behind them.
 * Only results of one kind that followed one another share a DONE. */
static void tells_several_at_once(void **state)
{
    static const struct {
        const char *channel, *path;
        size_t together; /* results in the DONE that it begins; 0: it begins none */
        plumb_outcome_t outcome;
    } rows[] = {
        {"null", "/", 3, PLUMB_OUT_ok},
        {"null", "/", 0, PLUMB_OUT_ok},
        {"null", "/", 0, PLUMB_OUT_ok},
        {"webhooks", "@10.0.0.1/", 2, PLUMB_OUT_retry}, /* an address that is refused at once */
        {"webhooks", "@10.0.0.1/", 0, PLUMB_OUT_retry},
        {"null", "/", 1, PLUMB_OUT_ok},
    };
    world_t *w = *state;
    plumb_ticket_t tickets[PLUMB_COUNT(rows)];
    hello(w);
    int64_t answered_ms = w->note.clock_ms;
    w->mute = true;
    while (w->note.clock_ms - answered_ms < 1500) /* its fence */
        expect(w, PLUMB_MSG_PING);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++)
        tickets[i] = give(w, rows[i].channel, "", rows[i].path);
    w->mute = false;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        if (rows[i].together == 0)
            continue;
        expect(w, PLUMB_MSG_DONE);
        assert_int_equal(w->note.held_count, rows[i].together);
        assert_int_equal(w->note.outcome, rows[i].outcome);
        for (size_t k = 0; k < rows[i].together; k++)
            assert_memory_equal(&w->note.held[k].ticket, &tickets[i + k], sizeof tickets[0]);
    }
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++)
        expect_result(w, &tickets[i]);
}

static void says_what_it_holds(void **state)
{
    world_t *w = *state;
    hello(w);
    plumb_ticket_t hanging = give(w, "webhooks", "", "/hang");
    wait_requests(w, 1);
    plumb_ticket_t done = give(w, "null", "", "/");
    expect_result(w, &done);
    plumb_note_t census = {.type = PLUMB_MSG_CENSUS};
    publish(w, &census);
    expect_from(w, PLUMB_MSG_INVENTORY, take_result);
    assert_int_equal(w->note.epoch, EPOCH);
    assert_int_equal(w->note.instance, w->instance);
    assert_int_equal(w->note.held_count, 2);
    assert_int_equal(held_of(w, &hanging)->phase, PLUMB_PHASE_SENT);
    assert_int_equal(held_of(w, &done)->phase, PLUMB_PHASE_ANSWERED);
}

/* CPU time of the worker, so far. */
static long cpu_ticks(const world_t *w)
{
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)w->pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *at = strrchr(text, ')'); /* behind the name: state and ten numbers before these */
    assert_non_null(at);
    assert_int_equal(
        sscanf(at, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user, &kernel), 2);
    return (long)(user + kernel);
}

/* What it costs to say ten times that it lives. */
static long cost_of_idling(world_t *w)
{
    long before = cpu_ticks(w);
    for (int i = 0; i < 10; i++)
        expect(w, PLUMB_MSG_PING);
    return cpu_ticks(w) - before;
}

/* The descriptor of a socket that nobody reads from must not keep the loop awake. */
static void sleeps_while_the_tracker_is_away(void **state)
{
    world_t *w = *state;
    hello(w);
    long usual = cost_of_idling(w);
    zsock_destroy(&w->results);
    zsock_destroy(&w->acks);
    long away = cost_of_idling(w); /* a second */
    if (away > 2 * usual + 10)
        fail_msg("%ld ticks of 10 ms, before %ld", away, usual);
}

static void tells_its_channels(void **state)
{
    world_t *w = *state;
    hello(w);
    for (int seen = 0; seen != 15;) {
        static const char *const codes[] = {"\"webhooks\"", "\"null\"", "\"crash\"", "\"two\""};
        expect_from(w, PLUMB_MSG_CHANNELS, take_result);
        for (int i = 0; i < 4; i++)
            if (memmem(w->note.text.data, w->note.text.length, codes[i], strlen(codes[i])) != NULL)
                seen |= 1 << i;
    }
    char path[160];
    snprintf(path, sizeof path, "%s/two.so", w->channels);
    unlink(path);
    expect(w, PLUMB_MSG_HELLO); /* it serves fewer queues */
    assert_int_equal(w->note.queue_count, 3);
    welcome(w);
    do
        expect_from(w, PLUMB_MSG_CHANNELS, take_result);
    while (memmem(w->note.text.data, w->note.text.length, "\"present\":false", 15) == NULL);
    plumb_ticket_t t = give(w, "two", "", "/ok");
    expect(w, PLUMB_MSG_RETURN);
    assert_non_null(held_of(w, &t));
}

static void fenced_says_hello_with_what_has_begun(void **state)
{
    world_t *w = *state;
    hello(w);
    plumb_ticket_t begun = give(w, "webhooks", "", "/hang");
    wait_requests(w, 1);
    w->mute = true;
    idle(w, 1700); /* past its fence */
    plumb_ticket_t waiting = give(w, "webhooks", "", "/ok");
    idle(w, 300);
    assert_int_equal(fake_http_requests(w->http), 1); /* no byte left */
    plumb_note_t fenced = {.type = PLUMB_MSG_FENCED};
    tell(w, &fenced);
    w->mute = false;
    expect(w, PLUMB_MSG_HELLO);
    assert_int_equal(w->note.held_count, 1);
    assert_int_equal(held_of(w, &begun)->phase, PLUMB_PHASE_SENT);
    assert_null(held_of(w, &waiting));
    assert_int_equal(w->note.instance, w->instance);
    welcome(w);
    plumb_ticket_t fresh = give(w, "webhooks", "", "/ok");
    expect_result(w, &fresh);
    assert_int_equal(fake_http_requests(w->http), 2);
}

static void lapsed_lease_goes_on_when_renewed(void **state)
{
    world_t *w = *state;
    hello(w);
    w->mute = true;
    idle(w, 1700);
    plumb_ticket_t t = give(w, "webhooks", "", "/ok");
    idle(w, 300);
    assert_int_equal(fake_http_requests(w->http), 0);
    w->mute = false;
    expect_result(w, &t);
    assert_int_equal(w->result.outcome, PLUMB_OUT_ok);
    assert_int_equal(fake_http_requests(w->http), 1);
}

/* Two requests, and another broker between them: the second waits until the call is adopted. */
static void another_epoch_needs_adoption(void **state)
{
    world_t *w = *state;
    hello(w);
    plumb_ticket_t t = give(w, "two", "", "/ok?wait=600");
    wait_requests(w, 1); /* the answer takes a while */
    w->epoch = EPOCH + 1;
    expect(w, PLUMB_MSG_HELLO); /* a PONG told it */
    assert_int_equal(held_of(w, &t)->phase, PLUMB_PHASE_SENT);
    welcome(w);
    idle(w, 1200);
    assert_int_equal(fake_http_requests(w->http), 1);
    plumb_held_t held = {.ticket = t};
    plumb_note_t adopt = {
        .type = PLUMB_MSG_ADOPT, .epoch = EPOCH + 1, .held = &held, .held_count = 1};
    publish(w, &adopt);
    expect_result(w, &t);
    assert_int_equal(w->result.outcome, PLUMB_OUT_ok);
    assert_int_equal(w->result.requests, 2);
    expect(w, PLUMB_MSG_DONE);
    assert_int_equal(fake_http_requests(w->http), 2);
}

static void recalled(void **state)
{
    world_t *w = *state;
    hello(w);
    plumb_ticket_t begun = give(w, "webhooks", "", "/hang");
    wait_requests(w, 1);
    w->mute = true;
    idle(w, 1700);
    plumb_ticket_t waiting = give(w, "webhooks", "", "/ok");
    plumb_held_t held[] = {{.ticket = begun}, {.ticket = waiting}};
    plumb_note_t recall = {.type = PLUMB_MSG_RECALL, .held = held, .held_count = 2};
    tell(w, &recall);
    expect(w, PLUMB_MSG_RECALLED);
    assert_int_equal(w->note.held_count, 1);
    assert_non_null(held_of(w, &waiting));
}

/* ---- deaths ---- */

static void killed_with_bytes_out(void **state)
{
    world_t *w = *state;
    hello(w);
    plumb_ticket_t out = give(w, "webhooks", "", "/hang"), between = give(w, "two", "", "/hang-on");
    plumb_ticket_t unacked = give(w, "null", "", "/");
    expect_result(w, &unacked);
    wait_requests(w, 3); /* one hangs; the other's first was answered, its second is out */
    uint64_t old = w->instance;
    for (int start = 0; start < 2; start++) { /* the first is never welcomed */
        kill_worker(w);
        start_worker(w);
        for (int said = 0; said < 2; said++) { /* the second time as the first may be lost */
            expect(w, PLUMB_MSG_HELLO);
            assert_int_equal(w->note.previous, old);
            assert_true(w->note.instance != old);
        }
    }
    assert_int_equal(w->note.held_count, 3);
    assert_int_equal(held_of(w, &out)->phase, PLUMB_PHASE_ANSWERED);
    welcome(w);
    expect_result(w, &out);
    assert_int_equal(w->result.outcome, PLUMB_OUT_ambiguous);
    assert_true(w->result.resend);
    assert_false(w->result.blamed);
    expect_result(w, &between);
    assert_int_equal(w->result.outcome, PLUMB_OUT_ambiguous);
    assert_false(w->result.resend); /* its receivers know no key of ours */
    assert_int_equal(w->result.checkpoint.length, strlen("{\"contact\":5}"));
    expect_result(w, &unacked);
    assert_int_equal(w->result.outcome, PLUMB_OUT_ok);
    assert_int_equal(fake_http_requests(w->http), 3); /* no second call */
}

static void plugin_that_crashes_is_blamed(void **state)
{
    static const struct {
        const char *how, *log;
        plumb_outcome_t outcome;
    } rows[] = {
        {"signal", "delivery_blamed", PLUMB_OUT_bug},
        {"exit", "delivery_blamed", PLUMB_OUT_bug},
        {"loop", "channel_stuck", PLUMB_OUT_bug},
        {"answer", "delivery_blamed", PLUMB_OUT_ambiguous},
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        hello(w);
        plumb_ticket_t innocent = give(w, "webhooks", "", "/hang"),
                       guilty = give(w, "crash", rows[i].how, "/ok");
        reap(w);
        start_worker(w);
        expect(w, PLUMB_MSG_HELLO);
        welcome(w);
        expect_result(w, &guilty);
        if (w->result.outcome != rows[i].outcome || !w->result.blamed || !log_has(w, rows[i].log))
            fail_msg("%s: %s blamed %d", rows[i].how, plumb_outcome_name(w->result.outcome),
                     w->result.blamed);
        ack(w, &guilty);
        kill_worker(w); /* the innocent one may have had its bytes out, or not */
        start_worker(w);
        (void)innocent;
    }
}

static void one_process_a_slot(void **state)
{
    world_t *w = *state;
    hello(w);
    pid_t first = w->pid;
    start_worker(w);
    int status = reap(w);
    w->pid = first;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    assert_true(log_has(w, "another process works in this slot"));
    plumb_ticket_t t = give(w, "null", "", "/");
    expect_result(w, &t);
}

static void stops_in_order(void **state)
{
    world_t *w = *state;
    hello(w);
    plumb_ticket_t slow = give(w, "webhooks", "", "/ok?wait=1000");
    wait_requests(w, 1);
    kill(w->pid, SIGTERM);
    do
        expect(w, PLUMB_MSG_PING);
    while (w->note.credit > 0);
    plumb_ticket_t late = give(w, "webhooks", "", "/ok");
    expect(w, PLUMB_MSG_RETURN);
    assert_non_null(held_of(w, &late));
    expect_result(w, &slow); /* what is out is finished */
    assert_int_equal(w->result.outcome, PLUMB_OUT_ok);
    ack(w, &slow);
    int status = reap(w);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(fake_http_requests(w->http), 1);
}

static void garbage_changes_nothing(void **state)
{
    world_t *w = *state;
    hello(w);
    static const char *const frames[] = {"", "x", "\xdf\x03\x03\x03\xdf", "GET / HTTP/1.1\r\n\r\n"};
    for (size_t i = 0; i < PLUMB_COUNT(frames); i++) {
        plumb_sock_send_to(w->work, "w", 1, frames[i], strlen(frames[i]));
        plumb_sock_send(w->acks, frames[i], strlen(frames[i]));
    }
    plumb_note_t odd = {.type = PLUMB_MSG_BEACON};
    tell(w, &odd);
    publish(w, &odd);
    plumb_ticket_t t = give(w, "null", "", "/");
    expect_result(w, &t);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_from_hello_to_ack),
        TEST(a_malformed_lead_ends),
        TEST(tells_several_at_once),
        TEST(says_what_it_holds),
        TEST(sleeps_while_the_tracker_is_away),
        TEST(tells_its_channels),
        TEST(fenced_says_hello_with_what_has_begun),
        TEST(lapsed_lease_goes_on_when_renewed),
        TEST(another_epoch_needs_adoption),
        TEST(recalled),
        TEST(killed_with_bytes_out),
        TEST(plugin_that_crashes_is_blamed),
        TEST(one_process_a_slot),
        TEST(stops_in_order),
        TEST(garbage_changes_nothing),
    };
    signal(SIGPIPE, SIG_IGN); /* NOLINT(bugprone-signal-handler): none is called */
    zsys_handler_set(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
