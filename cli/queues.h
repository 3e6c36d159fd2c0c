/* Which queues there are, so that a mistyped name is not taken for one. */
#ifndef PLUMB_CLI_QUEUES_H
#define PLUMB_CLI_QUEUES_H

#include "err.h"

#include <jansson.h>

/* Is `queue` there?  The broker knows those that had a job since its start, `state` is its answer
 * to "stats"; the table of channels, which is only asked for the others, knows those that a
 * delivery may yet make.  0; NOT_FOUND, which names those there are; or why the table cannot be
 * asked. */
int queues_check(const char *queue, const json_t *state, const char *database, plumb_err_t *err);

#endif
