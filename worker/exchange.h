/* What is kept of a request and its answer for the credential's owner: short, redacted, sealed. */
#ifndef PLUMB_WORKER_EXCHANGE_H
#define PLUMB_WORKER_EXCHANGE_H

#include "ask.h"
#include "buf.h"
#include "net.h"
#include "redact.h"

#include <stdbool.h>

#define EXCHANGE_BODY_MAX 2048
#define EXCHANGE_BRIEF_MAX 256 /* of a body, where the record is brief */
#define EXCHANGE_VALUE_MAX 256
#define EXCHANGE_HEADERS_MAX 32

typedef struct exchange {
    const ask_t *ask;
    const transfer_t *transfer; /* NULL: nothing came back */
    int status;                 /* 0: no answer */
    const redact_t *secrets;
    bool hide_path; /* the URL is a secret of the credential: only its host is shown */
    bool brief;     /* it went well: no headers, and only how the bodies begin */
} exchange_t;

/* Append the JSON text {"request":{…},"response":{…}|null} (docs/messages.md, RESULT).  `scratch`
 * is cleared and used. */
void exchange_write(plumb_buf_t *out, plumb_buf_t *scratch, const exchange_t *exchange);

#endif
