/* The lease under which a worker may start work: pure, time is an argument.
 *
 * The broker gives a silent worker's jobs to another, so a worker must know by itself when it may
 * have been given up.  It counts from the moment at which it SENT the ping that was answered, on
 * CLOCK_BOOTTIME, which also counts time asleep.  Older than the fence: no step starts and no byte
 * leaves.  The fence is shorter than the broker's patience, so there is no moment in which both
 * think that the work is theirs.
 *
 * While a HELLO waits for its WELCOME no job is taken: what the broker sent before it read the
 * HELLO is not on the HELLO's list, so the broker gives it out again. */
#ifndef PLUMB_WORKER_LEASE_H
#define PLUMB_WORKER_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lease {
    uint64_t instance;   /* this start of this worker */
    uint64_t epoch;      /* the broker's, as it welcomed us; 0: never yet */
    int64_t fence_ms;    /* ours, or the broker's if shorter */
    int64_t ping_ms;     /* interval of the heartbeat */
    int64_t started_ms;  /* answers to anything older are another process's */
    int64_t answered_ms; /* when the newest answered HELLO or PING was sent */
    int64_t sent_ms;     /* when the newest HELLO or PING was sent */
    int64_t hello_ms;    /* when the newest HELLO was sent */
    int64_t due_ms;      /* when the next one is due */
    bool greeting;       /* a HELLO is to be sent or waits for its WELCOME */
} lease_t;

/* What is to be sent now. */
typedef enum lease_act { LEASE_NOTHING, LEASE_HELLO, LEASE_PING } lease_act_t;

/* What a message from the broker means. */
typedef enum lease_event {
    LEASE_IGNORED,  /* an answer to nothing we asked */
    LEASE_RENEWED,  /* go on */
    LEASE_WELCOMED, /* the broker knows what we hold: jobs may come */
    LEASE_LOST      /* our work was given away or its broker is gone: forget what has not begun;
                       what has begun goes on only when it is adopted; say HELLO */
} lease_event_t;

void lease_init(lease_t *lease, uint64_t instance, int64_t fence_ms, int64_t ping_ms,
                int64_t now_ms);

lease_act_t lease_due(const lease_t *lease, int64_t now_ms);
/* It left, or found no way out and is tried again soon. */
void lease_sent(lease_t *lease, lease_act_t act, int64_t now_ms);
void lease_unsent(lease_t *lease, int64_t now_ms);

/* `clock_ms` is what came back; `fence_ms` the broker's wish, 0 none. */
lease_event_t lease_welcome(lease_t *lease, uint64_t epoch, int64_t clock_ms, int64_t fence_ms);
lease_event_t lease_pong(lease_t *lease, uint64_t epoch, int64_t clock_ms);
lease_event_t lease_fenced(lease_t *lease);

/* What we serve has changed: say HELLO once more, without losing anything. */
void lease_greet(lease_t *lease);

/* Is the newest answer fresh enough that a byte may leave? */
bool lease_stands(const lease_t *lease, int64_t now_ms);

/* May a call that belongs to `epoch` start a step or a request? */
bool lease_lets(const lease_t *lease, uint64_t epoch, int64_t now_ms);

/* Is a job of `epoch` ours to take now? */
bool lease_takes(const lease_t *lease, uint64_t epoch);

/* Calls the broker may have assigned to us at once: `credit`, or 0 while stopping or while more
 * than `unacked_max` results wait for the tracker. */
uint32_t lease_capacity(uint32_t credit, size_t unacked, size_t unacked_max, bool stopping);

#endif
