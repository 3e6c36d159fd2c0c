/* A credential's fields as a channel's table wants them: pure. */
#ifndef PLUMB_WORKER_FIELDS_H
#define PLUMB_WORKER_FIELDS_H

#include "redact.h"

#include "plumb/channel.h"

#include <jansson.h>

#define FIELDS_WHY_MAX 160

/* Check what was given against the table (types, bounds, patterns, the channel's own check) and add
 * initial values.  New reference to an object that holds the table's fields only; NULL: `why`
 * (FIELDS_WHY_MAX bytes) says what is wrong, never with a value. */
json_t *fields_open(const plumb_channel_t *channel, const json_t *given, char *why);

/* Gather the values of secret fields. */
int fields_secrets(const plumb_channel_t *channel, const json_t *fields, redact_t *redact);

/* Is this field's value, a URL, secret?  (What follows its host is then never shown.) */
bool fields_has_secret_url(const plumb_channel_t *channel);

#endif
