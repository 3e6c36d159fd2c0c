/* All SQL of the tracker.  The statements stand in store_attempts.c (results), store.c (session,
 * what results change), store_feed.c (pending rows), store_watch.c (queued rows, epochs) and
 * store_upkeep.c (what is done now and then), each beside the function that binds it; nothing else
 * here writes SQL.
 *
 * Columns of results are named by the enums; a PGresult is the caller's to clear. */
#ifndef PLUMB_TRACKER_STORE_H
#define PLUMB_TRACKER_STORE_H

#include "conf.h"
#include "credential.h"
#include "db.h"
#include "msg.h"
#include "transition.h"

/* What names a delivery and one hand-over of it. */
typedef struct delivery_key {
    plumb_uuid_t account;
    plumb_ticket_t ticket;
} delivery_key_t;

typedef struct store {
    plumb_db_t *db;    /* owned */
    plumb_params_t *p; /* owned, reused by each call */
    int64_t timeout_ms;
    uint64_t generation;                /* of the connection whose session is set up */
    uint32_t result_type, result_array; /* ids there of attempt_result_1 */
    /* Statements that name columns which lib/ lists; the texts are owned. */
    char *pick_sql, *rebuild_sql, *credential_sql;
    plumb_stmt_t pick, rebuild, credential;
} store_t;

int store_init(store_t *s, const plumb_conf_t *conf, plumb_err_t *err);
void store_fini(store_t *s);

/* Connected, with the session's settings made?  Cheap when so; to be called before work begins. */
int store_ready(store_t *s, plumb_err_t *err);
int store_begin(store_t *s, plumb_err_t *err);
int store_commit(store_t *s, plumb_err_t *err);
void store_rollback(store_t *s);

/* ---- store_attempts.c, store.c: results ---- */

/* A result on its way into the tables, and what it leaves in the attempt log. */
typedef struct attempt_write {
    plumb_result_t *result; /* borrowed */
    uint32_t index;         /* the caller's, also the order of arrival */
    bool lost;              /* made by us: whether a repeat is allowed, its channel says */
    bool done;              /* recorded */
    bool refused;           /* never will be */
    bool counted;           /* it moved the delivery */
    int32_t repeats;        /* the same came so many times more in this group */
} attempt_write_t;

/* The common case in one statement that commits by itself: successes of the current attempt of
 * queued rows.  Returned are those that it moved; for the others nothing was done.  DB_VALUE also
 * when one is on record already. */
enum { RECORDED_N, RECORDED_CHANNEL, RECORDED_AGE_MS }; /* n counts from 1 */
int store_record_successes(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                           plumb_err_t *err);

/* Lock the rows that results speak of; one row for each result that has one. */
enum {
    LOCKED_N,
    LOCKED_STATE,
    LOCKED_ATTEMPT,
    LOCKED_TRIES,
    LOCKED_CRASHES,
    LOCKED_DEADLINE,
    LOCKED_NOW,
    LOCKED_LATE_SUCCESS,
    LOCKED_CREDENTIAL,
    LOCKED_CHANNEL,
    LOCKED_LEAD,
    LOCKED_AGE_MS,
    LOCKED_KNOWN,
    LOCKED_MAIL,     /* its channel keeps the mail schedule */
    LOCKED_RESENDS,  /* its channel's receivers take our key */
    LOCKED_SCHEDULE, /* the credential's own waits, or NULL */
};
int store_lock_deliveries(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                          plumb_err_t *err);

typedef struct credential_write {
    plumb_uuid_t account, id;
    credential_row_t row;
} credential_write_t;

/* Lock the credentials and fill in their rows; `found` says which exist. */
int store_lock_credentials(store_t *s, credential_write_t *list, bool *found, size_t count,
                           plumb_err_t *err);
int store_write_credentials(store_t *s, const credential_write_t *list, size_t count,
                            plumb_err_t *err);

typedef struct delivery_write {
    plumb_uuid_t account, id;
    delivery_row_t row;
    int64_t wait_ms;     /* of a pending one, from now() */
    bool moved;          /* its state changed: reason and time of settlement follow */
    const char *outcome; /* NULL: as it was; likewise below */
    plumb_slice_t external_id, checkpoint;
} delivery_write_t;
int store_write_deliveries(store_t *s, const delivery_write_t *list, size_t count,
                           plumb_err_t *err);

int store_write_attempts(store_t *s, const attempt_write_t *list, size_t count, plumb_err_t *err);

typedef struct event_write {
    plumb_uuid_t account, id;
    const char *kind;
    plumb_uuid_t lead, delivery, credential; /* nil: none */
    const char *reason;                      /* NULL: none; one of our own words */
} event_write_t;
int store_write_events(store_t *s, const event_write_t *list, size_t count, plumb_err_t *err);

/* ---- store_feed.c: pending rows ---- */

/* Lanes with pending rows behind credential `after`, in order, at most `limit`; each with the time
 * until its first row is due (below 0: it is). */
enum {
    LANE_ACCOUNT,
    LANE_CREDENTIAL,
    LANE_DUE_IN_MS,
    LANE_CHANNEL,
    LANE_EXISTS,
    LANE_ENABLED,
    LANE_SUSPENDED,
    LANE_VERSION
};
int store_lanes(store_t *s, const plumb_uuid_t *after, int limit, PGresult **r, plumb_err_t *err);

/* Rows of jobs: a delivery with its lead, whose columns begin at JOB_LEAD_FIRST. */
enum {
    JOB_ACCOUNT,
    JOB_DELIVERY,
    JOB_LEAD,
    JOB_CREDENTIAL,
    JOB_CHANNEL,
    JOB_VERB,
    JOB_PRIORITY,
    JOB_STATE,
    JOB_ATTEMPT,
    JOB_TRIES,
    JOB_CRASHES,
    JOB_DEADLINE,
    JOB_NOW,
    JOB_EPOCH,
    JOB_EXTERNAL_ID,
    JOB_CHECKPOINT,
    JOB_HAS_LEAD,
    JOB_TRACE,
    JOB_LEAD_FIRST
};

/* Lock up to `share` due rows of each credential, passing over those that are locked (in a
 * transaction).
 */
int store_pick(store_t *s, const plumb_uuid_t *credentials, size_t count, int share, PGresult **r,
               plumb_err_t *err);

/* The rows of these tickets that are still queued under them, locked. */
int store_rebuild(store_t *s, const delivery_key_t *keys, size_t count, PGresult **r,
                  plumb_err_t *err);

/* Picked rows become queued under `epoch`, if the table calls it alive: `moved` of them. */
int store_hand_over(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch,
                    size_t *moved, plumb_err_t *err);

/* One credential, as lib/credential.h reads it. */
int store_credential(store_t *s, const plumb_uuid_t *account, const plumb_uuid_t *id, PGresult **r,
                     plumb_err_t *err);

/* Pending rows of a lane become held, at most `limit`; `moved` of them did. */
int store_hold_lane(store_t *s, const plumb_uuid_t *credential, const char *reason, int limit,
                    size_t *moved, plumb_err_t *err);

/* Where a walk over pending rows stands. */
typedef struct pending_cursor {
    plumb_uuid_t credential, id;
    int64_t due_us; /* as PostgreSQL counts */
} pending_cursor_t;

/* Read on from the cursor; rows past their deadline fail, each with its event.  `end`: no row is
 * left, the cursor is at the start again. */
int store_expire(store_t *s, pending_cursor_t *cursor, int limit, size_t *expired, bool *end,
                 plumb_err_t *err);

/* ---- store_watch.c: epochs and queued rows ---- */

enum { EPOCH_ID, EPOCH_BROKER };
int store_epochs_alive(store_t *s, PGresult **r, plumb_err_t *err);

/* Write down that the epoch was seen; `alive` false: the table has it as dead. */
int store_epoch_seen(store_t *s, uint64_t epoch, const char *broker, bool *alive, plumb_err_t *err);

/* Declare it dead, unless somebody saw it within `dead_ms` (0: whatever they saw).  `dead` tells
 * what the table says now. */
int store_epoch_dead(store_t *s, uint64_t epoch, const char *broker, int64_t dead_ms, bool *dead,
                     plumb_err_t *err);

/* Does it stand?  If so it counts as seen now. */
int store_epoch_stands(store_t *s, uint64_t epoch, bool *stands, plumb_err_t *err);

/* Where a walk over queued rows stands; zeroes begin it. */
typedef struct queued_cursor {
    int64_t queued_us; /* as PostgreSQL counts */
    plumb_uuid_t id;
} queued_cursor_t;

/* Begin at the rows queued within the last `younger_ms`, not at the front of the index, where the
 * entries of all that was settled lie until vacuum. */
int store_queued_start(store_t *s, queued_cursor_t *cursor, int64_t younger_ms, plumb_err_t *err);

/* Queued rows in order of age, behind the cursor, queued before now() - `older_ms`.  The cursor
 * moves; at the end `*end`. */
enum { QUEUED_ACCOUNT, QUEUED_ID, QUEUED_ATTEMPT, QUEUED_EPOCH, QUEUED_AT, QUEUED_US };
int store_queued(store_t *s, queued_cursor_t *cursor, int64_t older_ms, int limit, bool *end,
                 PGresult **r, plumb_err_t *err);

/* Queued rows whose epoch is none of `standing` and, by the table, not alive. */
int store_orphans(store_t *s, queued_cursor_t *cursor, const uint64_t *standing,
                  size_t standing_count, int64_t unknown_ms, int limit, bool *end, PGresult **r,
                  plumb_err_t *err);

/* T7 of orphans: pending, due now; only under an epoch that does not stand. */
int store_requeue_orphans(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                          plumb_err_t *err);

/* Work that a broker gave back unbegun: pending, due now. */
int store_requeue_given_up(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                           plumb_err_t *err);

/* Orphans whose worker lives under `epoch` move there; the keys that did come back in `r`. */
enum { ADOPTED_ID, ADOPTED_ATTEMPT };
int store_adopt(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch, PGresult **r,
                plumb_err_t *err);

/* ---- store_counters.c ---- */

/* Add at most `limit` rows of lead_deltas to lead_counts and lead_totals, in a transaction of its
 * own; `folded`: how many.  None while another tracker is at it. */
int store_fold_counters(store_t *s, int limit, size_t *folded, plumb_err_t *err);

/* ---- store_upkeep.c ---- */

typedef struct channel_write {
    const char *code, *title, *version, *fields, *limits; /* the last two: JSON texts */
    bool present;
} channel_write_t;
int store_channel(store_t *s, const channel_write_t *channel, plumb_err_t *err);

/* Work that one tracker does for all: true until store_unlock or the connection ends. */
typedef enum store_lock {
    LOCK_UPKEEP = 1,
    LOCK_AUDIT,
    LOCK_SWEEP,
    LOCK_COUNTERS,
    LOCK_KEYS
} store_lock_t;
int store_try_lock(store_t *s, store_lock_t lock, bool *got, plumb_err_t *err);
int store_unlock(store_t *s, store_lock_t lock, plumb_err_t *err);

int store_make_partitions(store_t *s, plumb_err_t *err);

/* One page of deleting what is past its time; `more` when the page was full. */
int store_prune_idempotency(store_t *s, int64_t life_ms, int limit, bool *more, plumb_err_t *err);
int store_prune_epochs(store_t *s, plumb_err_t *err);
/* Leads that were deleted more than `life_ms` ago: `erased` of them now are. */
int store_erase_deleted(store_t *s, int64_t life_ms, int limit, int64_t *erased, plumb_err_t *err);

/* Where the walk that drops old exchanges stands; zeroes begin it. */
typedef struct attempt_cursor {
    plumb_uuid_t account, delivery;
    int32_t attempt;
    char outcome[32];
} attempt_cursor_t;
int store_prune_exchanges(store_t *s, attempt_cursor_t *cursor, int64_t life_ms, int limit,
                          bool *end, plumb_err_t *err);

/* The oldest monthly partition of a table that ended more than `life_ms` ago ("" when none). */
int store_old_partition(store_t *s, const char *parent, int64_t life_ms, char *name, size_t size,
                        plumb_err_t *err);
/* Has this partition of deliveries a live row?  Likewise the deliveries of a partition of attempts:
 * both are of the same month. */
int store_month_is_live(store_t *s, const char *partition, bool *live, plumb_err_t *err);
int store_drop_partition(store_t *s, const char *name, plumb_err_t *err);

enum { DEAD_CHANNEL, DEAD_COUNT };
int store_dead_letters(store_t *s, PGresult **r, plumb_err_t *err);

#endif
