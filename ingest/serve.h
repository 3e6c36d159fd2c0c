/* From a request to its answer. */
#ifndef INGEST_SERVE_H
#define INGEST_SERVE_H

#include "body.h"
#include "request.h"

/* Make the answer; it is not sent yet. `draining`: nothing new is begun. */
void serve(request_t *request, body_clock_t *clock, bool draining);

/* Begin the request's trace, or go on with the caller's: also for what civetweb refuses itself. */
void serve_trace(request_t *request);

/* Charge whoever has no valid token.  False: the answer, 429, is made. */
bool serve_limit_stranger(request_t *request);

/* True: request->identity is whose token it is, and that has one of `scopes`.  False: the answer is
 * made. */
bool serve_authenticate(request_t *request, unsigned scopes);

/* A client that waits for "100 Continue" gets it: nothing else stands against its request.  False:
 * the answer is made, or the client is gone. */
bool serve_let_continue(request_t *request);

#endif
