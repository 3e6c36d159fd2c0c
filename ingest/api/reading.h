/* One answer of resources under way: what lists, single resources and related ones share. */
#ifndef INGEST_API_READING_H
#define INGEST_API_READING_H

#include "../request.h"
#include "outcomes.h"
#include "select.h"

typedef struct reading {
    request_t *request;
    reader_t *reader;
    const api_type_t *type;
    api_query_t query;
    PGresult *rows; /* of ingest/api/select.h */
    int count;      /* of them that are shown: the first ones */
    outcomes_t outcomes;
    plumb_buf_t included, derived, linkage, cursor; /* owned */
    plumb_key_t account_key;                        /* opens what is sealed outside of leads */
} reading_t;

/* The type whose collection the request's path begins with. */
const api_type_t *reading_type(const request_t *request);

/* Read the query, charge the request, take a connection.  False: the answer is made; reading_end is
 * due all the same. */
bool reading_begin(reading_t *r, request_t *request, const api_type_t *type, unsigned may);
void reading_end(reading_t *r);

/* Read what goes with `rows`: deliveries, attempts. */
int reading_fetch_outcomes(reading_t *r, plumb_err_t *err);

/* Append the resource of a row, and what it includes to `included`; `cursor` may be NULL. */
int reading_put(reading_t *r, plumb_buf_t *out, int row, const plumb_buf_t *cursor,
                plumb_err_t *err);

/* Read and append to `included` the resources to which all rows belong, as far as they are to be
 * included; then append all of it to `out` as ",\"included\":[…]", if any was asked for. */
int reading_put_included(reading_t *r, plumb_buf_t *out, plumb_err_t *err);

/* Append "self": the path and query as they came. */
void reading_put_self(const reading_t *r, plumb_buf_t *out);

#endif
