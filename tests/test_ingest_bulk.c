/* Many leads in one request: its records, and the report over raw HTTP. */
#include "api_world.h"
#include "count.h"
#include "records.h"

#define PATH "/api/v1/leads/bulk"
#define NDJSON "application/x-ndjson"

/* ---- records ---- */

typedef struct text {
    const char *at;
    size_t left, step; /* bytes that one read gives at most */
} text_t;

static int read_text(void *source, char *out, size_t size, plumb_err_t *err)
{
    text_t *t = source;
    size_t n = t->left < t->step ? t->left : t->step;
    (void)err;
    n = n < size ? n : size;
    memcpy(out, t->at, n);
    t->at += n;
    t->left -= n;
    return (int)n;
}

/* All records as "line:record|", then the code that ended them if any. */
static void records_of(const char *text, bool is_csv, size_t step, char *out, size_t size)
{
    text_t source = {text, strlen(text), step};
    records_t r = {
        .read = read_text, .source = &source, .is_csv = is_csv, .record_max = 20, .total_max = 100};
    plumb_slice_t record;
    plumb_err_t err = {0};
    size_t n = 0;
    int rc;
    out[0] = '\0';
    while ((rc = records_next(&r, &record, &err)) > 0)
        n += (size_t)snprintf(out + n, size - n, "%u:%.*s|", r.line, (int)record.length,
                              record.data);
    if (rc < 0)
        snprintf(out + n, size - n, "%s", plumb_code_slug(err.code));
    records_fini(&r);
}

static void reads_records(void **state)
{
    static const struct {
        bool is_csv;
        const char *text, *want;
    } cases[] = {
        {false, "", ""},
        {false, "\n\r\n", ""},
        {false, "a\nb\r\n\nc", "1:a|2:b|4:c|"},
        {false, "a\n\"b\nc\"", "1:a|2:\"b|3:c\"|"},
        {true, "a\n\"b\nc\"\nd\n", "1:a|2:\"b\nc\"|4:d|"},
        {true, "\"a\"\"\n\"\nb", "1:\"a\"\"\n\"|3:b|"},
        {false, "12345678901234567890\nb", "1:12345678901234567890|2:b|"},
        {false, "123456789012345678901\nb", "too_large"},
        {true, "\"23456789012345678901\nb", "too_large"},
        {false,
         "1234567890123456789\n1234567890123456789\n1234567890123456789\n1234567890123456789\n"
         "1234567890123456789\n1",
         "1:1234567890123456789|2:1234567890123456789|3:1234567890123456789|"
         "4:1234567890123456789|5:1234567890123456789|too_large"},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        char got[512];
        records_of(cases[i].text, cases[i].is_csv, 1, got, sizeof got);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%zu: got '%s'", i, got);
    }
}

static void splits_rows(void **state)
{
    static const struct {
        const char *row, *want; /* values joined by "|" */
    } cases[] = {
        {"a,b", "a|b|"},
        {"a,", "a||"},
        {",", "||"},
        {"\"a\",\"\"", "a||"},
        {"\"a,\"\"b\"", "a,\"b|"},
        {"\"a\nb\",c", "a\nb|c|"},
        {"\"a", NULL},
        {"\"a\"b", NULL},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_slice_t values[4];
        char row[64], got[64] = "";
        size_t n = 0;
        snprintf(row, sizeof row, "%s", cases[i].row);
        int count = records_split(row, strlen(row), values, 4);
        assert_int_equal(count < 0, cases[i].want == NULL);
        for (int k = 0; k < count; k++)
            n += (size_t)snprintf(got + n, sizeof got - n, "%.*s|", (int)values[k].length,
                                  values[k].data);
        if (count >= 0 && strcmp(got, cases[i].want) != 0)
            fail_msg("%s: got '%s'", cases[i].row, got);
    }
    plumb_slice_t values[2];
    char many[] = "a,b,c";
    assert_int_equal(records_split(many, strlen(many), values, 2), 3);
}

/* ---- over HTTP ---- */

static http_answer_t send_bulk(const world_t *w, const char *type, const char *more,
                               const char *body)
{
    char headers[512];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nContent-Type: %s\r\n%s",
             w->account->token, type, more);
    return http_exchange(w->ports[0], "POST", PATH, headers, body);
}

/* The ids of user, project and quiz, as members of JSON or as values of CSV. */
static void owners(const world_t *w, bool is_csv, char *out, size_t size)
{
    static const char *const names[] = {"\"userId\":\"", "\"projectId\":\"", "\"quizId\":\""};
    const plumb_uuid_t *ids[] = {&w->account->user, &w->account->project, &w->account->quiz};
    size_t n = 0;
    for (size_t i = 0; i < PLUMB_COUNT(names); i++) {
        char id[PLUMB_UUID_TEXT];
        n += (size_t)snprintf(out + n, size - n, "%s%s%s%s", i > 0 ? "," : "",
                              is_csv ? "" : names[i], plumb_uuid_text(ids[i], id),
                              is_csv ? "" : "\"");
    }
}

/* What line `nth` of the report says of a member; NULL-terminated lines are taken apart. */
static json_t *line_of(const http_answer_t *a, int nth)
{
    const char *at = a->body;
    for (int i = 0; i < nth && at != NULL; i++)
        at = strchr(at, '\n') == NULL ? NULL : strchr(at, '\n') + 1;
    if (at == NULL || *at == '\0')
        return NULL;
    json_t *line = json_loadb(at, strcspn(at, "\n"), 0, NULL);
    if (line == NULL)
        fail_msg("no JSON: %s", at);
    return line;
}

static void want_line(const http_answer_t *a, int nth, int line, int status, const char *code)
{
    json_t *got = line_of(a, nth), *error = got == NULL ? NULL : world_at(got, "errors.0.code");
    if (got == NULL || json_integer_value(json_object_get(got, "line")) != line ||
        json_integer_value(json_object_get(got, "status")) != status ||
        (code != NULL && strcmp(json_string_value(error), code) != 0))
        fail_msg("line %d of the report: %s", nth, a->body);
    assert_int_equal(json_is_string(json_object_get(got, "id")), status < 300);
    json_decref(got);
}

static void takes_ndjson(void **state)
{
    const world_t *w = *state;
    char ids[256], body[2048];
    owners(w, false, ids, sizeof ids);
    snprintf(body, sizeof body,
             "{%s,\"externalId\":\"n1\",\"answer\":42}\n\n"
             "{%s,\"externalId\":\"n2\",\"phone\":\"nonsense\"}\n"
             "nonsense\n"
             "{\"externalId\":\"n4\"}\n"
             "{%s,\"external_id\":\"n5\",\"phone\":\"8 900 123 45 67\"}",
             ids, ids, ids);
    http_answer_t a = send_bulk(w, NDJSON, "", body);
    assert_int_equal(a.status, 200);
    assert_string_equal(http_header(&a, "Content-Type"), NDJSON);
    want_line(&a, 0, 1, 201, NULL);
    want_line(&a, 1, 3, 422, "invalid");
    want_line(&a, 2, 4, 400, "bad_json");
    want_line(&a, 3, 5, 422, "required");
    want_line(&a, 4, 6, 201, NULL);
    assert_null(line_of(&a, 5));
    http_answer_fini(&a);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE external_id IN "
                                               "('n1', 'n5')"),
                     2);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE external_id = "
                                               "'n1' AND data->>'answer' = '42'"),
                     1);
}

static void takes_csv(void **state)
{
    const world_t *w = *state;
    char ids[256], body[2048];
    owners(w, true, ids, sizeof ids);
    snprintf(body, sizeof body,
             "\xEF\xBB\xBFuserId,projectId,quizId,external_id,\"utm_source\",note\r\n"
             "%s,c1,\"a, \"\"b\"\"\",\"two\r\nlines\"\r\n"
             "%s,c2,x\r\n"
             "%s,c3,,\r\n",
             ids, ids, ids);
    http_answer_t a = send_bulk(w, "text/csv; charset=utf-8", "", body);
    assert_int_equal(a.status, 200);
    want_line(&a, 0, 2, 201, NULL);
    want_line(&a, 1, 4, 400, "bad_document");
    want_line(&a, 2, 5, 201, NULL);
    http_answer_fini(&a);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM leads WHERE external_id = 'c1' AND "
                                   "utm_source = 'a, \"b\"' AND data->>'note' = E'two\\r\\nlines'"),
                     1);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE external_id = "
                                               "'c3' AND utm_source IS NULL"),
                     1);
}

/* The body may be larger than that of one lead; a record may not. */
static void bounds(void **state)
{
    const world_t *w = *state;
    size_t size = (size_t)w->account->conf.ingest_body + 4096;
    char *body = malloc(size + 1);
    memset(body, '\n', size);
    body[size] = '\0';
    memcpy(body, "{}\n", 3);
    memcpy(body + size - 3, "{}\n", 3);
    http_answer_t a = send_bulk(w, NDJSON, "", body);
    assert_int_equal(a.status, 200);
    want_line(&a, 0, 1, 422, "required");
    want_line(&a, 1, (int)size - 5 + 1, 422, "required");
    http_answer_fini(&a);
    memset(body, 'x', size);
    a = send_bulk(w, NDJSON, "", body);
    assert_int_equal(a.status, 200);
    want_line(&a, 0, 0, 413, "too_large");
    http_answer_fini(&a);
    free(body);
}

static void refuses(void **state)
{
    const world_t *w = *state;
    http_answer_t a = send_bulk(w, "application/json", "", "{}");
    assert_int_equal(a.status, 415);
    http_answer_fini(&a);
    a = send_bulk(w, NDJSON, "Idempotency-Key: k\r\n", "{}");
    assert_int_equal(a.status, 400);
    http_answer_fini(&a);
    a = http_exchange(w->ports[0], "POST", PATH, "Content-Type: " NDJSON "\r\n", "{}");
    assert_int_equal(a.status, 401);
    http_answer_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_records), cmocka_unit_test(splits_rows),
        cmocka_unit_test(takes_ndjson),  cmocka_unit_test(takes_csv),
        cmocka_unit_test(bounds),        cmocka_unit_test(refuses),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
