/* What a daemon's test begins with: an empty database with the schema, master keys on disk, one
 * account with all that belongs to it, a configuration that names them. */
#ifndef PLUMB_TESTS_ACCOUNT_H
#define PLUMB_TESTS_ACCOUNT_H

#include "conf.h"
#include "pg.h"
#include "vault.h"

typedef struct account {
    char conninfo[PG_CONNINFO_MAX];
    char dir[64]; /* run directory and keys; removed by account_destroy */
    plumb_conf_t conf;
    plumb_keyring_t *keyring;
    plumb_vault_t *vault;
    plumb_db_t *db;
    plumb_uuid_t id, user, project, quiz;
    char token[64]; /* of the whole account, may do everything */
} account_t;

/* Its quiz takes any lead for a new one: neither identical leads nor persons are looked for.  What
 * goes wrong ends the program. */
account_t *account_new(void);
void account_destroy(account_t **account);

/* A further token; `scopes` such as "read,write"; `project` may be NULL. */
void account_token(account_t *account, const char *id, const char *scopes,
                   const plumb_uuid_t *project, char token[64]);

/* A credential of `channel` with `fields` (a JSON object), linked to the project, or to the quiz
 * when `quiz` is not NULL. */
plumb_uuid_t account_credential(account_t *account, const char *channel, const char *fields,
                                const plumb_uuid_t *quiz);

/* Run SQL that must work; printf-like. */
void account_sql(account_t *account, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first value of a query as a number; printf-like. */
long account_count(account_t *account, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A JSON:API document of a lead: the owners' ids and `attributes` (", \"name\":…" or ""). */
void account_document(const account_t *account, const char *attributes, char *out, size_t size);

#endif
