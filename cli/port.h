/* Ports on loopback that stay ours. */
#ifndef PLUMB_CLI_PORT_H
#define PLUMB_CLI_PORT_H

#include "err.h"

/* Reserve `wanted` on 127.0.0.1, or any free port when it is 0.  The descriptor in `held` keeps
 * other reservations off, also while the daemon that listens there restarts; close it to give the
 * port back.  CONFLICT: somebody has it. */
int port_hold(int wanted, int *port, int *held, plumb_err_t *err);

#endif
