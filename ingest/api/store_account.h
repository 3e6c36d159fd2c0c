/* The SQL of accounts: their plan, what is left of it, what tops it up. */
#ifndef INGEST_API_STORE_ACCOUNT_H
#define INGEST_API_STORE_ACCOUNT_H

#include "store_change.h"

/* Columns of store_account. */
enum { ACCOUNT_NAME, ACCOUNT_PLAN, ACCOUNT_LEFT, ACCOUNT_SETTINGS, ACCOUNT_CREATED_AT };
/* The result is the caller's (PQclear), as below. */
int store_account(reader_t *reader, const plumb_uuid_t *account, PGresult **r, plumb_err_t *err);

/* Change what `columns` (a JSON object from column to value) names. */
int store_account_update(reader_t *reader, const plumb_uuid_t *account, const plumb_buf_t *columns,
                         plumb_err_t *err);

/* ---- top-ups: each of these in the order in which they stand, in one transaction ---- */

/* Lock the account's balance, made if there is none, until the transaction ends: no lead of a group
 * that commits meanwhile is then paid or left unpaid. */
int store_balance_lock(reader_t *reader, const plumb_uuid_t *account, int64_t *leads_left,
                       plumb_err_t *err);

/* Lock the oldest unpaid leads, `limit` at most; their ids in the first column. */
int store_unpaid(reader_t *reader, const plumb_uuid_t *account, int64_t limit, PGresult **r,
                 plumb_err_t *err);

int store_balance_set(reader_t *reader, const plumb_uuid_t *account, int64_t leads_left,
                      plumb_err_t *err);

typedef struct top_up {
    plumb_uuid_t id;
    int64_t leads;
    plumb_slice_t reason; /* data NULL: none */
    const char *made_by;
} top_up_t;
int store_top_up(reader_t *reader, const plumb_uuid_t *account, const top_up_t *top_up,
                 plumb_err_t *err);

/* Columns of store_top_ups_get. */
enum { TOP_UP_LEADS, TOP_UP_REASON, TOP_UP_MADE_BY, TOP_UP_CREATED_AT };
int store_top_up_get(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                     PGresult **r, plumb_err_t *err);

#endif
