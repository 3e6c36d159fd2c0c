/* Changes through the API, each inside a transaction that its caller began and ends. */
#ifndef INGEST_API_CHANGE_H
#define INGEST_API_CHANGE_H

#include "../request.h"
#include "input.h"
#include "store_change.h"

/* What a change needs of the request it belongs to. */
typedef struct change {
    request_t *request;
    reader_t *reader;      /* in a transaction block */
    const char *at;        /* pointer to the resource object in the request's document: "/data" */
    const char *if_match;  /* the header's value; NULL: whatever the version */
    const api_lid_t *lids; /* of what was added before; NULL: none may be named so */
    size_t lid_count;
    plumb_buf_t columns; /* owned: JSON object from column to value */
    plumb_buf_t sealed;  /* owned */
    char token[80];      /* of a new token: "<id>.<secret>", told once */
} change_t;

void change_fini(change_t *change);

/* Create a resource from the object at node `data` of request->work->json; change one; put one away
 * or remove it.  Negative: nothing may be committed; then either request->problems say what is
 * wrong with the document, or `err` says what else is (NOT_FOUND, STALE, CONFLICT, FORBIDDEN, …).
 */
int change_create(change_t *c, const api_type_t *type, uint32_t data, plumb_uuid_t *id,
                  plumb_err_t *err);
int change_update(change_t *c, const api_type_t *type, uint32_t data, const plumb_uuid_t *id,
                  plumb_err_t *err);
int change_remove(change_t *c, const api_type_t *type, const plumb_uuid_t *id, plumb_err_t *err);

/* The same for leads (change_lead.c); none is created here. */
int change_lead_update(change_t *c, uint32_t data, const plumb_uuid_t *id, plumb_err_t *err);
int change_lead_remove(change_t *c, const plumb_uuid_t *id, plumb_err_t *err);
int change_lead_restore(change_t *c, const plumb_uuid_t *id, plumb_err_t *err);
/* Send it although it is unpaid or a duplicate.  CONFLICT: it is blocked. */
int change_lead_release(change_t *c, const plumb_uuid_t *id, plumb_err_t *err);

/* ---- inside ---- */

/* What reads the resource's attributes into `values`, one for each row. */
api_input_t change_input(const change_t *c, const api_type_t *type, unsigned verb,
                         plumb_slice_t *values);

/* Write what was given, and defaults of what is made, to `columns`. */
int change_put_given(change_t *c, const api_input_t *in, plumb_err_t *err);

/* Is `version` one of those that If-Match names?  STALE. */
int change_match(const change_t *c, int64_t version, plumb_err_t *err);

/* Append `"column":` and a value to the object under way in `columns`. */
void change_put(plumb_buf_t *columns, const plumb_attr_t *attr, const plumb_slice_t *value);
void change_put_text(plumb_buf_t *columns, const char *column, const char *text);
void change_put_bytes(plumb_buf_t *columns, const char *column, const void *data, size_t length);
void change_put_number(plumb_buf_t *columns, const char *column, int64_t number);
/* `{` when it is empty, else a comma; then the name. */
void change_put_name(plumb_buf_t *columns, const char *column);

/* Add a problem with an attribute of the resource. */
void change_complain(const change_t *c, plumb_code_t code, const char *name, const char *detail);
/* -code of the first problem, 0: there is none. */
int change_problems(const change_t *c);

/* What a type's own rules add to its columns when it is made or changed (change_rules.c). */
int change_rules(change_t *c, const api_input_t *in, const plumb_uuid_t *id, plumb_err_t *err);

#endif
