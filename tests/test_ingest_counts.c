/* Filter counts and the board, held against the lists that they count. */
#include "api_world.h"
#include "count.h"
#include "counts.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

#define LEADS 400
#define DAY "2026-03-"

/* The second owners; the first are the account's. */
#define USER "018f0000-0000-7000-8000-00000000000a"
#define PROJECT "018f0000-0000-7000-8000-00000000000b"
#define QUIZ "018f0000-0000-7000-8000-00000000000c"

static const char lead_rows[] =
    "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, status, viewed, paid, "
    "blocked, is_test, duplicate_of, utm_source, country, created_at, deleted_at) "
    "SELECT '%s', (left(plumb_id_floor(at)::text, 24) || lpad(i::text, 12, '0'))::uuid, CASE i %% "
    "3 WHEN 0 THEN '" USER "' ELSE '%s' END::uuid, "
    "CASE i %% 3 WHEN 0 THEN '" PROJECT "' ELSE '%s' END::uuid, "
    "CASE i %% 3 WHEN 0 THEN '" QUIZ "' ELSE '%s' END::uuid, "
    "(enum_range(NULL::lead_status))[1 + i %% 7 %% 4], i %% 2 = 0, i %% 5 > 0, i %% 11 = 0, "
    "i %% 6 = 1, CASE WHEN i %% 4 = 1 THEN gen_random_uuid() END, "
    "CASE WHEN i %% 3 = 1 THEN 'ads' END, CASE WHEN i %% 8 < 5 THEN 'RU' ELSE 'KZ' END, at, "
    "CASE WHEN i %% 13 = 0 THEN now() END "
    "FROM (SELECT i, timestamptz '" DAY "01 00:00:00Z' + i * interval '17 minutes' AS at "
    "FROM generate_series(1, %d) i) g";

#define KEYS                                                                                       \
    "account_id, project_id, quiz_id, (created_at AT TIME ZONE 'UTC')::date, status, "             \
    "plumb_lead_flags(viewed, paid, blocked, is_test, duplicate_of IS NOT NULL, "                  \
    "deleted_at IS NOT NULL)"

static void make_leads(account_t *a)
{
    char sql[4096], id[4][PLUMB_UUID_TEXT];
    const plumb_uuid_t *ids[] = {&a->id, &a->user, &a->project, &a->quiz};
    for (int i = 0; i < 4; i++)
        plumb_uuid_text(ids[i], id[i]);
    account_sql(a,
                "INSERT INTO users (account_id, id, name) VALUES ('%s', '" USER "', 'u');"
                "INSERT INTO projects (account_id, id, user_id, name) VALUES ('%s', '" PROJECT
                "', '" USER "', 'p');"
                "INSERT INTO quizzes (account_id, id, project_id, name) VALUES ('%s', '" QUIZ
                "', '" PROJECT "', 'q')",
                id[0], id[0], id[0]);
    snprintf(sql, sizeof sql, lead_rows, id[0], id[1], id[2], id[3], LEADS);
    pg_run(a->conninfo, sql, NULL, 0);
    /* Half of them added up, half not yet. */
    pg_run(a->conninfo,
           "INSERT INTO lead_counts SELECT " KEYS ", count(*) FROM leads WHERE utm_source IS NULL "
           "GROUP BY 1, 2, 3, 4, 5, 6;"
           "INSERT INTO lead_totals SELECT account_id, project_id, quiz_id, status, flags, "
           "sum(leads) FROM lead_counts GROUP BY 1, 2, 3, 4, 5;"
           "INSERT INTO lead_deltas SELECT " KEYS ", 1 FROM leads WHERE utm_source IS NOT NULL",
           NULL, 0);
    assert_int_equal(counts_off(a->conninfo), 0);
}

static int setup(void **state)
{
    world_setup(state);
    make_leads(((world_t *)*state)->account);
    return 0;
}

static json_t *get(world_t *w, const char *token, const char *path)
{
    http_answer_t answer = world_ask(w, 0, token, "GET", path, "", NULL);
    if (answer.status != 200)
        fail_msg("%s: %d %s", path, answer.status, answer.body);
    json_t *tree = world_parse(&answer);
    http_answer_fini(&answer);
    return tree;
}

static long list_total(world_t *w, const char *filters)
{
    char path[2048];
    snprintf(path, sizeof path, "/api/v1/leads?page[number]=1&page[size]=1%s", filters);
    json_t *tree = get(w, w->account->token, path);
    long total = (long)json_integer_value(world_at(tree, "meta.page.total"));
    json_decref(tree);
    return total;
}

/* ---- filter counts ---- */

/* A filter, the facet whose own it is (NULL: of none). */
typedef struct filter {
    const char *facet, *text;
} filter_t;

static const filter_t pool[] = {
    {"status", "&filter[status]=New"},
    {"status", "&filter[status]=New,AtWork"},
    {"projectId", "&filter[projectId]=" PROJECT},
    {"quizId", "&filter[quizId]=" QUIZ "," PROJECT},
    {"userId", "&filter[userId]=" USER},
    {"viewed", "&filter[viewed]=true"},
    {"paid", "&filter[paid]=false"},
    {"blocked", "&filter[blocked]=false"},
    {"isTest", "&filter[isTest]=false"},
    {"duplicate", "&filter[duplicateOf]=null"},
    {NULL, "&filter[createdAt][gte]=" DAY "02T07:31:00Z"},
    {NULL, "&filter[createdAt][lt]=" DAY "04T22:00:00.500Z"},
    {NULL, "&filter[createdAt][gt]=" DAY "03T00:00:00Z&filter[createdAt][lte]=" DAY "03T12:00:00Z"},
    {NULL, "&filter[createdAt][gte]=" DAY "02"},
    {NULL, "&filter[createdAt][lt]=" DAY "04"},
    {NULL, "&filter[utmSource]=ads"},
    {NULL, "&filter[country]=RU"},
};

static const struct {
    const char *facet, *filter, *values[4];
} facets[] = {
    {"status", "status", {"New", "AtWork", "Success", "Declined"}},
    {"viewed", "viewed", {"true", "false"}},
    {"paid", "paid", {"true", "false"}},
    {"blocked", "blocked", {"true", "false"}},
    {"isTest", "isTest", {"true", "false"}},
    {"projectId", "projectId", {PROJECT}},
    {"quizId", "quizId", {QUIZ}},
    {"userId", "userId", {USER}},
};

/* The filters of `chosen`, without the facet's own. */
static void join(char *out, size_t size, const bool *chosen, const char *without)
{
    size_t length = 0;
    *out = '\0';
    for (size_t i = 0; i < PLUMB_COUNT(pool); i++)
        if (chosen[i] &&
            (without == NULL || pool[i].facet == NULL || strcmp(pool[i].facet, without) != 0))
            length += (size_t)snprintf(out + length, size - length, "%s", pool[i].text);
}

static void want_facet(world_t *w, json_t *counts, const bool *chosen, size_t facet)
{
    for (size_t i = 0; i < 4 && facets[facet].values[i] != NULL; i++) {
        char path[2048], others[1536];
        join(others, sizeof others, chosen, facets[facet].facet);
        snprintf(path, sizeof path, "%s&filter[%s]=%s", others, facets[facet].filter,
                 facets[facet].values[i]);
        json_t *got =
            json_object_get(json_object_get(counts, facets[facet].facet), facets[facet].values[i]);
        long want = list_total(w, path);
        if (json_integer_value(got) != want)
            fail_msg("%s: %s %s: %lld, want %ld", path, facets[facet].facet,
                     facets[facet].values[i], (long long)json_integer_value(got), want);
    }
}

static void want_duplicates(world_t *w, json_t *counts, const bool *chosen)
{
    char path[2048], others[1536];
    join(others, sizeof others, chosen, "duplicate");
    snprintf(path, sizeof path, "%s&filter[duplicateOf]=null", others);
    long none = list_total(w, path), all = list_total(w, others);
    assert_int_equal(json_integer_value(world_at(counts, "duplicate.false")), none);
    assert_int_equal(json_integer_value(world_at(counts, "duplicate.true")), all - none);
}

static void check_counts(world_t *w, const bool *chosen)
{
    char filters[1536], path[2048];
    join(filters, sizeof filters, chosen, NULL);
    snprintf(path, sizeof path, "/api/v1/leads/filter-counts?%s",
             filters[0] != '\0' ? filters + 1 : "");
    json_t *tree = get(w, w->account->token, path), *counts = world_at(tree, "meta.counts");
    long total = list_total(w, filters);
    if (json_integer_value(world_at(tree, "meta.total")) != total)
        fail_msg("%s: %lld, want %ld", path,
                 (long long)json_integer_value(world_at(tree, "meta.total")), total);
    for (size_t i = 0; i < PLUMB_COUNT(facets); i++)
        want_facet(w, counts, chosen, i);
    want_duplicates(w, counts, chosen);
    json_decref(tree);
}

static bool clashes(const bool *chosen, size_t with)
{
    for (size_t i = 0; i < PLUMB_COUNT(pool); i++) {
        const char *a = pool[i].text, *b = pool[with].text;
        if (i != with && chosen[i] && strncmp(a, b, strcspn(a, "=")) == 0)
            return true;
        if (i != with && chosen[i] && strstr(a, "createdAt") && strstr(b, "createdAt") &&
            (strchr(a + 1, '&') || strchr(b + 1, '&')))
            return true;
    }
    return false;
}

static void agree_with_lists(void **state)
{
    world_t *w = *state;
    unsigned seed = 3;
    bool none[PLUMB_COUNT(pool)] = {false};
    check_counts(w, none);
    for (size_t i = 0; i < PLUMB_COUNT(pool); i++) { /* each alone … */
        bool chosen[PLUMB_COUNT(pool)] = {false};
        chosen[i] = true;
        check_counts(w, chosen);
    }
    for (int round = 0; round < 25; round++) { /* … and together */
        bool chosen[PLUMB_COUNT(pool)] = {false};
        for (size_t i = 0; i < PLUMB_COUNT(pool); i++)
            chosen[i] = rand_r(&seed) % 4 == 0 && !clashes(chosen, i);
        check_counts(w, chosen);
    }
}

static void open_ends(void **state)
{
    static const char *const ranges[] = {
        "&filter[createdAt][gte]=1970-01-01",
        "&filter[createdAt][lt]=9999-12-31T23:59:59Z",
        "&filter[createdAt][lt]=1970-01-02",
        "&filter[createdAt][gte]=9999-12-31",
        "&filter[createdAt][gte]=1970-01-01&filter[createdAt][lt]=9999-12-31",
        "&filter[createdAt][gte]=" DAY "04&filter[createdAt][lt]=" DAY "02"};
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(ranges); i++) {
        char path[512];
        snprintf(path, sizeof path, "/api/v1/leads/filter-counts?%s", ranges[i] + 1);
        json_t *tree = get(w, w->account->token, path);
        long want = i == 0 || i == 1 || i == 4 ? list_total(w, "") : 0;
        if (json_integer_value(world_at(tree, "meta.total")) != want)
            fail_msg("%s: %lld, want %ld", path,
                     (long long)json_integer_value(world_at(tree, "meta.total")), want);
        json_decref(tree);
    }
}

static void only_the_tokens_project(void **state)
{
    static const char *const paths[] = {"", "?filter[country]=RU",
                                        "?filter[createdAt][gte]=" DAY "02T01:00Z"};
    world_t *w = *state;
    char token[64], own[PLUMB_UUID_TEXT];
    plumb_uuid_text(&w->account->project, own);
    account_token(w->account, "countsbounds", "read", &w->account->project, token);
    for (size_t i = 0; i < PLUMB_COUNT(paths); i++) {
        char path[256];
        snprintf(path, sizeof path, "/api/v1/leads/filter-counts%s", paths[i]);
        json_t *tree = get(w, token, path);
        json_t *projects = world_at(tree, "meta.counts.projectId");
        assert_int_equal(json_object_size(projects), 1);
        assert_true(json_integer_value(json_object_get(projects, own)) > 0);
        assert_int_equal(json_integer_value(json_object_get(projects, own)),
                         json_integer_value(world_at(tree, "meta.total")));
        json_decref(tree);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *path, *parameter;
    } cases[] = {{"filter-counts?sort=status", "sort"},
                 {"filter-counts?fields[leads]=name", "fields[leads]"},
                 {"filter-counts?include=project", "include"},
                 {"filter-counts?page[size]=5", "page[size]"},
                 {"filter-counts?filter[status]=Old", "filter[status]"},
                 {"filter-counts?filter[nothing]=1", "filter[nothing]"},
                 {"kanban?sort=status", "sort"},
                 {"kanban?include=project", "include"},
                 {"kanban?page[after]=x", "page[after]"},
                 {"kanban?page[size]=0", "page[size]"},
                 {"kanban?page[size]=201", "page[size]"},
                 {"kanban?x=1", "x"}};
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char path[128], parameter[64];
        snprintf(path, sizeof path, "/api/v1/leads/%s", cases[i].path);
        http_answer_t answer = world_ask(w, 0, w->account->token, "GET", path, "", NULL);
        world_text(&answer, "errors.0.source.parameter", parameter, sizeof parameter);
        if (answer.status != 400 || strcmp(parameter, cases[i].parameter) != 0)
            fail_msg("%s: %d %s", path, answer.status, answer.body);
        http_answer_fini(&answer);
    }
}

/* ---- while leads pour in ---- */

typedef struct pour {
    world_t *world;
    atomic_bool ends;
} pour_t;

/* Five at a time, and now and then a tracker's work. */
static void *pour_in(void *argument)
{
    pour_t *p = argument;
    char sql[2048], id[PLUMB_UUID_TEXT];
    PGconn *conn = PQconnectdb(p->world->account->conninfo);
    snprintf(sql, sizeof sql,
             "WITH made AS (INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, "
             "country) SELECT '%s', plumb_id_new(), '" USER "', '" PROJECT "', '" QUIZ
             "', 'FR' FROM generate_series(1, 5) RETURNING *) "
             "INSERT INTO lead_deltas SELECT " KEYS ", count(*) FROM made "
             "GROUP BY 1, 2, 3, 4, 5, 6",
             plumb_uuid_text(&p->world->account->id, id));
    for (unsigned i = 0; !atomic_load(&p->ends); i++) {
        PQclear(PQexec(conn, sql));
        if (i % 8 == 0)
            PQclear(PQexec(
                conn,
                "WITH gone AS (DELETE FROM lead_deltas RETURNING *), "
                "day AS (INSERT INTO lead_counts AS c SELECT account_id, project_id, quiz_id, day, "
                "status, flags, sum(leads) FROM gone GROUP BY 1, 2, 3, 4, 5, 6 ON CONFLICT "
                "(account_id, project_id, quiz_id, day, status, flags) DO UPDATE SET leads = "
                "c.leads + excluded.leads) INSERT INTO lead_totals AS c SELECT account_id, "
                "project_id, quiz_id, status, flags, sum(leads) FROM gone GROUP BY 1, 2, 3, 4, 5 "
                "ON CONFLICT (account_id, project_id, quiz_id, status, flags) DO UPDATE SET "
                "leads = c.leads + excluded.leads"));
    }
    PQfinish(conn);
    return NULL;
}

static long sum(json_t *facet)
{
    const char *name;
    json_t *value;
    long total = 0;
    json_object_foreach(facet, name, value)
    {
        total += (long)json_integer_value(value);
    }
    return total;
}

static void right_while_leads_pour_in(void **state)
{
    static const char *const paths[] = {"/api/v1/leads/filter-counts",
                                        "/api/v1/leads/filter-counts?filter[createdAt][gte]=" DAY
                                        "01"};
    world_t *w = *state;
    pour_t pour = {.world = w};
    pthread_t thread;
    long before = list_total(w, ""), last = before;
    assert_int_equal(pthread_create(&thread, NULL, pour_in, &pour), 0);
    for (int i = 0; i < 150; i++) {
        const char *name;
        json_t *facet, *tree = get(w, w->account->token, paths[i % 2]);
        long total = (long)json_integer_value(world_at(tree, "meta.total"));
        if (total < last || (total - before) % 5 != 0)
            fail_msg("%ld after %ld of first %ld", total, last, before);
        json_object_foreach(world_at(tree, "meta.counts"), name, facet)
        {
            if (sum(facet) != total)
                fail_msg("%s: %ld of %ld", name, sum(facet), total);
        }
        last = total;
        json_decref(tree);
    }
    atomic_store(&pour.ends, true);
    pthread_join(thread, NULL);
    assert_true(last > before);
    assert_int_equal(counts_off(w->account->conninfo), 0);
}

/* ---- the board ---- */

static const char *text(json_t *tree, const char *path)
{
    json_t *value = world_at(tree, path);
    return json_is_string(value) ? json_string_value(value) : "";
}

/* The lane's leads are the first page of its list, `next` is the second one. */
static void want_lane(world_t *w, json_t *lane, json_t *included, const char *filters, long size)
{
    char query[512];
    snprintf(query, sizeof query, "&filter[status]=%s%s", text(lane, "id"), filters);
    long total = list_total(w, query);
    json_t *leads = world_at(lane, "relationships.leads.data");
    json_t *list = get(w, w->account->token, text(lane, "relationships.leads.links.related"));
    assert_int_equal(json_integer_value(world_at(lane, "relationships.leads.meta.page.total")),
                     total);
    assert_int_equal(json_array_size(leads), total < size ? total : size);
    for (size_t i = 0; i < json_array_size(leads); i++) {
        json_t *lead = json_array_get(leads, i), *full;
        size_t found = 0, k;
        assert_string_equal(text(lead, "type"), "leads");
        assert_string_equal(text(lead, "id"),
                            text(json_array_get(json_object_get(list, "data"), i), "id"));
        json_array_foreach(included, k, full)
        {
            if (strcmp(text(full, "id"), text(lead, "id")) == 0) {
                found++;
                assert_string_equal(text(full, "attributes.status"), text(lane, "id"));
            }
        }
        assert_int_equal(found, 1);
    }
    const char *next = text(lane, "relationships.leads.links.next");
    assert_string_equal(next, text(list, "links.next")[0] == '\0' ? "" : next);
    if (total > size) {
        json_t *page = get(w, w->account->token, next);
        json_t *expected = get(w, w->account->token, text(list, "links.next"));
        assert_true(json_array_size(json_object_get(page, "data")) > 0);
        assert_true(json_equal(json_object_get(page, "data"), json_object_get(expected, "data")));
        json_decref(page);
        json_decref(expected);
    } else {
        assert_string_equal(next, "");
    }
    json_decref(list);
}

static void board(void **state)
{
    static const struct {
        const char *query, *filters;
        long size;
        size_t lanes;
    } cases[] = {{"", "", 50, 4},
                 {"?page[size]=7", "", 7, 4},
                 {"?page%5Bsize%5D=3&filter[country]=RU", "&filter[country]=RU", 3, 4},
                 {"?filter[viewed]=true&page[limit]=20", "&filter[viewed]=true", 20, 4},
                 {"?filter[status]=New,Success&filter[projectId]=" PROJECT,
                  "&filter[projectId]=" PROJECT, 50, 2},
                 {"?filter%5Bstatus%5D%5B%5D=New&filter[createdAt][gte]=" DAY "03T07:00Z",
                  "&filter[createdAt][gte]=" DAY "03T07:00Z", 50, 1}};
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char path[256];
        snprintf(path, sizeof path, "/api/v1/leads/kanban%s", cases[i].query);
        json_t *tree = get(w, w->account->token, path), *lane;
        size_t k, linked = 0;
        assert_int_equal(json_array_size(json_object_get(tree, "data")), cases[i].lanes);
        assert_string_equal(text(tree, "links.self"), path);
        json_array_foreach(json_object_get(tree, "data"), k, lane)
        {
            assert_string_equal(text(lane, "type"), "kanbanColumns");
            assert_string_equal(text(lane, "attributes.title"), text(lane, "id"));
            want_lane(w, lane, json_object_get(tree, "included"), cases[i].filters, cases[i].size);
            linked += json_array_size(world_at(lane, "relationships.leads.data"));
        }
        assert_int_equal(json_array_size(json_object_get(tree, "included")), linked);
        json_decref(tree);
    }
}

static void board_with_fields(void **state)
{
    world_t *w = *state;
    json_t *tree =
        get(w, w->account->token, "/api/v1/leads/kanban?fields[leads]=status&page[size]=2");
    json_t *lead = world_at(tree, "included.0");
    assert_int_equal(json_object_size(json_object_get(lead, "attributes")), 1);
    assert_null(json_object_get(lead, "relationships"));
    json_decref(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agree_with_lists),
        cmocka_unit_test(open_ends),
        cmocka_unit_test(only_the_tokens_project),
        cmocka_unit_test(refusals),
        cmocka_unit_test(board),
        cmocka_unit_test(board_with_fields),
        cmocka_unit_test(right_while_leads_pour_in),
    };
    return cmocka_run_group_tests_name("ingest counts", tests, setup, world_teardown);
}
