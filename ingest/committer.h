/* Group commit: handler threads put prepared leads into a queue and wait; a committer takes all
 * that have gathered while its last commit ran and commits them in one statement. */
#ifndef INGEST_COMMITTER_H
#define INGEST_COMMITTER_H

#include "buf.h"
#include "conf.h"
#include "uuid.h"

#include <stdatomic.h>
#include <stdbool.h>

/* What became of a prepared lead. */
typedef enum commit_verdict {
    COMMIT_WAITING,
    COMMIT_DONE,    /* committed: it may be answered 201 */
    COMMIT_KNOWN,   /* its Idempotency-Key was there before: nothing was written */
    COMMIT_REFUSED, /* the database refuses a value of it */
    COMMIT_AWAY,    /* nothing was written, or it cannot be known: 503 */
    COMMIT_FAILED   /* our mistake */
} commit_verdict_t;

/* A lead ready to be committed; belongs to its handler thread, and to a committer while it waits.
 */
typedef struct prepared {
    plumb_uuid_t lead;
    bool is_keyed;          /* has an Idempotency-Key */
    bool is_crowded;        /* the broker was full: a delivery of it waits in the table */
    plumb_buf_t record;     /* pack_lead */
    plumb_buf_t deliveries; /* pack_delivery, one behind the other */
    uint32_t delivery_count;
    plumb_buf_t jobs;   /* for the broker: each a size_t length, then the message */
    atomic_int verdict; /* commit_verdict_t; woken by futex */
    struct prepared *next;
} prepared_t;

void prepared_clear(prepared_t *prepared);
void prepared_fini(prepared_t *prepared);

typedef struct committers committers_t;

/* Start conf->ingest_committers threads.  They connect by themselves, again and again. */
int committers_new(committers_t **ret, const plumb_conf_t *conf, plumb_err_t *err);
/* Commit what waits, then end the threads. */
void committers_destroy(committers_t **committers);

/* Wait until `prepared` is committed or not.  COMMIT_AWAY at once when the queue is full. */
commit_verdict_t committers_commit(committers_t *committers, prepared_t *prepared);

/* Leads that wait for a committer to take them. */
size_t committers_waiting(committers_t *committers);

/* PostgreSQL's clock, carried on by ours; 0: not known yet. */
int64_t committers_now_ms(const committers_t *committers);

/* Does the database answer?  A sentence in `err` when not. */
int committers_ready(committers_t *committers, plumb_err_t *err);

#endif
