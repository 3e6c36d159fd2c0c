/* Unix sockets that listen at a path. */
#ifndef PLUMB_UNIX_LISTEN_H
#define PLUMB_UNIX_LISTEN_H

#include "err.h"

#include <stdint.h>

/* Listen at `path` (mode 0660); the descriptor, which neither blocks nor is inherited, or an error.
 * What a dead process left there is replaced; for a listener that is going this waits up to
 * `wait_ms`.  UNAVAILABLE: somebody listens there; SYSTEM: it is no socket, or else. */
int plumb_unix_listen(const char *path, int64_t wait_ms, plumb_err_t *err);

#endif
