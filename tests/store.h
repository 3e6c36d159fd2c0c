/* What tests of stored things begin with: an empty database with the schema, master keys, a vault.
 */
#ifndef PLUMB_TESTS_STORE_H
#define PLUMB_TESTS_STORE_H

#include "pg.h"
#include "vault.h"

typedef struct store {
    char conninfo[PG_CONNINFO_MAX];
    plumb_db_t *db;
    plumb_keyring_t *keyring;
    plumb_vault_t *vault;
} store_t;

/* What goes wrong ends the program. */
store_t *store_new(void);
void store_destroy(store_t **store);

/* A cmocka test with a store of its own as its state. */
#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_set_up, store_tear_down)
int store_set_up(void **state);
int store_tear_down(void **state);

/* A further connection, for another thread; the caller destroys it. */
plumb_db_t *store_connect(const store_t *store);

/* Run SQL that must work. */
void store_script(store_t *store, const char *sql);

/* A new account with its first key. */
plumb_uuid_t store_account(store_t *store);

#endif
