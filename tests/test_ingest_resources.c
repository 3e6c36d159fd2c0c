/* Resources as their clients see them: what is shown of each type, what comes along, what is
 * hidden from whom. */
#include "api/type.h"
#include "api_reads.h"
#include "count.h"

static char lead[PLUMB_UUID_TEXT], other_project[PLUMB_UUID_TEXT];
static char bound[64], stranger[64];

/* A second project with a lead in it, a token bound to the first one, another account's token. */
static int setup(void **state)
{
    world_setup(state);
    world_t *w = *state;
    account_t *a = w->account;
    char account[PLUMB_UUID_TEXT], user[PLUMB_UUID_TEXT], elsewhere[PLUMB_UUID_TEXT];
    plumb_uuid_t id = plumb_uuid_new(), mine = a->id, other = plumb_uuid_new();
    plumb_uuid_text(&a->id, account);
    plumb_uuid_text(&a->user, user);
    plumb_uuid_text(&id, other_project);
    plumb_uuid_text(&other, elsewhere);
    account_sql(a,
                "INSERT INTO projects (account_id, id, user_id, name) VALUES ('%s', '%s', '%s', "
                "'other')",
                account, other_project, user);
    account_sql(a,
                "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id) SELECT '%s', "
                "plumb_id_floor(now()), '%s', '%s', gen_random_uuid()",
                account, user, other_project);
    account_token(a, "boundtoken00", "read,admin", &a->project, bound);
    account_sql(a, "INSERT INTO accounts (id, name) VALUES ('%s', 'stranger')", elsewhere);
    a->id = other;
    account_token(a, "strangertokn", "read,write,operate,admin", NULL, stranger);
    a->id = mine;
    api_make_lead(w,
                  ",\"name\":\"Anna\",\"phone\":\"+79001234567\",\"contacts\":{\"vk\":\"anna\"},"
                  "\"email\":\"anna@one.example\"",
                  lead);
    return 0;
}

static const char *path_of(const char *format, const char *id)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % PLUMB_COUNT(paths)];
    const char *hole = strstr(format, "{id}");
    snprintf(path, sizeof paths[0], "%.*s%s%s", (int)(hole - format), format, id,
             hole + strlen("{id}"));
    return path;
}

static void shows_fields(void **state)
{
    json_t *tree = api_read(
        *state, path_of("/api/v1/leads/{id}?fields[leads]=name,status,project", lead), 200);
    assert_int_equal(json_object_size(world_at(tree, "data.attributes")), 2);
    assert_int_equal(json_object_size(world_at(tree, "data.relationships")), 1);
    assert_string_equal(api_text(tree, "data.attributes.name"), "Anna");
    json_decref(tree);
    tree =
        api_read(*state, path_of("/api/v1/leads/{id}?fields[leads]=integrationStatus", lead), 200);
    assert_string_equal(api_text(tree, "data.attributes.integrationStatus"), "none");
    assert_null(world_at(tree, "data.relationships"));
    json_decref(tree);
    tree = api_read(*state, path_of("/api/v1/leads/{id}?fields[leads]=", lead), 200);
    assert_int_equal(json_object_size(world_at(tree, "data.attributes")), 0);
    json_decref(tree);
    tree =
        api_read(*state, path_of("/api/v1/leads/{id}?include=user&fields[users]=name", lead), 200);
    assert_int_equal(json_object_size(world_at(tree, "included.0.attributes")), 1);
    json_decref(tree);
}

/* Each once, whoever of the page belongs to it. */
static void includes(void **state)
{
    world_t *w = *state;
    char second[PLUMB_UUID_TEXT];
    api_make_lead(w, "", second);
    account_sql(w->account, "UPDATE leads SET duplicate_of = '%s' WHERE id = '%s'", lead, second);
    json_t *tree = api_read(
        *state, path_of("/api/v1/leads?filter[id]={id}&include=user,project,quiz,original", second),
        200);
    assert_int_equal(json_array_size(world_at(tree, "included")), 4);
    assert_string_equal(api_text(tree, "included.3.id"), lead);
    json_decref(tree);
    tree = api_read(*state, "/api/v1/leads?include=project,original", 200);
    assert_int_equal(json_array_size(world_at(tree, "data")), 3);
    assert_int_equal(json_array_size(world_at(tree, "included")), 2);
    json_decref(tree);
    tree = api_read(*state, "/api/v1/leads?page[size]=1&include=project&sort=createdAt", 200);
    assert_int_equal(json_array_size(world_at(tree, "included")), 1);
    assert_string_equal(api_text(tree, "included.0.id"), other_project);
    json_decref(tree);
    tree = api_read(*state, "/api/v1/users?include=", 200);
    assert_null(world_at(tree, "included"));
    json_decref(tree);
    api_want_parameter(*state, "/api/v1/projects?include=leads", "bad_parameter", "include");
}

/* Every link that is printed works. */
static void links_work(void **state)
{
    static const char *const collections[] = {"/api/v1/leads", "/api/v1/users", "/api/v1/projects",
                                              "/api/v1/quizzes", "/api/v1/tokens"};
    unsigned seen = 0;
    for (size_t i = 0; i < PLUMB_COUNT(collections); i++) {
        json_t *tree = api_read(*state, collections[i], 200), *one, *relation;
        size_t at;
        const char *name;
        assert_true(json_array_size(world_at(tree, "data")) > 0);
        json_array_foreach(world_at(tree, "data"), at, one)
        {
            json_decref(api_read(*state, api_text(one, "links.self"), 200));
            json_object_foreach(json_object_get(one, "relationships"), name, relation)
            {
                json_t *related = api_read(*state, api_text(relation, "links.related"), 200);
                json_t *linkage = json_object_get(relation, "data");
                if (json_is_object(linkage) && json_is_object(world_at(related, "data")))
                    assert_string_equal(api_text(related, "data.id"), api_text(linkage, "id"));
                if (json_is_null(linkage))
                    assert_true(json_is_null(world_at(related, "data")));
                json_decref(related);
                seen++;
            }
        }
        json_decref(tree);
    }
    assert_true(seen > 15);
}

static void shows_related_lists(void **state)
{
    world_t *w = *state;
    char project[PLUMB_UUID_TEXT];
    plumb_uuid_text(&w->account->project, project);
    json_t *tree = api_read(w, path_of("/api/v1/projects/{id}/leads", other_project), 200);
    assert_int_equal(json_array_size(world_at(tree, "data")), 1);
    json_decref(tree);
    tree = api_read(
        w, path_of("/api/v1/projects/{id}/leads?filter[status]=New&page[number]=1", project), 200);
    assert_int_equal(
        json_integer_value(world_at(tree, "meta.page.total")),
        account_count(w->account, "SELECT count(*) FROM leads WHERE project_id = '%s'", project));
    json_decref(tree);
    json_decref(api_read(w, path_of("/api/v1/projects/{id}/leads", lead), 404));
    json_decref(api_read(
        w,
        path_of(
            "/api/v1/projects/{id}/leads?filter[projectId]=0190c9d2-0000-7000-8000-000000000001",
            project),
        400));
}

/* ---- what is hidden ---- */

static void hides_secrets(void **state)
{
    world_t *w = *state;
    http_answer_t answer = api_ask_as(w, w->account->token, "GET", "/api/v1/tokens", NULL);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"scopes\":[\"read\",\"write\",\"operate\",\"admin\"]"));
    assert_null(strstr(answer.body, "hash"));
    assert_null(strstr(answer.body, "abcdefghijkl"));
    assert_null(strstr(answer.body, "boundtoken00"));
    http_answer_fini(&answer);
}

static void masks_what_is_not_paid_for(void **state)
{
    world_t *w = *state;
    const char *const paths[] = {path_of("/api/v1/leads/{id}", lead), "/api/v1/leads"};
    account_sql(w->account, "UPDATE leads SET paid = false WHERE id = '%s'", lead);
    for (size_t i = 0; i < PLUMB_COUNT(paths); i++) {
        http_answer_t answer = api_ask_as(w, w->account->token, "GET", paths[i], NULL);
        assert_int_equal(answer.status, 200);
        if (strstr(answer.body, "9001234567") != NULL ||
            strstr(answer.body, "one.example") != NULL || strstr(answer.body, "\"vk\"") != NULL ||
            strstr(answer.body, "***") == NULL)
            fail_msg("%s: %s", paths[i], answer.body);
        http_answer_fini(&answer);
    }
    account_sql(w->account, "UPDATE leads SET paid = true WHERE id = '%s'", lead);
    json_t *tree = api_read(w, paths[0], 200);
    assert_string_equal(api_text(tree, "data.attributes.phone"), "+79001234567");
    json_decref(tree);
}

/* A stranger's answer is that for a missing thing, to the byte. */
static void hides_from_strangers(void **state)
{
    static const char *const routes[] = {
        "/api/v1/leads/{id}",           "/api/v1/leads/{id}/explain", "/api/v1/leads/{id}/user",
        "/api/v1/leads/{id}/project",   "/api/v1/leads/{id}/quiz",    "/api/v1/leads/{id}/original",
        "/api/v1/leads/{id}/deliveries"};
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(routes); i++) {
        http_answer_t theirs = api_ask_as(w, stranger, "GET", path_of(routes[i], lead), NULL);
        http_answer_t missing = api_ask_as(
            w, stranger, "GET", path_of(routes[i], "0190c9d2-0000-7000-8000-000000000001"), NULL);
        assert_int_equal(theirs.status, 404);
        assert_string_equal(theirs.body, missing.body);
        http_answer_fini(&theirs);
        http_answer_fini(&missing);
    }
    for (size_t i = 0; i < API_TYPES; i++) {
        if (api_types[i].path == NULL || api_types[i].kind == API_TOKENS)
            continue;
        http_answer_t list = api_ask_as(w, stranger, "GET", api_types[i].path, NULL);
        assert_int_equal(list.status, 200);
        if (strstr(list.body, "\"data\":[]") == NULL)
            fail_msg("%s: %s", api_types[i].path, list.body);
        http_answer_fini(&list);
    }
}

/* A token of one project sees what belongs to it. */
static void keeps_to_its_project(void **state)
{
    static const struct {
        const char *path;
        size_t count;
    } lists[] = {{"/api/v1/projects", 1},
                 {"/api/v1/users", 1},
                 {"/api/v1/quizzes", 1},
                 {"/api/v1/tokens", 1},
                 {"/api/v1/blocklist", 0}};
    world_t *w = *state;
    json_error_t why;
    for (size_t i = 0; i < PLUMB_COUNT(lists); i++) {
        http_answer_t answer = api_ask_as(w, bound, "GET", lists[i].path, NULL);
        json_t *tree = json_loads(answer.body, 0, &why);
        if (answer.status != 200 || json_array_size(world_at(tree, "data")) != lists[i].count)
            fail_msg("%s: %s", lists[i].path, answer.body);
        json_decref(tree);
        http_answer_fini(&answer);
    }
    static const char *const leads[] = {"/api/v1/leads", "/api/v1/leads?sort=updatedAt",
                                        "/api/v1/leads?filter[status]=New",
                                        "/api/v1/leads?filter[projectId]={id}"};
    for (size_t i = 0; i < PLUMB_COUNT(leads); i++) {
        const char *path = i == 3 ? path_of(leads[i], other_project) : leads[i];
        http_answer_t answer = api_ask_as(w, bound, "GET", path, NULL);
        assert_int_equal(answer.status, 200);
        if (strstr(answer.body, other_project) != NULL && i < 3)
            fail_msg("%s: %s", path, answer.body);
        if (i == 3)
            assert_non_null(strstr(answer.body, "\"data\":[]"));
        http_answer_fini(&answer);
    }
    http_answer_t one =
        api_ask_as(w, bound, "GET", path_of("/api/v1/projects/{id}", other_project), NULL);
    assert_int_equal(one.status, 404);
    http_answer_fini(&one);
}

static void forgets_what_was_put_away(void **state)
{
    world_t *w = *state;
    char gone[PLUMB_UUID_TEXT];
    api_make_lead(w, "", gone);
    account_sql(w->account, "UPDATE leads SET deleted_at = now() WHERE id = '%s'", gone);
    json_decref(api_read(w, path_of("/api/v1/leads/{id}", gone), 404));
    json_t *tree = api_read(w, "/api/v1/leads?filter[deletedAt][gte]=2020-01-01", 200);
    assert_string_equal(api_text(tree, "data.0.id"), gone);
    assert_int_equal(json_array_size(world_at(tree, "data")), 1);
    json_decref(tree);
    tree = api_read(w, path_of("/api/v1/leads?filter[id]={id}", gone), 200);
    assert_int_equal(json_array_size(world_at(tree, "data")), 0);
    json_decref(tree);
    tree = api_read(w, path_of("/api/v1/leads?filter[deletedAt]=null&filter[id]={id}", lead), 200);
    assert_int_equal(json_array_size(world_at(tree, "data")), 1);
    json_decref(tree);
}

/* ---- single things ---- */

static void names_the_version(void **state)
{
    world_t *w = *state;
    char project[PLUMB_UUID_TEXT];
    account_sql(w->account, "UPDATE leads SET version = 7 WHERE id = '%s'", lead);
    http_answer_t answer =
        api_ask_as(w, w->account->token, "GET", path_of("/api/v1/leads/{id}", lead), NULL);
    assert_string_equal(http_header(&answer, "ETag"), "\"7\"");
    assert_string_equal(http_header(&answer, "Vary"), "Accept");
    http_answer_fini(&answer);
    plumb_uuid_text(&w->account->project, project);
    answer =
        api_ask_as(w, w->account->token, "GET", path_of("/api/v1/projects/{id}", project), NULL);
    assert_string_equal(http_header(&answer, "ETag"), "\"1\"");
    http_answer_fini(&answer);
}

static void opens_what_is_blocked(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    plumb_err_t err = {0};
    plumb_key_t key;
    plumb_buf_t sealed = {0}, hex = {0};
    char account[PLUMB_UUID_TEXT], id[PLUMB_UUID_TEXT];
    plumb_uuid_t uuid = plumb_uuid_new();
    plumb_seal_place_t place = api_sealed_place(&api_types[API_BLOCKLIST], &a->id, &uuid);
    assert_int_equal(plumb_vault_key(a->vault, a->db, &a->id, 0, &key, &err), 0);
    assert_int_equal(plumb_seal(&sealed, &key, &place, "+79001112233", 12, &err), 0);
    for (size_t i = 0; i < sealed.length; i++)
        plumb_buf_printf(&hex, "%02x", (unsigned char)sealed.data[i]);
    plumb_uuid_text(&a->id, account);
    account_sql(a,
                "INSERT INTO blocklist (account_id, id, kind, term, sealed, expires_at) VALUES "
                "('%s', '%s', 'phone', 1, '\\x%s', now())",
                account, plumb_uuid_text(&uuid, id), hex.data);
    account_sql(a,
                "INSERT INTO blocklist (account_id, id, kind, value) VALUES "
                "('%s', gen_random_uuid(), 'ip', '10.0.0.0/8')",
                account);
    json_t *tree = api_read(w, "/api/v1/blocklist?filter[kind]=phone", 200);
    assert_string_equal(api_text(tree, "data.0.attributes.value"), "+79001112233");
    json_decref(tree);
    tree = api_read(w, "/api/v1/blocklist?sort=expiresAt,-kind&page[size]=1", 200);
    assert_string_equal(api_text(tree, "data.0.attributes.kind"), "phone");
    char next[1024];
    snprintf(next, sizeof next, "%s", api_text(tree, "links.next"));
    json_decref(tree);
    tree = api_read(w, next, 200);
    assert_string_equal(api_text(tree, "data.0.attributes.value"), "10.0.0.0/8");
    assert_true(json_is_null(world_at(tree, "links.next")));
    json_decref(tree);
    plumb_buf_fini(&sealed);
    plumb_buf_fini(&hex);
}

static void explains(void **state)
{
    world_t *w = *state;
    char second[PLUMB_UUID_TEXT], id[PLUMB_UUID_TEXT];
    plumb_uuid_t off = account_credential(w->account, "mail", "{}", NULL);
    account_sql(w->account, "UPDATE credentials SET enabled = false WHERE id = '%s'",
                plumb_uuid_text(&off, id));
    api_make_lead(w, "", second);
    account_credential(w->account, "webhooks", "{\"url\":\"https://one.example/\"}", NULL);
    json_t *tree = api_read(w, path_of("/api/v1/leads/{id}/explain", second), 200);
    assert_string_equal(api_text(tree, "data.attributes.checks.0.check"), "token");
    assert_string_equal(api_text(tree, "data.attributes.checks.0.verdict"), "passed");
    assert_int_equal(json_array_size(world_at(tree, "data.attributes.services")), 2);
    assert_string_equal(api_text(tree, "data.attributes.services.0.state"), "skipped");
    assert_string_equal(api_text(tree, "data.attributes.services.0.why"),
                        "not sent: the credential is switched off");
    assert_string_equal(api_text(tree, "data.attributes.services.1.reason"), "connected_later");
    json_decref(tree);
    tree = api_read(w, path_of("/api/v1/leads/{id}/deliveries", second), 200);
    assert_string_equal(api_text(tree, "data.0.attributes.reason"), "credential_disabled");
    json_decref(tree);
    tree = api_read(w, path_of("/api/v1/leads?filter[id]={id}&include=deliveries", second), 200);
    assert_int_equal(json_array_size(world_at(tree, "data.0.relationships.deliveries.data")), 1);
    assert_int_equal(json_array_size(world_at(tree, "included")), 1);
    json_decref(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_fields),
        cmocka_unit_test(includes),
        cmocka_unit_test(links_work),
        cmocka_unit_test(shows_related_lists),
        cmocka_unit_test(hides_secrets),
        cmocka_unit_test(masks_what_is_not_paid_for),
        cmocka_unit_test(hides_from_strangers),
        cmocka_unit_test(keeps_to_its_project),
        cmocka_unit_test(forgets_what_was_put_away),
        cmocka_unit_test(names_the_version),
        cmocka_unit_test(opens_what_is_blocked),
        cmocka_unit_test(explains),
    };
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
