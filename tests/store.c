/* A database with the schema, master keys and a vault for one test. */
#include "store.h"

#include "migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LONG_MS 60000

static void need(const char *what, int rc, const plumb_err_t *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "store: %s: %s\n", what, err->text);
    exit(EXIT_FAILURE);
}

/* The files are needed only until they are read. */
static plumb_keyring_t *new_keyring(void)
{
    char dir[] = "/tmp/plumb-keys-XXXXXX", path[64];
    plumb_keyring_t *keyring = NULL;
    plumb_err_t err = {.text = "no directory"};
    uint32_t id = 0;
    need("keys", mkdtemp(dir) == NULL ? -1 : 0, &err);
    int rc = plumb_keyring_generate(dir, &id, &err);
    if (rc == 0)
        rc = plumb_keyring_open(&keyring, dir, &err);
    snprintf(path, sizeof path, "%s/master-%u.key", dir, id);
    unlink(path);
    rmdir(dir);
    need("keys", rc, &err);
    return keyring;
}

plumb_db_t *store_connect(const store_t *store)
{
    plumb_db_t *db = NULL;
    plumb_err_t err = {0};
    need("database", plumb_db_new(&db, store->conninfo, "test", &err), &err);
    need("connect", plumb_db_connect(db, LONG_MS, &err), &err);
    return db;
}

store_t *store_new(void)
{
    store_t *store = calloc(1, sizeof *store);
    plumb_err_t err = {.text = "out of memory"};
    plumb_migrated_t done;
    need("store", store == NULL ? -1 : 0, &err);
    pg_new_database(store->conninfo);
    store->db = store_connect(store);
    need("migrate", plumb_migrate(store->db, PLUMB_SQL_DIR, &done, &err), &err);
    store->keyring = new_keyring();
    need("vault", plumb_vault_new(&store->vault, store->keyring, &err), &err);
    return store;
}

void store_destroy(store_t **store)
{
    if (store == NULL || *store == NULL)
        return;
    plumb_vault_destroy(&(*store)->vault);
    plumb_keyring_destroy(&(*store)->keyring);
    plumb_db_destroy(&(*store)->db);
    free(*store);
    *store = NULL;
}

int store_set_up(void **state)
{
    *state = store_new();
    return 0;
}

int store_tear_down(void **state)
{
    store_destroy((store_t **)state);
    return 0;
}

void store_script(store_t *store, const char *sql)
{
    plumb_err_t err = {0};
    need(sql, plumb_db_script(store->db, sql, LONG_MS, &err), &err);
}

plumb_uuid_t store_account(store_t *store)
{
    plumb_uuid_t account = plumb_uuid_new();
    plumb_err_t err = {0};
    char id[PLUMB_UUID_TEXT], sql[128];
    snprintf(sql, sizeof sql, "INSERT INTO accounts (id, name) VALUES ('%s', 'test')",
             plumb_uuid_text(&account, id));
    store_script(store, sql);
    need("key", plumb_vault_create(store->vault, store->db, &account, &err), &err);
    return account;
}
