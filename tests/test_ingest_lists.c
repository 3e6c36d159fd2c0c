/* Lists as their clients see them: pages, order, filters, links; what they refuse. */
#include "api_reads.h"
#include "blind.h"
#include "count.h"

#include <inttypes.h>

#define LEADS 7

/* The leads of these tests, oldest first. */
static char ids[LEADS][PLUMB_UUID_TEXT];

static const struct {
    const char *attributes, *status;
} rows[LEADS] = {
    {",\"name\":\"Vera Nord\",\"phone\":\"+79001114567\",\"email\":\"vera@one.example\","
     "\"city\":\"Perm\"",
     "New"},
    {",\"name\":\"Anna\",\"phone\":\"+79002220000\",\"email\":\"anna@two.example\","
     "\"city\":\"Omsk\"",
     "AtWork"},
    {",\"name\":\"Vera West\",\"phone\":\"+79003330000\",\"externalId\":\"A-1\"", "Declined"},
    {",\"name\":\"Boris\",\"email\":\"boris@one.example\",\"city\":\"Perm\",\"isTest\":true",
     "New"},
    {",\"name\":\"Gleb\",\"phone\":\"+79004440000\",\"utmSource\":\"ads\"", "Success"},
    {",\"name\":\"Dina\",\"phone\":\"+79005550000\",\"externalId\":\"A-2\"", "AtWork"},
    {",\"name\":\"Egor\",\"phone\":\"+79006660000\"", "New"},
};

static plumb_slice_t member(const json_t *attributes, const char *name)
{
    const char *text = json_string_value(json_object_get(attributes, name));
    return (plumb_slice_t){text, text == NULL ? 0 : strlen(text)};
}

/* The blind indexes by which the lead is found. */
static void put_terms(account_t *a, const char *attributes, const char *id)
{
    plumb_err_t err = {0};
    plumb_key_t key;
    plumb_blind_t blind;
    plumb_buf_t terms = {0};
    char text[1024];
    snprintf(text, sizeof text, "{%s}", attributes + 1);
    json_t *tree = json_loads(text, 0, NULL);
    plumb_slice_t name = member(tree, "name"), phone = member(tree, "phone"),
                  email = member(tree, "email");
    assert_int_equal(plumb_vault_index_key(a->vault, a->db, &a->id, &key, &err), 0);
    plumb_blind_lead(&blind, &key, &name, &phone, &email);
    for (size_t i = 0; i < blind.count; i++)
        plumb_buf_printf(&terms, "%s%" PRId64, i > 0 ? "," : "", blind.terms[i]);
    account_sql(a,
                "UPDATE leads SET phone_term = nullif('%" PRId64 "', '0')::int8, email_term = "
                "nullif('%" PRId64 "', '0')::int8, terms = '{%s}' WHERE id = '%s'",
                blind.has_phone ? blind.phone : 0, blind.has_email ? blind.email : 0, terms.data,
                id);
    plumb_buf_fini(&terms);
    json_decref(tree);
}

static int setup(void **state)
{
    world_setup(state);
    world_t *w = *state;
    for (int i = 0; i < LEADS; i++) {
        api_make_lead(w, rows[i].attributes, ids[i]);
        put_terms(w->account, rows[i].attributes, ids[i]);
        account_sql(w->account,
                    "UPDATE leads SET status = '%s', updated_at = created_at + interval '%d s' "
                    "WHERE id = '%s'",
                    rows[i].status, (i * 3) % LEADS, ids[i]);
    }
    return 0;
}

/* "0,3,6": which of the leads the document lists, in its order. */
static const char *which(json_t *tree)
{
    static char text[64];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < json_array_size(world_at(tree, "data")); i++) {
        const char *id =
            json_string_value(json_object_get(json_array_get(world_at(tree, "data"), i), "id"));
        for (int k = 0; k < LEADS; k++)
            if (strcmp(ids[k], id) == 0)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", n > 0 ? "," : "", k);
    }
    return text;
}

static void want(world_t *w, const char *query, const char *expected)
{
    char path[2048];
    snprintf(path, sizeof path, "/api/v1/leads?%s", query);
    json_t *tree = api_read(w, path, 200);
    if (strcmp(which(tree), expected) != 0)
        fail_msg("%s: got %s, want %s", query, which(tree), expected);
    if (strcmp(api_text(tree, "links.self"), path) != 0)
        fail_msg("%s: self is %s", path, api_text(tree, "links.self"));
    json_decref(tree);
}

/* ---- order and pages ---- */

static void sorts(void **state)
{
    want(*state, "sort=createdAt", "0,1,2,3,4,5,6");
    want(*state, "sort=-createdAt", "6,5,4,3,2,1,0");
    want(*state, "", "6,5,4,3,2,1,0");
    want(*state, "sort=-id", "6,5,4,3,2,1,0");
    want(*state, "sort=updatedAt", "0,5,3,1,6,4,2");
    want(*state, "sort=-updatedAt", "2,4,6,1,3,5,0");
    want(*state, "sort=status", "0,3,6,1,5,4,2");
    want(*state, "sort=-status,createdAt", "2,4,1,5,0,3,6");
    want(*state, "sort=status,-updatedAt", "6,3,0,1,5,4,2");
}

/* Walk by links from the first page to the end and back; every lead comes once, in order. */
static void walk(world_t *w, const char *query, const char *expected)
{
    char path[4096], seen[128] = "", back[256] = "";
    json_t *tree;
    snprintf(path, sizeof path, "/api/v1/leads?page[size]=3&%s", query);
    for (int page = 0;; page++) {
        tree = api_read(w, path, 200);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s%s", page > 0 ? "," : "",
                 which(tree));
        if (!json_is_null(world_at(tree, "links.prev")) != (page > 0) || page > 4)
            fail_msg("%s: prev of page %d", path, page);
        if (!json_is_string(world_at(tree, "links.next")))
            break;
        snprintf(path, sizeof path, "%s", api_text(tree, "links.next"));
        if (strstr(path, query) == NULL)
            fail_msg("%s: lost in %s", query, path);
        json_decref(tree);
    }
    if (!json_is_null(world_at(tree, "links.next")) || strcmp(seen, expected) != 0)
        fail_msg("%s: pages %s, want %s", query, seen, expected);
    while (json_is_string(world_at(tree, "links.prev"))) {
        snprintf(path, sizeof path, "%s", api_text(tree, "links.prev"));
        json_decref(tree);
        tree = api_read(w, path, 200);
        char last[384];
        snprintf(last, sizeof last, "%s,%s", which(tree), back);
        snprintf(back, sizeof back, "%.200s", last);
        if (json_is_null(world_at(tree, "links.next")))
            fail_msg("%s: no next of an earlier page", path);
    }
    if (strncmp(back, expected, strlen(back) - 1) != 0)
        fail_msg("%s: back %s, want %s", query, back, expected);
    json_decref(tree);
}

static void pages_by_cursor(void **state)
{
    walk(*state, "sort=createdAt", "0,1,2,3,4,5,6");
    walk(*state, "sort=-createdAt", "6,5,4,3,2,1,0");
    walk(*state, "sort=updatedAt", "0,5,3,1,6,4,2");
    walk(*state, "sort=-updatedAt", "2,4,6,1,3,5,0");
    walk(*state, "sort=status", "0,3,6,1,5,4,2");
    walk(*state, "sort=-status,createdAt", "2,4,1,5,0,3,6");
    walk(*state, "sort=status,-updatedAt", "6,3,0,1,5,4,2");
    walk(*state, "filter[status]=New,AtWork", "6,5,3,1,0");
    walk(*state, "filter%5Bstatus%5D=New,AtWork&sort=createdAt", "0,1,3,5,6");
}

/* A cursor is good for the account and sort that it was made for, and as it was made. */
static void refuses_foreign_cursors(void **state)
{
    world_t *w = *state;
    char path[2048], cursor[512];
    json_t *tree = api_read(w, "/api/v1/leads?page[size]=2&sort=-createdAt", 200);
    snprintf(cursor, sizeof cursor, "%s", api_text(tree, "data.1.meta.page.cursor"));
    assert_true(strlen(cursor) > 20);
    json_decref(tree);
    snprintf(path, sizeof path, "/api/v1/leads?page[size]=2&sort=-createdAt&page[after]=%s",
             cursor);
    tree = api_read(w, path, 200);
    assert_string_equal(which(tree), "4,3");
    json_decref(tree);
    snprintf(path, sizeof path, "/api/v1/leads?sort=createdAt&page[after]=%s", cursor);
    api_want_parameter(w, path, "bad_cursor", "page[after]");
    static const char *const sorts[] = {"-updatedAt", "-status", "-status,-updatedAt"};
    for (size_t i = 0; i < PLUMB_COUNT(sorts); i++) {
        snprintf(path, sizeof path, "/api/v1/leads?sort=%s&page[after]=%s", sorts[i], cursor);
        api_want_parameter(w, path, "bad_cursor", "page[after]");
    }
    snprintf(path, sizeof path, "/api/v1/users?page[before]=%s", cursor);
    api_want_parameter(w, path, "bad_cursor", "page[before]");
    for (size_t i = 0; i < strlen(cursor); i++) {
        char changed[512];
        snprintf(changed, sizeof changed, "%s", cursor);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        snprintf(path, sizeof path, "/api/v1/leads?sort=-createdAt&page[after]=%s", changed);
        api_want_parameter(w, path, "bad_cursor", "page[after]");
    }
    api_want_parameter(w, "/api/v1/leads?page[after]=", "bad_cursor", "page[after]");
    api_want_parameter(w, "/api/v1/leads?page[after]=1", "bad_cursor", "page[after]");
}

static void bounds_pages(void **state)
{
    static const char *const sizes[] = {"0", "-1", "x", "", "1x", "1.5"};
    char path[128];
    for (size_t i = 0; i < PLUMB_COUNT(sizes); i++) {
        snprintf(path, sizeof path, "/api/v1/leads?page%%5Bsize%%5D=%s", sizes[i]);
        api_want_parameter(*state, path, "bad_parameter", "page[size]");
        snprintf(path, sizeof path, "/api/v1/leads?page[number]=%s", sizes[i]);
        api_want_parameter(*state, path, "bad_parameter", "page[number]");
    }
    api_want_parameter(*state, "/api/v1/leads?page[limit]=201", "page_too_large", "page[limit]");
    api_want_parameter(*state, "/api/v1/leads?page[size]=99999999999999999999", "page_too_large",
                       "page[size]");
    json_t *tree = api_read(*state, "/api/v1/leads?page[size]=201", 400);
    assert_int_equal(json_integer_value(world_at(tree, "errors.0.meta.page.maxSize")), 200);
    assert_string_equal(
        api_text(tree, "errors.0.links.type"),
        "https://jsonapi.org/profiles/ethanresnick/cursor-pagination/max-size-exceeded");
    json_decref(tree);
    json_decref(api_read(*state, "/api/v1/leads?page[size]=200", 200));
    api_want_parameter(*state, "/api/v1/leads?page[number]=1&page[after]=x", "bad_parameter",
                       "page[after]");
}

static void pages_by_number(void **state)
{
    char path[1024];
    json_t *tree =
        api_read(*state, "/api/v1/leads?page[number]=2&page[size]=3&sort=createdAt", 200);
    json_t *page = json_pack("{s:i,s:i,s:i,s:i,s:i,s:i}", "currentPage", 2, "from", 4, "lastPage",
                             3, "perPage", 3, "to", 6, "total", LEADS);
    assert_string_equal(which(tree), "3,4,5");
    assert_true(json_equal(page, world_at(tree, "meta.page")));
    json_decref(page);
    static const struct {
        const char *link, *rows;
    } links[] = {{"links.first", "0,1,2"},
                 {"links.prev", "0,1,2"},
                 {"links.next", "6"},
                 {"links.last", "6"}};
    for (size_t i = 0; i < PLUMB_COUNT(links); i++) {
        snprintf(path, sizeof path, "%s", api_text(tree, links[i].link));
        json_t *other = api_read(*state, path, 200);
        assert_string_equal(which(other), links[i].rows);
        json_decref(other);
    }
    json_decref(tree);
    tree = api_read(*state, "/api/v1/leads?page[number]=9&page[limit]=3", 200);
    assert_true(json_is_null(world_at(tree, "meta.page.from")));
    assert_true(json_is_null(world_at(tree, "links.next")));
    assert_true(json_array_size(world_at(tree, "data")) == 0);
    json_decref(tree);
    tree = api_read(*state, "/api/v1/leads?page[number]=1&filter[status]=New", 200);
    assert_int_equal(json_integer_value(world_at(tree, "meta.page.total")), 3);
    assert_true(json_is_null(world_at(tree, "links.prev")));
    json_decref(tree);
}

/* ---- filters ---- */

static void filters(void **state)
{
    char query[512];
    want(*state, "filter[status]=New,AtWork", "6,5,3,1,0");
    want(*state, "filter[status]=New&filter[status]=AtWork", "6,5,3,1,0");
    want(*state, "filter[status][]=New&filter[status][]=AtWork", "6,5,3,1,0");
    want(*state, "filter%5Bstatus%5D%5B%5D=New", "6,3,0");
    want(*state, "filter[status]=New&filter[city]=Perm", "3,0");
    want(*state, "filter[city]=null&sort=createdAt", "2,4,5,6");
    want(*state, "filter[city]=Omsk,null&sort=createdAt", "1,2,4,5,6");
    want(*state, "filter[isTest]=true", "3");
    want(*state, "filter[isTest]=0&filter[status]=New", "6,0");
    want(*state, "filter[externalId]=A-1,A-2", "5,2");
    want(*state, "filter[duplicateOf]=null&filter[utmSource]=ads", "4");
    want(*state, "filter[deletedAt][gte]=2020-01-01", "");
    want(*state, "filter[status]=New,New", "6,3,0");
    snprintf(query, sizeof query, "filter[id]=%s,%s", ids[1], ids[4]);
    want(*state, query, "4,1");
    snprintf(query, sizeof query, "filter[id][gt]=%s&filter[id][lte]=%s", ids[1], ids[4]);
    want(*state, query, "4,3,2");
}

static void filters_by_person(void **state)
{
    want(*state, "filter[phone]=%2B79002220000", "1");
    want(*state, "filter[phone]=+79002220000", "1");
    want(*state, "filter[phone]=8(900)222-00-00,79001114567", "1,0");
    want(*state, "filter[email]=Anna@Two.Example", "1");
    want(*state, "filter[search]=vera", "2,0");
    want(*state, "filter[search]=VERA+west", "2");
    want(*state, "filter[search]=4567", "0");
    want(*state, "filter[search]=one.example", "3,0");
    want(*state, "filter[search]=nobody", "");
    want(*state, "filter[search]=vera&filter[status]=New", "0");
}

/* What is no lead is searched by its name. */
static void searches_names(void **state)
{
    static const struct {
        const char *path;
        size_t count;
    } cases[] = {{"/api/v1/users?filter[search]=ES", 1},
                 {"/api/v1/users?filter[search]=%25", 0},
                 {"/api/v1/quizzes?filter[search]=test&sort=-name,createdAt", 1},
                 {"/api/v1/projects?filter[name]=test&filter[active]=true", 1}};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        json_t *tree = api_read(*state, cases[i].path, 200);
        if (json_array_size(world_at(tree, "data")) != cases[i].count)
            fail_msg("%s", cases[i].path);
        json_decref(tree);
    }
    api_want_parameter(*state, "/api/v1/blocklist?filter[search]=x", "bad_parameter",
                       "filter[search]");
}

/* Times are compared as they are shown. */
static void filters_by_time(void **state)
{
    static const struct {
        const char *op, *rows;
    } ops[] = {{"[gte]", "6,5,4,3"},
               {"[gt]", "6,5,4"},
               {"[lte]", "3,2,1,0"},
               {"[lt]", "2,1,0"},
               {"", "3"}};
    world_t *w = *state;
    char path[256], query[256];
    snprintf(path, sizeof path, "/api/v1/leads/%s", ids[3]);
    json_t *tree = api_read(w, path, 200);
    for (size_t i = 0; i < PLUMB_COUNT(ops); i++) {
        snprintf(query, sizeof query, "filter[createdAt]%s=%s", ops[i].op,
                 api_text(tree, "data.attributes.createdAt"));
        want(w, query, ops[i].rows);
    }
    snprintf(query, sizeof query, "filter[updatedAt]=%s",
             api_text(tree, "data.attributes.updatedAt"));
    want(w, query, "3");
    json_decref(tree);
    want(w, "filter[createdAt][gte]=2020-01-01&filter[createdAt][lt]=2021-01-01T00:00:00%2B03:00",
         "");
    want(w, "filter[createdAt][gte]=2020-01-01T10:00&filter[status]=Success", "4");
    want(w, "filter[createdAt][gte]=1970-01-01T00:00%2B03:00&filter[status]=Success", "4");
    want(w, "filter[createdAt][lt]=9999-12-31&filter[status]=Success", "4");
    want(w, "filter[createdAt][lt]=1970-01-01T01:00+03:00", "");
}

/* ---- what is refused ---- */

static void names_what_it_does_not_know(void **state)
{
    static const struct {
        const char *query, *parameter;
    } cases[] = {
        {"nonsense=1", "nonsense"},
        {"Include=project", "Include"},
        {"sort=name", "sort"},
        {"sort=", "sort"},
        {"sort=-status,nothing", "sort"},
        {"include=nothing", "include"},
        {"include=project.user", "include"},
        {"fields[leads]=nothing", "fields[leads]"},
        {"fields[nothing]=name", "fields[nothing]"},
        {"fields=name", "fields"},
        {"filter[nothing]=1", "filter[nothing]"},
        {"filter=1", "filter"},
        {"filter[name]=Vera", "filter[name]"},
        {"filter[status]=new", "filter[status]"},
        {"filter[status]=", "filter[status]"},
        {"filter[status][gte]=New", "filter[status][gte]"},
        {"filter[status][or]=New", "filter[status][or]"},
        {"filter[status", "filter[status"},
        {"filter[projectId]=1", "filter[projectId]"},
        {"filter[isTest]=maybe", "filter[isTest]"},
        {"filter[ipAddress]=10.0.0", "filter[ipAddress]"},
        {"filter[createdAt][gte]=yesterday", "filter[createdAt][gte]"},
        {"filter[createdAt][gte]=2026-02-30", "filter[createdAt][gte]"},
        {"filter[createdAt][gte]=2026-13-01", "filter[createdAt][gte]"},
        {"filter[createdAt][gte]=2026-01-01,2026-01-02", "filter[createdAt][gte]"},
        {"filter[city]=%zz", "filter[city]"},
        {"filter[city]=%ff", "filter[city]"},
        {"page[nothing]=1", "page[nothing]"},
        {"page=1", "page"},
    };
    char path[256];
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        snprintf(path, sizeof path, "/api/v1/leads?%s", cases[i].query);
        api_want_parameter(*state, path, "bad_parameter", cases[i].parameter);
    }
    static const char *const list_only[] = {"sort=createdAt", "filter[status]=New", "page[size]=1"};
    for (size_t i = 0; i < PLUMB_COUNT(list_only); i++) {
        char name[64];
        snprintf(path, sizeof path, "/api/v1/leads/%s?%s", ids[0], list_only[i]);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(list_only[i], "="), list_only[i]);
        api_want_parameter(*state, path, "bad_parameter", name);
    }
}

/* Everything wrong at once. */
static void names_all_of_it(void **state)
{
    json_t *tree = api_read(*state, "/api/v1/leads?a=1&sort=x&filter[y]=z", 400);
    assert_int_equal(json_array_size(world_at(tree, "errors")), 3);
    json_decref(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts),
        cmocka_unit_test(pages_by_cursor),
        cmocka_unit_test(refuses_foreign_cursors),
        cmocka_unit_test(bounds_pages),
        cmocka_unit_test(pages_by_number),
        cmocka_unit_test(filters),
        cmocka_unit_test(filters_by_person),
        cmocka_unit_test(searches_names),
        cmocka_unit_test(filters_by_time),
        cmocka_unit_test(names_what_it_does_not_know),
        cmocka_unit_test(names_all_of_it),
    };
    return cmocka_run_group_tests(tests, setup, world_teardown);
}
