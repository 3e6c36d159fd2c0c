/* An answer's way out. */
#ifndef INGEST_RESPOND_H
#define INGEST_RESPOND_H

#include "request.h"

/* Write the answer in one piece, and count it. */
void respond(request_t *request);

#endif
