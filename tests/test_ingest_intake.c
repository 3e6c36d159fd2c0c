/* Leads from pages and forms, over raw HTTP. */
#include "api_world.h"
#include "count.h"
#include "form.h"

#include <sodium.h>

#define KEY "public-key-0123456789"
#define PATH "/api/v1/intake/" KEY
#define ORIGIN "https://shop.example"
#define SECRET "a secret of the quiz"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"
#define JSON "Content-Type: application/json\r\n"
#define FROM "Origin: " ORIGIN "\r\n"

static void set(const world_t *w, const char *settings)
{
    char quiz[PLUMB_UUID_TEXT];
    account_sql(w->account, "UPDATE quizzes SET settings = '%s' WHERE id = '%s'", settings,
                plumb_uuid_text(&w->account->quiz, quiz));
}

static int setup(void **state)
{
    int rc = world_setup(state);
    const world_t *w = *state;
    account_sql(w->account, "UPDATE quizzes SET intake_key = '" KEY "'");
    set(w, "{\"origins\":[\"" ORIGIN "\"],\"identical\":{\"windowSeconds\":0}}");
    return rc;
}

static http_answer_t send_form(const world_t *w, const char *headers, const char *body)
{
    return http_exchange(w->ports[0], "POST", PATH, headers, body);
}

static long leads(const world_t *w, const char *where)
{
    return account_count(w->account, "SELECT count(*) FROM leads WHERE %s", where);
}

/* Send it; the status must be this one, and the answer tells an id and nothing else. */
static void want(const world_t *w, const char *headers, const char *body, int status)
{
    http_answer_t a = send_form(w, headers, body);
    if (a.status != status)
        fail_msg("%s%s: status %d, want %d: %s", headers, body, a.status, status, a.body);
    if (status == 201) {
        char id[PLUMB_UUID_TEXT];
        world_text(&a, "data.id", id, sizeof id);
        assert_int_equal(strlen(id), PLUMB_UUID_TEXT - 1);
        assert_null(strstr(a.body, "attributes"));
        assert_string_equal(http_header(&a, "Location"), "");
    }
    http_answer_fini(&a);
}

/* ---- what a body says ---- */

static void makes_documents(void **state)
{
    static const struct {
        const char *type, *body, *want; /* behind the frame */
    } cases[] = {
        {"application/x-www-form-urlencoded",
         "name=Anna+%D0%90&utm_source=ads&empty=&phone=&isTest=on&x=1&x=2&y%5B%5D=a%2Bb",
         ",\"name\":\"Anna "
         "\xD0\x90\",\"utmSource\":\"ads\",\"isTest\":true,\"data\":{\"empty\":\"\","
         "\"x\":[\"1\",\"2\"],\"y\":\"a+b\"}}}}"},
        {"application/x-www-form-urlencoded; charset=utf-8",
         "quizId=other&trap=&data={\"a\":1}&a=2&b=3&contacts={\"tg\":\"x\"}&utm_term=1&utmTerm=2",
         ",\"contacts\":{\"tg\":\"x\"},\"utmTerm\":\"1\",\"data\":{\"a\":1,\"b\":\"3\"}}}}"},
        {"application/json", "{\"name\":\"A\",\"data\":{\"q\":[1]},\"n\":7,\"ipAddress\":\"x\"}",
         ",\"name\":\"A\",\"data\":{\"q\":[1],\"n\":7}}}}"},
        {"multipart/form-data; boundary=\"b-1\"",
         "--b-1\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAnna\r\n"
         "--b-1\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\n"
         "Content-Type: image/png\r\n\r\n\x01\x02\r\n"
         "--b-1\r\ncontent-disposition: form-data; name=why\r\n\r\n\r\n--b-1--\r\n",
         ",\"name\":\"Anna\",\"data\":{\"why\":\"\"}}}}"},
    };
    (void)state;
    static const plumb_uuid_t none = {{0}};
    form_frame_t frame = {&none, &none, &none, "192.0.2.1", "trap"};
    plumb_json_t json = {.nodes = NULL};
    plumb_buf_t body = {0}, out = {0};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        form_t form;
        plumb_err_t err = {0};
        plumb_buf_clear(&body);
        plumb_buf_text(&body, cases[i].body);
        if (form_read(&form, form_type(cases[i].type), cases[i].type, &body, &json, &err) < 0)
            fail_msg("%zu: %s", i, err.text);
        form_document(&form, &frame, &out);
        const char *rest = strstr(out.data, "\"192.0.2.1\"");
        if (rest == NULL || strcmp(rest + 11, cases[i].want) != 0)
            fail_msg("%zu: got %s", i, out.data);
    }
    plumb_json_fini(&json);
    plumb_buf_fini(&body);
    plumb_buf_fini(&out);
}

static void refuses_bodies(void **state)
{
    static const struct {
        const char *type, *body;
    } cases[] = {
        {"application/json", "[1]"},
        {"application/json", "{\"a\":"},
        {"application/json", ""},
        {"application/x-www-form-urlencoded", "a=%zz"},
        {"application/x-www-form-urlencoded", "a=%F"},
        {"application/x-www-form-urlencoded", "a=%FF"},
        {"application/x-www-form-urlencoded", "=1"},
        {"multipart/form-data", "--b--"},
        {"multipart/form-data; boundary=b", "nothing"},
        {"multipart/form-data; boundary=b", "--b\r\nno end"},
        {"multipart/form-data; boundary=b", "--b\r\nX: y\r\n\r\nz\r\n--b--"},
        {"multipart/form-data; boundary=b",
         "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nz\r\n--bx"},
    };
    (void)state;
    plumb_json_t json = {.nodes = NULL};
    plumb_buf_t body = {0};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        form_t form;
        plumb_err_t err = {0};
        plumb_buf_clear(&body);
        plumb_buf_text(&body, cases[i].body);
        if (form_read(&form, form_type(cases[i].type), cases[i].type, &body, &json, &err) == 0)
            fail_msg("%zu is taken", i);
    }
    plumb_json_fini(&json);
    plumb_buf_fini(&body);
}

/* ---- the way in ---- */

static void takes_all_types(void **state)
{
    const world_t *w = *state;
    want(w, FROM FORM, "name=form&phone=8+900+111-22-33&question=why&utm_source=ads", 201);
    want(w, FROM JSON, "{\"name\":\"json\",\"externalId\":\"json-1\",\"n\":7}", 201);
    want(w, FROM "Content-Type: multipart/form-data; boundary=b\r\n",
         "--b\r\nContent-Disposition: form-data; name=\"external_id\"\r\n\r\nmulti-1\r\n--b--\r\n",
         201);
    assert_int_equal(leads(w, "data->>'question' = 'why' AND utm_source = 'ads' "
                              "AND ip_address = '127.0.0.1'"),
                     1);
    assert_int_equal(leads(w, "external_id = 'json-1' AND data->>'n' = '7'"), 1);
    assert_int_equal(leads(w, "external_id = 'multi-1'"), 1);
    want(w, FROM "Content-Type: text/plain\r\n", "a=1", 415);
    http_answer_t a = send_form(w, FROM FORM, "phone=nonsense");
    world_want_error("bad phone", &a, 422, "invalid", "/phone");
    http_answer_fini(&a);
}

static void admits(void **state)
{
    const world_t *w = *state;
    char auth[256], token[64], id[PLUMB_UUID_TEXT];
    want(w, FORM, "external_id=no-origin", 401);
    want(w, "Origin: https://other.example\r\n" FORM, "external_id=other-origin", 401);
    snprintf(auth, sizeof auth, "Authorization: Bearer %s\r\n" FORM, w->account->token);
    want(w, auth, "external_id=token", 201);
    account_token(w->account, "readerreader", "read", NULL, token);
    snprintf(auth, sizeof auth, "Authorization: Bearer %s\r\n" FROM FORM, token);
    want(w, auth, "external_id=reader", 403);
    plumb_uuid_t other = plumb_uuid_new();
    account_token(w->account, "boundtobound", "intake", &other, token);
    snprintf(auth, sizeof auth, "Authorization: Bearer %s\r\n" FORM, token);
    want(w, auth, "external_id=bound", 404);
    assert_int_equal(leads(w, "external_id IN ('no-origin', 'other-origin', 'reader', 'bound')"),
                     0);
    http_answer_t a =
        http_exchange(w->ports[0], "POST", "/api/v1/intake/nobody-has-this-key", FROM FORM, "a=1");
    assert_int_equal(a.status, 404);
    http_answer_fini(&a);
    account_sql(w->account, "UPDATE quizzes SET active = false WHERE id = '%s'",
                plumb_uuid_text(&w->account->quiz, id));
    want(w, FROM FORM, "external_id=inactive", 404);
    account_sql(w->account, "UPDATE quizzes SET active = true");
}

static void sign(const char *body, char out[192])
{
    char hex[2 * crypto_auth_hmacsha256_BYTES + 1];
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)SECRET, strlen(SECRET));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)body, strlen(body));
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(hex, sizeof hex, mac, sizeof mac);
    snprintf(out, 192, "X-Plumb-Signature: sha256=%s\r\n" FORM, hex);
}

static void checks_signatures(void **state)
{
    const world_t *w = *state;
    char headers[256], hex[512], quiz[PLUMB_UUID_TEXT];
    plumb_buf_t frame = {0};
    plumb_key_t key;
    plumb_err_t err = {0};
    sign("external_id=signed", headers);
    want(w, headers, "external_id=signed", 401); /* the quiz has no secret */
    assert_int_equal(
        plumb_vault_key(w->account->vault, w->account->db, &w->account->id, 0, &key, &err), 0);
    plumb_seal_place_t place = {"quiz", w->account->id, w->account->quiz, "intake_secret"};
    assert_int_equal(plumb_seal(&frame, &key, &place, SECRET, strlen(SECRET), &err), 0);
    sodium_bin2hex(hex, sizeof hex, (const uint8_t *)frame.data, frame.length);
    plumb_buf_fini(&frame);
    account_sql(w->account, "UPDATE quizzes SET intake_secret = '\\x%s' WHERE id = '%s'", hex,
                plumb_uuid_text(&w->account->quiz, quiz));
    want(w, headers, "external_id=signed", 201);
    want(w, headers, "external_id=forged", 401);
    want(w, "X-Plumb-Signature: sha256=00\r\n" FROM FORM, "external_id=forged", 401);
    want(w, FORM, "external_id=forged", 401);
    assert_int_equal(leads(w, "external_id = 'forged'"), 0);
    account_sql(w->account, "UPDATE quizzes SET intake_secret = NULL");
}

static void answers_browsers(void **state)
{
    const world_t *w = *state;
    http_answer_t a = http_exchange(w->ports[0], "OPTIONS", PATH,
                                    FROM "Access-Control-Request-Method: POST\r\n", "");
    assert_int_equal(a.status, 200);
    assert_string_equal(http_header(&a, "Access-Control-Allow-Origin"), ORIGIN);
    assert_string_equal(http_header(&a, "Access-Control-Allow-Methods"), "POST");
    http_answer_fini(&a);
    a = http_exchange(w->ports[0], "OPTIONS", PATH, "Origin: https://other.example\r\n", "");
    assert_string_equal(http_header(&a, "Access-Control-Allow-Origin"), "");
    http_answer_fini(&a);
    a = send_form(w, FROM FORM, "phone=nonsense"); /* the page may read why */
    assert_string_equal(http_header(&a, "Access-Control-Allow-Origin"), ORIGIN);
    http_answer_fini(&a);
    set(w, "{\"origins\":[\"*\"],\"thankYouUrl\":\"https://shop.example/thanks\","
           "\"identical\":{\"windowSeconds\":0}}");
    a = send_form(w, FROM FORM "Accept: text/html,*/*\r\n", "external_id=html");
    assert_int_equal(a.status, 303);
    assert_string_equal(http_header(&a, "Location"), "https://shop.example/thanks");
    http_answer_fini(&a);
    want(w, FROM JSON "Accept: text/html\r\n", "{\"externalId\":\"script\"}", 201);
    want(w, FROM FORM "Accept: */*\r\n", "external_id=fetch", 201);
    set(w, "{\"origins\":[\"" ORIGIN "\"],\"identical\":{\"windowSeconds\":0}}");
}

static void traps(void **state)
{
    const world_t *w = *state;
    set(w, "{\"origins\":[\"" ORIGIN "\"],\"honeypot\":\"website\"}");
    want(w, FROM FORM, "external_id=robot&website=http://spam", 201);
    want(w, FROM JSON, "{\"externalId\":\"robot\",\"website\":\"x\"}", 201);
    want(w, FROM FORM, "external_id=person&website=", 201);
    assert_int_equal(leads(w, "external_id = 'robot'"), 0);
    assert_int_equal(leads(w, "external_id = 'person' AND data->>'website' IS NULL"), 1);
    set(w, "{\"origins\":[\"" ORIGIN "\"],\"identical\":{\"windowSeconds\":0}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_documents),
        cmocka_unit_test(refuses_bodies),
        cmocka_unit_test(takes_all_types),
        cmocka_unit_test(admits),
        cmocka_unit_test(checks_signatures),
        cmocka_unit_test(answers_browsers),
        cmocka_unit_test(traps),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
