/* The services a plugin may use: the table behind include/plumb/channel.h. */
#ifndef PLUMB_WORKER_HOST_H
#define PLUMB_WORKER_HOST_H

#include "call.h"

extern const plumb_host_t host_services;

/* The verb's name on the wire.  False: unknown. */
bool host_verb(plumb_verb_t *verb, plumb_slice_t name);

/* The channel's step for a verb; NULL: it has none. */
plumb_step_t (*host_step(const plumb_channel_t *channel, plumb_verb_t verb))(plumb_call_t *);

#endif
