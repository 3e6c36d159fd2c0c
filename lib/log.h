/* Structured log lines: one line an event, key=value pairs; journal fields under systemd,
 * readable lines on a terminal or in a file. */
#ifndef PLUMB_LOG_H
#define PLUMB_LOG_H

#include <syslog.h>

/* A personal or secret value.  Being a struct it can be given to no printf-like function:
 * the compiler refuses to log it. */
typedef struct plumb_private {
    const char *text; /* borrowed, not NUL-terminated */
    unsigned length;
} plumb_private_t;

/* Name the daemon in each line; `level` is a syslog priority: less urgent lines are dropped.
 * Call once in main before any thread. */
void plumb_log_open(const char *daemon, int level);

/* Log event `event` (snake_case, fixed) with pairs like "delivery=%s attempt=%u".
 * A value with spaces is written in double quotes by the caller ("reason=\"%s\""); control
 * characters and new lines are escaped here.  Under systemd each pair is also the field
 * PLUMB_<KEY>. */
void plumb_log_event(int priority, const char *event, const char *pairs, ...)
    __attribute__((format(printf, 3, 4)));

#endif
