/* Changing keys while everything runs: the jobs of table key_jobs, a page at a time.
 *
 * A job makes its account a new version of its key, seals under it what is under older ones, waits
 * until no daemon can hold an older one in memory (keys.linger), looks again, and removes the older
 * versions once a whole pass met none.  Each page, what it changed and where the job stands are one
 * transaction, so it may be killed at any moment. */
#ifndef PLUMB_TRACKER_ROTATION_H
#define PLUMB_TRACKER_ROTATION_H

#include "err.h"

#include <stdint.h>

typedef struct tracker tracker_t;

typedef struct rotation {
    int64_t at_ms; /* not before */
} rotation_t;

int rotation_work(tracker_t *t, plumb_err_t *err);

#endif
