/* The client's address. */
#ifndef INGEST_SOURCE_H
#define INGEST_SOURCE_H

#include "request.h"

/* The peer's; behind trusted proxies the nearest address that X-Forwarded-For names and that is
 * none of them. */
void source_find(request_t *request);

#endif
