/* Takes secrets out of texts that are kept: records of exchanges, log lines, sentences. */
#ifndef PLUMB_WORKER_REDACT_H
#define PLUMB_WORKER_REDACT_H

#include "buf.h"

#include <jansson.h>
#include <stddef.h>

#define REDACT_SHORTEST 4 /* a shorter secret would blank ordinary words */
#define REDACT_MARK "***"

typedef struct redact {
    char **secrets; /* owned; the longest first, so that a part never uncovers the whole */
    size_t count, capacity;
} redact_t;

/* Add a secret; too short ones are left out.  -1: out of memory. */
int redact_add(redact_t *redact, const char *secret, size_t length);
/* Every text inside a JSON value. */
int redact_add_json(redact_t *redact, const json_t *value);
void redact_fini(redact_t *redact);

/* Append at most `max` bytes of the redacted text, cut at a character; bytes that are no UTF-8 and
 * NUL become '?'. */
void redact_put(const redact_t *redact, plumb_buf_t *out, const char *text, size_t length,
                size_t max);

#endif
