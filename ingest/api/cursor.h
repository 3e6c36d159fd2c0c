/* Cursors: where in a list a row stands.  Opaque and signed; good for the account, type and sort
 * that it was made for. */
#ifndef INGEST_API_CURSOR_H
#define INGEST_API_CURSOR_H

#include "msg.h"
#include "query.h"

/* The values of the sort's keys as PostgreSQL writes them, then the id. */
typedef struct api_position {
    plumb_slice_t key[API_KEYS_MAX];
    plumb_uuid_t id;
} api_position_t;

/* Append the cursor's text to `out`. */
int api_cursor_write(plumb_buf_t *out, const plumb_keyring_t *keyring, const plumb_uuid_t *account,
                     const api_query_t *q, const api_position_t *position, plumb_err_t *err);

/* Read it; the position's keys point into `plain`, which is cleared first.  BAD_CURSOR: it is none
 * of ours, or of another account, type or sort. */
int api_cursor_read(api_position_t *position, plumb_buf_t *plain, const plumb_keyring_t *keyring,
                    const plumb_uuid_t *account, const api_query_t *q, const char *text,
                    plumb_err_t *err);

#endif
