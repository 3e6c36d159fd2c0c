/* What must hold of a request before anything else looks at it.
 *
 * civetweb's framing is not to be trusted: it drops what stands behind a folded line or the 64th
 * header, takes bare line feeds, blanks before the colon and doubled lengths, each of which lets
 * the end of one request become the beginning of another. So every line is held against its
 * neighbours here, and a request that fails ends its connection. */
#ifndef INGEST_DOOR_H
#define INGEST_DOOR_H

#include "err.h"

#include <civetweb.h>
#include <stdbool.h>
#include <stdint.h>

/* A request that may come in.  Texts are borrowed from civetweb, NULL when absent. */
typedef struct door {
    const char *host, *authorization, *content_type, *idempotency_key, *traceparent;
    const char *content_length, *transfer_encoding, *upgrade, *expect; /* as sent */
    const char *path, *query;
    bool has_body;
    bool is_chunked;
    int64_t length; /* of a body that is not chunked */
} door_t;

/* Check `info`.  `hosts` is the comma-separated list of names served; "" serves any.  BAD_REQUEST
 * says which rule is broken: the connection must then be closed. */
int door_check(door_t *door, const struct mg_request_info *info, const char *hosts,
               plumb_err_t *err);

#endif
