/* Pending rows into the broker (T3): which lanes have due rows, a share of each, as there is room.
 */
#ifndef PLUMB_TRACKER_FEEDER_H
#define PLUMB_TRACKER_FEEDER_H

#include "store.h"

typedef struct tracker tracker_t;

#define FEEDER_LANES 256 /* looked at in one round */

typedef struct feeder_lane {
    plumb_uuid_t id, account;
    bool exists, enabled, suspended;
    int32_t version;
} feeder_lane_t;

typedef struct feeder {
    int64_t look_ms;                   /* when to look next */
    int64_t next_ms;                   /* the earliest row not yet due, of the cycle that runs */
    int64_t oldest_ms;                 /* age of the oldest due row, of the cycle that runs */
    bool starved;                      /* due rows wait for room or for their lane */
    plumb_uuid_t cursor;               /* nil: a cycle begins */
    feeder_lane_t lanes[FEEDER_LANES]; /* of this round, by id */
    size_t lane_count;
    size_t frame_bytes; /* of a job, on average */
    plumb_buf_t frame;  /* of one job */
    plumb_buf_t out;    /* committed and not yet pushed, one behind the other */
    size_t *ends;       /* owned, room for `limit`: where each ends in `out` */
    size_t out_count, out_sent, limit;
} feeder_t;

int feeder_init(feeder_t *f, size_t limit, plumb_err_t *err);
void feeder_fini(feeder_t *f);

void feeder_wake(feeder_t *f);               /* look at once */
void feeder_due(feeder_t *f, int64_t at_ms); /* a row becomes due then */
void feeder_beacon(feeder_t *f);             /* room may have appeared */

int feeder_work(tracker_t *t, plumb_err_t *err);

#endif
