/* Keys that are changed while everything runs, and leads whose person is erased. */
#include "../tracker/store.h" /* tests/ has one of its own */

#include "blind.h"
#include "clock.h"
#include "count.h"
#include "lead.h"
#include "tracker_world.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LEADS 1500
#define KILLS 8
#define STATEMENT_MS 60000

static const char secret[] = "Vera Canary";
static plumb_err_t err;

static void good(const char *what, int rc)
{
    if (rc < 0)
        fail_msg("%s: %s", what, err.text);
}

/* The interval of asking again, never a wait by itself. */
static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static void wait_for(account_t *a, long value, const char *query)
{
    int64_t deadline_ms = plumb_mono_ms() + 4L * WORLD_WAIT_MS;
    while (account_count(a, "%s", query) != value) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("%ld instead of %ld: %s", account_count(a, "%s", query), value, query);
        pause_ms(20);
    }
}

/* ---- leads ---- */

static void put_hex(plumb_buf_t *out, const plumb_buf_t *bytes)
{
    for (size_t i = 0; i < bytes->length; i++)
        plumb_buf_printf(out, "%02x", (unsigned char)bytes->data[i]);
}

/* Append the row of a lead whose data key is wrapped by version `version` of the account's key. */
static plumb_uuid_t put_lead(account_t *a, uint32_t version, plumb_buf_t *sql)
{
    char id[4][PLUMB_UUID_TEXT];
    plumb_key_t account_key, key;
    plumb_buf_t wrapped = {0}, sealed = {0};
    plumb_uuid_t lead = plumb_uuid_new();
    plumb_seal_place_t place = plumb_lead_place_key(&a->id, &lead),
                       personal = plumb_lead_place_personal(&a->id, &lead);
    plumb_key_new(&key, 1);
    good("key", plumb_vault_key(a->vault, a->db, &a->id, version, &account_key, &err));
    good("wrap", plumb_seal(&wrapped, &account_key, &place, key.bytes, sizeof key.bytes, &err));
    good("seal", plumb_seal(&sealed, &key, &personal, secret, strlen(secret), &err));
    plumb_buf_printf(sql, "%s('%s', '%s', '%s', '%s', '%s', 11, 12, '{13,14}', '\\x",
                     sql->length == 0 ? "" : ", ", plumb_uuid_text(&a->id, id[0]),
                     plumb_uuid_text(&lead, id[1]), plumb_uuid_text(&a->user, id[2]),
                     plumb_uuid_text(&a->project, id[3]), id[3]);
    put_hex(sql, &wrapped);
    plumb_buf_printf(sql, "', '\\x");
    put_hex(sql, &sealed);
    plumb_buf_printf(sql, "')");
    plumb_buf_fini(&wrapped);
    plumb_buf_fini(&sealed);
    return lead;
}

static plumb_uuid_t insert_leads(account_t *a, uint32_t version, int count)
{
    plumb_buf_t rows = {0}, sql = {0};
    plumb_uuid_t last = {0};
    for (int i = 0; i < count; i++)
        last = put_lead(a, version, &rows);
    plumb_buf_printf(&sql,
                     "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, phone_term, "
                     "email_term, terms, sealed_key, sealed) VALUES %s",
                     rows.data);
    pg_run(a->conninfo, sql.data, NULL, 0);
    plumb_buf_fini(&rows);
    plumb_buf_fini(&sql);
    return last;
}

static const plumb_stmt_t select_leads = {
    "test_select_leads", "SELECT id, sealed_key, sealed FROM leads WHERE sealed_key IS NOT NULL",
    0};

static void opens(const plumb_key_t *key, const plumb_seal_place_t *place, const PGresult *r,
                  int row, int column, plumb_buf_t *plain)
{
    plumb_buf_clear(plain);
    good("open", plumb_seal_open(plain, key, place, plumb_get_text(r, row, column),
                                 plumb_get_length(r, row, column), &err));
}

/* Open all leads with nothing in memory; returns how many there are. */
static int open_all(account_t *a)
{
    PGresult *r = NULL;
    plumb_vault_t *vault = NULL;
    plumb_buf_t plain = {0};
    good("vault", plumb_vault_new(&vault, a->keyring, &err));
    good("select", plumb_db_exec(a->db, &select_leads, NULL, STATEMENT_MS, &r, &err));
    int rows = PQntuples(r);
    for (int row = 0; row < rows; row++) {
        plumb_key_t account_key, key = {.id = 1};
        plumb_uuid_t lead = plumb_get_uuid(r, row, 0);
        plumb_seal_place_t place = plumb_lead_place_key(&a->id, &lead),
                           personal = plumb_lead_place_personal(&a->id, &lead);
        uint32_t id = plumb_seal_key_id(plumb_get_text(r, row, 1), plumb_get_length(r, row, 1));
        good("key", plumb_vault_key(vault, a->db, &a->id, id, &account_key, &err));
        opens(&account_key, &place, r, row, 1, &plain);
        memcpy(key.bytes, plain.data, sizeof key.bytes);
        opens(&key, &personal, r, row, 2, &plain);
        assert_string_equal(plain.data, secret);
    }
    PQclear(r);
    plumb_buf_fini(&plain);
    plumb_vault_destroy(&vault);
    return rows;
}

/* ---- changing keys ---- */

static void ask_rotation(account_t *a)
{
    account_sql(a,
                "DELETE FROM key_jobs; INSERT INTO key_jobs (account_id) SELECT id FROM accounts");
}

/* As if keys.linger had passed since the version was made. */
static void pass_time(account_t *a)
{
    account_sql(a, "UPDATE account_keys SET created_at = created_at - interval '1 day';"
                   "UPDATE key_jobs SET next_at = now() WHERE finished_at IS NULL");
}

static void survives_being_killed(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    plumb_key_t index_before, index_after;
    unsigned dice = (unsigned)randombytes_random();
    int leads = LEADS;
    account_sql(a, "DELETE FROM leads");
    print_message("seed %u\n", dice);
    good("index", plumb_vault_index_key(a->vault, a->db, &a->id, &index_before, &err));
    insert_leads(a, 1, LEADS);
    ask_rotation(a);
    for (int kills = 0; kills < KILLS; kills++) {
        pause_ms((long)(rand_r(&dice) % 150));
        world_kill(w);
        world_start(w);
        insert_leads(a, 1, 20); /* by an ingest that knows the old version only */
        leads += 20;
    }
    wait_for(a, 2, "SELECT pass FROM key_jobs");
    insert_leads(a, 1, 20);
    leads += 20;
    pass_time(a);
    wait_for(a, 1, "SELECT count(*) FROM key_jobs WHERE finished_at IS NOT NULL");
    assert_int_equal(open_all(a), leads);
    assert_int_equal(account_count(a, "SELECT key_id FROM account_keys"), 2);
    assert_int_equal(account_count(a, "SELECT count(*) FROM credentials WHERE "
                                      "substring(sealed FROM 2 FOR 4) = '\\x00000002'"),
                     1);
    assert_int_equal(account_count(a, "SELECT changed FROM key_jobs"), leads + 1);
    assert_int_equal(account_count(a, "SELECT count(*) FROM leads WHERE (phone_term, email_term, "
                                      "terms) = (11, 12, '{13,14}')"),
                     leads);
    plumb_vault_t *fresh = NULL;
    good("vault", plumb_vault_new(&fresh, a->keyring, &err));
    good("index", plumb_vault_index_key(fresh, a->db, &a->id, &index_after, &err));
    assert_memory_equal(index_after.bytes, index_before.bytes, PLUMB_KEY_BYTES);
    plumb_vault_destroy(&fresh);
    world_connected(w);
}

static void older_versions_stay_while_they_may_be_used(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    ask_rotation(a);
    wait_for(a, 2, "SELECT pass FROM key_jobs");
    assert_int_equal(account_count(a, "SELECT count(*) FROM account_keys"), 2);
    account_sql(a, "UPDATE key_jobs SET next_at = now()"); /* too early */
    wait_for(a, 3, "SELECT pass FROM key_jobs");
    assert_int_equal(account_count(a, "SELECT count(*) FROM account_keys"), 2);
    pass_time(a);
    wait_for(a, 1, "SELECT count(*) FROM key_jobs WHERE finished_at IS NOT NULL");
    assert_int_equal(account_count(a, "SELECT key_id FROM account_keys"), 3);
}

static void what_does_not_open_keeps_its_key(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    account_sql(a,
                "UPDATE leads SET sealed_key = set_byte(sealed_key, 60, "
                "get_byte(sealed_key, 60) # 1) WHERE id = (SELECT max(id::text)::uuid FROM leads)");
    ask_rotation(a);
    wait_for(a, 2, "SELECT pass FROM key_jobs");
    pass_time(a);
    wait_for(a, 1, "SELECT count(*) FROM key_jobs WHERE finished_at IS NOT NULL");
    assert_int_equal(account_count(a, "SELECT unopened FROM key_jobs"), 1);
    assert_int_equal(account_count(a, "SELECT count(*) FROM account_keys"), 2);
    account_sql(a, "DELETE FROM leads WHERE id = (SELECT max(id::text)::uuid FROM leads)");
}

static void new_master_key_wraps_all(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    uint32_t master = 0;
    plumb_keyring_t *old = a->keyring, *both = NULL;
    good("index", plumb_vault_index_key(a->vault, a->db, &a->id, &(plumb_key_t){0}, &err));
    good("master", plumb_keyring_generate(a->dir, &master, &err));
    assert_int_equal(master, 2);
    account_sql(a, "DELETE FROM key_jobs; INSERT INTO key_jobs (key_id) VALUES (2)");
    wait_for(a, 1, "SELECT count(*) FROM key_jobs WHERE note LIKE '%lacks%'");
    assert_int_equal(world_stop(w), 0);
    world_start(w);
    account_sql(a, "UPDATE key_jobs SET next_at = now()");
    wait_for(a, 1, "SELECT count(*) FROM key_jobs WHERE finished_at IS NOT NULL");
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM (SELECT wrapped FROM account_keys UNION "
                                   "ALL SELECT wrapped FROM account_index_keys) k WHERE "
                                   "substring(wrapped FROM 2 FOR 4) <> '\\x00000002'"),
                     0);
    good("keys", plumb_keyring_open(&both, a->dir, &err));
    a->keyring = both;
    assert_true(open_all(a) > LEADS);
    a->keyring = old;
    plumb_keyring_destroy(&both);
    world_connected(w);
}

/* ---- erasing ---- */

static void erases_all_that_tells_who_it_was(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    static const char *const states[] = {"pending", "held", "ambiguous", "queued", "delivered"};
    char id[PLUMB_UUID_TEXT], account[PLUMB_UUID_TEXT], delivery[PLUMB_UUID_TEXT];
    account_sql(a, "DELETE FROM leads");
    assert_int_equal(world_stop(w), 0); /* it would move the deliveries */
    plumb_uuid_t lead = insert_leads(a, 1, 2);
    plumb_uuid_text(&lead, id);
    plumb_uuid_text(&a->id, account);
    account_sql(
        a,
        "UPDATE leads SET data = '{}', ip_address = '192.0.2.1', fingerprint = 'f', referer "
        "= 'r', body_hash = 5, verification_id = id WHERE id = '%s'; "
        "INSERT INTO phone_verifications (account_id, id, phone_term, sealed, client, "
        "code_hash, expires_at) VALUES ('%s', '%s', 11, '', '', '', now())",
        id, account, id);
    for (size_t i = 0; i < PLUMB_COUNT(states); i++) {
        plumb_uuid_t of = plumb_uuid_at(plumb_uuid_unix_ms(&lead));
        account_sql(
            a,
            "INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, state, "
            "attempt, deadline_at, epoch, queued_at) VALUES ('%s', '%s', '%s', '%s', "
            "'webhooks', '%s', 1, now(), 1, now())",
            account, plumb_uuid_text(&of, delivery), id, account, states[i]);
    }
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM plumb_erase_leads(gen_random_uuid(), "
                                   "'{%s}', 'test')",
                                   id),
                     0); /* another account's */
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM plumb_erase_leads('%s', '{%s}', 'test')",
                                   account, id),
                     1);
    assert_int_equal(
        account_count(a,
                      "SELECT num_nonnulls(sealed_key, sealed, phone_term, email_term, "
                      "terms, body_hash, data, ip_address, fingerprint, referer, "
                      "verification_id) FROM leads WHERE id = '%s'",
                      id),
        0);
    assert_int_equal(account_count(a, "SELECT count(*) FROM leads WHERE erased_at IS NOT NULL AND "
                                      "version = 2"),
                     1);
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM deliveries WHERE lead_id = '%s' AND "
                                   "state = 'canceled' AND reason = 'erased' AND settled_at IS NOT "
                                   "NULL",
                                   id),
                     3);
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM deliveries WHERE lead_id = '%s' AND "
                                   "state IN ('queued', 'delivered')",
                                   id),
                     2);
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM events WHERE kind = 'lead.erased' AND "
                                   "lead_id = '%s'",
                                   id),
                     1);
    assert_int_equal(account_count(a, "SELECT count(*) FROM phone_verifications"), 0);
    assert_int_equal(account_count(a,
                                   "SELECT count(*) FROM plumb_erase_leads('%s', '{%s}', 'test')",
                                   account, id),
                     0);
    assert_int_equal(open_all(a), 1);
    world_start(w);
    world_connected(w);
}

static void erases_what_was_deleted_long_ago(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    store_t store;
    int64_t erased = 0;
    account_sql(a, "DELETE FROM leads");
    insert_leads(a, 1, 10);
    account_sql(
        a, "UPDATE leads SET deleted_at = now() - interval '29 days'; UPDATE leads SET "
           "deleted_at = now() - interval '31 days' WHERE id IN (SELECT id FROM leads LIMIT 4)");
    good("store", store_init(&store, &a->conf, &err));
    good("store", store_ready(&store, &err));
    good("erase", store_erase_deleted(&store, a->conf.retention_deleted, 3, &erased, &err));
    assert_int_equal(erased, 3);
    good("erase", store_erase_deleted(&store, a->conf.retention_deleted, 3, &erased, &err));
    assert_int_equal(erased, 1);
    good("erase", store_erase_deleted(&store, a->conf.retention_deleted, 3, &erased, &err));
    assert_int_equal(erased, 0);
    store_fini(&store);
    assert_int_equal(open_all(a), 6);
}

static int set_up(void **state)
{
    static const char *const settings[] = {NULL};
    *state = world_new(settings);
    return 0;
}

static int tear_down(void **state)
{
    world_destroy((world_t **)state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(erases_all_that_tells_who_it_was),
                                       cmocka_unit_test(erases_what_was_deleted_long_ago),
                                       cmocka_unit_test(survives_being_killed),
                                       cmocka_unit_test(older_versions_stay_while_they_may_be_used),
                                       cmocka_unit_test(what_does_not_open_keeps_its_key),
                                       cmocka_unit_test(new_master_key_wraps_all)};
    return cmocka_run_group_tests_name("tracker keys", tests, set_up, tear_down);
}
