/* Sources that guess tokens: after too many failures in a minute they are kept out for a while,
 * which doubles each time. */
#ifndef INGEST_STRANGERS_H
#define INGEST_STRANGERS_H

#include "err.h"

#include <stdint.h>

typedef struct strangers strangers_t;
int strangers_new(strangers_t **ret, plumb_err_t *err);
void strangers_destroy(strangers_t **strangers);

/* Milliseconds that `source` is still kept out; 0: it is not. */
int64_t strangers_kept_out(strangers_t *strangers, const uint8_t source[16], int64_t now_ms);

/* It presented a token that is none. */
void strangers_failed(strangers_t *strangers, const uint8_t source[16], int64_t now_ms);

#endif
