/* One request's transaction: begun, tried again when it met another one, committed, answered. */
#ifndef INGEST_API_TRANSACT_H
#define INGEST_API_TRANSACT_H

#include "change.h"

/* Does the work and writes the answer's body and header lines; called anew for each try, with both
 * empty.  Negative: nothing is committed, and request->problems or `err` say why. */
typedef int transact_run_t(change_t *change, const void *context, plumb_err_t *err);

/* Charge the request, run, answer with `status` (204: without a body) or with what went wrong. */
void transact(request_t *request, transact_run_t *run, const void *context, int status);

/* Read the request's document into request->work->json, make room for its values, and find its
 * resource object.  Negative: request->problems say why. */
int transact_read(change_t *change, uint32_t *data);

#endif
