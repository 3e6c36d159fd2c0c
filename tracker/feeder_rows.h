/* One transaction of feeding: pick rows, make their jobs, hand them over. */
#ifndef PLUMB_TRACKER_FEEDER_ROWS_H
#define PLUMB_TRACKER_FEEDER_ROWS_H

#include "transition.h"

#include "err.h"

#include <libpq-fe.h>
#include <stddef.h>

typedef struct tracker tracker_t;
typedef struct plumb_credential plumb_credential_t;

typedef struct feeder_fed {
    size_t picked; /* rows that were due and free */
    bool full;     /* room, or the group, ended before the rows did */
} feeder_fed_t;

/* Hand over up to `share` rows of each of the feeder's lanes; their jobs wait in its `out`. */
int feeder_rows(tracker_t *t, uint64_t epoch, size_t share, feeder_fed_t *fed, plumb_err_t *err);

/* A picked row's fate; STATE_QUEUED: its job is in the feeder's `frame`, under `attempt` and
 * `epoch`.  `lane` may be NULL: what its credential says counts. */
typedef struct feeder_lane feeder_lane_t;
int feeder_decide(tracker_t *t, const PGresult *r, int row, const feeder_lane_t *lane,
                  uint32_t attempt, uint64_t epoch, delivery_row_t *delivery, transition_t *what,
                  plumb_err_t *err);

#endif
