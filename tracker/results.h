/* Results: gathered as they arrive, recorded in groups, acknowledged after the commit only. */
#ifndef PLUMB_TRACKER_RESULTS_H
#define PLUMB_TRACKER_RESULTS_H

#include "group.h"
#include "msg.h"

#include <czmq.h>

typedef struct tracker tracker_t;

typedef enum results_state {
    RESULT_OPEN,
    RESULT_RECORDED,
    RESULT_REFUSED,
    RESULT_GONE
} results_state_t;

typedef struct results_entry {
    zmq_msg_t frame; /* what `result` points into; closed when GONE */
    plumb_result_t result;
    results_state_t state;
} results_entry_t;

typedef struct results {
    results_entry_t *entries; /* owned, room for `limit` */
    attempt_write_t *writes;  /* owned, likewise */
    plumb_held_t *held;       /* owned, likewise */
    size_t count, limit;      /* entries in use; they go all at once */
    size_t bytes;             /* of their frames */
    int64_t oldest_ms;        /* when the oldest of them came */
    int64_t rest_until_ms;    /* the next group gathers until then; 0: recorded as it comes */
} results_t;

int results_init(results_t *r, size_t limit, plumb_err_t *err);
void results_fini(results_t *r);

#define RESULTS_BYTES (4 << 20) /* a group of large exchanges is a smaller one */

/* A commit has a cost of its own, whatever its size: after a group of at least RESULTS_BUSY the
 * next one gathers for RESULTS_REST_MS, unless it is full before. */
#define RESULTS_BUSY 8
#define RESULTS_REST_MS 10

bool results_full(const results_t *r);
/* When what was gathered is to be recorded: 0 at once; INT64_MAX: there is nothing. */
int64_t results_due_ms(const results_t *r);
void results_lag(const results_t *r, int64_t now_ms); /* into the metrics */

/* Take a RESULT; `frame` is moved away.  When there is no room it is dropped: its worker has it. */
void results_take(tracker_t *t, zmq_msg_t *frame, const plumb_result_t *result);

/* Record what was gathered, if it is due or the tracker stops.  What the database did not take
 * stays. */
int results_flush(tracker_t *t, plumb_err_t *err);

#endif
