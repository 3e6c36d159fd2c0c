/* The SQL of lists and of single resources: made of the tables, its values are parameters. */
#ifndef INGEST_API_SELECT_H
#define INGEST_API_SELECT_H

#include "../token.h"
#include "blind.h"
#include "cursor.h"

/* What a list's statement is made of. */
typedef struct api_selection {
    const api_query_t *query;
    const identity_t *who;
    const api_position_t *from; /* rows behind it; NULL: from the first one */
    bool backwards;             /* in the opposite order */
    int64_t limit, offset;
    const plumb_blind_search_t *found; /* what filter[search] became; NULL: none */
    const plumb_key_t *index_key; /* the account's, for phones and mail addresses; may be NULL */
} api_selection_t;

/* Write the statement of a page's rows, or of their count, to `sql` and its parameters to
 * `params`, both cleared. */
void api_select_page(plumb_buf_t *sql, plumb_params_t *params, const api_selection_t *s);
void api_select_count(plumb_buf_t *sql, plumb_params_t *params, const api_selection_t *s);

/* Of a single resource ($1 account, $2 id), or of some ($2 ids), if they were not put away; $3:
 * NULL, or the only project whose the asker may see. */
void api_select_one(plumb_buf_t *sql, const api_type_t *type);
void api_select_some(plumb_buf_t *sql, const api_type_t *type);

/* ---- rows ---- */

/* A resource as a row gives it.  Values are text as PostgreSQL makes it (see lib/lead.h); of
 * SEALED attributes they are not set. */
typedef struct api_row {
    plumb_uuid_t id;
    int64_t version;
    plumb_slice_t value[API_ATTRS_MAX];
    plumb_slice_t sealed_key, sealed; /* data NULL: none */
} api_row_t;

/* Of any of the statements above; slices point into `r`. */
void api_row_read(api_row_t *row, const api_type_t *type, const PGresult *r, int number);

/* Where the row of a page stands; slices point into `r`. */
void api_position_read(api_position_t *position, const api_query_t *q, const PGresult *r,
                       int number);

#endif
