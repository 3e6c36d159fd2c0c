/* Which starts of brokers are alive, and what becomes of the rows of the dead ones.  Pure: no I/O,
 * no clock; times are monotonic milliseconds given by the caller.
 *
 * An epoch dies when its beacon stays away or its broker starts anew.  The table `epochs` decides
 * between several trackers, so dying has two steps: this side suspects (epochs_suspect), the table
 * agrees (epochs_died).  After that the workers are asked what they hold (census).  A row of a dead
 * epoch is then adopted by the epoch its worker lives under, or given out again (T7) when no worker
 * can still begin it, or counts as sent when its worker fell silent. */
#ifndef PLUMB_TRACKER_EPOCHS_H
#define PLUMB_TRACKER_EPOCHS_H

#include "msg.h"
#include "tickets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EPOCHS_MAX 64   /* remembered; the oldest dead ones go first */
#define WORKERS_MAX 256 /* slots heard of lately */
#define NAME_SIZE 256   /* of a daemon, with NUL */
#define REPORTS_MAX 131072

#define STALL_MS 2000         /* a loop that stood still for longer judges nobody yet */
#define CENSUS_EVERY_MS 1000  /* while a census runs */
#define CENSUS_MORE_MS 5000   /* it goes on after the last row that needed it */
#define REPORT_FRESH_MS 3500  /* a report is believed for three rounds of the census */
#define WORKER_KNOWN_MS 60000 /* a slot not heard of for so long is not waited for */

typedef struct epochs_times {
    int64_t dead_ms;        /* without beacon */
    int64_t census_wait_ms; /* for the workers' answers */
    int64_t worker_dead_ms; /* a silent worker is given up */
} epochs_times_t;

typedef enum epoch_state { EPOCH_ALIVE, EPOCH_SUSPECT, EPOCH_DEAD } epoch_state_t;

typedef struct epoch {
    uint64_t id;
    char broker[NAME_SIZE]; /* "" when only rows told of it */
    epoch_state_t state;
    bool superseded;  /* its broker started anew */
    bool registered;  /* the table has it */
    int64_t seen_ms;  /* last sign of life */
    int64_t noted_ms; /* last written to the table */
    int64_t died_ms;  /* known dead since */
    int64_t told_ms;  /* its broker was last told that it does not stand */
} epoch_t;

typedef struct epochs_worker {
    char slot[NAME_SIZE];
    int64_t heard_ms;    /* any message */
    int64_t answered_ms; /* newest inventory */
    uint64_t lease;      /* the epoch it named there; 0: none */
} epochs_worker_t;

typedef struct epochs_report {
    plumb_ticket_t ticket;
    uint32_t worker; /* index */
    uint64_t lease;
    uint64_t adopted; /* under this epoch, by us; 0: not */
    int64_t at_ms;
} epochs_report_t;

typedef struct epochs {
    epochs_times_t times;
    epoch_t epochs[EPOCHS_MAX];
    size_t count;
    epochs_worker_t workers[WORKERS_MAX];
    size_t worker_count;
    epochs_report_t *reports; /* owned */
    size_t report_count, report_capacity;
    tickets_t index;  /* ticket → report */
    bool blind;       /* a report was lost for want of memory: nothing is given out on silence */
    int64_t began_ms; /* a worker that was silent since is not known yet */
    int64_t ticked_ms;
    int64_t census_began_ms, census_until_ms, census_at_ms;
} epochs_t;

void epochs_init(epochs_t *e, const epochs_times_t *times, int64_t now_ms);
void epochs_fini(epochs_t *e);

/* To be called in every turn of the loop.  True: the loop stood still; drain every socket, then
 * call epochs_restart, and only then judge. */
bool epochs_tick(epochs_t *e, int64_t now_ms);
void epochs_restart(epochs_t *e, int64_t now_ms);

/* An epoch that the table calls alive, when this tracker starts. */
void epochs_load(epochs_t *e, uint64_t id, const char *broker, int64_t now_ms);

/* A beacon, or another sign of life that the table confirmed.  Returns the entry, whose state says
 * whether it counts: a dead epoch never comes back. */
epoch_t *epochs_beacon(epochs_t *e, const char *broker, uint64_t id, int64_t now_ms);

/* The table has taken it in as alive: earlier starts of its broker are superseded.  Not before, or
 * a late beacon of an old start would kill the present one. */
void epochs_registered(epochs_t *e, epoch_t *epoch);

epoch_t *epochs_find(epochs_t *e, uint64_t id);

/* The next epoch to be declared dead in the table, or NULL. */
epoch_t *epochs_suspect(epochs_t *e, int64_t now_ms);

/* The table says that it is dead; a census begins. */
void epochs_died(epochs_t *e, epoch_t *epoch, int64_t now_ms);

/* The table says that another tracker has seen it alive since. */
void epochs_revived(epoch_t *epoch, int64_t now_ms);

/* Any message of a worker. */
void epochs_heard(epochs_t *e, const char *slot, int64_t now_ms);

/* An INVENTORY.  Tickets which it reports again although they were adopted under its lease go to
 * `again` (room for `count`), since the word that told it may be lost; returns their number. */
size_t epochs_inventory(epochs_t *e, const char *slot, uint64_t lease, const plumb_held_t *held,
                        size_t count, plumb_held_t *again, int64_t now_ms);

/* Should a CENSUS go out now? */
bool epochs_census_due(epochs_t *e, int64_t now_ms);
bool epochs_census_runs(const epochs_t *e, int64_t now_ms);

typedef enum epochs_fate {
    FATE_LEAVE,   /* its epoch is alive */
    FATE_WAIT,    /* not yet known */
    FATE_ADOPT,   /* its worker lives under another epoch: move the row there */
    FATE_REQUEUE, /* T7 */
    FATE_LOST     /* its worker began it and fell silent: may have been sent */
} epochs_fate_t;

/* What becomes of a queued row under epoch `id`; FATE_ADOPT sets `under`. */
epochs_fate_t epochs_fate(epochs_t *e, uint64_t id, const plumb_ticket_t *ticket, int64_t now_ms,
                          uint64_t *under);

/* The row was moved: remember it for workers that did not hear of it. */
void epochs_adopted(epochs_t *e, const plumb_ticket_t *ticket, uint64_t under);

/* Ids of all epochs that may hold work: alive or not yet confirmed dead.  Returns their number. */
size_t epochs_standing(const epochs_t *e, uint64_t out[EPOCHS_MAX]);

#endif
