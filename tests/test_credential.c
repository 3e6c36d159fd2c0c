/* Credentials: sealed fields come back as msgpack, channels' limits become throttle keys. */
#include "count.h"
#include "credential.h"
#include "store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include <cmocka.h>

#define STATEMENT_MS 20000
#define KEYS_SIZE 1024

static plumb_err_t err;

static void want(const char *what, int rc, int code)
{
    if (rc != code)
        fail_msg("%s: got %d, want %d (%s)", what, rc, code, err.text);
}

/* ---- rows ---- */

typedef struct sample {
    plumb_uuid_t account, id;
    const char *channel, *fields, *settings;
} sample_t;

static const plumb_stmt_t insert_credential = {
    "insert_credential",
    "INSERT INTO credentials (account_id, id, channel, name, sealed, version, settings) "
    "VALUES ($1, $2, $3, 'test', $4, 3, $5::text::jsonb)",
    5};

static void insert(store_t *s, const sample_t *c)
{
    plumb_buf_t sealed = {0};
    want("seal",
         plumb_credential_seal(&sealed, s->vault, s->db, &c->account, &c->id, c->fields,
                               strlen(c->fields), &err),
         0);
    plumb_params_t *p = plumb_params_new();
    plumb_param_uuid(p, &c->account);
    plumb_param_uuid(p, &c->id);
    plumb_param_text(p, c->channel);
    plumb_param_bytes(p, sealed.data, sealed.length);
    plumb_param_text(p, c->settings == NULL ? "{}" : c->settings);
    want("insert", plumb_db_exec(s->db, &insert_credential, p, STATEMENT_MS, NULL, &err), 0);
    plumb_params_destroy(&p);
    plumb_buf_fini(&sealed);
}

static sample_t new_sample(store_t *s, const char *channel, const char *fields)
{
    sample_t c = {.account = store_account(s), .channel = channel, .fields = fields};
    c.id = plumb_uuid_new();
    return c;
}

static void insert_channel(store_t *s, const char *code, const char *fields, const char *limits)
{
    char sql[2048];
    snprintf(sql, sizeof sql,
             "DELETE FROM channels; INSERT INTO channels (code, title, version, fields, limits, "
             "present) VALUES ('%s', 'Test', '1.0.0', '%s', '%s', true)",
             code, fields, limits);
    store_script(s, sql);
}

static int select_into(plumb_credential_t *c, store_t *s, const plumb_uuid_t *id)
{
    static char sql[1024];
    static const plumb_stmt_t stmt = {"select_credential", sql, 1};
    snprintf(sql, sizeof sql,
             "SELECT 0, %s FROM credentials c LEFT JOIN channels h ON h.code = c.channel "
             "WHERE c.id = $1",
             plumb_credential_select_list);
    PGresult *r = NULL;
    plumb_params_t *p = plumb_params_new();
    plumb_param_uuid(p, id);
    want(sql, plumb_db_exec(s->db, &stmt, p, STATEMENT_MS, &r, &err), 0);
    plumb_params_destroy(&p);
    assert_int_equal(PQnfields(r), 1 + PLUMB_CREDENTIAL_COLUMNS);
    assert_int_equal(PQntuples(r), 1);
    int rc = plumb_credential_from_row(c, s->vault, s->db, r, 0, 1, &err);
    PQclear(r); /* nothing may point into it */
    return rc;
}

static plumb_credential_t stored(store_t *s, const sample_t *sample)
{
    plumb_credential_t c;
    insert(s, sample);
    want("open", select_into(&c, s, &sample->id), 0);
    return c;
}

/* What msgpack-c prints of the secrets. */
static void check_secrets(const plumb_credential_t *c, const char *expected)
{
    msgpack_unpacked whole;
    size_t offset = 0;
    char got[1024];
    msgpack_unpacked_init(&whole);
    assert_int_equal(msgpack_unpack_next(&whole, c->secrets.data, c->secrets.length, &offset),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(offset, c->secrets.length);
    msgpack_object_print_buffer(got, sizeof got, whole.data);
    assert_string_equal(got, expected);
    msgpack_unpacked_destroy(&whole);
}

static void row_is_opened(void **state)
{
    store_t *s = *state;
    sample_t sample = new_sample(s, "hooks",
                                 "{\"url\":\"https://a.example/\",\"n\":[1,1.5],"
                                 "\"key\":\"s3cr\\u0065t\"}");
    sample.settings = "{\"mapping\":{\"a\":\"{{lead.name}}\"},\"schedule\":[1]}";
    plumb_credential_t c = stored(s, &sample);
    assert_int_equal(plumb_uuid_compare(&c.account, &sample.account), 0);
    assert_int_equal(plumb_uuid_compare(&c.id, &sample.id), 0);
    assert_int_equal(c.version, 3);
    assert_true(c.enabled && c.accepts_tests);
    assert_false(c.suspended);
    assert_string_equal(c.channel, "hooks");
    assert_string_equal(c.queue, "integration-hooks");
    assert_string_equal(c.mapping.data, "{\"a\": \"{{lead.name}}\"}");
    check_secrets(&c, "{\"url\"=>\"https://a.example/\", \"n\"=>[1, 1.500000], "
                      "\"key\"=>\"s3cret\"}");
    plumb_credential_fini(&c);
    assert_null(c.secrets.data);
    plumb_credential_fini(&c);
    plumb_credential_fini(NULL);
}

static void channel_without_row_makes_jobs(void **state)
{
    store_t *s = *state;
    sample_t sample = new_sample(s, "unknown", "{}");
    plumb_credential_t c = stored(s, &sample);
    assert_int_equal(c.throttle_count, 0);
    assert_false(c.resends);
    assert_false(c.mail_schedule);
    assert_int_equal(c.mapping.length, 0);
    check_secrets(&c, "{}");
    plumb_credential_fini(&c);
}

static void switches_are_read(void **state)
{
    store_t *s = *state;
    sample_t sample = new_sample(s, "hooks", "{}");
    plumb_credential_t c = stored(s, &sample);
    plumb_credential_fini(&c);
    store_script(s, "UPDATE credentials SET enabled = false, accepts_tests = false, "
                    "suspended_at = now()");
    want("open", select_into(&c, s, &sample.id), 0);
    assert_false(c.enabled || c.accepts_tests);
    assert_true(c.suspended);
    plumb_credential_fini(&c);
}

static void job_is_filled(void **state)
{
    store_t *s = *state;
    insert_channel(s, "hooks", "[]", "{\"limits\":[{\"key\":\"\",\"perKilosecond\":5}]}");
    sample_t sample = new_sample(s, "hooks", "{\"a\":1}");
    plumb_credential_t c = stored(s, &sample);
    plumb_job_t job = {.tries = 4};
    plumb_credential_to_job(&c, &job);
    assert_int_equal(plumb_uuid_compare(&job.account, &sample.account), 0);
    assert_int_equal(plumb_uuid_compare(&job.credential, &sample.id), 0);
    assert_int_equal(job.credential_version, 3);
    assert_int_equal(job.tries, 4);
    assert_int_equal(job.queue.length, strlen("integration-hooks"));
    assert_memory_equal(job.queue.data, "integration-hooks", job.queue.length);
    assert_int_equal(job.channel.length, 5);
    assert_memory_equal(job.channel.data, "hooks", 5);
    assert_ptr_equal(job.secrets.data, c.secrets.data);
    assert_int_equal(job.secrets.length, c.secrets.length);
    assert_null(job.mapping.data);
    assert_int_equal(job.throttle_count, 1);
    assert_int_equal(job.throttles[0].key.length, strlen("hooks/0/"));
    plumb_credential_fini(&c);
}

/* ---- what does not open ---- */

static void must_not_open(store_t *s, const char *what, const plumb_uuid_t *id, int code)
{
    plumb_credential_t c;
    want(what, select_into(&c, s, id), code);
    assert_non_null(strstr(err.text, "credential "));
    plumb_credential_fini(&c);
}

static void foreign_frames_do_not_open(void **state)
{
    store_t *s = *state;
    sample_t one = new_sample(s, "hooks", "{\"a\":1}"), two = one;
    two.id = plumb_uuid_new();
    insert(s, &one);
    insert(s, &two);
    store_script(s, "UPDATE credentials c SET sealed = o.sealed FROM credentials o "
                    "WHERE o.id <> c.id");
    must_not_open(s, "another row's", &one.id, -PLUMB_E_SEAL);
    store_script(s, "UPDATE credentials SET sealed = '\\x0102'");
    must_not_open(s, "no frame", &one.id, -PLUMB_E_SEAL);
}

static void lost_keys_are_named(void **state)
{
    store_t *s = *state;
    sample_t sample = new_sample(s, "hooks", "{}");
    insert(s, &sample);
    store_script(s, "DELETE FROM account_keys");
    plumb_vault_t *known = s->vault;
    want("vault", plumb_vault_new(&s->vault, s->keyring, &err), 0);
    must_not_open(s, "no key", &sample.id, -PLUMB_E_KEY);
    plumb_vault_destroy(&known);
}

static void bad_channel_is_refused(void **state)
{
    store_t *s = *state;
    sample_t sample = new_sample(s, "a234567890123456789012345678901234", "{}");
    insert(s, &sample);
    must_not_open(s, "long code", &sample.id, -PLUMB_E_CHANNEL);
    store_script(s, "UPDATE credentials SET channel = ''");
    must_not_open(s, "no code", &sample.id, -PLUMB_E_CHANNEL);
}

static void only_objects_are_sealed(void **state)
{
    store_t *s = *state;
    static const struct {
        const char *fields;
        int code;
    } cases[] = {{"{}", 0},
                 {"[]", -PLUMB_E_INVALID},
                 {"{\"a\":1,\"a\":2}", -PLUMB_E_BAD_JSON},
                 {"", -PLUMB_E_BAD_JSON}};
    sample_t sample = new_sample(s, "hooks", "");
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_buf_t out = {0};
        want(cases[i].fields,
             plumb_credential_seal(&out, s->vault, s->db, &sample.account, &sample.id,
                                   cases[i].fields, strlen(cases[i].fields), &err),
             cases[i].code);
        plumb_buf_fini(&out);
    }
}

/* ---- limits ---- */

static const char schema[] =
    "[{\"name\":\"url\",\"type\":\"url\",\"required\":true,\"secret\":false},"
    "{\"name\":\"token\",\"type\":\"text\",\"secret\":true},"
    "{\"name\":\"domain\",\"type\":\"text\",\"secret\":false},"
    "{\"name\":\"port\",\"type\":\"int\"}]";

/* %s is the credential's id. */
static const struct {
    const char *name, *fields, *limits, *keys;
} keyed[] = {
    {"whole channel", "{}", "[{\"key\":\"\",\"perKilosecond\":9,\"burst\":2}]", "hooks/0/ 9 2;"},
    {"credential", "{}", "[{\"key\":null,\"perKilosecond\":9}]", "hooks/0/%s 9 0;"},
    {"no key", "{}", "[{\"perKilosecond\":9}]", "hooks/0/%s 9 0;"},
    {"text", "{\"domain\":\"Acme/x\"}", "[{\"key\":\"domain\",\"perKilosecond\":9}]",
     "hooks/0/Acme/x 9 0;"},
    {"escaped text", "{\"domain\":\"\\u0041\\\"\"}", "[{\"key\":\"domain\",\"perKilosecond\":9}]",
     "hooks/0/A\" 9 0;"},
    {"number", "{\"port\":25}", "[{\"key\":\"port\",\"perKilosecond\":9}]", "hooks/0/25 9 0;"},
    {"not given", "{}", "[{\"key\":\"domain\",\"perKilosecond\":9}]", "hooks/0/%s 9 0;"},
    {"not in the table", "{\"x\":\"y\"}", "[{\"key\":\"x\",\"perKilosecond\":9}]",
     "hooks/0/y 9 0;"},
    {"url", "{\"url\":\"HTTPS://Api.Example:8443/Path?q=a@b\"}",
     "[{\"key\":\"url\",\"perKilosecond\":9}]", "hooks/0/https://api.example:8443 9 0;"},
    {"usual port", "{\"url\":\"https://api.example?x\"}", "[{\"key\":\"url\",\"perKilosecond\":9}]",
     "hooks/0/https://api.example:443 9 0;"},
    {"user", "{\"url\":\"http://me:pa:ss@[::1]/\"}", "[{\"key\":\"url\",\"perKilosecond\":9}]",
     "hooks/0/http://[::1]:80 9 0;"},
    {"port of an address", "{\"url\":\"http://[::1]:81#a\"}",
     "[{\"key\":\"url\",\"perKilosecond\":9}]", "hooks/0/http://[::1]:81 9 0;"},
    {"secret", "{\"token\":\"12345:abc\"}", "[{\"key\":\"token\",\"perKilosecond\":9}]",
     "hooks/0/cd29df71179207c46a711c788f1f24c0 9 0;"},
    {"levels", "{\"domain\":\"d\"}",
     "[{\"key\":\"\",\"perKilosecond\":30000,\"burst\":30},{\"key\":null,\"perKilosecond\":0},"
     "{\"key\":\"domain\",\"perKilosecond\":1},{\"key\":null,\"perKilosecond\":2},"
     "{\"key\":null,\"perKilosecond\":3}]",
     "hooks/0/ 30000 30;hooks/2/d 1 0;hooks/3/%s 2 0;"},
    {"nonsense", "{}",
     "[1,null,{},{\"perKilosecond\":-1},{\"perKilosecond\":\"9\"},{\"perKilosecond\":4294967296}]",
     ""},
    {"none", "{}", "[]", ""},
    {"no list", "{}", "7", ""},
};

static void limits_become_keys(void **state)
{
    store_t *s = *state;
    for (size_t i = 0; i < PLUMB_COUNT(keyed); i++) {
        char limits[512], expected[256], got[KEYS_SIZE] = "", id[PLUMB_UUID_TEXT];
        snprintf(limits, sizeof limits, "{\"limits\":%s}", keyed[i].limits);
        insert_channel(s, "hooks", schema, limits);
        sample_t sample = new_sample(s, "hooks", keyed[i].fields);
        plumb_credential_t c = stored(s, &sample);
        for (unsigned n = 0; n < c.throttle_count; n++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s %u %u;",
                     (int)c.throttles[n].key.length, c.throttles[n].key.data,
                     c.throttles[n].per_kilosecond, c.throttles[n].burst);
        const char *hole = strstr(keyed[i].keys, "%s");
        size_t before = hole == NULL ? strlen(keyed[i].keys) : (size_t)(hole - keyed[i].keys);
        snprintf(expected, sizeof expected, "%.*s%s%s", (int)before, keyed[i].keys,
                 hole == NULL ? "" : plumb_uuid_text(&sample.id, id), hole == NULL ? "" : hole + 2);
        if (strcmp(got, expected) != 0)
            fail_msg("%s: got '%s', want '%s'", keyed[i].name, got, expected);
        plumb_credential_fini(&c);
    }
}

static void long_keys_stand_where_they_are(void **state)
{
    store_t *s = *state;
    char fields[3000], domain[2001] = ""; /* so long that the memory of the keys moves */
    memset(domain, 'd', sizeof domain - 1);
    snprintf(fields, sizeof fields, "{\"domain\":\"%s\"}", domain);
    insert_channel(s, "hooks", schema,
                   "{\"limits\":[{\"key\":null,\"perKilosecond\":1},"
                   "{\"key\":\"domain\",\"perKilosecond\":1},{\"key\":\"\",\"perKilosecond\":1}]}");
    sample_t sample = new_sample(s, "hooks", fields);
    plumb_credential_t c = stored(s, &sample);
    assert_int_equal(c.throttle_count, 3);
    assert_memory_equal(c.throttles[0].key.data, "hooks/0/", 8);
    assert_int_equal(c.throttles[1].key.length, 2008);
    assert_memory_equal(c.throttles[1].key.data, "hooks/1/ddd", 11);
    assert_int_equal(c.throttles[2].key.length, 8);
    assert_memory_equal(c.throttles[2].key.data, "hooks/2/", 8);
    plumb_credential_fini(&c);
}

static void schedule_and_resends_are_read(void **state)
{
    store_t *s = *state;
    static const struct {
        const char *limits;
        bool mail, resends;
    } cases[] = {{"{\"schedule\":\"mail\",\"resends\":true,\"limits\":[]}", true, true},
                 {"{\"schedule\":\"service\",\"resends\":false}", false, false},
                 {"{\"schedule\":1,\"resends\":\"true\"}", false, false},
                 {"{}", false, false},
                 {"[]", false, false}};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        insert_channel(s, "hooks", "null", cases[i].limits);
        sample_t sample = new_sample(s, "hooks", "{}");
        plumb_credential_t c = stored(s, &sample);
        if (c.mail_schedule != cases[i].mail || c.resends != cases[i].resends)
            fail_msg("%s: got %d %d", cases[i].limits, c.mail_schedule, c.resends);
        plumb_credential_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(row_is_opened),
        WITH_STORE(channel_without_row_makes_jobs),
        WITH_STORE(switches_are_read),
        WITH_STORE(job_is_filled),
        WITH_STORE(foreign_frames_do_not_open),
        WITH_STORE(lost_keys_are_named),
        WITH_STORE(bad_channel_is_refused),
        WITH_STORE(only_objects_are_sealed),
        WITH_STORE(limits_become_keys),
        WITH_STORE(long_keys_stand_where_they_are),
        WITH_STORE(schedule_and_resends_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
