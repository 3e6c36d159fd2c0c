/* Sockets: their options, their files, and what happens where a peer is missing or new. */
#include "clock.h"
#include "count.h"
#include "metrics.h"
#include "scratch.h"
#include "sock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

static zsock_t *bound(void **state, plumb_sock_kind_t kind, const char *name)
{
    plumb_err_t err = {0};
    zsock_t *sock = plumb_sock_bind(kind, scratch_path(state, "ipc://", name), &err);
    if (sock == NULL)
        fail_msg("%s", err.text);
    return sock;
}

static zsock_t *connected(void **state, plumb_sock_kind_t kind, const char *name,
                          const char *identity)
{
    plumb_err_t err = {0};
    zsock_t *sock = plumb_sock_connect(kind, scratch_path(state, "ipc://", name), identity, &err);
    if (sock == NULL)
        fail_msg("%s", err.text);
    return sock;
}

static void wait_for(zsock_t *sock, short events)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(sock), .events = events};
    if (zmq_poll(&item, 1, DEADLINE_MS) != 1)
        fail_msg("nothing happened in %d ms", DEADLINE_MS);
}

static void send_text(zsock_t *sock, const char *text)
{
    wait_for(sock, ZMQ_POLLOUT);
    assert_int_equal(plumb_sock_send(sock, text, strlen(text)), 1);
}

static void assert_text(zmq_msg_t *msg, const char *want)
{
    assert_int_equal(zmq_msg_size(msg), strlen(want));
    assert_memory_equal(zmq_msg_data(msg), want, strlen(want));
    zmq_msg_close(msg);
}

static void receive_text(zsock_t *sock, const char *want)
{
    zmq_msg_t msg;
    int64_t until = plumb_mono_ms() + DEADLINE_MS;
    while (plumb_sock_receive(sock, &msg) == 0) {
        assert_true(plumb_mono_ms() < until);
        wait_for(sock, ZMQ_POLLIN);
    }
    assert_text(&msg, want);
}

static void receive_text_from(zsock_t *router, const char *peer, const char *want)
{
    zmq_msg_t identity, msg;
    int64_t until = plumb_mono_ms() + DEADLINE_MS;
    while (plumb_sock_receive_from(router, &identity, &msg) == 0) {
        assert_true(plumb_mono_ms() < until);
        wait_for(router, ZMQ_POLLIN);
    }
    assert_text(&identity, peer);
    assert_text(&msg, want);
}

/* ---- options ---- */

static int option(zsock_t *sock, int name)
{
    int value = -2;
    size_t size = sizeof value;
    assert_int_equal(zmq_getsockopt(zsock_resolve(sock), name, &value, &size), 0);
    return value;
}

static void sets_options(void **state)
{
    static const struct {
        const char *name;
        int option, want;
    } want[] = {
        {"sndhwm", ZMQ_SNDHWM, 10000},
        {"rcvhwm", ZMQ_RCVHWM, 10000},
        {"reconnect_ivl", ZMQ_RECONNECT_IVL, 100},
        {"reconnect_ivl_max", ZMQ_RECONNECT_IVL_MAX, 1000},
        {"handshake_ivl", ZMQ_HANDSHAKE_IVL, 3000},
        {"tcp_keepalive", ZMQ_TCP_KEEPALIVE, 1},
        {"tcp_maxrt", ZMQ_TCP_MAXRT, 10000},
        {"heartbeat_ivl", ZMQ_HEARTBEAT_IVL, 0},
    };
    for (plumb_sock_kind_t kind = PLUMB_SOCK_PUSH; kind <= PLUMB_SOCK_DEALER; kind++) {
        zsock_t *sock = connected(state, kind, "nobody", NULL);
        int64_t size_max = 0;
        size_t size = sizeof size_max;
        for (size_t i = 0; i < PLUMB_COUNT(want); i++)
            if (option(sock, want[i].option) != want[i].want)
                fail_msg("kind %d: %s is %d, want %d", kind, want[i].name,
                         option(sock, want[i].option), want[i].want);
        assert_int_equal(option(sock, ZMQ_LINGER), kind == PLUMB_SOCK_SUB ? 0 : 5000);
        bool queues = kind == PLUMB_SOCK_PUSH || kind == PLUMB_SOCK_DEALER;
        assert_int_equal(option(sock, ZMQ_IMMEDIATE), queues);
        zmq_getsockopt(zsock_resolve(sock), ZMQ_MAXMSGSIZE, &size_max, &size);
        assert_int_equal(size_max, 1 << 20);
        zsock_destroy(&sock);
    }
}

static void refuses_endpoints(void **state)
{
    static const struct {
        const char *endpoint, *want;
    } cases[] = {
        {"tcp://127.0.0.1:5555", "tcp needs CURVE, which is not in this version"},
        {"tcp://*:*", "tcp needs CURVE"},
        {"ipc://@abstract", "want ipc://"},
        {"ipc://*", "want ipc://"},
        {"ipc://", "want ipc://"},
        {"inproc://x", "want ipc://"},
        {"/run/plumb/broker.jobs", "want ipc://"},
        {"", "want ipc://"},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_err_t err = {0};
        assert_null(plumb_sock_bind(PLUMB_SOCK_PULL, cases[i].endpoint, &err));
        if (err.code != PLUMB_E_CONFIG || strstr(err.text, cases[i].want) == NULL)
            fail_msg("bind '%s': %s", cases[i].endpoint, err.text);
        assert_null(plumb_sock_connect(PLUMB_SOCK_PUSH, cases[i].endpoint, NULL, &err));
        if (err.code != PLUMB_E_CONFIG || strstr(err.text, cases[i].want) == NULL)
            fail_msg("connect '%s': %s", cases[i].endpoint, err.text);
    }
}

/* ---- files ---- */

/* A socket file as a killed process leaves it. */
static void leave_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static void binds_files(void **state)
{
    plumb_err_t err = {0};
    struct stat is;
    leave_stale(scratch_path(state, "", "s"));
    zsock_t *sock = bound(state, PLUMB_SOCK_PULL, "s");
    assert_int_equal(stat(scratch_path(state, "", "s"), &is), 0);
    assert_int_equal(is.st_mode & 07777, 0660);
    /* one that lives keeps its place */
    assert_null(plumb_sock_bind(PLUMB_SOCK_PULL, scratch_path(state, "ipc://", "s"), &err));
    assert_int_equal(err.code, PLUMB_E_UNAVAILABLE);
    assert_non_null(strstr(err.text, "another process listens"));
    zsock_t *push = connected(state, PLUMB_SOCK_PUSH, "s", NULL);
    send_text(push, "still here");
    receive_text(sock, "still here");
    zsock_destroy(&push);
    zsock_destroy(&sock);
    /* what is no socket is not touched */
    fclose(fopen(scratch_path(state, "", "file"), "we"));
    assert_null(plumb_sock_bind(PLUMB_SOCK_PULL, scratch_path(state, "ipc://", "file"), &err));
    assert_non_null(strstr(err.text, "is no socket"));
    assert_int_equal(stat(scratch_path(state, "", "file"), &is), 0);
    assert_null(plumb_sock_bind(PLUMB_SOCK_PULL, scratch_path(state, "ipc://", "no/dir"), &err));
    assert_int_equal(err.code, PLUMB_E_SYSTEM);
}

/* ---- messages ---- */

/* What is given to a connection that is about to break is lost, so it is sent again. */
static void send_until_received(zsock_t *push, zsock_t *pull)
{
    zmq_msg_t msg;
    zmq_pollitem_t item = {.socket = zsock_resolve(pull), .events = ZMQ_POLLIN};
    int64_t until = plumb_mono_ms() + DEADLINE_MS;
    do {
        assert_true(plumb_mono_ms() < until);
        plumb_sock_send(push, "hello", 5);
    } while (zmq_poll(&item, 1, 20) == 0);
    assert_int_equal(plumb_sock_receive(pull, &msg), 1);
    assert_text(&msg, "hello");
}

static void queues_nothing_without_peer(void **state)
{
    zsock_t *push = connected(state, PLUMB_SOCK_PUSH, "s", NULL);
    zsock_t *dealer = connected(state, PLUMB_SOCK_DEALER, "r", "worker-0");
    assert_int_equal(plumb_sock_send(push, "x", 1), 0);
    assert_int_equal(plumb_sock_send(dealer, "x", 1), 0);
    for (int start = 0; start < 5; start++) { /* the one who binds comes and goes */
        zsock_t *pull = bound(state, PLUMB_SOCK_PULL, "s");
        send_until_received(push, pull);
        zsock_destroy(&pull);
    }
    zsock_destroy(&push);
    zsock_destroy(&dealer);
}

static void publishes(void **state)
{
    zsock_t *pub = bound(state, PLUMB_SOCK_PUB, "s");
    zsock_t *sub = connected(state, PLUMB_SOCK_SUB, "s", NULL);
    zmq_pollitem_t item = {.socket = zsock_resolve(sub), .events = ZMQ_POLLIN};
    int64_t until = plumb_mono_ms() + DEADLINE_MS;
    do { /* until it is subscribed */
        assert_true(plumb_mono_ms() < until);
        assert_int_equal(plumb_sock_send(pub, "beacon", 6), 1);
    } while (zmq_poll(&item, 1, 10) == 0);
    receive_text(sub, "beacon");
    zsock_destroy(&sub);
    zsock_destroy(&pub);
}

static void routes(void **state)
{
    zsock_t *router = bound(state, PLUMB_SOCK_ROUTER, "s");
    zsock_t *dealer = connected(state, PLUMB_SOCK_DEALER, "s", "worker-0");
    assert_int_equal(plumb_sock_send_to(router, "worker-1", 8, "x", 1), 0);
    send_text(dealer, "hello");
    receive_text_from(router, "worker-0", "hello");
    assert_int_equal(plumb_sock_send_to(router, "worker-0", 8, "welcome", 7), 1);
    receive_text(dealer, "welcome");
    /* the newer of a name wins */
    zsock_t *newer = connected(state, PLUMB_SOCK_DEALER, "s", "worker-0");
    send_text(newer, "hello again");
    receive_text_from(router, "worker-0", "hello again");
    assert_int_equal(plumb_sock_send_to(router, "worker-0", 8, "you", 3), 1);
    receive_text(newer, "you");
    zmq_msg_t msg;
    assert_int_equal(plumb_sock_receive(dealer, &msg), 0);
    zsock_destroy(&newer);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

/* A peer that reads nothing: sending says so and does not wait. */
static void says_when_full(void **state)
{
    char data[1024] = {0};
    int sent = 0;
    zsock_t *router = bound(state, PLUMB_SOCK_ROUTER, "s");
    zsock_t *dealer = connected(state, PLUMB_SOCK_DEALER, "s", "worker-0");
    send_text(dealer, "hello");
    receive_text_from(router, "worker-0", "hello");
    while (sent < 10 * PLUMB_SOCK_HWM &&
           plumb_sock_send_to(router, "worker-0", 8, data, sizeof data) == 1)
        sent++;
    assert_in_range(sent, PLUMB_SOCK_HWM / 2, 10 * PLUMB_SOCK_HWM - 1);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

static void assert_dropped(int64_t want)
{
    char line[64];
    plumb_buf_t text = {0};
    plumb_metrics_write(&text, "broker");
    snprintf(line, sizeof line, "plumb_frames_refused_total{reason=\"frames\"} %d\n", (int)want);
    assert_non_null(strstr(text.data, line));
    plumb_buf_fini(&text);
}

static void drops_more_frames(void **state)
{
    zsock_t *pull = bound(state, PLUMB_SOCK_PULL, "s");
    zsock_t *push = connected(state, PLUMB_SOCK_PUSH, "s", NULL);
    wait_for(push, ZMQ_POLLOUT);
    assert_int_equal(zmq_send(zsock_resolve(push), "a", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(zsock_resolve(push), "b", 1, ZMQ_SNDMORE), 1);
    assert_int_equal(zmq_send(zsock_resolve(push), "c", 1, 0), 1);
    send_text(push, "good");
    receive_text(pull, "good");
    assert_dropped(1);
    zsock_t *router = bound(state, PLUMB_SOCK_ROUTER, "r");
    zsock_t *dealer = connected(state, PLUMB_SOCK_DEALER, "r", "cli");
    wait_for(dealer, ZMQ_POLLOUT);
    assert_int_equal(zmq_send(zsock_resolve(dealer), "", 0, ZMQ_SNDMORE), 0);
    assert_int_equal(zmq_send(zsock_resolve(dealer), "from REQ", 8, 0), 8);
    send_text(dealer, "good");
    receive_text_from(router, "cli", "good");
    assert_dropped(2);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
    zsock_destroy(&push);
    zsock_destroy(&pull);
}

/* What was sent before the socket was closed arrives. */
static void lingers(void **state)
{
    zsock_t *pull = bound(state, PLUMB_SOCK_PULL, "s");
    zsock_t *push = connected(state, PLUMB_SOCK_PUSH, "s", NULL);
    for (int i = 0; i < 500; i++)
        send_text(push, "last words");
    zsock_destroy(&push);
    for (int i = 0; i < 500; i++)
        receive_text(pull, "last words");
    zsock_destroy(&pull);
}

/* The next frame, waited for on the descriptor alone; `sent`: something was sent meanwhile. */
static void receive_by_fd(zsock_t *sock, int fd, bool sent, zmq_msg_t *identity, zmq_msg_t *msg)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    for (;;) {
        int got = identity == NULL ? plumb_sock_receive(sock, msg)
                                   : plumb_sock_receive_from(sock, identity, msg);
        if (got == 1)
            return;
        if (sent && plumb_sock_has(sock))
            continue;
        if (poll(&item, 1, DEADLINE_MS) != 1)
            fail_msg("no news in %d ms", DEADLINE_MS);
    }
}

/* Two daemons' loops in one: each frame is heard of, although sends on the same socket come
 * between, and nothing is told when nothing is there. */
static void wakes_by_descriptor(void **state)
{
    plumb_err_t err = {0};
    zsock_t *router = bound(state, PLUMB_SOCK_ROUTER, "work");
    zsock_t *dealer = connected(state, PLUMB_SOCK_DEALER, "work", "worker-0");
    int router_fd = plumb_sock_fd(router, &err), dealer_fd = plumb_sock_fd(dealer, &err);
    assert_true(router_fd >= 0 && dealer_fd >= 0);
    zmq_msg_t identity, msg;
    wait_for(dealer, ZMQ_POLLOUT);
    for (int i = 0; i < 200; i++) {
        send_text(dealer, "ping");
        send_text(dealer, "again");
        receive_by_fd(router, router_fd, i > 0, &identity, &msg);
        assert_text(&msg, "ping");
        assert_int_equal(
            plumb_sock_send_to(router, zmq_msg_data(&identity), zmq_msg_size(&identity), "pong", 4),
            1);
        zmq_msg_close(&identity);
        receive_by_fd(router, router_fd, true, &identity, &msg);
        zmq_msg_close(&identity);
        assert_text(&msg, "again");
        receive_by_fd(dealer, dealer_fd, true, NULL, &msg);
        assert_text(&msg, "pong");
    }
    assert_false(plumb_sock_has(router));
    assert_false(plumb_sock_has(dealer));
    struct pollfd idle[] = {{.fd = router_fd, .events = POLLIN},
                            {.fd = dealer_fd, .events = POLLIN}};
    assert_int_equal(poll(idle, 2, 0), 0);
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

/* Why a loop must ask before it waits: sends read the news of what they do not receive. */
static void tells_what_a_send_took(void **state)
{
    plumb_err_t err = {0};
    zsock_t *router = bound(state, PLUMB_SOCK_ROUTER, "work");
    zsock_t *dealer = connected(state, PLUMB_SOCK_DEALER, "work", "worker-0");
    struct pollfd item = {.fd = plumb_sock_fd(router, &err), .events = POLLIN};
    int64_t end = plumb_mono_ms() + DEADLINE_MS;
    zmq_msg_t identity, msg;
    send_text(dealer, "ping");
    receive_by_fd(router, item.fd, false, &identity, &msg);
    zmq_msg_close(&identity);
    zmq_msg_close(&msg);
    assert_false(plumb_sock_has(router));
    send_text(dealer, "more");
    assert_int_equal(poll(&item, 1, DEADLINE_MS), 1);
    while (poll(&item, 1, 0) == 1) {
        plumb_sock_send_to(router, "worker-0", 8, "pong", 4);
        assert_true(plumb_mono_ms() < end);
    }
    assert_true(plumb_sock_has(router));
    assert_int_equal(plumb_sock_receive_from(router, &identity, &msg), 1);
    zmq_msg_close(&identity);
    assert_text(&msg, "more");
    zsock_destroy(&dealer);
    zsock_destroy(&router);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    zsys_handler_set(NULL);
    const struct CMUnitTest tests[] = {
        TEST(sets_options),
        TEST(refuses_endpoints),
        TEST(binds_files),
        TEST(queues_nothing_without_peer),
        TEST(publishes),
        TEST(routes),
        TEST(says_when_full),
        TEST(drops_more_frames),
        TEST(lingers),
        TEST(wakes_by_descriptor),
        TEST(tells_what_a_send_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
