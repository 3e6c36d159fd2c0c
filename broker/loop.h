/* The broker's shell: sockets, clock and signals around the core. */
#ifndef PLUMB_BROKER_LOOP_H
#define PLUMB_BROKER_LOOP_H

#include "core.h"
#include "daemon.h"
#include "sock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A socket that is received from. */
typedef struct input {
    zsock_t *sock;
    int fd;    /* readable: there is news on it */
    bool sent; /* something was sent, which may have taken that news */
    bool more; /* something may be there to receive */
} input_t;

typedef struct loop {
    plumb_daemon_t *daemon;
    broker_t *core;
    input_t jobs;     /* PULL: of ingests and trackers */
    input_t work;     /* ROUTER: workers */
    input_t control;  /* ROUTER: trackers, operators */
    zsock_t *beacon;  /* PUB */
    zsock_t *results; /* PUSH: to the tracker */
    input_t acks;     /* SUB: of the tracker */
    bool stopping;
    int64_t stop_ms;    /* wait for acks until then */
    int64_t figures_ms; /* published last */
    int64_t trimmed_ms; /* freed memory given back last, when so many had been taken */
    uint64_t trimmed_taken;
    broker_counts_t told; /* to the metrics */

    /* For the health responder's thread. */
    _Atomic int64_t turned_ms;
    _Atomic uint64_t workers;
    _Atomic bool asks, stops;
} loop_t;

/* Open all sockets and the core.  Whatever is open after an error broker_loop_close closes. */
int broker_loop_open(loop_t *loop, plumb_daemon_t *daemon, plumb_err_t *err);

/* Run until SIGTERM and the acks of what was given up. */
int broker_loop_run(loop_t *loop, plumb_err_t *err);

void broker_loop_close(loop_t *loop);

/* For plumb_daemon_admin. */
int broker_loop_ready(void *self, plumb_err_t *err);

/* gauges.c: once a second. */
void broker_gauges(loop_t *loop);

#endif
