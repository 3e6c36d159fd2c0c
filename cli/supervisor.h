/* The processes of one `plumb up`: started, restarted when they die, stopped in order.
 *
 * One thread, one signalfd.  Whoever waits for something calls supervisor_step in a loop, so deaths
 * and Ctrl-C are seen also while `up` is still starting. */
#ifndef PLUMB_CLI_SUPERVISOR_H
#define PLUMB_CLI_SUPERVISOR_H

#include "logger.h"
#include "process.h"

#include <stdint.h>

/* Everything that runs, in the order it is stopped: who gives work first, who records it last. */
typedef enum child_id {
    CHILD_INGEST,
    CHILD_WORKER,
    CHILD_LISTEN, /* after the worker, whose open calls it answers */
    CHILD_BROKER,
    CHILD_TRACKER,
    CHILD_POSTGRES,
    CHILD_COUNT
} child_id_t;

const char *child_name(child_id_t id); /* "ingest", … */

typedef struct child {
    process_plan_t plan;
    int stop_signal;
    int64_t stop_ms;             /* after that it is killed */
    void (*prepare)(void *self); /* NULL, or called before each start */
    void *self;
    bool wanted;        /* is to run: dead means restart */
    pid_t pid;          /* 0: not running */
    int64_t started_ms; /* monotonic */
    int64_t restart_ms; /* when it is due, while wanted and not running */
    int64_t wait_ms;    /* last back-off */
    unsigned deaths;    /* since `up` began */
    int status;         /* of the last death */
} child_t;

typedef struct supervisor {
    child_t child[CHILD_COUNT];
    int signals;                 /* signalfd */
    logger_t *logger;            /* NULL, or what is kept running as well */
    int further;                 /* one more descriptor that ends a wait; -1 none */
    int stop;                    /* 0, or the signal that asked to stop */
    bool hurry;                  /* asked twice */
    void (*changed)(void *self); /* a pid changed */
    void *self;
} supervisor_t;

/* Block the signals and open the descriptor; before any thread. */
int supervisor_open(supervisor_t *supervisor, plumb_err_t *err);

/* Start one whose plan is filled in; from now on it is kept running. */
int supervisor_start(supervisor_t *supervisor, child_id_t id, plumb_err_t *err);

/* Wait at most `timeout_ms` for signals, deaths, restarts that are due, or `further`; handle them.
 */
void supervisor_step(supervisor_t *supervisor, int timeout_ms);

/* Step until `ready` returns 0; its last word is in `err` when `timeout_ms` passes.  Fails at once
 * when told to stop, and when one of the children has died `deaths_max` times since the start. */
typedef int (*supervisor_ready_fn)(void *self, plumb_err_t *err);
int supervisor_wait(supervisor_t *supervisor, supervisor_ready_fn ready, void *self,
                    int64_t timeout_ms, plumb_err_t *err);

/* Stop everything in order, each bounded; at once when told so again. */
void supervisor_close(supervisor_t *supervisor);

/* The next back-off of a child that ran `ran_ms`: 0 at first and after a good run, then doubling to
 * a second. */
int64_t supervisor_back_off(int64_t ran_ms, int64_t last_ms, unsigned deaths);

#endif
