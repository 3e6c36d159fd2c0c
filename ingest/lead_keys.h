/* What the commit tells a lead from others by, gathered before it. */
#ifndef INGEST_LEAD_KEYS_H
#define INGEST_LEAD_KEYS_H

#include "request.h"

/* Fill request->prepared.keys; terms of fields of `data` are added to request->blind.  The lead is
 * normalised, its quiz known, and the request has its workspace.  Errors are those of shape_hash.
 */
int lead_keys_gather(request_t *request, bool is_test, plumb_err_t *err);

/* Append the entries of the checks that the commit makes to the lead's trace: as they are when
 * nothing is found; what is found changes them (store_commit.c). */
void lead_keys_trace(request_t *request, bool is_test);

#endif
