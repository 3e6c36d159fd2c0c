/* An answer's way out. */
#ifndef INGEST_RESPOND_H
#define INGEST_RESPOND_H

#include "request.h"

/* Send the head of an answer that goes on for as long as its handler writes; it needs status and
 * type.  False: the client is gone. */
bool respond_open(request_t *request);

/* Write the answer in one piece, unless it is out, and count it. */
void respond(request_t *request);

#endif
