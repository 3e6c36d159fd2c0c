/* The process that writes the logs of one `plumb up`: what a child says comes through a pipe, so
 * that a file can be put aside while its child goes on writing.
 *
 * It is a process of its own: a terminal that stands still stops the supervisor, which prints, and
 * must not stop the children, which wait when a pipe is full.  It ends when nobody can write any
 * more, also after a kill -9 of the supervisor, and until then it writes all that was said.  When
 * it is killed, the next one goes on with what is in the pipes. */
#ifndef PLUMB_CLI_LOGGER_H
#define PLUMB_CLI_LOGGER_H

#include "err.h"

#include <limits.h>
#include <sys/types.h>

#define LOGGER_MAX 8 /* logs */

typedef struct logger {
    unsigned count;
    char path[LOGGER_MAX][PATH_MAX];
    int from[LOGGER_MAX], into[LOGGER_MAX]; /* ends of the pipes */
    int ask[2];                             /* a byte on [0] comes back when all is written */
    off_t max;                              /* a file that is longer is put aside as <path>.old */
    pid_t pid;                              /* 0: not running */
} logger_t;

/* Make the pipes and start it.  `paths` are copied. */
int logger_open(logger_t *logger, const char *const paths[], unsigned count, off_t max,
                plumb_err_t *err);

/* Start it again if it died; call it on SIGCHLD. */
void logger_keep(logger_t *logger);

/* Wait until the files are there and hold all that was said before, a few seconds at most. */
void logger_flush(const logger_t *logger);

/* Let it end, which it does once the children have: waits a few seconds at most. */
void logger_close(logger_t *logger); /* safe on zeroes */

#endif
