/* The one place that makes ZeroMQ sockets, so that every option is set, always
 * (docs/architecture.md). */
#ifndef PLUMB_SOCK_H
#define PLUMB_SOCK_H

#include "err.h"

#include <czmq.h>

typedef enum plumb_sock_kind {
    PLUMB_SOCK_PUSH,
    PLUMB_SOCK_PULL,
    PLUMB_SOCK_PUB,
    PLUMB_SOCK_SUB, /* subscribed to everything */
    PLUMB_SOCK_ROUTER,
    PLUMB_SOCK_DEALER
} plumb_sock_kind_t;

/* Messages a socket queues in each direction. */
#define PLUMB_SOCK_HWM 10000
#define PLUMB_MESSAGE_MAX (1 << 20)

/* Endpoints are "ipc://<path>"; tcp will come together with CURVE and is refused (CONFIG).
 *
 * Make a socket and bind it (its file gets mode 0660; one that a dead process left is replaced, one
 * that a process listens on is not: after a wait of 2 s, UNAVAILABLE; closing leaves it).  NULL on
 * error. */
zsock_t *plumb_sock_bind(plumb_sock_kind_t kind, const char *endpoint, plumb_err_t *err);

/* Make a socket and connect it; the peer need not be there yet.  `identity` may be NULL.
 * A PUSH or DEALER queues only on established connections (IMMEDIATE). */
zsock_t *plumb_sock_connect(plumb_sock_kind_t kind, const char *endpoint, const char *identity,
                            plumb_err_t *err);

/* Send one frame without waiting.  1 sent; 0 the socket is full or has no peer (nothing was
 * queued). `length` above PLUMB_MESSAGE_MAX is a bug of the caller. */
int plumb_sock_send(zsock_t *sock, const void *data, size_t length);

/* Send to one peer of a ROUTER.  1 sent, 0 no such peer or full. */
int plumb_sock_send_to(zsock_t *router, const void *identity, size_t identity_length,
                       const void *data, size_t length);

/* Receive one single-frame message without waiting into `msg` (initialised by this call; close it
 * with zmq_msg_close).  1 got one, 0 none: there is nothing to close.  Messages with more frames
 * are dropped and counted. */
int plumb_sock_receive(zsock_t *sock, zmq_msg_t *msg);

/* The same on a ROUTER: the identity frame goes to `identity`. */
int plumb_sock_receive_from(zsock_t *router, zmq_msg_t *identity, zmq_msg_t *msg);

/* A descriptor that becomes readable when something happens on the socket, for a poll of one's own:
 * zmq_poll asks each socket twice, with two system calls each time.  It tells only of what is new:
 * wait on it after a receive that found nothing.  A send may take the news in passing: after one,
 * ask plumb_sock_has before waiting.  -1 with `err` on error. */
int plumb_sock_fd(zsock_t *sock, plumb_err_t *err);

/* Is there something to receive? */
bool plumb_sock_has(zsock_t *sock);

#endif
