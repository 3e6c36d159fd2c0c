/* One child process of `plumb up`. */
#ifndef PLUMB_CLI_PROCESS_H
#define PLUMB_CLI_PROCESS_H

#include "err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROCESS_PASSED_FD 9 /* where the child finds `passed` */
#define PROCESS_ARGV_MAX 48

/* How to start it. */
typedef struct process_plan {
    const char *name;                   /* "worker" */
    const char *argv[PROCESS_ARGV_MAX]; /* argv[0] is the program's path; ends with NULL */
    char log[PATH_MAX];                 /* what it writes to stdout and stderr is appended */
    int output;                         /* descriptor that gets it instead; 0: none */
    int passed;                         /* descriptor it gets as PROCESS_PASSED_FD; -1 none */
    bool plain;                         /* gets LC_ALL=C and no PG… variables */
    bool drops;                         /* becomes uid and gid first */
    uid_t uid;
    gid_t gid;
    int death_signal; /* what it gets when we die, however we die */
} process_plan_t;

/* Start it in a session of its own, with stdin from /dev/null and no other descriptor of ours.
 * What goes wrong behind the fork stands in its log and ends it with 127. */
int process_start(const process_plan_t *plan, pid_t *pid, plumb_err_t *err);

/* Start it and wait for its end, at most `timeout_ms`; then it is killed.  SYSTEM unless it ended
 * with 0. */
int process_run(const process_plan_t *plan, int timeout_ms, plumb_err_t *err);

/* "ended with status 1", "was killed by signal 9 (Killed)".  Returns `out`. */
char *process_end_text(int status, char *out, size_t size);

#endif
