/* API tokens: "<id>.<secret>" in Authorization: Bearer, checked against a cache of the table. */
#ifndef INGEST_TOKEN_H
#define INGEST_TOKEN_H

#include "readers.h"
#include "seal.h"
#include "uuid.h"

#include <stdbool.h>

#define TOKEN_ID 12

typedef enum scope {
    SCOPE_READ = 1,
    SCOPE_WRITE = 2,
    SCOPE_OPERATE = 4,
    SCOPE_ADMIN = 8,
    SCOPE_INTAKE = 16
} scope_t;

/* Who asks. */
typedef struct identity {
    char token[TOKEN_ID + 1];
    plumb_uuid_t account;
    plumb_uuid_t project; /* nil: all of the account's */
    unsigned scopes;
} identity_t;

/* A row of `tokens`. */
typedef struct token_row {
    bool is_good; /* there, neither revoked nor expired, its account active */
    identity_t identity;
    uint32_t key_id;
    uint8_t hash[PLUMB_TOKEN_HASH];
} token_row_t;

typedef struct tokens tokens_t;

/* `life_ms`: how long a row is believed; never above five seconds, within which a revocation must
 * have reached every ingest. */
int tokens_new(tokens_t **ret, const plumb_keyring_t *keyring, readers_t *readers, int64_t life_ms,
               plumb_err_t *err);
void tokens_destroy(tokens_t **tokens);

/* Forget the rows of `account` (NULL: of all), and those of ids that nobody has.  What is being
 * read meanwhile is used once and not kept. */
void tokens_drop(tokens_t *tokens, const plumb_uuid_t *account);

/* Check an Authorization header (NULL: none).  `known_only`: ask the cache only, not the database.
 * UNAUTHENTICATED: no token, or none that is good; `*presented` tells the two apart. DB_AWAY,
 * UNAVAILABLE: cannot be told now. */
int tokens_check(tokens_t *tokens, const char *authorization, bool known_only, identity_t *identity,
                 bool *presented, plumb_err_t *err);

#endif
