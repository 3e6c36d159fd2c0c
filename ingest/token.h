/* API tokens: "<id>.<secret>" in Authorization: Bearer, checked against a cache of the table. */
#ifndef INGEST_TOKEN_H
#define INGEST_TOKEN_H

#include "ip_filter.h"
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
    plumb_uuid_t quiz;    /* nil: all of the project's; else it may only create leads of this one */
    unsigned scopes;
} identity_t;

/* A row of `tokens`. */
typedef struct token_row {
    bool is_good; /* there, neither revoked nor expired, its account active */
    identity_t identity;
    uint32_t key_id;
    uint8_t hash[PLUMB_TOKEN_HASH];
    ip_filter_t *filter; /* one use is the row's */
} token_row_t;

typedef struct tokens tokens_t;

/* `life_ms`: how long a row is believed; never above five seconds, within which a revocation must
 * have reached every ingest.  `used_every_ms`: a token's use is noted at most so often. */
int tokens_new(tokens_t **ret, const plumb_keyring_t *keyring, readers_t *readers, int64_t life_ms,
               int64_t used_every_ms, plumb_err_t *err);
void tokens_destroy(tokens_t **tokens);

/* Forget the rows of `account` (NULL: of all), and those of ids that nobody has.  What is being
 * read meanwhile is used once and not kept. */
void tokens_drop(tokens_t *tokens, const plumb_uuid_t *account);

/* Check an Authorization header (NULL: none) of who asks from an address.  `known_only`: ask the
 * cache only, not the database. UNAUTHENTICATED: no token, or none that is good; `*presented` tells
 * the two apart. FORBIDDEN: not from there. DB_AWAY, UNAVAILABLE: cannot be told now. */
int tokens_check(tokens_t *tokens, const char *authorization, const struct sockaddr *from,
                 bool known_only, identity_t *identity, bool *presented, plumb_err_t *err);

/* Write which tokens were used since the last time (`self` is a tokens_t).  What cannot be written
 * now is kept for the next time. */
void tokens_write_used(void *self);

#endif
