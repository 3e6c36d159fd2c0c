/* Idempotency-Keys whose first request is still under way in this process. */
#ifndef INGEST_RUNNING_H
#define INGEST_RUNNING_H

#include "err.h"
#include "uuid.h"

#include <stdbool.h>

typedef struct running running_t;

/* For `slots` requests at a time. */
int running_new(running_t **ret, unsigned slots, plumb_err_t *err);
void running_destroy(running_t **running);

/* Enter a key.  Returns its slot, to be left again; -1: somebody else is in. */
int running_enter(running_t *running, const plumb_uuid_t *account, const char *route,
                  const char *key);
void running_leave(running_t *running, int slot);

#endif
