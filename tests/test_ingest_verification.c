/* Phone verifications over raw HTTP, and the check that asks for them. */
#include "api_world.h"
#include "count.h"

#include <pthread.h>
#include <sodium.h>

#define PATH "/api/v1/phone-verifications"

static int setup(void **state)
{
    int rc = world_setup(state);
    const world_t *w = *state;
    char id[PLUMB_UUID_TEXT], credential[PLUMB_UUID_TEXT];
    plumb_uuid_t sender = account_credential(w->account, "null", "{}", NULL);
    account_sql(w->account,
                "UPDATE accounts SET settings = '{\"verificationCredentialId\":\"%s\"}' "
                "WHERE id = '%s'",
                plumb_uuid_text(&sender, credential), plumb_uuid_text(&w->account->id, id));
    return rc;
}

static void forget(const world_t *w)
{
    account_sql(w->account, "DELETE FROM phone_verifications; DELETE FROM events");
}

static http_answer_t ask_code(const world_t *w, const char *token, const char *attributes)
{
    char body[512];
    snprintf(body, sizeof body, "{\"data\":{\"type\":\"phoneVerifications\",\"attributes\":{%s}}}",
             attributes);
    return world_ask(w, 0, token, "POST", PATH, "", body);
}

static int status_of(http_answer_t a)
{
    int status = a.status;
    http_answer_fini(&a);
    return status;
}

static http_answer_t give_code(const world_t *w, const char *token, const char *id,
                               const char *code)
{
    char path[128], body[256];
    snprintf(path, sizeof path, PATH "/%s/confirm", id);
    snprintf(body, sizeof body,
             "{\"data\":{\"type\":\"phoneVerifications\",\"attributes\":{\"code\":\"%s\"}}}", code);
    return world_ask(w, 0, token, "POST", path, "", body);
}

/* What the event's frame says: who sends the code opens it likewise. */
static void open_code(const world_t *w, const char *id, char phone[32], char code[8])
{
    char sealed[1024], sql[256];
    uint8_t frame[512];
    size_t length;
    plumb_key_t key;
    plumb_err_t err = {0};
    plumb_buf_t plain = {0};
    plumb_seal_place_t place = {"phone-verification", w->account->id, {{0}}, "code"};
    snprintf(sql, sizeof sql,
             "SELECT data->>'sealed' FROM events WHERE kind = 'verification.code' "
             "AND data->>'verificationId' = '%s' AND credential_id IS NOT NULL",
             id);
    pg_run(w->account->conninfo, sql, sealed, sizeof sealed);
    assert_int_equal(sodium_base642bin(frame, sizeof frame, sealed, strlen(sealed), NULL, &length,
                                       NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    assert_true(plumb_uuid_parse(&place.subject, id, strlen(id)));
    assert_int_equal(
        plumb_vault_key(w->account->vault, w->account->db, &w->account->id, 0, &key, &err), 0);
    if (plumb_seal_open(&plain, &key, &place, frame, length, &err) < 0)
        fail_msg("open: %s", err.text);
    json_t *tree = json_loads(plain.data, 0, NULL);
    snprintf(phone, 32, "%s", json_string_value(json_object_get(tree, "phone")));
    snprintf(code, 8, "%s", json_string_value(json_object_get(tree, "code")));
    json_decref(tree);
    plumb_buf_fini(&plain);
}

/* Ask for a code of the phone; its id and the code go out. */
static void begin(const world_t *w, const char *phone, char id[PLUMB_UUID_TEXT], char code[8])
{
    char attributes[128], got[32];
    snprintf(attributes, sizeof attributes, "\"phone\":\"%s\"", phone);
    http_answer_t a = ask_code(w, w->account->token, attributes);
    if (a.status != 201)
        fail_msg("status %d: %s", a.status, a.body);
    world_text(&a, "data.id", id, PLUMB_UUID_TEXT);
    http_answer_fini(&a);
    open_code(w, id, got, code);
}

/* The same code with its last digit changed. */
static void spoil(const char *code, char out[8])
{
    snprintf(out, 8, "%s", code);
    out[5] = out[5] == '9' ? '0' : (char)(out[5] + 1);
}

static void confirms(void **state)
{
    const world_t *w = *state;
    char id[PLUMB_UUID_TEXT], self[128], text[128], phone[32], code[8], wrong[8];
    forget(w);
    http_answer_t a = ask_code(w, w->account->token, "\"phone\":\"8 900 123 45 67\"");
    assert_int_equal(a.status, 201);
    assert_null(strstr(a.body, "900"));
    world_text(&a, "data.id", id, sizeof id);
    world_text(&a, "data.links.self", self, sizeof self);
    assert_string_equal(http_header(&a, "Location"), self);
    http_answer_fini(&a);
    open_code(w, id, phone, code);
    assert_string_equal(phone, "+79001234567");
    assert_int_equal(strspn(code, "0123456789"), 6);
    spoil(code, wrong);
    a = give_code(w, w->account->token, id, wrong);
    world_want_error("wrong", &a, 422, "invalid", "/data/attributes/code");
    http_answer_fini(&a);
    for (int again = 0; again < 2; again++) { /* an answer may be lost */
        a = give_code(w, w->account->token, id, code);
        assert_int_equal(a.status, 200);
        world_text(&a, "data.attributes.confirmedAt", text, sizeof text);
        assert_int_equal(strlen(text), PLUMB_TIME_TEXT - 1);
        http_answer_fini(&a);
    }
    a = world_ask(w, 0, w->account->token, "GET", self, "", NULL);
    assert_int_equal(a.status, 200);
    http_answer_fini(&a);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM phone_verifications v WHERE "
                                   "v::text LIKE '%%9001234567%%' OR encode(code_hash, 'escape') "
                                   "LIKE '%%%s%%'",
                                   code),
                     0);
}

static void bounds_tries(void **state)
{
    const world_t *w = *state;
    char id[PLUMB_UUID_TEXT], code[8], wrong[8], first[512] = "";
    forget(w);
    begin(w, "+79001234567", id, code);
    spoil(code, wrong);
    for (int i = 0; i < 5; i++)
        assert_int_equal(status_of(give_code(w, w->account->token, id, wrong)), 422);
    http_answer_t a = give_code(w, w->account->token, id, code); /* too late, in the same words */
    assert_int_equal(a.status, 422);
    snprintf(first, sizeof first, "%s", a.body);
    http_answer_fini(&a);
    forget(w);
    begin(w, "+79001234567", id, code);
    account_sql(w->account, "UPDATE phone_verifications SET expires_at = now()");
    a = give_code(w, w->account->token, id, code);
    assert_int_equal(a.status, 422);
    assert_string_equal(a.body, first);
    http_answer_fini(&a);
}

/* Three an hour for a phone, three for a client. */
static void bounds_codes(void **state)
{
    const world_t *w = *state;
    char attributes[128];
    forget(w);
    for (int i = 0; i < 4; i++) {
        snprintf(attributes, sizeof attributes,
                 "\"phone\":\"+79001234567\",\"fingerprint\":\"f%d\"", i);
        http_answer_t a = ask_code(w, w->account->token, attributes);
        assert_int_equal(a.status, i < 3 ? 201 : 429);
        assert_true(i < 3 || atoi(http_header(&a, "Retry-After")) > 3500);
        http_answer_fini(&a);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM events"), 3);
    account_sql(w->account, "UPDATE phone_verifications SET created_at = now() - interval '1 hour' "
                            "WHERE ctid = (SELECT min(ctid) FROM phone_verifications)");
    assert_int_equal(status_of(ask_code(w, w->account->token,
                                        "\"phone\":\"+79001234567\",\"fingerprint\":\"f9\"")),
                     201);
    forget(w);
    for (int i = 0; i < 4; i++) {
        snprintf(attributes, sizeof attributes,
                 "\"phone\":\"+7900123456%d\",\"ipAddress\":\"192.0.2.1\"", i);
        assert_int_equal(status_of(ask_code(w, w->account->token, attributes)), i < 3 ? 201 : 429);
    }
}

typedef struct asker {
    const world_t *w;
    pthread_t thread;
    char attributes[96];
    int status;
} asker_t;

static void *ask_main(void *self)
{
    asker_t *a = self;
    a->status = status_of(ask_code(a->w, a->w->account->token, a->attributes));
    return NULL;
}

/* However many ask at once, a phone gets three. */
static void race(const world_t *w)
{
    enum { ASKERS = 12 };
    asker_t askers[ASKERS];
    unsigned made = 0;
    forget(w);
    for (int i = 0; i < ASKERS; i++) {
        askers[i].w = w;
        snprintf(askers[i].attributes, sizeof askers[i].attributes,
                 "\"phone\":\"+79001234567\",\"fingerprint\":\"r%d\"", i);
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_main, &askers[i]), 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_true(askers[i].status == 201 || askers[i].status == 429);
        made += askers[i].status == 201;
    }
    assert_int_equal(made, 3);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM phone_verifications"), 3);
}

static void races(void **state)
{
    for (int round = 0; round < 20; round++)
        race(*state);
}

/* What a public token says of its client is not believed. */
static void believes_no_public_token(void **state)
{
    const world_t *w = *state;
    char token[64], attributes[128];
    account_token(w->account, "publicpublic", "intake", NULL, token);
    forget(w);
    for (int i = 0; i < 4; i++) {
        snprintf(attributes, sizeof attributes,
                 "\"phone\":\"+7900123456%d\",\"fingerprint\":\"f%d\"", i, i);
        assert_int_equal(status_of(ask_code(w, token, attributes)), i < 3 ? 201 : 429);
    }
}

static void refuses(void **state)
{
    const world_t *w = *state;
    char id[PLUMB_UUID_TEXT], code[8], token[64];
    forget(w);
    http_answer_t a = ask_code(w, w->account->token, "\"phone\":\"call me\"");
    world_want_error("no phone", &a, 422, "invalid", "/data/attributes/phone");
    http_answer_fini(&a);
    a = ask_code(w, w->account->token, "");
    world_want_error("nothing", &a, 422, "required", "/data/attributes");
    http_answer_fini(&a);
    begin(w, "+79001234567", id, code);
    assert_int_equal(
        status_of(give_code(w, w->account->token, "0190c9d2-0000-7000-8000-000000000000", code)),
        404);
    account_token(w->account, "readonlyread", "read", NULL, token);
    assert_int_equal(status_of(give_code(w, token, id, code)), 403);
    account_sql(w->account, "UPDATE credentials SET enabled = false");
    a = ask_code(w, w->account->token, "\"phone\":\"+79001234567\"");
    world_want_error("no sender", &a, 409, "conflict", NULL);
    http_answer_fini(&a);
    account_sql(w->account, "UPDATE credentials SET enabled = true");
}

/* ---- the check ---- */

static http_answer_t post(const world_t *w, const char *attributes)
{
    static unsigned nth;
    char all[1024];
    snprintf(all, sizeof all, ", \"externalId\": \"%u\"%s", ++nth, attributes);
    return world_post(w, 0, w->account->token, all, "");
}

static void covers_leads(void **state)
{
    const world_t *w = *state;
    char id[PLUMB_UUID_TEXT], code[8];
    const char *lead = ", \"phone\": \"8 (900) 123-45-67\"";
    forget(w);
    account_sql(w->account, "UPDATE quizzes SET settings = '{\"phoneVerification\":true}'");
    http_answer_t a = post(w, lead);
    world_want_error("unverified", &a, 422, "phone_not_verified", "/data/attributes/phone");
    http_answer_fini(&a);
    a = post(w, "");
    world_want_error("no phone", &a, 422, "phone_not_verified", "/data/attributes");
    http_answer_fini(&a);
    begin(w, "+79001234567", id, code);
    assert_int_equal(status_of(post(w, lead)), 422); /* asked for, not confirmed */
    assert_int_equal(status_of(give_code(w, w->account->token, id, code)), 200);
    assert_int_equal(status_of(post(w, lead)), 201);
    assert_int_equal(status_of(post(w, ", \"phone\": \"+79001234568\"")), 422);
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM leads WHERE verification_id = '%s'", id),
        1);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE trace::text LIKE "
                                               "'%%[\"verification\",\"passed\"]%%'"),
                     1);
    account_sql(w->account,
                "UPDATE phone_verifications SET confirmed_at = now() - interval '30 days'");
    assert_int_equal(status_of(post(w, lead)), 422);
    account_sql(w->account, "UPDATE quizzes SET settings = '{}'");
    assert_int_equal(status_of(post(w, lead)), 201);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE trace::text LIKE "
                                               "'%%[\"verification\",\"skipped\",\"off\"]%%'"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confirms),
        cmocka_unit_test(bounds_tries),
        cmocka_unit_test(bounds_codes),
        cmocka_unit_test(races),
        cmocka_unit_test(believes_no_public_token),
        cmocka_unit_test(refuses),
        cmocka_unit_test(covers_leads),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
