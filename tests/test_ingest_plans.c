/* Every list of leads walks an index, whatever is asked for: EXPLAIN of each statement on a table
 * of many leads says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "account.h"
#include "api/select.h"
#include "clock.h"
#include "count.h"
#include "lead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEADS 60000
#define EXPLAIN_MS 60000

typedef struct plans {
    account_t *account;
    plumb_params_t *params;
    plumb_key_t key;
    problems_t problems;
} plans_t;

/* Leads of ten months in two projects, of which most are one account's. */
static void make_leads(account_t *a)
{
    char account[PLUMB_UUID_TEXT], user[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT],
        quiz[PLUMB_UUID_TEXT];
    plumb_err_t err = {0};
    plumb_uuid_text(&a->id, account);
    plumb_uuid_text(&a->user, user);
    account_sql(a,
                "INSERT INTO projects (account_id, id, user_id, name) SELECT '%s', "
                "gen_random_uuid(), '%s', 'further' FROM generate_series(1, 20)",
                account, user);
    account_sql(
        a,
        "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, status, city, "
        "external_id, phone_term, email_term, terms, paid, is_test, created_at, updated_at) "
        "SELECT '%s', overlay(plumb_id_floor(t.at)::text PLACING lpad(to_hex(n), 12, '0') "
        "FROM 25)::uuid, '%s', '%s', '%s', (enum_range(NULL::lead_status))[n %% 4 + 1], "
        "'city ' || n %% 50, 'id ' || n, n, n, ARRAY[n %% 1000, n], n %% 100 > 0, n %% 50 = 0, "
        "t.at, t.at FROM generate_series(1, %d) n CROSS JOIN LATERAL (SELECT now() - n * "
        "interval '1 minute' AS at) t",
        account, user, plumb_uuid_text(&a->project, project), plumb_uuid_text(&a->quiz, quiz),
        LEADS);
    account_sql(a, "ANALYZE leads; ANALYZE projects");
    /* As ingest/api/list.c does on its connections. */
    assert_int_equal(plumb_db_script(a->db, "SET enable_seqscan = off", EXPLAIN_MS, &err), 0);
}

static int setup(void **state)
{
    plans_t *p = calloc(1, sizeof *p);
    plumb_err_t err = {0};
    *state = p;
    p->account = account_new();
    p->params = plumb_params_new();
    make_leads(p->account);
    return plumb_vault_index_key(p->account->vault, p->account->db, &p->account->id, &p->key, &err);
}

static int teardown(void **state)
{
    plans_t *p = *state;
    plumb_params_destroy(&p->params);
    problems_fini(&p->problems);
    account_destroy(&p->account);
    free(p);
    return 0;
}

/* The plan of the statement in `sql`; "" if it has no plan. */
static char *explain(plans_t *p, plumb_buf_t *sql)
{
    plumb_buf_t text = {0}, plan = {0};
    plumb_err_t err = {0};
    PGresult *rows = NULL;
    plumb_buf_printf(&text, "EXPLAIN %s", sql->data);
    if (plumb_db_query(p->account->db, "plan", text.data, p->params, EXPLAIN_MS, &rows, &err) < 0)
        fail_msg("%s: %s", text.data, err.text);
    for (int i = 0; i < PQntuples(rows); i++)
        plumb_buf_printf(&plan, "%s\n", plumb_get_text(rows, i, 0));
    PQclear(rows);
    plumb_buf_fini(&text);
    return plan.data;
}

static void want_index(plans_t *p, const char *query, plumb_buf_t *sql)
{
    char *plan = explain(p, sql);
    bool nothing = strstr(plan, "One-Time Filter: false") != NULL; /* known beforehand */
    if (strstr(plan, "Seq Scan on leads") != NULL || (strstr(plan, "Index") == NULL && !nothing))
        fail_msg("%s: %s\n%s", query, sql->data, plan);
    free(plan);
}

/* The first page, one behind it and one before it, the count. */
static void check(plans_t *p, const char *query, const plumb_uuid_t *project)
{
    plumb_buf_t sql = {0};
    api_query_t q;
    plumb_blind_search_t found;
    identity_t who = {.account = p->account->id, .project = *project};
    api_position_t from = {.id = plumb_uuid_at(plumb_wall_ms() - 1728000000)};
    problems_clear(&p->problems);
    if (!api_query_read(&q, &api_types[API_LEADS], API_MAY_LIST, query, &p->problems))
        fail_msg("%s: %s", query, p->problems.json.data);
    for (unsigned i = 0; i < q.key_count; i++)
        from.key[i] = q.keys[i].attr == PLUMB_LEAD_STATUS
                          ? (plumb_slice_t){"AtWork", 6}
                          : (plumb_slice_t){"2026-01-02 03:04:05.678901+00", 29};
    plumb_blind_search(&found, &p->key, "Vera", 4);
    api_selection_t s = {
        .query = &q, .who = &who, .limit = 51, .found = &found, .index_key = &p->key};
    api_select_count(&sql, p->params, &s);
    want_index(p, query, &sql);
    for (int page = 0; page < 3; page++) {
        s.from = page > 0 ? &from : NULL;
        s.backwards = page > 1;
        api_select_page(&sql, p->params, &s);
        want_index(p, query, &sql);
    }
    plumb_buf_fini(&sql);
    api_query_fini(&q);
}

static const char *const sorts[] = {"",
                                    "&sort=createdAt",
                                    "&sort=updatedAt",
                                    "&sort=-updatedAt",
                                    "&sort=status",
                                    "&sort=-status,createdAt",
                                    "&sort=status,-updatedAt"};

/* A value that the attribute takes. */
static const char *sample_of(const plumb_attr_t *attr)
{
    switch (attr->type) {
    case PLUMB_ATTR_UUID:
        return "0190c9d2-0000-7000-8000-000000000001";
    case PLUMB_ATTR_BOOL:
        return "false";
    case PLUMB_ATTR_TIME:
        return "2026-01-02T03:04:05Z";
    case PLUMB_ATTR_IP:
        return "10.0.0.1";
    case PLUMB_ATTR_WORD:
        return "New";
    case PLUMB_ATTR_PHONE:
        return "%2B79001234567";
    case PLUMB_ATTR_EMAIL:
        return "a@b.example";
    default:
        return "city 7";
    }
}

static void every_filter_has_an_index(void **state)
{
    plans_t *p = *state;
    const plumb_uuid_t all = {{0}};
    char query[512];
    for (size_t i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_FILTER) == 0)
            continue;
        for (size_t k = 0; k < PLUMB_COUNT(sorts); k++) {
            snprintf(query, sizeof query, "filter[%s]=%s%s", attr->name, sample_of(attr), sorts[k]);
            check(p, query, &all);
            check(p, query, &p->account->project);
        }
        snprintf(query, sizeof query, "filter[%s]=%s,null", attr->name, sample_of(attr));
        check(p, query, &all);
    }
}

static void every_sort_has_an_index(void **state)
{
    static const char *const more[] = {"filter[search]=vera",
                                       "filter[createdAt][gte]=2026-01-01",
                                       "filter[updatedAt][lt]=2026-01-01",
                                       "fields[leads]=name",
                                       "filter[status]=New,AtWork&filter[city]=x",
                                       "filter[id][gt]=0190c9d2-0000-7000-8000-000000000001"};
    plans_t *p = *state;
    const plumb_uuid_t all = {{0}};
    char query[512];
    for (size_t i = 0; i < PLUMB_COUNT(more); i++)
        for (size_t k = 0; k < PLUMB_COUNT(sorts); k++) {
            snprintf(query, sizeof query, "%s%s", more[i], sorts[k]);
            check(p, query, &all);
            check(p, query, &p->account->project);
        }
}

/* The index that a page walks is the one made for it, so that no sort of all leads is before it. */
static void pages_walk_their_index(void **state)
{
    static const struct {
        const char *query, *index;
    } cases[] = {
        {"", "_pkey"},
        {"filter[status]=New", "_project_id_status_id_idx"},
        {"filter[status]=New,Success&sort=createdAt", "_project_id_status_id_idx"},
        {"sort=status", "_project_id_status_id_idx"},
        {"sort=updatedAt", "_account_id_updated_at_id_idx"},
        {"sort=-updatedAt", "_account_id_updated_at_id_idx"},
        {"filter[phone]=%2B79001234567", "_phone_term_id_idx"},
        {"filter[email]=a@b.example", "_email_term_id_idx"},
        {"filter[externalId]=id 9", "_external_id_id_idx"},
        {"filter[search]=vera", "_terms_idx"},
        {"filter[createdAt][gte]=2026-01-01", "_pkey"},
    };
    plans_t *p = *state;
    identity_t who = {.account = p->account->id};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_buf_t sql = {0};
        api_query_t q;
        plumb_blind_search_t found;
        plumb_blind_search(&found, &p->key, "Vera", 4);
        problems_clear(&p->problems);
        assert_true(
            api_query_read(&q, &api_types[API_LEADS], API_MAY_LIST, cases[i].query, &p->problems));
        api_selection_t s = {
            .query = &q, .who = &who, .limit = 51, .found = &found, .index_key = &p->key};
        api_select_page(&sql, p->params, &s);
        char *plan = explain(p, &sql);
        if (strstr(plan, cases[i].index) == NULL)
            fail_msg("%s: %s\n%s", cases[i].query, sql.data, plan);
        free(plan);
        plumb_buf_fini(&sql);
        api_query_fini(&q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_walk_their_index),
        cmocka_unit_test(every_filter_has_an_index),
        cmocka_unit_test(every_sort_has_an_index),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
