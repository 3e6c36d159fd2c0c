/* Which tokens were used lately: noted while requests run, written in batches beside them. */
#ifndef INGEST_TOKEN_USES_H
#define INGEST_TOKEN_USES_H

#include "readers.h"

#include <stdint.h>

typedef struct token_uses token_uses_t;

/* A token's use is noted at most once in `every_ms`. */
int token_uses_new(token_uses_t **ret, readers_t *readers, int64_t every_ms, plumb_err_t *err);
void token_uses_destroy(token_uses_t **uses);

/* The token of that id (TOKEN_ID bytes) is used now. */
void token_uses_note(token_uses_t *uses, const char *id, int64_t now_ms);

/* Write what was noted since the last time.  On an error it stays noted. */
int token_uses_write(token_uses_t *uses, plumb_err_t *err);

#endif
