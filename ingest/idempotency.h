/* Idempotency-Key: the first answer under a key is the answer to every repeat. */
#ifndef INGEST_IDEMPOTENCY_H
#define INGEST_IDEMPOTENCY_H

#include "request.h"

typedef enum replay {
    REPLAY_NONE,    /* nothing is kept under the key */
    REPLAY_ANSWERED /* the answer is made: the first one again, or what is wrong with the repeat */
} replay_t;

/* Is the key well-formed?  False: the answer is made. */
bool idempotency_check_key(request_t *request);

/* Fill request->body_hash, if it is not yet; until then the request keeps its workspace. */
int idempotency_hash(request_t *request, plumb_err_t *err);

/* Look up what is kept under the request's key, if it has one.  An answer that was made before
 * stays when there is nothing. */
replay_t idempotency_replay(request_t *request);

#endif
