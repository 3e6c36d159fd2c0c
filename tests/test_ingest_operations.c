/* Atomic operations: several changes, all or none. */
#include "api_world.h"
#include "count.h"

#define ATOMIC "application/vnd.api+json;ext=\"https://jsonapi.org/ext/atomic\""
#define NOBODY "0190c9d2-0000-7000-8000-00000000000a"
#define BODY_MAX 65536

/* Ask with `type` as Content-Type and Accept. */
static http_answer_t send_as(const world_t *w, const char *token, const char *type,
                             const char *accept, const char *body)
{
    char headers[1024];
    snprintf(headers, sizeof headers,
             "Authorization: Bearer %s\r\nContent-Type: %s\r\nAccept: %s\r\n", token, type, accept);
    return http_exchange(w->ports[0], "POST", "/api/v1/operations", headers, body);
}

/* `list` is what stands between the brackets. */
static http_answer_t operate(const world_t *w, const char *token, const char *list)
{
    static char body[BODY_MAX];
    snprintf(body, sizeof body, "{\"atomic:operations\":[%s]}", list);
    return send_as(w, token, ATOMIC, ATOMIC, body);
}

static void want_status(const char *what, const http_answer_t *answer, int status)
{
    if (answer->status != status)
        fail_msg("%s: %d, want %d: %s", what, answer->status, status, answer->body);
}

static void make_lead(const world_t *w, char id[64])
{
    char document[1024];
    account_document(w->account, "", document, sizeof document);
    http_answer_t answer =
        world_ask(w, 0, w->account->token, "POST", "/api/v1/leads", "", document);
    want_status("lead", &answer, 201);
    world_text(&answer, "data.id", id, 64);
    http_answer_fini(&answer);
}

static void want_text(const http_answer_t *answer, const char *path, const char *want)
{
    char got[512];
    world_text(answer, path, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s', want '%s' in %s", path, got, want, answer->body);
}

/* Forty cards move at once. */
static void forty_leads_move(void **state)
{
    world_t *w = *state;
    static char list[BODY_MAX];
    size_t n = 0;
    char id[64];
    for (int i = 0; i < 40; i++) {
        make_lead(w, id);
        n += (size_t)snprintf(list + n, sizeof list - n,
                              "%s{\"op\":\"update\",\"data\":{\"type\":\"leads\",\"id\":\"%s\","
                              "\"attributes\":{\"status\":\"AtWork\"}}}",
                              i > 0 ? "," : "", id);
    }
    http_answer_t answer = operate(w, w->account->token, list);
    want_status("moved", &answer, 200);
    assert_string_equal(http_header(&answer, "Content-Type"), ATOMIC);
    json_t *tree = world_parse(&answer);
    assert_int_equal(json_array_size(json_object_get(tree, "atomic:results")), 40);
    json_decref(tree);
    want_text(&answer, "atomic:results.39.data.id", id);
    want_text(&answer, "atomic:results.39.data.attributes.status", "AtWork");
    http_answer_fini(&answer);
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM leads WHERE status = 'AtWork'"), 40);
    assert_int_equal(account_count(w->account, "SELECT count(DISTINCT xid) FROM events "
                                               "WHERE kind = 'lead.status'"),
                     1);
}

/* What is added may be named before it has an id. */
static void names_of_the_client(void **state)
{
    world_t *w = *state;
    char id[64];
    make_lead(w, id);
    char list[2048];
    snprintf(
        list, sizeof list,
        "{\"op\":\"add\",\"data\":{\"type\":\"users\",\"lid\":\"u\",\"attributes\":{\"name\":"
        "\"Olga\"}}},"
        "{\"op\":\"add\",\"data\":{\"type\":\"projects\",\"lid\":\"u\",\"attributes\":{\"name\":"
        "\"Shop\"},\"relationships\":{\"user\":{\"data\":{\"type\":\"users\",\"lid\":\"u\"}}}}},"
        "{\"op\":\"update\",\"ref\":{\"type\":\"projects\",\"lid\":\"u\"},\"data\":{\"type\":"
        "\"projects\",\"attributes\":{\"name\":\"Store\"}}},"
        "{\"op\":\"update\",\"data\":{\"type\":\"users\",\"lid\":\"u\",\"attributes\":{\"name\":"
        "\"Vera\"}}},"
        "{\"op\":\"add\",\"data\":{\"type\":\"tokens\",\"attributes\":{\"name\":\"t\",\"scopes\":"
        "[\"read\"]}}},"
        "{\"op\":\"remove\",\"ref\":{\"type\":\"leads\",\"id\":\"%s\"}}",
        id);
    http_answer_t answer = operate(w, w->account->token, list);
    want_status("all", &answer, 200);
    want_text(&answer, "atomic:results.2.data.attributes.name", "Store");
    want_text(&answer, "atomic:results.3.data.attributes.name", "Vera");
    char token[128];
    world_text(&answer, "atomic:results.4.meta.token", token, sizeof token);
    assert_int_equal(strlen(token), 56);
    json_t *tree = world_parse(&answer);
    assert_int_equal(json_object_size(world_at(tree, "atomic:results.5")), 0);
    json_decref(tree);
    http_answer_fini(&answer);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM projects p JOIN users u "
                                               "ON u.id = p.user_id WHERE p.name = 'Store' "
                                               "AND u.name = 'Vera'"),
                     1);
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM leads WHERE deleted_at IS NULL"), 0);
}

#define ADD "{\"op\":\"add\",\"data\":{\"type\":\"users\",\"attributes\":{\"name\":\"Olga\"}}},"

static const struct {
    const char *name, *second;
    int status;
    const char *code, *pointer;
} refused[] = {
    {"no object", "1", 400, "bad_document", "/atomic:operations/1"},
    {"no verb", "{}", 400, "bad_document", "/atomic:operations/1"},
    {"verb", "{\"op\":\"move\"}", 400, "bad_document", "/atomic:operations/1/op"},
    {"no data", "{\"op\":\"add\"}", 400, "bad_document", "/atomic:operations/1"},
    {"data", "{\"op\":\"add\",\"data\":[]}", 400, "bad_document", "/atomic:operations/1/data"},
    {"type", "{\"op\":\"add\",\"data\":{\"type\":\"attempts\"}}", 400, "bad_document",
     "/atomic:operations/1/data"},
    {"href", "{\"op\":\"remove\",\"href\":\"/api/v1/users/1\"}", 400, "bad_document",
     "/atomic:operations/1/href"},
    {"attribute", "{\"op\":\"add\",\"data\":{\"type\":\"users\",\"attributes\":{\"name\":7}}}", 422,
     "invalid", "/atomic:operations/1/data/attributes/name"},
    {"missing", "{\"op\":\"add\",\"data\":{\"type\":\"users\",\"attributes\":{}}}", 422, "required",
     "/atomic:operations/1/data/attributes"},
    {"lid", "{\"op\":\"remove\",\"ref\":{\"type\":\"users\",\"lid\":\"x\"}}", 400, "bad_document",
     "/atomic:operations/1/ref"},
    {"nobody", "{\"op\":\"remove\",\"ref\":{\"type\":\"users\",\"id\":\"" NOBODY "\"}}", 404,
     "not_found", "/atomic:operations/1"},
    {"no lead", "{\"op\":\"update\",\"data\":{\"type\":\"leads\",\"id\":\"" NOBODY "\"}}", 404,
     "not_found", "/atomic:operations/1"},
    {"leads", "{\"op\":\"add\",\"data\":{\"type\":\"leads\"}}", 403, "forbidden",
     "/atomic:operations/1"},
    {"another id",
     "{\"op\":\"update\",\"ref\":{\"type\":\"users\",\"id\":\"" NOBODY "\"},"
     "\"data\":{\"type\":\"projects\"}}",
     404, "not_found", "/atomic:operations/1"},
};

/* The second fails, so the first never was. */
static void all_or_none(void **state)
{
    world_t *w = *state;
    char list[1024];
    for (size_t i = 0; i < PLUMB_COUNT(refused); i++) {
        snprintf(list, sizeof list, ADD "%s", refused[i].second);
        http_answer_t answer = operate(w, w->account->token, list);
        world_want_error(refused[i].name, &answer, refused[i].status, refused[i].code,
                         refused[i].pointer);
        http_answer_fini(&answer);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM users"), 1);
}

static void a_phone_is_pointed_at_where_it_stands(void **state)
{
    world_t *w = *state;
    char id[64], list[512];
    make_lead(w, id);
    snprintf(list, sizeof list,
             "{\"op\":\"update\",\"data\":{\"type\":\"leads\",\"id\":\"%s\",\"attributes\":"
             "{\"phone\":\"call me\"}}}",
             id);
    http_answer_t answer = operate(w, w->account->token, list);
    world_want_error("phone", &answer, 422, "invalid",
                     "/atomic:operations/0/data/attributes/phone");
    http_answer_fini(&answer);
}

static void lists_have_bounds(void **state)
{
    static const struct {
        const char *body;
        const char *pointer;
    } cases[] = {{"{}", ""},
                 {"{\"atomic:operations\":{}}", "/atomic:operations"},
                 {"{\"atomic:operations\":[]}", "/atomic:operations"},
                 {"[]", ""}};
    static char list[BODY_MAX];
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        http_answer_t answer = send_as(w, w->account->token, ATOMIC, ATOMIC, cases[i].body);
        world_want_error(cases[i].body, &answer, 400, "bad_document", cases[i].pointer);
        http_answer_fini(&answer);
    }
    size_t n = 0;
    for (int i = 0; i < 101; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%.*s", i > 0 ? "," : "",
                              (int)(sizeof ADD - 2), ADD);
    http_answer_t answer = operate(w, w->account->token, list);
    world_want_error("101", &answer, 400, "bad_document", "/atomic:operations");
    http_answer_fini(&answer);
    list[n - (sizeof ADD - 2) - 1] = '\0';
    answer = operate(w, w->account->token, list);
    want_status("100", &answer, 200);
    http_answer_fini(&answer);
}

static void the_extension_is_negotiated(void **state)
{
    static const struct {
        const char *type, *accept;
        int status;
    } cases[] = {
        {ATOMIC, "*/*", 200},
        {ATOMIC, JSONAPI ", " ATOMIC, 200},
        {ATOMIC, JSONAPI, 406},
        {JSONAPI, ATOMIC, 415},
        {JSONAPI ";ext=\"https://example.org/x\"", ATOMIC, 415},
        {JSONAPI ";ext=\"https://jsonapi.org/ext/atomic https://example.org/x\"", ATOMIC, 415},
        {ATOMIC ";profile=\"https://example.org/p\"", ATOMIC, 200},
    };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        http_answer_t answer = send_as(w, w->account->token, cases[i].type, cases[i].accept,
                                       "{\"atomic:operations\":[{\"op\":\"add\",\"data\":{\"type\":"
                                       "\"users\",\"attributes\":{\"name\":\"a\"}}}]}");
        want_status(cases[i].type, &answer, cases[i].status);
        http_answer_fini(&answer);
    }
    char headers[512];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nAccept: " ATOMIC "\r\n",
             w->account->token);
    http_answer_t answer = http_exchange(w->ports[0], "GET", "/api/v1/leads", headers, NULL);
    want_status("elsewhere", &answer, 406);
    http_answer_fini(&answer);
}

/* Each operation asks for the scopes of its type. */
static void scopes_hold_for_each(void **state)
{
    world_t *w = *state;
    char id[64], token[64], list[512];
    make_lead(w, id);
    account_token(w->account, "writertoken1", "read,write", NULL, token);
    snprintf(list, sizeof list,
             "{\"op\":\"update\",\"data\":{\"type\":\"leads\",\"id\":\"%s\",\"attributes\":"
             "{\"city\":\"Riga\"}}},%.*s",
             id, (int)(sizeof ADD - 2), ADD);
    http_answer_t answer = operate(w, token, list);
    world_want_error("users", &answer, 403, "forbidden", "/atomic:operations/1");
    http_answer_fini(&answer);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE city IS NOT NULL"),
                     0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(forty_leads_move),     TEST(names_of_the_client),
        TEST(all_or_none),          TEST(a_phone_is_pointed_at_where_it_stands),
        TEST(lists_have_bounds),    TEST(the_extension_is_negotiated),
        TEST(scopes_hold_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
