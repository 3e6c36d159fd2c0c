/* The worker's side of the delivery protocol: three sockets, and what each message means.
 * docs/messages.md has the rules; lease.h and calls.h carry them out. */
#ifndef PLUMB_WORKER_PEERS_H
#define PLUMB_WORKER_PEERS_H

#include "calls.h"
#include "conf.h"
#include "lease.h"
#include "plugins.h"
#include "results.h"
#include "sock.h"

#include <stdatomic.h>

typedef struct peers {
    zsock_t *work;    /* DEALER to the broker */
    zsock_t *results; /* PUSH to the tracker */
    zsock_t *acks;    /* SUB of the tracker */
    /* May there be something to receive?  Its descriptor said so, or a send took its news. */
    bool work_stirred, acks_stirred;
    const char *slot; /* borrowed */
    lease_t lease;
    calls_t *calls;
    results_t *kept;
    plugins_t *plugins;
    flight_t *flight;
    uint32_t credit;    /* calls at once */
    size_t unacked_max; /* results that may wait before no more is taken */
    uint64_t previous;  /* whose flight file this start read: who was welcomed last; 0: none */
    bool owned;         /* the flight file bears our instance */
    bool stopping;
    int64_t announce_ms;  /* the channels' notes go out then */
    int64_t announced_ms; /* they last did */
    int64_t retry_ms;     /* something found its socket full: not again before */
    plumb_buf_t frame;
    plumb_note_space_t space;
    plumb_held_t *held;          /* PLUMB_HELD_MAX; owned */
    _Atomic int64_t answered_ms; /* of the lease, for the health thread; 0: never */
} peers_t;

/* The members that the caller fills stand from `slot` to `previous`, without lease. */
int peers_open(peers_t *peers, const plumb_conf_t *conf, uint64_t instance, plumb_err_t *err);
void peers_close(peers_t *peers);

/* Take everything that has arrived on sockets that were stirred.  True when there was something. */
bool peers_drain(peers_t *peers);

/* Send what is due: results, DONE, RETURN, heartbeats, channel notes. */
void peers_flush(peers_t *peers);

/* When peers_flush is wanted next, on CLOCK_MONOTONIC. */
int64_t peers_due_ms(const peers_t *peers);

/* The set of channels, or a note of one, changed. */
void peers_channels_changed(peers_t *peers);

/* Begin to stop: no more work. */
void peers_stop(peers_t *peers);
/* Everything was said and acknowledged. */
bool peers_is_idle(const peers_t *peers);

#endif
