/* The same writer that answers GET. */
#include "changed.h"

#include "reading.h"

#include <stdio.h>

int changed_put(request_t *request, reader_t *reader, const api_type_t *type,
                const plumb_uuid_t *id, plumb_buf_t *out, int64_t *version, plumb_err_t *err)
{
    reading_t r = {.request = request, .reader = reader, .type = type};
    api_query_read(&r.query, type, 0, NULL, &request->problems);
    int rc = store_one(&request->ingest->store, reader, type, &request->identity, id, &r.rows, err);
    if (rc == 0 && PQntuples(r.rows) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such resource");
    if (rc == 0) {
        r.count = 1;
        rc = reading_fetch_outcomes(&r, err);
    }
    if (rc == 0)
        rc = reading_put(&r, out, 0, NULL, err);
    *version = rc == 0 && (type->flags & API_VERSIONED) != 0 ? plumb_get_int4(r.rows, 0, 2) : 0;
    r.reader = NULL; /* the caller's */
    reading_end(&r);
    return rc == 0 && out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write a resource") : rc;
}

const char *changed_path(char out[CHANGED_PATH], const api_type_t *type, const plumb_uuid_t *id)
{
    char text[PLUMB_UUID_TEXT];
    snprintf(out, CHANGED_PATH, "%s/%s", type->path, plumb_uuid_text(id, text));
    return out;
}
