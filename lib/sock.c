/* ZeroMQ sockets with every option set. */
#include "sock.h"

#include "count.h"
#include "metrics.h"
#include "unix_listen.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static const int types[] = {
    [PLUMB_SOCK_PUSH] = ZMQ_PUSH,     [PLUMB_SOCK_PULL] = ZMQ_PULL,
    [PLUMB_SOCK_PUB] = ZMQ_PUB,       [PLUMB_SOCK_SUB] = ZMQ_SUB,
    [PLUMB_SOCK_ROUTER] = ZMQ_ROUTER, [PLUMB_SOCK_DEALER] = ZMQ_DEALER,
};

#define ON(kind) (1u << PLUMB_SOCK_##kind)
#define ANY (~0u)

/* Options that are an int, and the kinds that take them.  ZMQ_HEARTBEAT_IVL is not among them and
 * must never be: a full queue together with a heartbeat's time-out aborts the process. */
static const struct {
    const char *name;
    int option, value;
    unsigned kinds;
} options[] = {
    {"linger", ZMQ_LINGER, 5000, ANY}, /* czmq says 0: what was sent last would be lost */
    /* All it sends is its subscription: a publisher that is gone would hold up our own end. */
    {"linger", ZMQ_LINGER, 0, ON(SUB)},
    {"sndhwm", ZMQ_SNDHWM, PLUMB_SOCK_HWM, ANY},
    {"rcvhwm", ZMQ_RCVHWM, PLUMB_SOCK_HWM, ANY},
    {"sndtimeo", ZMQ_SNDTIMEO, 0, ANY},
    {"rcvtimeo", ZMQ_RCVTIMEO, 0, ANY},
    {"immediate", ZMQ_IMMEDIATE, 1, ON(PUSH) | ON(DEALER)},
    /* The peers are on this machine: one that was restarted should be found at once. */
    {"reconnect_ivl", ZMQ_RECONNECT_IVL, 100, ANY},
    {"reconnect_ivl_max", ZMQ_RECONNECT_IVL_MAX, 1000, ANY},
    {"handshake_ivl", ZMQ_HANDSHAKE_IVL, 3000, ANY},
    {"tcp_keepalive", ZMQ_TCP_KEEPALIVE, 1, ANY},
    {"tcp_keepalive_idle", ZMQ_TCP_KEEPALIVE_IDLE, 30, ANY},
    {"tcp_keepalive_intvl", ZMQ_TCP_KEEPALIVE_INTVL, 10, ANY},
    {"tcp_keepalive_cnt", ZMQ_TCP_KEEPALIVE_CNT, 3, ANY},
    {"tcp_maxrt", ZMQ_TCP_MAXRT, 10000, ANY},
    {"router_mandatory", ZMQ_ROUTER_MANDATORY, 1, ON(ROUTER)}, /* else sends are lost silently */
    {"router_handover", ZMQ_ROUTER_HANDOVER, 1, ON(ROUTER)},   /* the newer of a name wins */
};

/* ---- making ---- */

static int set_options(void *handle, plumb_sock_kind_t kind, plumb_err_t *err)
{
    int64_t message_max = PLUMB_MESSAGE_MAX;
    if (zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &message_max, sizeof message_max) < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "set maxmsgsize: %s", zmq_strerror(errno));
    for (size_t i = 0; i < PLUMB_COUNT(options); i++) {
        int value = options[i].value;
        if ((options[i].kinds & 1u << kind) != 0 &&
            zmq_setsockopt(handle, options[i].option, &value, sizeof value) < 0)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "set %s: %s", options[i].name,
                                 zmq_strerror(errno));
    }
    if (kind == PLUMB_SOCK_SUB && zmq_setsockopt(handle, ZMQ_SUBSCRIBE, "", 0) < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "subscribe: %s", zmq_strerror(errno));
    return 0;
}

static int set_identity(void *handle, const char *identity, plumb_err_t *err)
{
    if (identity != NULL && zmq_setsockopt(handle, ZMQ_ROUTING_ID, identity, strlen(identity)) < 0)
        return plumb_err_set(err, PLUMB_E_CONFIG, "identity '%s': %s", identity,
                             zmq_strerror(errno));
    return 0;
}

static zsock_t *make(plumb_sock_kind_t kind, const char *identity, plumb_err_t *err)
{
    zsock_t *sock = zsock_new(types[kind]);
    if (sock == NULL) {
        plumb_err_set(err, PLUMB_E_SYSTEM, "make a socket: %s", zmq_strerror(errno));
        return NULL;
    }
    int rc = set_options(zsock_resolve(sock), kind, err);
    if (rc == 0)
        rc = set_identity(zsock_resolve(sock), identity, err);
    if (rc < 0)
        zsock_destroy(&sock);
    return sock;
}

#define CLOSING_MS 2000 /* for who had the path before us to be gone */

static const char *behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* What an endpoint may be: a file, so that permissions say who may connect. */
static int check_endpoint(const char *endpoint, plumb_err_t *err)
{
    const char *path = behind(endpoint, "ipc://");
    if (behind(endpoint, "tcp://") != NULL)
        return plumb_err_set(err, PLUMB_E_CONFIG, "tcp needs CURVE, which is not in this version");
    if (path == NULL || path[0] == '\0' || path[0] == '*' || path[0] == '@')
        return plumb_err_set(err, PLUMB_E_CONFIG, "want ipc:// and the path of a socket");
    return 0;
}

/* ZeroMQ gets a descriptor that listens already: left to itself it removes the file of whoever is
 * there, and on closing, in a thread of its own, the file of whoever came next. */
static int bind_file(zsock_t *sock, const char *endpoint, plumb_err_t *err)
{
    void *handle = zsock_resolve(sock);
    int fd = plumb_unix_listen(behind(endpoint, "ipc://"), CLOSING_MS, err);
    if (fd < 0)
        return fd;
    if (zmq_setsockopt(handle, ZMQ_USE_FD, &fd, sizeof fd) == 0 && zmq_bind(handle, endpoint) == 0)
        return 0; /* the descriptor is the socket's now */
    plumb_err_set(err, PLUMB_E_SYSTEM, "%s", zmq_strerror(errno));
    close(fd);
    return -PLUMB_E_SYSTEM;
}

zsock_t *plumb_sock_bind(plumb_sock_kind_t kind, const char *endpoint, plumb_err_t *err)
{
    zsock_t *sock = NULL;
    int rc = check_endpoint(endpoint, err);
    if (rc == 0) {
        sock = make(kind, NULL, err);
        rc = sock == NULL ? -PLUMB_E_SYSTEM : bind_file(sock, endpoint, err);
    }
    if (rc < 0) {
        plumb_err_add(err, "bind '%s'", endpoint);
        zsock_destroy(&sock);
    }
    return sock;
}

zsock_t *plumb_sock_connect(plumb_sock_kind_t kind, const char *endpoint, const char *identity,
                            plumb_err_t *err)
{
    zsock_t *sock = NULL;
    int rc = check_endpoint(endpoint, err);
    if (rc == 0) {
        sock = make(kind, identity, err);
        rc = sock == NULL ? -PLUMB_E_SYSTEM : 0;
    }
    if (rc == 0 && zmq_connect(zsock_resolve(sock), endpoint) < 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "%s", zmq_strerror(errno));
    if (rc < 0) {
        plumb_err_add(err, "connect '%s'", endpoint);
        zsock_destroy(&sock);
    }
    return sock;
}

/* ---- moving ---- */

static bool send_frame(void *handle, const void *data, size_t length, int flags)
{
    int rc;
    do
        rc = zmq_send(handle, data, length, flags | ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    return rc >= 0;
}

int plumb_sock_send(zsock_t *sock, const void *data, size_t length)
{
    assert(length <= PLUMB_MESSAGE_MAX); /* the peer would drop the connection */
    return send_frame(zsock_resolve(sock), data, length, 0);
}

int plumb_sock_send_to(zsock_t *router, const void *identity, size_t identity_length,
                       const void *data, size_t length)
{
    void *handle = zsock_resolve(router);
    assert(length <= PLUMB_MESSAGE_MAX);
    return send_frame(handle, identity, identity_length, ZMQ_SNDMORE) &&
           send_frame(handle, data, length, 0);
}

/* True: `msg` is initialised and holds a frame. */
static bool receive_frame(void *handle, zmq_msg_t *msg)
{
    int rc;
    zmq_msg_init(msg);
    do
        rc = zmq_msg_recv(msg, handle, ZMQ_DONTWAIT);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        zmq_msg_close(msg);
    return rc >= 0;
}

/* Take the frames that follow `msg` out of the socket; true if there were any. */
static bool drop_rest(void *handle, zmq_msg_t *msg)
{
    zmq_msg_t rest;
    bool more = zmq_msg_more(msg) != 0;
    if (!more)
        return false;
    while (more && receive_frame(handle, &rest)) {
        more = zmq_msg_more(&rest) != 0;
        zmq_msg_close(&rest);
    }
    plumb_metric_add(PLUMB_M_FRAMES_REFUSED, "frames", 1);
    return true;
}

int plumb_sock_receive(zsock_t *sock, zmq_msg_t *msg)
{
    void *handle = zsock_resolve(sock);
    while (receive_frame(handle, msg)) {
        if (!drop_rest(handle, msg))
            return 1;
        zmq_msg_close(msg);
    }
    return 0;
}

int plumb_sock_receive_from(zsock_t *router, zmq_msg_t *identity, zmq_msg_t *msg)
{
    void *handle = zsock_resolve(router);
    while (receive_frame(handle, identity)) {
        if (!zmq_msg_more(identity) || !receive_frame(handle, msg)) {
            zmq_msg_close(identity);
            continue;
        }
        if (!drop_rest(handle, msg))
            return 1;
        zmq_msg_close(identity);
        zmq_msg_close(msg);
    }
    return 0;
}

/* ---- waiting ---- */

int plumb_sock_fd(zsock_t *sock, plumb_err_t *err)
{
    int fd = -1;
    size_t size = sizeof fd;
    if (zmq_getsockopt(zsock_resolve(sock), ZMQ_FD, &fd, &size) == 0)
        return fd;
    plumb_err_set(err, PLUMB_E_SYSTEM, "descriptor of a socket: %s", zmq_strerror(errno));
    return -1;
}

bool plumb_sock_has(zsock_t *sock)
{
    int events = 0;
    size_t size = sizeof events;
    int rc;
    do
        rc = zmq_getsockopt(zsock_resolve(sock), ZMQ_EVENTS, &events, &size);
    while (rc < 0 && errno == EINTR);
    return rc == 0 && (events & ZMQ_POLLIN) != 0;
}
