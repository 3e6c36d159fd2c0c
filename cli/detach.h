/* Going to the background, but not before everything works. */
#ifndef PLUMB_CLI_DETACH_H
#define PLUMB_CLI_DETACH_H

#include "err.h"

#include <sys/types.h>

typedef struct detach {
    pid_t supervisor; /* in the process that waits; 0 in the one that goes on */
    int pipe;         /* its one byte says that everything works; -1 in the foreground */
} detach_t;

/* Split: the child, in a session of its own, goes on and ends if the one that waits is killed. */
int detach_fork(detach_t *detach, plumb_err_t *err);

/* In the parent: wait for the word or the end; a Ctrl-C is passed on.  The exit status. */
int detach_wait(detach_t *detach);

/* In the child: everything works.  stdin and stdout are let go, stderr goes to `log`. */
int detach_go(detach_t *detach, const char *log, plumb_err_t *err);

#endif
