/* Walks that find what nobody else would: queued rows of dead epochs, and rows past their
 * deadline. */
#ifndef PLUMB_TRACKER_SWEEP_H
#define PLUMB_TRACKER_SWEEP_H

#include "store.h"

typedef struct tracker tracker_t;

typedef struct sweep {
    queued_cursor_t orphans;
    int64_t orphans_ms;     /* next look */
    int64_t eager_until_ms; /* looks come each second until then */
    pending_cursor_t pending;
    int64_t expire_ms, expire_every_ms;
} sweep_t;

void sweep_init(sweep_t *s, int64_t now_ms, int64_t deadline_ms);
int sweep_work(tracker_t *t, plumb_err_t *err);

#endif
