/* The calls that a simulated worker has under way, and what their channels are. */
#ifndef PLUMB_SIM_WORKER_CALLS_H
#define PLUMB_SIM_WORKER_CALLS_H

#include "net.h"

#include <stdint.h>

/* Whatever is due of this worker's calls; when the next is. */
void transfers_run(int node);
int64_t transfers_due_ms(int node);

/* worker/net.h's handle of a worker's network. */
net_t *net_of(int node);

#endif
