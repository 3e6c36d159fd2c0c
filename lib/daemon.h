/* What every daemon's main does: arguments, signals, readiness, watchdog, health. */
#ifndef PLUMB_DAEMON_H
#define PLUMB_DAEMON_H

#include "conf.h"
#include "err.h"

#include <stdbool.h>

typedef struct plumb_daemon {
    const char *name; /* "broker" */
    plumb_conf_t conf;
    int signal_fd;   /* readable when TERM, INT or HUP came; -1 before plumb_daemon_open */
    bool check_only; /* --check: configuration is good, leave with 0 */
    void *admin;     /* the health and metrics responder */
} plumb_daemon_t;

/* First thing in main, before any thread: blocks TERM, INT and HUP, takes czmq's handlers away,
 * reads arguments (--config FILE, --set KEY=VALUE, --check, --version, --help) and the
 * configuration, opens the log, makes the run directory.  Prints and exits for --version and
 * --help. */
int plumb_daemon_open(plumb_daemon_t *daemon, const char *name, int argc, char **argv,
                      plumb_err_t *err);

/* Take one signal from signal_fd.  True for TERM and INT: stop. */
bool plumb_daemon_signalled(plumb_daemon_t *daemon);

/* Serve /healthz, /readyz and /metrics over HTTP/1.0 on the unix socket <run_dir>/<instance>.http,
 * from a thread of its own.  `ready` is called from that thread: 0, or a sentence in `err` that
 * says what is missing; with ?verbose each line of `err.text` is shown.  `instance` such as
 * "worker-0". */
typedef int (*plumb_ready_fn)(void *self, plumb_err_t *err);
int plumb_daemon_admin(plumb_daemon_t *daemon, const char *instance, plumb_ready_fn ready,
                       void *self, plumb_err_t *err);

/* Tell systemd: READY=1 once work can flow; STATUS=; WATCHDOG=1, to be called from the daemon's own
 * loop at least every second; STOPPING=1.  All are no-ops without NOTIFY_SOCKET. */
void plumb_daemon_ready(const char *status);
void plumb_daemon_alive(void);
void plumb_daemon_stopping(void);

void plumb_daemon_close(plumb_daemon_t *daemon); /* safe however far open came */

#endif
