/* Account keys: who gets which, from where, by many threads at once. */
#include "store.h"
#include "vault.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STATEMENT_MS 20000
#define MANY 700 /* more than the table holds */

static plumb_err_t err;

static void want(const char *what, int rc, int code)
{
    if (rc != code)
        fail_msg("%s: got %d, want %d (%s)", what, rc, code, err.text);
}

static plumb_key_t key_of(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account,
                          uint32_t id)
{
    plumb_key_t key = {0};
    want("key", plumb_vault_key(vault, db, account, id, &key, &err), 0);
    return key;
}

static void same_key(const plumb_key_t *a, const plumb_key_t *b)
{
    assert_int_equal(a->id, b->id);
    assert_memory_equal(a->bytes, b->bytes, sizeof a->bytes);
}

/* Give the account a further key, as a rotation does. */
static plumb_key_t add_key(store_t *s, const plumb_uuid_t *account, uint32_t id)
{
    static const plumb_stmt_t insert = {"add_key",
                                        "INSERT INTO account_keys (account_id, key_id, wrapped) "
                                        "VALUES ($1, $2, $3)",
                                        3};
    plumb_key_t key;
    plumb_buf_t wrapped = {0};
    plumb_params_t *p = plumb_params_new();
    plumb_key_new(&key, id);
    want("wrap", plumb_keyring_wrap(s->keyring, &wrapped, account, &key, &err), 0);
    plumb_param_uuid(p, account);
    plumb_param_int4(p, (int32_t)id);
    plumb_param_bytes(p, wrapped.data, wrapped.length);
    want("insert", plumb_db_exec(s->db, &insert, p, STATEMENT_MS, NULL, &err), 0);
    plumb_params_destroy(&p);
    plumb_buf_fini(&wrapped);
    return key;
}

static plumb_vault_t *fresh_vault(store_t *s)
{
    plumb_vault_t *vault = NULL;
    want("vault", plumb_vault_new(&vault, s->keyring, &err), 0);
    return vault;
}

/* ---- one account ---- */

static void first_key_is_made_once(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    plumb_key_t newest = key_of(s->vault, s->db, &account, 0);
    plumb_key_t first = key_of(s->vault, s->db, &account, 1);
    assert_int_equal(newest.id, 1);
    same_key(&newest, &first);
    want("again", plumb_vault_create(s->vault, s->db, &account, &err), -PLUMB_E_DB_VALUE);
    plumb_uuid_t other = store_account(s);
    plumb_key_t others = key_of(s->vault, s->db, &other, 0);
    assert_memory_not_equal(others.bytes, first.bytes, sizeof first.bytes);
}

static void rolled_back_key_is_not_remembered(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    plumb_key_t key;
    store_script(s, "DELETE FROM account_keys");
    want("begin", plumb_db_begin(s->db, STATEMENT_MS, &err), 0);
    want("create", plumb_vault_create(s->vault, s->db, &account, &err), 0);
    plumb_db_rollback(s->db);
    want("key", plumb_vault_key(s->vault, s->db, &account, 0, &key, &err), -PLUMB_E_KEY);
}

static void known_key_needs_no_database(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    plumb_key_t first = key_of(s->vault, s->db, &account, 0);
    plumb_key_t again = key_of(s->vault, NULL, &account, 0); /* no statement is run */
    plumb_key_t by_id = key_of(s->vault, NULL, &account, 1);
    same_key(&again, &first);
    same_key(&by_id, &first);
}

static void absent_keys_are_refused(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s), nobody = plumb_uuid_new();
    plumb_key_t key;
    want("no account", plumb_vault_key(s->vault, s->db, &nobody, 0, &key, &err), -PLUMB_E_KEY);
    want("no key", plumb_vault_key(s->vault, s->db, &account, 2, &key, &err), -PLUMB_E_KEY);
    assert_non_null(strstr(err.text, "no key 2"));
    add_key(s, &account, 2); /* it is looked for again */
    assert_int_equal(key_of(s->vault, s->db, &account, 2).id, 2);
}

static void newest_is_the_highest(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    plumb_key_t first = key_of(s->vault, s->db, &account, 0);
    plumb_key_t second = add_key(s, &account, 2), third = add_key(s, &account, 10);
    plumb_key_t still = key_of(s->vault, NULL, &account, 0); /* for ten seconds */
    same_key(&still, &first);
    plumb_vault_t *other = fresh_vault(s); /* as after that time */
    plumb_key_t old = key_of(other, s->db, &account, 2);
    plumb_key_t newest = key_of(other, s->db, &account, 0);
    plumb_key_t oldest = key_of(other, s->db, &account, 1);
    plumb_key_t again = key_of(other, NULL, &account, 0);
    same_key(&old, &second);
    same_key(&newest, &third);
    same_key(&oldest, &first);
    same_key(&again, &third);
    plumb_vault_destroy(&other);
}

static void foreign_frames_do_not_open(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    plumb_key_t key;
    add_key(s, &account, 2);
    store_script(s, "UPDATE account_keys k SET wrapped = o.wrapped FROM account_keys o WHERE "
                    "k.key_id = 2 AND o.account_id = k.account_id AND o.key_id = 1");
    want("key of another id", plumb_vault_key(s->vault, s->db, &account, 2, &key, &err),
         -PLUMB_E_SEAL);
    store_script(s, "UPDATE account_keys SET wrapped = '\\x00'");
    want("no frame", plumb_vault_key(s->vault, s->db, &account, 1, &key, &err), -PLUMB_E_SEAL);
}

static void absent_vault_is_destroyed(void **state)
{
    (void)state;
    plumb_vault_t *none = NULL;
    plumb_vault_destroy(&none);
    plumb_vault_destroy(NULL);
}

/* ---- index keys ---- */

static plumb_key_t index_of(plumb_vault_t *vault, plumb_db_t *db, const plumb_uuid_t *account)
{
    plumb_key_t key = {0};
    want("index key", plumb_vault_index_key(vault, db, account, &key, &err), 0);
    return key;
}

static void index_key_is_made_on_first_use(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s), other = store_account(s), nobody = plumb_uuid_new();
    plumb_key_t key;
    plumb_key_t first = index_of(s->vault, s->db, &account);
    plumb_key_t cached = index_of(s->vault, NULL, &account);
    plumb_vault_t *fresh = fresh_vault(s);
    plumb_key_t stored = index_of(fresh, s->db, &account);
    plumb_key_t others = index_of(fresh, s->db, &other);
    plumb_key_t sealing = key_of(s->vault, s->db, &account, 1);
    same_key(&cached, &first);
    same_key(&stored, &first);
    assert_memory_not_equal(others.bytes, first.bytes, sizeof first.bytes);
    assert_memory_not_equal(sealing.bytes, first.bytes, sizeof first.bytes);
    want("nobody's", plumb_vault_index_key(fresh, s->db, &nobody, &key, &err), -PLUMB_E_DB_VALUE);
    plumb_vault_destroy(&fresh);
}

static void rolled_back_index_key_is_not_remembered(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    want("begin", plumb_db_begin(s->db, STATEMENT_MS, &err), 0);
    plumb_key_t lost = index_of(s->vault, s->db, &account);
    plumb_key_t again = index_of(s->vault, s->db, &account);
    same_key(&again, &lost);
    plumb_db_rollback(s->db);
    plumb_key_t key = index_of(s->vault, s->db, &account);
    assert_memory_not_equal(key.bytes, lost.bytes, sizeof key.bytes);
}

static void account_key_does_not_pass_for_an_index_key(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    plumb_key_t key;
    store_script(s, "INSERT INTO account_index_keys (account_id, wrapped) "
                    "SELECT account_id, wrapped FROM account_keys");
    want("moved", plumb_vault_index_key(s->vault, s->db, &account, &key, &err), -PLUMB_E_SEAL);
}

#define MAKERS 8
typedef struct maker {
    store_t *store;
    const plumb_uuid_t *account;
    plumb_vault_t *vault; /* as in a process of its own */
    plumb_db_t *db;
    pthread_barrier_t *start;
    plumb_key_t key;
    int rc;
} maker_t;

static void *make_index_key(void *arg)
{
    maker_t *m = arg;
    plumb_err_t e = {0};
    pthread_barrier_wait(m->start);
    m->rc = plumb_vault_index_key(m->vault, m->db, m->account, &m->key, &e);
    return NULL;
}

static void racing_processes_get_one_index_key(void **state)
{
    store_t *s = *state;
    plumb_uuid_t account = store_account(s);
    pthread_t threads[MAKERS];
    pthread_barrier_t start;
    maker_t makers[MAKERS];
    pthread_barrier_init(&start, NULL, MAKERS);
    for (int i = 0; i < MAKERS; i++) {
        makers[i] = (maker_t){s, &account, fresh_vault(s), store_connect(s), &start, {0}, -1};
        assert_int_equal(pthread_create(&threads[i], NULL, make_index_key, &makers[i]), 0);
    }
    for (int i = 0; i < MAKERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < MAKERS; i++) {
        want("racing", makers[i].rc, 0);
        same_key(&makers[i].key, &makers[0].key);
        plumb_vault_destroy(&makers[i].vault);
        plumb_db_destroy(&makers[i].db);
    }
    pthread_barrier_destroy(&start);
}

/* ---- many ---- */

typedef struct crowd {
    store_t *store;
    plumb_uuid_t accounts[MANY];
    plumb_key_t keys[MANY];
} crowd_t;

static crowd_t *new_crowd(store_t *s)
{
    crowd_t *c = calloc(1, sizeof *c);
    c->store = s;
    store_script(s, "BEGIN");
    for (int i = 0; i < MANY; i++) {
        c->accounts[i] = store_account(s);
        c->keys[i] = key_of(s->vault, s->db, &c->accounts[i], 1);
    }
    store_script(s, "COMMIT");
    return c;
}

static void more_accounts_than_the_table_holds(void **state)
{
    crowd_t *c = new_crowd(*state);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            plumb_key_t key =
                key_of(c->store->vault, c->store->db, &c->accounts[i], (uint32_t)round);
            same_key(&key, &c->keys[i]);
        }
    free(c);
}

static void *ask_for_all(void *self)
{
    crowd_t *c = self;
    plumb_db_t *db = store_connect(c->store);
    plumb_err_t why;
    void *wrong = NULL;
    for (int i = 0; i < MANY * 4; i++) {
        int n = i * 37 % MANY;
        plumb_key_t key = {0};
        if (plumb_vault_key(c->store->vault, db, &c->accounts[n], (uint32_t)i % 2, &key, &why) <
                0 ||
            memcmp(&key, &c->keys[n], sizeof key) != 0)
            wrong = c;
    }
    plumb_db_destroy(&db);
    return wrong;
}

static void threads_share_it(void **state)
{
    crowd_t *c = new_crowd(*state);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_for_all, c), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(first_key_is_made_once),
        WITH_STORE(rolled_back_key_is_not_remembered),
        WITH_STORE(known_key_needs_no_database),
        WITH_STORE(absent_keys_are_refused),
        WITH_STORE(newest_is_the_highest),
        WITH_STORE(foreign_frames_do_not_open),
        WITH_STORE(index_key_is_made_on_first_use),
        WITH_STORE(rolled_back_index_key_is_not_remembered),
        WITH_STORE(account_key_does_not_pass_for_an_index_key),
        WITH_STORE(racing_processes_get_one_index_key),

        cmocka_unit_test(absent_vault_is_destroyed),
        WITH_STORE(more_accounts_than_the_table_holds),
        WITH_STORE(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
