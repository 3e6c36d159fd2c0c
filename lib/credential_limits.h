/* What a channel says of its limits, as a credential's throttle keys; only lib/credential.c looks
 * at it. */
#ifndef PLUMB_CREDENTIAL_LIMITS_H
#define PLUMB_CREDENTIAL_LIMITS_H

#include "credential.h"
#include "json.h"

/* Texts of the channel's row, as the database gives them. */
typedef struct plumb_channel_texts {
    plumb_slice_t limits, fields; /* data NULL: no such row yet */
} plumb_channel_texts_t;

/* Fill schedule, resends and throttles.  `values` are the opened fields, an object. */
int plumb_credential_limits(plumb_credential_t *credential, const plumb_channel_texts_t *channel,
                            const plumb_json_t *values, plumb_err_t *err);

#endif
