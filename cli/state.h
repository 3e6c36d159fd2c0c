/* The state directory of `plumb up`: its paths, its lock, its private files.
 *
 *   plumb.conf   what the daemons read        keys/    master keys
 *   up.json      what runs (0600: a token)    pg/      the private PostgreSQL: data/, socket
 *   demo.json    who the demo is (0600)       run/     sockets, flight files
 *   up.lock      held while it is up          logs/    one file a process, <file>.old before it */
#ifndef PLUMB_CLI_STATE_H
#define PLUMB_CLI_STATE_H

#include "err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define STATE_DIR_MAX 1024

typedef struct state {
    char dir[STATE_DIR_MAX]; /* absolute */
    int lock;                /* descriptor; -1: not held */
} state_t;

/* The directory that `given` (may be NULL: the default one) names, made absolute; nothing is
 * touched. */
int state_locate(char dir[STATE_DIR_MAX], const char *given, plumb_err_t *err);

/* Make the directory where missing and take its lock.  CONFLICT: another `up` holds it. */
int state_open(state_t *state, const char *dir, plumb_err_t *err);
void state_close(state_t *state); /* safe on {.lock = -1} */

/* Who holds the lock, by the kernel's word: 0 nobody, also when there is no such directory. */
pid_t state_holder(const char *dir);

/* "<dir>/<name>" in `out` (PATH_MAX bytes); returns `out`. */
char *state_path(const char *dir, const char *name, char *out);

/* Replace a file at once and for good: written beside it, synced, renamed; mode 0600. */
int state_write(const char *path, const void *data, size_t length, plumb_err_t *err);

/* Read a whole file of at most `max` bytes; `*text` is the caller's, NUL-terminated.
 * NOT_FOUND: there is none. */
int state_read(const char *path, size_t max, char **text, size_t *length, plumb_err_t *err);

/* Remove sockets and port files that a dead process left in `run_dir`; flight files stay, they hold
 * results nobody has recorded yet. */
void state_clean_run(const char *run_dir);

#endif
