/* What happens to a delivery, as pure functions over a row: no clock, no chance, no I/O.
 *
 * The rules are T3 to T9 of the delivery protocol: a failure counts for the current attempt only, a
 * success for any, final states stay.  The shell locks the row, asks here, writes what came out; a
 * simulator does the same with rows in memory. */
#ifndef PLUMB_TRACKER_TRANSITION_H
#define PLUMB_TRACKER_TRANSITION_H

#include "plumb/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum delivery_state {
    STATE_PENDING,
    STATE_QUEUED,
    STATE_HELD,
    STATE_AMBIGUOUS,
    STATE_DELIVERED,
    STATE_FAILED,
    STATE_SKIPPED,
    STATE_CANCELED,
    STATE_COUNT
} delivery_state_t;
const char *delivery_state_name(delivery_state_t state);
/* A state by its name; `unknown` when there is none, which a newer schema may have. */
delivery_state_t delivery_state_find(const char *name, delivery_state_t unknown);
bool delivery_is_live(delivery_state_t state);

/* Why a delivery is where it is; REASON_NONE while all goes well. */
typedef enum delivery_reason {
    REASON_NONE,
    REASON_RETRIES,   /* failed: tries used up */
    REASON_DEADLINE,  /* failed: would wait beyond its deadline */
    REASON_BUG,       /* failed: blamed for two crashes */
    REASON_PERMANENT, /* failed: the service refuses this content */
    REASON_AMBIGUOUS, /* held: may have arrived, and its channel cannot repeat */
    REASON_SUSPENDED, /* held: its credential is suspended */
    REASON_DISABLED,  /* held: its credential is switched off */
    REASON_SEALED,    /* held: what it needs cannot be opened */
    REASON_ERASED,    /* canceled: the person was erased */
    REASON_UNLINKED,  /* skipped: its credential is gone */
    REASON_COUNT
} delivery_reason_t;
const char *delivery_reason_name(delivery_reason_t reason); /* NULL for none */

typedef struct delivery_row {
    delivery_state_t state;
    uint32_t attempt; /* the fence */
    uint32_t tries, crashes;
    int64_t due_ms, deadline_ms; /* on the clock that `now_ms` is read from */
    delivery_reason_t reason;
    bool late_success;
} delivery_row_t;

/* Counters of the credential that a delivery goes to. */
typedef struct credential_row {
    uint32_t refused;     /* answers of class "credentials" since it last got in */
    uint32_t failures;    /* since the last success */
    int64_t succeeded_ms; /* 0: never */
    int64_t created_ms;
    bool enabled, suspended;
    const char *suspended_reason; /* set by what suspends it */
} credential_row_t;

/* The result of one attempt. */
typedef struct attempt_result {
    uint32_t attempt;
    plumb_outcome_t outcome;
    bool blamed, resend;
    bool known; /* the attempt log has this attempt with this outcome already */
    int64_t retry_after_ms;
} attempt_result_t;

typedef struct retry_policy {
    const int64_t *waits; /* after try 1, 2, …; at least one */
    size_t count;
    unsigned jitter_percent;
} retry_policy_t;

typedef enum verdict {
    VERDICT_COUNTED,  /* it moved the delivery */
    VERDICT_LATE,     /* recorded only */
    VERDICT_REPEATED, /* known: counted up only */
    VERDICT_UNKNOWN,  /* no such delivery; the shell's to find */
    VERDICT_COUNT
} verdict_t;
const char *verdict_name(verdict_t verdict);

typedef enum delivery_event {
    EVENT_NONE,
    EVENT_FAILED,
    EVENT_HELD,        /* somebody must decide */
    EVENT_LATE_SUCCESS /* arrived after it was given up */
} delivery_event_t;
const char *delivery_event_name(delivery_event_t event);

typedef struct transition {
    verdict_t verdict;
    bool changed;    /* the row is not what it was */
    bool suspended;  /* this suspended the credential */
    uint32_t recall; /* this newer attempt is queued for nothing; 0: none */
    delivery_event_t event;
} transition_t;

/* The longest Retry-After that is believed. */
#define RETRY_AFTER_MAX_MS INT64_C(86400000)
/* succeeded_ms of a credential is written no more often: its row must not become a hot one. */
#define SUCCESS_EVERY_MS 5000

/* Apply a result.  `chance` is a random number for the jitter. */
transition_t transition_result(delivery_row_t *row, credential_row_t *credential,
                               const attempt_result_t *result, const retry_policy_t *policy,
                               int64_t now_ms, uint32_t chance);

/* What is known when a pending row is due and there is room. */
typedef struct feed_facts {
    bool has_credential, enabled, suspended;
    bool erased;     /* the lead's key is destroyed */
    bool unreadable; /* something sealed does not open */
} feed_facts_t;

/* T3, or why not: the row becomes queued under the next attempt, held, failed, canceled or
 * skipped. */
transition_t transition_feed(delivery_row_t *row, const feed_facts_t *facts, int64_t now_ms);

/* T7, and work a broker gave back unbegun: due at once, nothing charged.  False, and nothing
 * changed, unless the row is queued under this attempt. */
bool transition_take_back(delivery_row_t *row, uint32_t attempt, int64_t now_ms);

#endif
