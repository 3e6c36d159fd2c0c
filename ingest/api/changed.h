/* Answers of resources that were just made or changed. */
#ifndef INGEST_API_CHANGED_H
#define INGEST_API_CHANGED_H

#include "../request.h"
#include "type.h"

/* Append the resource object as it stands, through `reader`, which may be in a transaction.  Its
 * version (0: it has none) goes to `version`. */
int changed_put(request_t *request, reader_t *reader, const api_type_t *type,
                const plumb_uuid_t *id, plumb_buf_t *out, int64_t *version, plumb_err_t *err);

/* "/api/v1/leads/<id>" */
#define CHANGED_PATH 96
const char *changed_path(char out[CHANGED_PATH], const api_type_t *type, const plumb_uuid_t *id);

#endif
