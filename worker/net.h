/* All outside calls, on one epoll loop.
 *
 * A lane is what belongs to one credential: its connections (one multi handle each, so that no
 * connection, look-up or TLS session is ever shared between credentials), its opened fields, its
 * secrets.  A transfer is one request and its answer.  Nothing here blocks. */
#ifndef PLUMB_WORKER_NET_H
#define PLUMB_WORKER_NET_H

#include "ask.h"
#include "conf.h"
#include "err.h"
#include "guard.h"
#include "msg.h"
#include "outcome.h"
#include "plugins.h"
#include "redact.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct net net_t;
typedef struct lane lane_t;
typedef struct transfer transfer_t;

typedef struct net_hooks {
    /* The request's first byte is about to leave (a mail's: its text).  False: it must not. */
    bool (*may_send)(void *owner);
    /* It is over; the owner reads the answer and releases the transfer. */
    void (*done)(void *owner, const sent_t *sent);
} net_hooks_t;

/* Sockets are registered at `epoll` with data.u64 = mark << 32 | descriptor. */
int net_open(net_t **ret, const plumb_conf_t *conf, int epoll, uint32_t mark,
             const net_hooks_t *hooks, plumb_err_t *err);
void net_close(net_t **net);

/* An event of one of our sockets. */
void net_on_socket(net_t *net, int fd, uint32_t events);

/* Everything that is due; then close what has long been idle. */
void net_run(net_t *net, int64_t now_ms);
/* When net_run is wanted next; INT64_MAX: no deadline. */
int64_t net_due_ms(const net_t *net);

const guard_t *net_guard(const net_t *net);

/* ---- lanes ---- */

/* The credential's lane, made if needed and held until lane_release.  NULL: out of memory. */
lane_t *lane_hold(net_t *net, const plumb_uuid_t *credential);
void lane_release(lane_t *lane);

/* The credential's fields, checked for this plugin; kept while neither changes.  Borrowed.
 * NULL: `why` says what is wrong. */
json_t *lane_fields(lane_t *lane, const plugin_t *plugin, plumb_slice_t secrets, const char **why);
const redact_t *lane_secrets(const lane_t *lane);

/* NULL: this URL may be called; else why not. */
const char *lane_vet(lane_t *lane, const char *url, bool mail);

/* ---- transfers ---- */

/* Send what `ask` holds; both it and `owner` stay until `done` or transfer_release.  `agent` names
 * the channel.  NULL: out of memory. */
transfer_t *transfer_start(lane_t *lane, ask_t *ask, const char *agent, void *owner);

/* Give it back; one that still runs is cut off. */
void transfer_release(transfer_t *transfer);

bool transfer_bytes_left(const transfer_t *transfer);
const plumb_buf_t *transfer_body(const transfer_t *transfer);
bool transfer_truncated(const transfer_t *transfer);
/* A header of the answer, NULL: none.  Valid until the transfer is released. */
const char *transfer_header(const transfer_t *transfer, const char *name);
/* Each header of the answer in turn: 0 in `*at` at first.  False behind the last. */
bool transfer_next_header(const transfer_t *transfer, void **at, const char **name,
                          const char **value);
void transfer_timings(const transfer_t *transfer, plumb_timings_t *timings);

#endif
