/* What brokers say of tickets: worker dead (LOST), given back unbegun (LOST, given up), done long
 * ago without an ack (UNACKED).  They name tickets without accounts, so they are looked up in one
 * walk over the queued rows, gathered for a moment. */
#ifndef PLUMB_TRACKER_LOST_H
#define PLUMB_TRACKER_LOST_H

#include "epochs.h"
#include "store.h"
#include "tickets.h"

typedef struct tracker tracker_t;

#define LOST_EPOCHS 16

typedef struct lost {
    tickets_t tickets;               /* with what was said of each, and by which epoch */
    uint64_t epochs[LOST_EPOCHS];    /* that spoke since the last walk */
    uint64_t questions[LOST_EPOCHS]; /* the newest of each that wants an answer; 0: none */
    size_t epoch_count;
    int64_t at_ms; /* of the walk; INT64_MAX: none is due */
    char broker[NAME_SIZE];
} lost_t;

void lost_init(lost_t *l);
void lost_fini(lost_t *l);

void lost_note(tracker_t *t, const plumb_note_t *note); /* LOST, UNACKED */

/* Once the results that came before it are recorded. */
int lost_work(tracker_t *t, plumb_err_t *err);

/* Attempts whose worker fell silent with them: recorded as ambiguous. */
int lost_record(tracker_t *t, const delivery_key_t *keys, size_t count, const char *who,
                plumb_err_t *err);

#endif
