/* Ends the process when a plugin's step does not return: the loop would stand still for everyone,
 * and a thread inside foreign code cannot be stopped alone.  The flight file then blames the one
 * delivery. */
#ifndef PLUMB_WORKER_WATCHDOG_H
#define PLUMB_WORKER_WATCHDOG_H

#include "err.h"
#include "uuid.h"

#include <stdint.h>

typedef struct watchdog watchdog_t;

/* A thread that looks a few times per `limit_ms`. */
int watchdog_start(watchdog_t **ret, int64_t limit_ms, plumb_err_t *err);
void watchdog_stop(watchdog_t **watchdog);

/* Around each step; `channel` is borrowed until watchdog_leave. */
void watchdog_enter(watchdog_t *watchdog, const char *channel, const plumb_uuid_t *delivery);
void watchdog_leave(watchdog_t *watchdog);

#endif
