/* What filters become in SQL; parts of ingest/api/select.c. */
#ifndef INGEST_API_CONDITIONS_H
#define INGEST_API_CONDITIONS_H

#include "select.h"

/* A statement under way. */
typedef struct api_sql {
    plumb_buf_t *sql;
    plumb_params_t *params;
    int count; /* of parameters so far */
} api_sql_t;

/* Append the place of the parameter that was added last: "$3::type". */
void api_put_place(api_sql_t *b, const char *type);

/* What PostgreSQL calls the attribute's type where it is compared. */
const char *api_sql_type(const plumb_attr_t *attr);

/* Append what is sorted by: the column, or that of a time which may be unset, last then. */
void api_put_key(plumb_buf_t *out, const api_type_t *type, int attr);

/* Append " AND …" for each condition; `on_board`: all but those of put_board's loops. */
void api_put_conditions(api_sql_t *b, const api_selection_t *s, bool on_board);

/* Append conditions on a project `p`: those of the leads' project, and the token's. */
void api_put_owners(api_sql_t *b, const api_selection_t *s);

/* Append the values of the ANY condition on `attr` to the array that was begun. */
void api_put_items(api_sql_t *b, const api_query_t *q, int attr);

/* Append the condition that a project-bound token sees the row; `place` is its project's. */
void api_put_bound(plumb_buf_t *out, const api_type_t *type, const char *place);

#endif
