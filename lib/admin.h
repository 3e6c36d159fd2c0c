/* The health responder: HTTP/1.0 on a unix socket, from a thread of its own. */
#ifndef PLUMB_ADMIN_H
#define PLUMB_ADMIN_H

#include "daemon.h"
#include "err.h"

typedef struct plumb_admin plumb_admin_t;

/* Listen on `path`.  `daemon` names whose metrics are shown and must outlive it, as must `self`. */
int plumb_admin_new(plumb_admin_t **ret, const char *path, const char *daemon, plumb_ready_fn ready,
                    void *self, plumb_err_t *err);

/* End the thread (at most the time of one answer), remove the socket's file. */
void plumb_admin_destroy(plumb_admin_t **admin);

#endif
