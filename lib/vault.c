/* Account keys in memory: a small table of sets, each least recently used first out. */
#include "vault.h"

#include "clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SETS 64
#define WAYS 8          /* keys of one account share a set with those of others */
#define KEPT_MS 600000  /* then a key is read again: it may have been destroyed */
#define NEWEST_MS 10000 /* keys.linger must be longer, with ingest.cache on top */
#define STATEMENT_MS 5000

/* A key that was unwrapped. */
typedef struct entry {
    plumb_uuid_t account;
    bool index;           /* of the blind indexes */
    plumb_key_t key;      /* id 0: the entry is free */
    int64_t kept_until;   /* monotonic milliseconds, as all of these */
    int64_t newest_until; /* the account's newest key until then; 0: it may not be */
    int64_t used;
} entry_t;

struct plumb_vault {
    const plumb_keyring_t *keyring;
    pthread_mutex_t lock; /* of the entries */
    entry_t *entries;     /* owned, in memory that is not swapped out if the system lets us */
};

int plumb_vault_new(plumb_vault_t **ret, const plumb_keyring_t *keyring, plumb_err_t *err)
{
    *ret = NULL;
    plumb_vault_t *vault = calloc(1, sizeof *vault);
    entry_t *entries = sodium_allocarray((size_t)SETS * WAYS, sizeof *entries);
    if (vault == NULL || entries == NULL) {
        free(vault);
        sodium_free(entries);
        return plumb_err_set(err, PLUMB_E_MEMORY, "vault");
    }
    memset(entries, 0, (size_t)SETS * WAYS * sizeof *entries);
    vault->keyring = keyring;
    vault->entries = entries;
    pthread_mutex_init(&vault->lock, NULL);
    *ret = vault;
    return 0;
}

void plumb_vault_destroy(plumb_vault_t **vault)
{
    if (vault == NULL || *vault == NULL)
        return;
    pthread_mutex_destroy(&(*vault)->lock);
    sodium_free((*vault)->entries); /* wipes */
    free(*vault);
    *vault = NULL;
}

/* ---- the table ---- */

static entry_t *set_of(plumb_vault_t *vault, const plumb_uuid_t *account)
{
    return vault->entries + (size_t)(account->b[15] % SETS) * WAYS; /* the random end of the id */
}

static bool is_of(const entry_t *e, const plumb_uuid_t *account, bool index)
{
    return e->key.id != 0 && e->index == index && plumb_uuid_compare(&e->account, account) == 0;
}

/* Copy key `key_id` (0: the newest) out of the table.  False: it is not there any more or yet. */
static bool find(plumb_vault_t *vault, const plumb_uuid_t *account, bool index, uint32_t key_id,
                 plumb_key_t *key)
{
    int64_t now = plumb_mono_ms();
    bool found = false;
    pthread_mutex_lock(&vault->lock);
    entry_t *set = set_of(vault, account);
    for (int i = 0; i < WAYS && !found; i++) {
        entry_t *e = &set[i];
        if (!is_of(e, account, index) || now >= e->kept_until)
            continue;
        found = key_id == 0 ? now < e->newest_until : e->key.id == key_id;
        if (found) {
            e->used = now;
            *key = e->key;
        }
    }
    pthread_mutex_unlock(&vault->lock);
    return found;
}

/* The entry of that key, or the one that may be overwritten by it. */
static entry_t *place_for(entry_t *set, const plumb_uuid_t *account, bool index, uint32_t key_id)
{
    entry_t *oldest = set;
    for (int i = 0; i < WAYS; i++) {
        if (is_of(&set[i], account, index) && set[i].key.id == key_id)
            return &set[i];
        if (set[i].used < oldest->used)
            oldest = &set[i];
    }
    return oldest;
}

static void keep(plumb_vault_t *vault, const plumb_uuid_t *account, bool index,
                 const plumb_key_t *key, bool newest)
{
    int64_t now = plumb_mono_ms();
    pthread_mutex_lock(&vault->lock);
    entry_t *set = set_of(vault, account);
    for (int i = 0; newest && i < WAYS; i++)
        if (is_of(&set[i], account, index))
            set[i].newest_until = 0;
    entry_t *e = place_for(set, account, index, key->id);
    int64_t newest_until = is_of(e, account, index) ? e->newest_until : 0;
    *e = (entry_t){.account = *account,
                   .index = index,
                   .key = *key,
                   .kept_until = now + KEPT_MS,
                   .newest_until = newest ? now + NEWEST_MS : newest_until,
                   .used = now};
    pthread_mutex_unlock(&vault->lock);
}

/* ---- the database ---- */

static const plumb_stmt_t select_newest = {
    "vault_select_newest",
    "SELECT key_id, wrapped FROM account_keys WHERE account_id = $1 ORDER BY key_id DESC LIMIT 1",
    1};

static const plumb_stmt_t select_key = {
    "vault_select_key",
    "SELECT key_id, wrapped FROM account_keys WHERE account_id = $1 AND key_id = $2", 2};

static int query(plumb_db_t *db, const plumb_uuid_t *account, uint32_t key_id, PGresult **r,
                 plumb_err_t *err)
{
    plumb_params_t *p = plumb_params_new();
    if (p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "look up an account's key");
    plumb_param_uuid(p, account);
    if (key_id != 0)
        plumb_param_int4(p, (int32_t)key_id);
    int rc = plumb_db_exec(db, key_id == 0 ? &select_newest : &select_key, p, STATEMENT_MS, r, err);
    plumb_params_destroy(&p);
    return rc;
}

static int unwrap(const plumb_vault_t *vault, const plumb_uuid_t *account, uint32_t key_id,
                  const PGresult *r, plumb_key_t *key, plumb_err_t *err)
{
    if (PQntuples(r) == 0 && key_id == 0)
        return plumb_err_set(err, PLUMB_E_KEY, "the account has no key");
    if (PQntuples(r) == 0)
        return plumb_err_set(err, PLUMB_E_KEY, "the account has no key %" PRIu32, key_id);
    return plumb_keyring_unwrap(vault->keyring, key, (uint32_t)plumb_get_int4(r, 0, 0), account,
                                plumb_get_text(r, 0, 1), plumb_get_length(r, 0, 1), err);
}

int plumb_vault_key(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                    uint32_t key_id, plumb_key_t *key, plumb_err_t *err)
{
    if (find(vault, account, false, key_id, key))
        return 0;
    PGresult *r = NULL;
    int rc = query(db, account, key_id, &r, err);
    if (rc == 0)
        rc = unwrap(vault, account, key_id, r, key, err);
    if (rc == 0)
        keep(vault, account, false, key, key_id == 0);
    PQclear(r);
    return rc;
}

static const plumb_stmt_t insert_key = {
    "vault_insert_key", "INSERT INTO account_keys (account_id, key_id, wrapped) VALUES ($1, 1, $2)",
    2};

int plumb_vault_create(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                       plumb_err_t *err)
{
    plumb_key_t key;
    plumb_buf_t wrapped = {0};
    plumb_params_t *p = plumb_params_new();
    plumb_key_new(&key, 1);
    int rc = p == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "make an account's key") : 0;
    if (rc == 0)
        rc = plumb_keyring_wrap(vault->keyring, &wrapped, account, &key, err);
    if (rc == 0) {
        plumb_param_uuid(p, account);
        plumb_param_bytes(p, wrapped.data, wrapped.length);
        rc = plumb_db_exec(db, &insert_key, p, STATEMENT_MS, NULL, err);
    }
    sodium_memzero(&key, sizeof key);
    plumb_params_destroy(&p);
    plumb_buf_fini(&wrapped);
    return rc;
}

/* ---- the key of the blind indexes ---- */

/* "Ours": this very transaction made it, and may yet undo it. */
static const plumb_stmt_t select_index = {
    "vault_select_index",
    "SELECT wrapped, coalesce(xmin = pg_current_xact_id_if_assigned()::xid, false) "
    "FROM account_index_keys WHERE account_id = $1",
    1};

/* Waits for another who is making it, and leaves theirs. */
static const plumb_stmt_t insert_index = {
    "vault_insert_index",
    "INSERT INTO account_index_keys (account_id, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    2};

static int look_up_index(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                         plumb_key_t *key, bool *found, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = plumb_params_new();
    if (p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "look up an account's index key");
    plumb_param_uuid(p, account);
    int rc = plumb_db_exec(db, &select_index, p, STATEMENT_MS, &r, err);
    plumb_params_destroy(&p);
    *found = rc == 0 && PQntuples(r) == 1;
    if (*found)
        rc = plumb_keyring_unwrap_index(vault->keyring, key, account, plumb_get_text(r, 0, 0),
                                        plumb_get_length(r, 0, 0), err);
    if (*found && rc == 0 && !plumb_get_bool(r, 0, 1))
        keep(vault, account, true, key, false);
    PQclear(r);
    return rc;
}

static int make_index(const plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                      plumb_err_t *err)
{
    plumb_key_t key;
    plumb_buf_t wrapped = {0};
    plumb_params_t *p = plumb_params_new();
    plumb_key_new(&key, PLUMB_INDEX_KEY_ID);
    int rc = p == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "make an account's index key") : 0;
    if (rc == 0)
        rc = plumb_keyring_wrap_index(vault->keyring, &wrapped, account, &key, err);
    if (rc == 0) {
        plumb_param_uuid(p, account);
        plumb_param_bytes(p, wrapped.data, wrapped.length);
        rc = plumb_db_exec(db, &insert_index, p, STATEMENT_MS, NULL, err);
    }
    sodium_memzero(&key, sizeof key);
    plumb_params_destroy(&p);
    plumb_buf_fini(&wrapped);
    return rc;
}

int plumb_vault_index_key(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                          plumb_key_t *key, plumb_err_t *err)
{
    bool found = false;
    if (find(vault, account, true, PLUMB_INDEX_KEY_ID, key))
        return 0;
    int rc = look_up_index(vault, db, account, key, &found, err);
    if (rc < 0 || found)
        return rc;
    rc = make_index(vault, db, account, err);
    if (rc == 0)
        rc = look_up_index(vault, db, account, key, &found, err);
    if (rc == 0 && !found)
        rc = plumb_err_set(err, PLUMB_E_KEY, "the account's index key is gone");
    return rc;
}
