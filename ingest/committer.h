/* Group commit: handler threads put prepared leads into a queue and wait; a committer takes all
 * that have gathered while its last commit ran and commits them in one statement. */
#ifndef INGEST_COMMITTER_H
#define INGEST_COMMITTER_H

#include "buf.h"
#include "catalog.h"
#include "conf.h"
#include "msg.h"
#include "uuid.h"

#include <stdatomic.h>
#include <stdbool.h>

/* What became of a prepared lead. */
typedef enum commit_verdict {
    COMMIT_WAITING,
    COMMIT_DONE,  /* committed: it may be answered 201 */
    COMMIT_KNOWN, /* its Idempotency-Key was there before: nothing was written */
    COMMIT_SAME,  /* an identical lead was there before: only its Idempotency-Key was written */
    COMMIT_TWICE, /* its person was there before, and the quiz refuses that: nothing was written */
    COMMIT_REFUSED, /* the database refuses a value of it */
    COMMIT_AWAY,    /* nothing was written, or it cannot be known: 503 */
    COMMIT_FAILED   /* our mistake */
} commit_verdict_t;

/* What a lead is told from others by; all zero: by nothing, it is just stored.  Whatever is pointed
 * to lives until the verdict. */
typedef struct lead_keys {
    const quiz_t *quiz; /* whose settings decide; NULL: nothing is decided */
    bool is_test, is_blocked;
    int64_t phone, email; /* blind terms; 0: none */
    int64_t body;         /* of the canonical body; 0: none */
    plumb_slice_t external_id;
    plumb_slice_t route, key; /* Idempotency-Key */
    unsigned field_count;     /* fields of `data` that tell a person */
    struct {
        const char *name; /* "data.<name>", of the settings */
        int64_t term;
    } fields[QUIZ_ITEMS_MAX];
} lead_keys_t;

/* What the commit decided. */
typedef struct lead_fate {
    plumb_uuid_t original; /* SAME, MERGE, TWICE: the lead that was there; DONE: what it duplicates,
                              or nil */
    plumb_uuid_t root;     /* SAME: what the original duplicates, or nil */
    const char *key;       /* MERGE, TWICE: what tells the person, such as "phone" */
    bool paid;             /* DONE, SAME */
} lead_fate_t;

/* A lead ready to be committed; belongs to its handler thread, and to a committer while it waits.
 */
typedef struct prepared {
    plumb_uuid_t lead;
    lead_keys_t keys;
    lead_fate_t fate;       /* with the verdict */
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
