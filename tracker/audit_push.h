/* Jobs that the broker does not hold are pushed again, as they were. */
#ifndef PLUMB_TRACKER_AUDIT_PUSH_H
#define PLUMB_TRACKER_AUDIT_PUSH_H

#include "store.h"

typedef struct tracker tracker_t;

/* Push the jobs of those that are still queued under their ticket and `epoch`: same attempt, same
 * epoch.  One that cannot be made any more is held, canceled or skipped. */
int audit_push(tracker_t *t, const delivery_key_t *keys, size_t count, uint64_t epoch,
               size_t *pushed, plumb_err_t *err);

#endif
