/* What one `plumb up` knows; shared by the files that tell its story. */
#ifndef PLUMB_CLI_UP_H
#define PLUMB_CLI_UP_H

#include "args.h"
#include "cluster.h"
#include "conf.h"
#include "demo.h"
#include "follow.h"
#include "places.h"
#include "state.h"
#include "supervisor.h"

#include <jansson.h>

typedef struct up {
    const args_t *args;
    places_t places;
    state_t state;
    plumb_conf_t conf;
    cluster_t cluster;
    supervisor_t supervisor;
    logger_t logger;
    follow_t *follow;
    demo_t demo;         /* unless --no-demo */
    int port, port_held; /* ingest's; the descriptor keeps it ours while ingest restarts */
    int listen_port, listen_held;
    char program[CHILD_COUNT][PATH_MAX]; /* what the plans point to */
    char config[PATH_MAX], secret[PATH_MAX], listen_text[16];
    char url[64], listen_url[64];
} up_t;

/* Path of a child's log in `path` (PATH_MAX bytes); returns `path`. */
char *launch_log(const up_t *up, child_id_t id, char *path);

/* Start everything and wait until work can flow.  What was started on the way to an error runs on:
 * supervisor_close ends it. */
int launch_all(up_t *up, plumb_err_t *err);

/* Are all programs here that it will start?  Before anything is. */
int launch_check(up_t *up, plumb_err_t *err);

/* Can work flow through that daemon of `conf`?  0, or the reason; children without a health socket
 * are taken at their word. */
int launch_ready(const plumb_conf_t *conf, child_id_t id, plumb_err_t *err);

/* up.json as an object: addresses, ids, token, pids.  New reference, NULL: out of memory. */
json_t *up_describe(const up_t *up);

/* Write it to the state directory (a callback of the supervisor). */
void up_write(void *self);

/* A line for the person in front, on stderr. */
void up_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
