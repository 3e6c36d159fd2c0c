/* Results: kept, in memory and in the flight file, until the tracker says that they are recorded;
 * sent again until then. */
#ifndef PLUMB_WORKER_RESULTS_H
#define PLUMB_WORKER_RESULTS_H

#include "err.h"
#include "flight.h"
#include "msg.h"
#include "tickets.h"

#include <stdbool.h>

typedef struct kept {
    ticket_entry_t entry; /* first: found by ticket */
    struct kept *before, *next;
    plumb_buf_t frame; /* the RESULT message; owned */
    int slot;          /* in the flight file */
    int64_t due_ms;    /* goes out again then */
    plumb_outcome_t outcome;
    int64_t retry_after_ms;
    bool told;  /* the broker has its DONE */
    bool acked; /* recorded; it only waits for that DONE */
} kept_t;

typedef struct results {
    flight_t *flight;
    const char *worker; /* slot name; borrowed */
    int64_t resend_ms;
    tickets_t by_ticket;
    kept_t *fresh_first, *fresh_last; /* never sent */
    kept_t *sent_first, *sent_last;   /* by due time, since the wait is the same for all */
    kept_t *acked_first, *acked_last;
    kept_t *unused; /* memory for the next ones */
    size_t unused_count;
    size_t acked;
    size_t untold; /* DONE still to be said */
} results_t;

int results_init(results_t *results, flight_t *flight, const char *worker, int64_t resend_ms,
                 size_t expected, plumb_err_t *err);
void results_fini(results_t *results); /* what was not acked stays in the flight file */

/* Keep what a call came to: first in its flight record, then in memory.  `exchange` and `refreshed`
 * may be empty.  On error it is in the flight file only. */
int results_add(results_t *results, int slot, const flight_call_t *call, const flight_note_t *note,
                plumb_slice_t exchange, plumb_slice_t refreshed, plumb_err_t *err);

/* Turn every record that an earlier process left into what it now means. The number of results goes
 * to `count`. */
int results_recover(results_t *results, size_t *count, plumb_err_t *err);

kept_t *results_find(const results_t *results, const plumb_ticket_t *ticket);

/* The next one to send at `now_ms`, or NULL. */
kept_t *results_due(const results_t *results, int64_t now_ms);
void results_sent(results_t *results, kept_t *kept, int64_t now_ms);

/* When the next one is due; INT64_MAX: none. */
int64_t results_due_ms(const results_t *results);

/* Recorded: forget it, once the broker has its DONE: a HELLO that did not list it would make the
 * broker give the job out again.  False: not ours. */
bool results_ack(results_t *results, const plumb_ticket_t *ticket);

/* The broker has a DONE of it (an acked one is gone then), or must hear all of them again. */
void results_told(results_t *results, kept_t *kept);
void results_untell(results_t *results, kept_t *kept);
void results_untell_all(results_t *results);

/* Each kept one: NULL at first, then the last answer. */
kept_t *results_next(const results_t *results, const kept_t *kept);
size_t results_count(const results_t *results); /* not yet recorded */

#endif
