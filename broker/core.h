/* The broker's mind: what it holds, who may have it, who has it.
 *
 * Pure: every input is a call with the time (CLOCK_BOOTTIME ms, or a simulator's), every output a
 * call of one of the ports; no socket, no clock, no randomness but its seed.  One thread.
 * docs/messages.md has the rules. */
#ifndef PLUMB_BROKER_CORE_H
#define PLUMB_BROKER_CORE_H

#include "buf.h"
#include "err.h"
#include "msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct broker broker_t;

typedef struct broker_settings {
    const char *name; /* copied */
    int64_t memory;   /* bytes of jobs held at most */
    int64_t beacon_every_ms;
    int64_t epoch_dead_ms;
    int64_t worker_dead_ms;
    int64_t fence_ms; /* told to workers; a worker silent for longer gets nothing */
    unsigned breaker_run;
    int64_t breaker_open_ms;
    int64_t breaker_open_max_ms;
    unsigned destination_start; /* calls at once to one credential */
    unsigned destination_max;
} broker_settings_t;

typedef enum broker_event {
    BROKER_WORKER_HERE,     /* subject: slot */
    BROKER_WORKER_REPLACED, /* slot; number: jobs that wait again or are in doubt */
    BROKER_WORKER_DEAD,     /* slot; number: jobs lost */
    BROKER_WORKER_LACKS,    /* slot; number: jobs it did not list when it said hello again */
    BROKER_WORKER_ASKED,    /* slot: told to say hello, since it sits on a job for too long */
    BROKER_WORKER_RESERVED, /* slot: emptied for a job that is blamed for a crash */
    BROKER_BREAKER_OPEN,    /* credential; number: ms */
    BROKER_BREAKER_CLOSED,  /* credential */
    BROKER_QUEUE_OPEN,      /* queue, "" for all */
    BROKER_QUEUE_PAUSED,
    BROKER_QUEUE_DRAINING,
    BROKER_EPOCH_NEW,    /* number: epoch */
    BROKER_EPOCH_DOUBT,  /* number: ms that the loop stood still */
    BROKER_EPOCH_STANDS, /* number: epoch */
    BROKER_FULL,         /* number: jobs given up since the last such event */
    BROKER_EVENTS
} broker_event_t;

/* Where outputs go.  Frames are the callee's to copy.  False: nothing was queued. */
typedef struct broker_ports {
    void *self;
    bool (*to_worker)(void *self, const char *slot, const void *frame, size_t length);
    bool (*to_tracker)(void *self, const void *frame, size_t length);
    bool (*to_control)(void *self, const void *identity, size_t identity_length, const void *frame,
                       size_t length);
    void (*beacon)(void *self, const void *frame, size_t length);
    void (*event)(void *self, broker_event_t event, const char *subject, uint64_t number);
} broker_ports_t;

/* Only grow. */
typedef struct broker_counts {
    uint64_t taken, known, stale, given_up, handed_out, returned, lost, refused, recalled;
    uint64_t malformed, foreign,
        misaddressed; /* frames: not ours to read; wrong type; wrong name */
} broker_counts_t;

/* NULL: out of memory.  `seed` decides epochs and jitter. */
broker_t *broker_new(const broker_settings_t *settings, const broker_ports_t *ports, uint64_t seed,
                     int64_t now_ms);
void broker_destroy(broker_t **broker);

/* One frame from each kind of socket.  A frame that is malformed, of a type that has no business
 * there, or from somebody it does not name, is counted and changes nothing. */
void broker_job(broker_t *broker, int64_t now_ms, const void *frame, size_t length);
void broker_work(broker_t *broker, int64_t now_ms, const void *identity, size_t identity_length,
                 const void *frame, size_t length);
void broker_control(broker_t *broker, int64_t now_ms, const void *identity, size_t identity_length,
                    const void *frame, size_t length);
void broker_acks(broker_t *broker, int64_t now_ms, const void *frame, size_t length);

/* Timers, reports, hand-outs, beacon: call it after each batch of frames and when due. */
void broker_step(broker_t *broker, int64_t now_ms);
int64_t broker_due_ms(const broker_t *broker);

/* May jobs be given to it now?  False while its epoch is in doubt: leave them in the socket. */
bool broker_takes(const broker_t *broker);

/* Begin to stop: nothing is handed out any more, what waits is given up.  broker_is_idle: the
 * tracker has acknowledged all that was given up. */
void broker_stop(broker_t *broker, int64_t now_ms);
bool broker_is_idle(const broker_t *broker);

/* Figures. */
typedef struct broker_queue_figures {
    const char *name;
    const char *state; /* "open", "paused", "draining" */
    size_t waiting, assigned, unacked;
    size_t breakers;   /* credentials of it whose breaker is open */
    size_t workers;    /* that serve it */
    int64_t oldest_ms; /* age of the job that has waited longest */
    uint64_t handed_out, done;
} broker_queue_figures_t;
typedef void (*broker_queue_fn)(void *self, const broker_queue_figures_t *figures);
void broker_each_queue(broker_t *broker, broker_queue_fn each, void *self);

const broker_counts_t *broker_counts(const broker_t *broker);
uint64_t broker_epoch(const broker_t *broker);
int64_t broker_held(const broker_t *broker);
size_t broker_tickets(const broker_t *broker);
size_t broker_workers(const broker_t *broker);

/* What must hold between any two calls; says in `err` what does not.  For tests. */
int broker_check(const broker_t *broker, plumb_err_t *err);

#endif
