/* All SQL of ingest that reads; what commits is in store_commit.h. */
#ifndef INGEST_STORE_H
#define INGEST_STORE_H

#include "api/type.h"
#include "catalog.h"
#include "lead.h"
#include "readers.h"
#include "resource.h"
#include "shape.h"
#include "token.h"

/* Statements whose text is made of tables, once. */
struct store {
    plumb_buf_t targets_sql, one_sql[API_TYPES], some_sql[API_TYPES]; /* owned */
    plumb_stmt_t targets, one[API_TYPES], some[API_TYPES];
};
int store_init(store_t *store, plumb_err_t *err);
void store_fini(store_t *store);

/* The token's row; one that is not there comes with is_good false.  `row` is overwritten; its
 * filter is the caller's. */
int store_token(reader_t *reader, const char *id, token_row_t *row, plumb_err_t *err);

/* The tokens of `count` ids, TOKEN_ID bytes each, were used just now. */
int store_tokens_used(reader_t *reader, const char *ids, size_t count, plumb_err_t *err);

/* Fill what is known of quiz (account, id). */
int store_quiz(reader_t *reader, quiz_t *quiz, plumb_err_t *err);

/* Fill the quiz's targets.  One that cannot be opened is logged and marked closed. */
int store_targets(const store_t *store, reader_t *reader, plumb_vault_t *vault, quiz_t *quiz,
                  plumb_err_t *err);

/* ---- answers under an Idempotency-Key ---- */

typedef struct stored_answer {
    bool is_there, is_fresh; /* not older than its life */
    uint8_t body_hash[SHAPE_HASH];
    plumb_uuid_t lead;
    int64_t created_ms; /* the lead's, as it was answered */
    int status;
    integration_status_t integration;
    bool is_erased; /* the lead, since */
    bool paid;
    plumb_uuid_t duplicate_of; /* nil: none */
} stored_answer_t;

int store_answer(reader_t *reader, const plumb_uuid_t *account, const char *route, const char *key,
                 int64_t life_ms, stored_answer_t *answer, plumb_err_t *err);

/* Remove the row if it is too old. */
int store_forget_answer(reader_t *reader, const plumb_uuid_t *account, const char *route,
                        const char *key, int64_t life_ms, plumb_err_t *err);

/* ---- resources; results are the caller's (PQclear), rows as ingest/api/select.h has them ---- */

/* What `who` may see and was not put away. */
int store_one(const store_t *store, reader_t *reader, const api_type_t *type, const identity_t *who,
              const plumb_uuid_t *id, PGresult **r, plumb_err_t *err);
int store_some(const store_t *store, reader_t *reader, const api_type_t *type,
               const identity_t *who, const plumb_uuid_t *ids, size_t count, PGresult **r,
               plumb_err_t *err);

/* Columns of store_deliveries: from DELIVERY_CREDENTIAL on the attributes of api_types. */
enum {
    DELIVERY_LEAD,
    DELIVERY_ID,
    DELIVERY_CREDENTIAL,
    DELIVERY_CHANNEL,
    DELIVERY_VERB,
    DELIVERY_STATE,
    DELIVERY_ATTEMPT,
    DELIVERY_TRIES,
    DELIVERY_OUTCOME,
    DELIVERY_REASON,
    DELIVERY_EXTERNAL_ID
};
/* Of the leads whose ids `leads` has in its second column, lead after lead. */
int store_deliveries(reader_t *reader, const plumb_uuid_t *account, const PGresult *leads,
                     PGresult **r, plumb_err_t *err);

/* Columns of store_attempts: from ATTEMPT_NUMBER on the attributes of api_types, then these. */
enum {
    ATTEMPT_DELIVERY,
    ATTEMPT_NUMBER,
    ATTEMPT_OUTCOME,
    ATTEMPT_DNS_US = 13,
    ATTEMPT_CONNECT_US,
    ATTEMPT_TLS_US,
    ATTEMPT_FIRST_BYTE_US,
    ATTEMPT_TOTAL_US,
    ATTEMPT_EXCHANGE
};
/* Of the deliveries that `deliveries` (a result of store_deliveries) holds. */
int store_attempts(reader_t *reader, const plumb_uuid_t *account, const PGresult *deliveries,
                   PGresult **r, plumb_err_t *err);

#endif
