/* What is done now and then, by one tracker for all: partitions ahead, retention, gauges;
 * and time and again: the leads' counters. */
#ifndef PLUMB_TRACKER_UPKEEP_H
#define PLUMB_TRACKER_UPKEEP_H

#include "store.h"

typedef struct tracker tracker_t;

typedef struct upkeep {
    int64_t partitions_ms, prune_ms, gauges_ms, counters_ms; /* next time of each */
    attempt_cursor_t attempts;                               /* of the walk that drops exchanges */
    bool walking;                                            /* pages of it are left */
} upkeep_t;

void upkeep_init(upkeep_t *u, int64_t now_ms);
int upkeep_work(tracker_t *t, plumb_err_t *err);

#endif
