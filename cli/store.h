/* The operator's SQL: what `plumb up` writes into the tables, what `plumb channels` reads. */
#ifndef PLUMB_CLI_STORE_H
#define PLUMB_CLI_STORE_H

#include "demo.h"
#include "vault.h"

#include <jansson.h>

typedef struct store_token {
    char id[TOKEN_ID_LENGTH + 1];
    uint8_t hash[PLUMB_TOKEN_HASH];
    uint32_t key_id;
} store_token_t;

/* One transaction around the following; `rc` of what was done inside decides its end. */
int store_begin(plumb_db_t *db, plumb_err_t *err);
int store_end(plumb_db_t *db, int rc, plumb_err_t *err);

/* Each makes its rows where they are missing and leaves them where they are. */
int store_owner(plumb_db_t *db, plumb_vault_t *vault, const demo_t *demo, plumb_err_t *err);
int store_token(plumb_db_t *db, const demo_t *demo, const store_token_t *token, plumb_err_t *err);

/* Credential and link; `changed`: a credential that is there gets these fields too. */
int store_credential(plumb_db_t *db, plumb_vault_t *vault, const demo_t *demo, const char *fields,
                     bool changed, plumb_err_t *err);

/* Add the queue of each channel that was ever here to `names`, an object with the names as keys. */
int store_queues(plumb_db_t *db, json_t *names, plumb_err_t *err);

#endif
