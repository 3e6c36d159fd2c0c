/* A group of results in one transaction. */
#ifndef PLUMB_TRACKER_GROUP_H
#define PLUMB_TRACKER_GROUP_H

#include "store.h"

typedef struct tracker tracker_t;

/* How a group is recorded: all of `list`, or an error and nothing (DB_UNKNOWN: maybe). */
typedef int (*record_fn)(tracker_t *t, attempt_write_t *list, size_t count, plumb_err_t *err);

/* Successes of current attempts, in one statement.  Those that it moved are `done`; of one alone
 * that the database refuses nothing is done, and that is no error. */
int group_record_successes(tracker_t *t, attempt_write_t *list, size_t count, plumb_err_t *err);

/* Anything: lock, decide, write, commit; then all are `done`. */
int group_record(tracker_t *t, attempt_write_t *list, size_t count, plumb_err_t *err);

/* Put in the order in which rows are locked, by everybody. */
void group_sort(attempt_write_t *list, size_t count);

/* Call `record` for a sorted list, again after a conflict, and in halves where a row is refused, so
 * that it alone suffers: tried once more without what it carries for people, else `done` and
 * `refused`. */
int group_replay(tracker_t *t, record_fn record, attempt_write_t *list, size_t count,
                 plumb_err_t *err);

#endif
