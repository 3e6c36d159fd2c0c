/* Which quiz the key in a public address means: a bounded cache, since strangers may ask for any.
 */
#ifndef INGEST_INTAKE_KEYS_H
#define INGEST_INTAKE_KEYS_H

#include "msg.h"
#include "readers.h"

typedef struct intake_keys intake_keys_t;

int intake_keys_new(intake_keys_t **ret, readers_t *readers, int64_t life_ms, plumb_err_t *err);
void intake_keys_destroy(intake_keys_t **keys);

/* Forget all.  Any thread may call it. */
void intake_keys_drop(intake_keys_t *keys);

/* The quiz of this key.  NOT_FOUND: it is nobody's, or its quiz or account is not active; DB_AWAY,
 * UNAVAILABLE: cannot be told now. */
int intake_keys_find(intake_keys_t *keys, const plumb_slice_t *key, plumb_uuid_t *account,
                     plumb_uuid_t *quiz, plumb_err_t *err);

#endif
