/* Users, projects, quizzes, tokens and the blocklist: made, changed, put away. */
#include "api_world.h"
#include "count.h"

#define NOBODY "0190c9d2-0000-7000-8000-00000000000a"

static http_answer_t ask(const world_t *w, const char *method, const char *path, const char *body)
{
    return world_ask(w, 0, w->account->token, method, path, "", body);
}

static void want_status(const char *what, const http_answer_t *answer, int status)
{
    if (answer->status != status)
        fail_msg("%s: %d, want %d: %s", what, answer->status, status, answer->body);
}

static void want_text(const http_answer_t *answer, const char *path, const char *want)
{
    char got[512];
    world_text(answer, path, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s', want '%s' in %s", path, got, want, answer->body);
}

static http_answer_t create(const world_t *w, const char *token, const char *type,
                            const char *attributes)
{
    char path[64], body[2048];
    snprintf(path, sizeof path, "/api/v1/%s", type);
    snprintf(body, sizeof body, "{\"data\":{\"type\":\"%s\",\"attributes\":{%s}}}", type,
             attributes);
    return world_ask(w, 0, token, "POST", path, "", body);
}

/* Make one that must be made; its id goes to `id`. */
static void make(const world_t *w, const char *type, const char *attributes, char id[64])
{
    char location[128];
    http_answer_t answer = create(w, w->account->token, type, attributes);
    want_status(type, &answer, 201);
    world_text(&answer, "data.id", id, 64);
    snprintf(location, sizeof location, "/api/v1/%s/%s", type, id);
    assert_string_equal(http_header(&answer, "Location"), location);
    want_text(&answer, "data.links.self", location);
    want_text(&answer, "data.type", type);
    http_answer_fini(&answer);
}

static http_answer_t update(const world_t *w, const char *type, const char *id,
                            const char *attributes, const char *more)
{
    char path[128], body[2048];
    snprintf(path, sizeof path, "/api/v1/%s/%s", type, id);
    snprintf(body, sizeof body, "{\"data\":{\"type\":\"%s\",\"id\":\"%s\",\"attributes\":{%s}}}",
             type, id, attributes);
    return world_ask(w, 0, w->account->token, "PATCH", path, more, body);
}

static int status_of(const world_t *w, const char *token, const char *method, const char *type,
                     const char *id)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/%s/%s", type, id);
    http_answer_t answer = world_ask(w, 0, token, method, path, "", NULL);
    int status = answer.status;
    http_answer_fini(&answer);
    return status;
}

/* ---- owners ---- */

static void owners_live_and_end(void **state)
{
    world_t *w = *state;
    char user[64], project[64], quiz[64], attributes[512];
    make(w, "users", "\"name\":\"Olga\"", user);
    snprintf(attributes, sizeof attributes, "\"name\":\"Shop\",\"userId\":\"%s\"", user);
    make(w, "projects", attributes, project);
    snprintf(attributes, sizeof attributes,
             "\"name\":\"Quiz\",\"projectId\":\"%s\",\"settings\":{\"geo\":false}", project);
    make(w, "quizzes", attributes, quiz);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM quizzes WHERE id = '%s' AND active "
                                   "AND length(intake_key) = 32 AND settings = '{\"geo\":false}'",
                                   quiz),
                     1);
    const struct {
        const char *type, *id;
    } all[] = {{"quizzes", quiz}, {"projects", project}, {"users", user}};
    for (size_t i = 0; i < PLUMB_COUNT(all); i++) {
        http_answer_t answer =
            update(w, all[i].type, all[i].id, "\"name\":\"New\",\"active\":false", "");
        want_status(all[i].type, &answer, 200);
        want_text(&answer, "data.attributes.name", "New");
        assert_string_equal(http_header(&answer, "ETag"), "\"2\"");
        http_answer_fini(&answer);
        answer = update(w, all[i].type, all[i].id, "\"name\":\"Late\"", "If-Match: \"1\"\r\n");
        world_want_error("stale", &answer, 412, "stale", NULL);
        http_answer_fini(&answer);
        answer = update(w, all[i].type, all[i].id, "\"name\":null", "");
        world_want_error("no name", &answer, 422, "invalid", "/data/attributes/name");
        http_answer_fini(&answer);
        assert_int_equal(status_of(w, w->account->token, "DELETE", all[i].type, all[i].id), 204);
        assert_int_equal(status_of(w, w->account->token, "DELETE", all[i].type, all[i].id), 404);
        assert_int_equal(status_of(w, w->account->token, "GET", all[i].type, all[i].id), 404);
    }
}

/* A quiz made here takes leads; put away it takes none. */
static void a_new_quiz_takes_leads(void **state)
{
    world_t *w = *state;
    char user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT], quiz[64], body[1024];
    plumb_uuid_text(&w->account->user, user);
    plumb_uuid_text(&w->account->project, project);
    snprintf(body, sizeof body, "\"name\":\"Quiz\",\"projectId\":\"%s\"", project);
    make(w, "quizzes", body, quiz);
    snprintf(body, sizeof body,
             "{\"data\":{\"type\":\"leads\",\"attributes\":{\"userId\":\"%s\",\"projectId\":\"%s\","
             "\"quizId\":\"%s\"}}}",
             user, project, quiz);
    http_answer_t answer = ask(w, "POST", "/api/v1/leads", body);
    want_status("lead", &answer, 201);
    http_answer_fini(&answer);
    assert_int_equal(status_of(w, w->account->token, "DELETE", "quizzes", quiz), 204);
    answer = ask(w, "POST", "/api/v1/leads", body);
    world_want_error("put away", &answer, 422, "invalid", "/data/attributes/quizId");
    http_answer_fini(&answer);
}

/* Relations to one may be given as such. */
static void relations_stand_for_attributes(void **state)
{
    world_t *w = *state;
    char user[PLUMB_UUID_TEXT], body[512];
    snprintf(body, sizeof body,
             "{\"data\":{\"type\":\"projects\",\"attributes\":{\"name\":\"Shop\"},"
             "\"relationships\":{\"user\":{\"data\":{\"type\":\"users\",\"id\":\"%s\"}},"
             "\"stray\":{\"data\":null}}}}",
             plumb_uuid_text(&w->account->user, user));
    http_answer_t answer = ask(w, "POST", "/api/v1/projects", body);
    want_status("project", &answer, 201);
    want_text(&answer, "data.attributes.userId", user);
    http_answer_fini(&answer);
    answer = ask(w, "POST", "/api/v1/projects",
                 "{\"data\":{\"type\":\"projects\",\"attributes\":{\"name\":\"Shop\"},"
                 "\"relationships\":{\"user\":{\"data\":{\"type\":\"quizzes\",\"id\":\"" NOBODY
                 "\"}}}}}");
    world_want_error("type", &answer, 422, "invalid", "/data/relationships/user/data");
    http_answer_fini(&answer);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *name, *type, *attributes;
        int status;
        const char *code, *pointer;
    } cases[] = {
        {"no name", "users", "", 422, "required", "/data/attributes"},
        {"long name", "users",
         "\"name\":\"" NOBODY NOBODY NOBODY NOBODY NOBODY NOBODY NOBODY NOBODY "\"", 422, "invalid",
         "/data/attributes/name"},
        {"foreign user", "projects", "\"name\":\"a\",\"userId\":\"" NOBODY "\"", 422, "invalid",
         "/data/attributes/userId"},
        {"settings", "projects", "\"name\":\"a\",\"userId\":\"" NOBODY "\",\"settings\":[]", 422,
         "invalid", "/data/attributes/userId"},
        {"quiz setting", "quizzes",
         "\"name\":\"a\",\"settings\":{\"duplicates\":{\"policy\":\"x\"}}", 422, "required",
         "/data/attributes"},
        {"intake key", "quizzes", "\"intakeKey\":\"a\"", 422, "read_only",
         "/data/attributes/intakeKey"},
        {"no scopes", "tokens", "\"name\":\"a\",\"scopes\":[]", 422, "invalid",
         "/data/attributes/scopes"},
        {"root", "tokens", "\"name\":\"a\",\"scopes\":[\"root\"]", 422, "invalid",
         "/data/attributes/scopes"},
        {"CIDR", "tokens", "\"name\":\"a\",\"scopes\":[\"read\"],\"allowedIps\":[\"10.0.0.1/8\"]",
         422, "invalid", "/data/attributes/allowedIps"},
        {"kind", "blocklist", "\"kind\":\"name\",\"value\":\"a\"", 422, "invalid",
         "/data/attributes/kind"},
        {"phone", "blocklist", "\"kind\":\"phone\",\"value\":\"call\"", 422, "invalid",
         "/data/attributes/value"},
        {"mail", "blocklist", "\"kind\":\"email\",\"value\":\"a\"", 422, "invalid",
         "/data/attributes/value"},
        {"address", "blocklist", "\"kind\":\"ip\",\"value\":\"10.0.0.0/99\"", 422, "invalid",
         "/data/attributes/value"},
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        http_answer_t answer = create(w, w->account->token, cases[i].type, cases[i].attributes);
        world_want_error(cases[i].name, &answer, cases[i].status, cases[i].code, cases[i].pointer);
        http_answer_fini(&answer);
    }
}

/* A setting is pointed at where it stands. */
static void quiz_settings_are_checked(void **state)
{
    world_t *w = *state;
    char quiz[PLUMB_UUID_TEXT];
    plumb_uuid_text(&w->account->quiz, quiz);
    http_answer_t answer = update(w, "quizzes", quiz,
                                  "\"settings\":{\"duplicates\":{\"policy\":\"x\"},\"geo\":1}", "");
    want_status("settings", &answer, 422);
    if (strstr(answer.body, "\"/data/attributes/settings/duplicates/policy\"") == NULL ||
        strstr(answer.body, "\"/data/attributes/settings/geo\"") == NULL)
        fail_msg("%s", answer.body);
    http_answer_fini(&answer);
    answer =
        update(w, "quizzes", quiz, "\"settings\":{\"duplicates\":{\"policy\":\"reject\"}}", "");
    want_status("good ones", &answer, 200);
    want_text(&answer, "data.attributes.settings.duplicates.policy", "reject");
    http_answer_fini(&answer);
    answer = update(w, "quizzes", quiz, "\"settings\":null", "");
    want_status("none", &answer, 200);
    http_answer_fini(&answer);
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM quizzes WHERE settings = '{}'"), 1);
}

/* ---- tokens ---- */

static void a_token_is_told_once_and_revoked_at_once(void **state)
{
    world_t *w = *state;
    char id[64], token[128], path[128];
    world_start(w); /* a second ingest */
    http_answer_t answer = create(w, w->account->token, "tokens",
                                  "\"name\":\"page\",\"scopes\":[\"read\",\"write\"],"
                                  "\"expiresAt\":\"2999-01-01T00:00:00Z\"");
    want_status("token", &answer, 201);
    world_text(&answer, "data.id", id, sizeof id);
    world_text(&answer, "meta.token", token, sizeof token);
    assert_int_equal(strlen(token), 12 + 1 + 43);
    http_answer_fini(&answer);
    snprintf(path, sizeof path, "/api/v1/tokens/%s", id);
    answer = ask(w, "GET", path, NULL);
    want_text(&answer, "data.attributes.name", "page");
    want_text(&answer, "data.attributes.scopes.1", "write");
    assert_null(strstr(answer.body, token));
    http_answer_fini(&answer);
    for (unsigned i = 0; i < w->count; i++) {
        answer = world_ask(w, i, token, "GET", "/api/v1/leads", "", NULL);
        want_status("it is good", &answer, 200);
        http_answer_fini(&answer);
    }
    assert_int_equal(status_of(w, token, "DELETE", "tokens", id), 403);
    assert_int_equal(status_of(w, w->account->token, "DELETE", "tokens", id), 204);
    for (unsigned i = 0; i < w->count; i++) {
        int64_t deadline_ms = plumb_mono_ms() + 3000;
        int status;
        do {
            answer = world_ask(w, i, token, "GET", "/api/v1/leads", "", NULL);
            status = answer.status;
            http_answer_fini(&answer);
        } while (status != 401 && plumb_mono_ms() < deadline_ms);
        assert_int_equal(status, 401);
    }
    assert_int_equal(status_of(w, w->account->token, "DELETE", "tokens", id), 404);
}

static void an_expired_token_is_none(void **state)
{
    world_t *w = *state;
    char id[64], token[128];
    http_answer_t answer = create(w, w->account->token, "tokens",
                                  "\"name\":\"old\",\"scopes\":[\"read\"],"
                                  "\"expiresAt\":\"2001-01-01T00:00:00Z\"");
    want_status("token", &answer, 201);
    world_text(&answer, "data.id", id, sizeof id);
    world_text(&answer, "meta.token", token, sizeof token);
    http_answer_fini(&answer);
    assert_int_equal(status_of(w, token, "GET", "leads", NOBODY), 401);
    answer = update(w, "tokens", id, "\"expiresAt\":null", "");
    want_status("for ever", &answer, 200);
    http_answer_fini(&answer);
    int64_t deadline_ms = plumb_mono_ms() + 3000;
    while (status_of(w, token, "GET", "leads", NOBODY) != 404)
        assert_true(plumb_mono_ms() < deadline_ms);
}

/* Who is bound to a project makes and changes what is of it, and nothing else. */
static void bound_tokens_stay_in_their_project(void **state)
{
    world_t *w = *state;
    char user[PLUMB_UUID_TEXT], own[PLUMB_UUID_TEXT], other[64], bound[64], attributes[256];
    plumb_uuid_text(&w->account->user, user);
    plumb_uuid_text(&w->account->project, own);
    account_token(w->account, "boundtoken12", "read,write,operate,admin", &w->account->project,
                  bound);
    snprintf(attributes, sizeof attributes, "\"name\":\"Other\",\"userId\":\"%s\"", user);
    make(w, "projects", attributes, other);
    const struct {
        const char *name, *type, *form, *project;
        int status;
    } cases[] = {
        {"quiz", "quizzes", "\"name\":\"a\",\"projectId\":\"%s\"", own, 201},
        {"quiz elsewhere", "quizzes", "\"name\":\"a\",\"projectId\":\"%s\"", other, 422},
        {"token", "tokens", "\"name\":\"a\",\"scopes\":[\"read\"],\"projectId\":\"%s\"", own, 201},
        {"token elsewhere", "tokens", "\"name\":\"a\",\"scopes\":[\"read\"],\"projectId\":\"%s\"",
         other, 422},
        {"token of all", "tokens", "\"name\":\"a\",\"scopes\":[\"read\"]", "", 422},
        {"blocked", "blocklist", "\"kind\":\"domain\",\"value\":\"a.example\",\"projectId\":\"%s\"",
         own, 201},
        {"blocked for all", "blocklist", "\"kind\":\"domain\",\"value\":\"a.example\"", "", 422},
        {"user", "users", "\"name\":\"a\"", "", 403},
        {"project", "projects", "\"name\":\"a\",\"userId\":\"" NOBODY "\"", "", 403},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        const char *hole = strstr(cases[i].form, "%s");
        snprintf(attributes, sizeof attributes, "%.*s%s%s",
                 (int)(hole == NULL ? strlen(cases[i].form) : (size_t)(hole - cases[i].form)),
                 cases[i].form, cases[i].project, hole == NULL ? "" : hole + 2);
        http_answer_t answer = create(w, bound, cases[i].type, attributes);
        want_status(cases[i].name, &answer, cases[i].status);
        http_answer_fini(&answer);
    }
    assert_int_equal(status_of(w, bound, "DELETE", "projects", other), 404);
    assert_int_equal(status_of(w, bound, "DELETE", "users", user), 403);
    assert_int_equal(status_of(w, bound, "DELETE", "projects", own), 204);
}

/* ---- blocklist ---- */

static void the_blocklist_knows_each_once(void **state)
{
    static const struct {
        const char *kind, *value, *again, *shown;
    } cases[] = {
        {"phone", "8 (900) 555-12-34", "+79005551234", "+79005551234"},
        {"email", " Anna@Mail.EXAMPLE ", "Anna@mail.example", "Anna@mail.example"},
        {"domain", "Mail.EXAMPLE", "@mail.example", "mail.example"},
        {"ip", "10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"},
        {"fingerprint", "abc", "abc", "abc"},
    };
    world_t *w = *state;
    char attributes[256], id[64], path[128];
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        snprintf(attributes, sizeof attributes,
                 "\"kind\":\"%s\",\"value\":\"%s\",\"reason\":\"spam\"", cases[i].kind,
                 cases[i].value);
        make(w, "blocklist", attributes, id);
        snprintf(path, sizeof path, "/api/v1/blocklist/%s", id);
        http_answer_t answer = ask(w, "GET", path, NULL);
        want_text(&answer, "data.attributes.value", cases[i].shown);
        http_answer_fini(&answer);
        snprintf(attributes, sizeof attributes, "\"kind\":\"%s\",\"value\":\"%s\"", cases[i].kind,
                 cases[i].again);
        answer = create(w, w->account->token, "blocklist", attributes);
        world_want_error(cases[i].kind, &answer, 409, "conflict", NULL);
        http_answer_fini(&answer);
        answer = update(w, "blocklist", id,
                        "\"reason\":null,\"expiresAt\":\"2999-01-01T00:00:00Z\"", "");
        want_status("changed", &answer, 200);
        want_text(&answer, "data.attributes.expiresAt", "2999-01-01T00:00:00.000Z");
        http_answer_fini(&answer);
        assert_int_equal(status_of(w, w->account->token, "DELETE", "blocklist", id), 204);
        assert_int_equal(status_of(w, w->account->token, "GET", "blocklist", id), 404);
        http_answer_t free_again = create(w, w->account->token, "blocklist", attributes);
        want_status("free again", &free_again, 201);
        http_answer_fini(&free_again);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM blocklist b "
                                               "WHERE b::text ~* '5551234|anna'"),
                     0);
}

/* ---- another account ---- */

static void foreign_resources_are_missing(void **state)
{
    world_t *w = *state;
    char token[64], ids[5][64], path[512], body[1024];
    static const char *const types[] = {"users", "projects", "quizzes", "blocklist", "tokens"};
    plumb_uuid_text(&w->account->user, ids[0]);
    plumb_uuid_text(&w->account->project, ids[1]);
    plumb_uuid_text(&w->account->quiz, ids[2]);
    make(w, "blocklist", "\"kind\":\"domain\",\"value\":\"a.example\"", ids[3]);
    make(w, "tokens", "\"name\":\"a\",\"scopes\":[\"read\"]", ids[4]);
    account_sql(w->account, "INSERT INTO accounts (id, name) VALUES ('" NOBODY "', 'other')");
    account_token(w->account, "foreigntoken", "read,write,operate,admin", NULL, token);
    account_sql(w->account,
                "UPDATE tokens SET account_id = '" NOBODY "' WHERE id = 'foreigntoken'");
    for (size_t i = 0; i < PLUMB_COUNT(types); i++) {
        char first[2][1024] = {"", ""};
        for (int k = 0; k < 2; k++) {
            const char *id = k == 0 ? ids[i] : NOBODY;
            snprintf(path, sizeof path, "/api/v1/%s/%s", types[i], id);
            snprintf(body, sizeof body,
                     "{\"data\":{\"type\":\"%s\",\"id\":\"%s\",\"attributes\":{}}}", types[i], id);
            http_answer_t a = world_ask(w, 0, token, "PATCH", path, "", body);
            http_answer_t b = world_ask(w, 0, token, "DELETE", path, "", NULL);
            want_status(types[i], &a, 404);
            want_status(types[i], &b, 404);
            snprintf(first[k], sizeof first[k], "%s%s", a.body, b.body);
            http_answer_fini(&a);
            http_answer_fini(&b);
        }
        assert_string_equal(first[0], first[1]);
        assert_int_equal(status_of(w, w->account->token, "GET", types[i], ids[i]), 200);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(owners_live_and_end),
        TEST(a_new_quiz_takes_leads),
        TEST(relations_stand_for_attributes),
        TEST(what_is_wrong_is_told),
        TEST(quiz_settings_are_checked),
        TEST(a_token_is_told_once_and_revoked_at_once),
        TEST(an_expired_token_is_none),
        TEST(bound_tokens_stay_in_their_project),
        TEST(the_blocklist_knows_each_once),
        TEST(foreign_resources_are_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
