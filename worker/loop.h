/* The worker as one program: what it opens, its one loop, how it stops. */
#ifndef PLUMB_WORKER_LOOP_H
#define PLUMB_WORKER_LOOP_H

#include "calls.h"
#include "daemon.h"
#include "flight.h"
#include "net.h"
#include "peers.h"
#include "plugins.h"
#include "results.h"
#include "watchdog.h"

typedef struct worker {
    plumb_daemon_t *daemon;
    int epoll;
    flight_t *flight;
    plugins_t *plugins;
    net_t *net;
    watchdog_t *watchdog;
    results_t results;
    calls_t calls;
    peers_t peers;
    bool ready;        /* told systemd so */
    int64_t look_ms;   /* the channel directory is looked at again */
    int64_t second_ms; /* the next housekeeping */
    int64_t stop_ms;   /* SIGTERM came then; 0: it has not */
} worker_t;

int worker_open(worker_t *worker, plumb_daemon_t *daemon, plumb_err_t *err);
int worker_run(worker_t *worker, plumb_err_t *err); /* until SIGTERM; 0 */
void worker_close(worker_t *worker);                /* safe however far open came */

/* plumb_ready_fn: may work flow? */
int worker_is_ready(void *self, plumb_err_t *err);

#endif
