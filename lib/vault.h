/* Account keys in memory: unwrapped once, kept for a while, shared by the threads of a daemon. */
#ifndef PLUMB_VAULT_H
#define PLUMB_VAULT_H

#include "db.h"
#include "seal.h"

typedef struct plumb_vault plumb_vault_t;

/* `keyring` stays the caller's and must outlive the vault. */
int plumb_vault_new(plumb_vault_t **ret, const plumb_keyring_t *keyring, plumb_err_t *err);
void plumb_vault_destroy(plumb_vault_t **vault);

/* The account's key `key_id` (0: its newest, looked up again after ten seconds), through `db` when
 * not yet known. KEY: the account has no such key.  Thread-safe; `db` is the calling thread's. */
int plumb_vault_key(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                    uint32_t key_id, plumb_key_t *key, plumb_err_t *err);

/* The key of the account's blind indexes (lib/blind.h), made and stored when there is none yet; all
 * processes get the same one.  Within a transaction block a key that it made is gone when it is
 * rolled back; the block must not be of a stricter isolation than READ COMMITTED.  DB_VALUE: there
 * is no such account.  Thread-safe, as above. */
int plumb_vault_index_key(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                          plumb_key_t *key, plumb_err_t *err);

/* Make an account's first key (id 1) inside the caller's transaction. */
int plumb_vault_create(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                       plumb_err_t *err);

#endif
