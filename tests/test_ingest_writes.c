/* Leads are changed, put away, brought back, let go: raw HTTP, and what the tables say then. */
#include "api_world.h"
#include "count.h"

#include <pthread.h>

#define NOBODY "0190c9d2-0000-7000-8000-00000000000a" /* an id that nobody has */

static http_answer_t ask(const world_t *w, const char *method, const char *path, const char *more,
                         const char *body)
{
    return world_ask(w, 0, w->account->token, method, path, more, body);
}

/* A new lead; its path goes to `path`, its id to `id`. */
static void make_lead(const world_t *w, const char *attributes, char path[128], char id[64])
{
    char document[2048];
    account_document(w->account, attributes, document, sizeof document);
    http_answer_t answer = ask(w, "POST", "/api/v1/leads", "", document);
    if (answer.status != 201)
        fail_msg("lead: %s", answer.body);
    world_text(&answer, "data.id", id, 64);
    snprintf(path, 128, "/api/v1/leads/%s", id);
    http_answer_fini(&answer);
}

static http_answer_t patch(const world_t *w, const char *token, const char *id,
                           const char *attributes, const char *more)
{
    char path[128], document[2048];
    snprintf(path, sizeof path, "/api/v1/leads/%s", id);
    snprintf(document, sizeof document,
             "{\"data\":{\"type\":\"leads\",\"id\":\"%s\",\"attributes\":{%s}}}", id, attributes);
    return world_ask(w, 0, token, "PATCH", path, more, document);
}

static void want_text(const http_answer_t *answer, const char *path, const char *want)
{
    char got[512];
    world_text(answer, path, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s', want '%s' in %s", path, got, want, answer->body);
}

static void want_status(const char *what, const http_answer_t *answer, int status)
{
    if (answer->status != status)
        fail_msg("%s: %d, want %d: %s", what, answer->status, status, answer->body);
}

static void want_count(const world_t *w, const char *what, long want, const char *sql)
{
    long got = account_count(w->account, "%s", sql);
    if (got != want)
        fail_msg("%s: %ld, want %ld", what, got, want);
}

/* What was changed is shown, stored, found by, counted, told of; what was not stays. */
static void a_lead_is_changed(void **state)
{
    world_t *w = *state;
    char path[128], id[64], first[64];
    make_lead(w,
              ",\"name\":\"Anna Berg\",\"phone\":\"+79005551234\",\"email\":\"a@b.example\","
              "\"utmSource\":\"ads\",\"city\":\"Riga\",\"data\":{\"b\": [1.50]}",
              path, id);
    want_count(w, "fresh", 1, "SELECT count(*) FROM leads WHERE version = 1");
    http_answer_t answer = patch(w, w->account->token, id,
                                 "\"name\":\"Vera Berg\",\"phone\":\"8 (900) 555-77-66\","
                                 "\"city\":null,\"viewed\":true,\"status\":\"AtWork\"",
                                 "");
    want_status("changed", &answer, 200);
    want_text(&answer, "data.attributes.name", "Vera Berg");
    want_text(&answer, "data.attributes.phone", "+79005557766");
    want_text(&answer, "data.attributes.email", "a@b.example");
    want_text(&answer, "data.attributes.utmSource", "ads");
    want_text(&answer, "data.attributes.city", "");
    want_text(&answer, "data.attributes.status", "AtWork");
    want_text(&answer, "data.links.self", path);
    assert_string_equal(http_header(&answer, "ETag"), "\"2\"");
    assert_non_null(strstr(answer.body, "\"data\":{\"b\": [1.50]}"));
    world_text(&answer, "data.attributes.updatedAt", first, sizeof first);
    http_answer_t again = ask(w, "GET", path, "", NULL);
    want_text(&again, "data.attributes.name", "Vera Berg");
    want_text(&again, "data.attributes.updatedAt", first);
    assert_string_equal(http_header(&again, "ETag"), "\"2\"");
    http_answer_fini(&again);
    http_answer_fini(&answer);
    want_count(w, "later", 1, "SELECT count(*) FROM leads WHERE updated_at > created_at");
    want_count(w, "nothing in clear", 0,
               "SELECT count(*) FROM leads l WHERE l::text ~ 'Vera|5557766|a@b'");
    want_count(w, "history", 1,
               "SELECT count(*) FROM lead_changes WHERE attribute = 'status' AND was = 'New' "
               "AND became = 'AtWork' AND made_by = 'abcdefghijkl'");
    want_count(w, "status is told", 1,
               "SELECT count(*) FROM events WHERE kind = 'lead.status' "
               "AND data = '{\"status\":\"AtWork\",\"version\":2}'");
    want_count(w, "the rest is told", 1, "SELECT count(*) FROM events WHERE kind = 'lead.updated'");
}

/* A search finds by the new values only. */
static void what_it_is_found_by_follows(void **state)
{
    static const struct {
        const char *query;
        int before, after;
    } cases[] = {{"filter[phone]=%2B79005551234", 1, 0}, {"filter[phone]=%2B79005557766", 0, 1},
                 {"filter[search]=Anna", 1, 0},          {"filter[search]=Vera", 0, 1},
                 {"filter[search]=7766", 0, 1},          {"filter[search]=Berg", 1, 1},
                 {"filter[email]=a@b.example", 1, 0},    {"filter[search]=c.example", 0, 1}};
    static const char *const values[] = {
        "\"name\":\"Anna Berg\",\"phone\":\"+79005551234\",\"email\":\"a@b.example\"",
        "\"name\":\"Vera Berg\",\"phone\":\"+79005557766\",\"email\":\"x@c.example\""};
    world_t *w = *state;
    char path[128], id[64];
    make_lead(w, "", path, id);
    for (int after = 0; after < 2; after++) {
        http_answer_t answer = patch(w, w->account->token, id, values[after], "");
        want_status("changed", &answer, 200);
        http_answer_fini(&answer);
        for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
            snprintf(path, sizeof path, "/api/v1/leads?%s", cases[i].query);
            answer = ask(w, "GET", path, "", NULL);
            want_status(path, &answer, 200);
            int found = strstr(answer.body, id) != NULL;
            if (found != (after ? cases[i].after : cases[i].before))
                fail_msg("%s: found %d, %s", path, found, after ? "after" : "before");
            http_answer_fini(&answer);
        }
    }
}

static const struct {
    const char *name, *attributes;
    int status;
    const char *code, *pointer;
} refused[] = {
    {"unknown", "\"colour\":1", 422, "unknown_attribute", "/data/attributes/colour"},
    {"read only", "\"createdAt\":\"2026-01-01T00:00:00Z\"", 422, "read_only",
     "/data/attributes/createdAt"},
    {"not changed later", "\"quizId\":\"" NOBODY "\"", 422, "read_only", "/data/attributes/quizId"},
    {"status", "\"status\":\"Lost\"", 422, "invalid", "/data/attributes/status"},
    {"no status", "\"status\":null", 422, "invalid", "/data/attributes/status"},
    {"viewed", "\"viewed\":\"yes\"", 422, "invalid", "/data/attributes/viewed"},
    {"phone", "\"phone\":\"call me\"", 422, "invalid", "/data/attributes/phone"},
    {"mail", "\"email\":\"@\"", 422, "invalid", "/data/attributes/email"},
};

/* Terms that are not of the person stay. */
static void terms_of_fields_stay(void **state)
{
    world_t *w = *state;
    char path[128], id[64];
    make_lead(w, ",\"name\":\"Anna\"", path, id);
    http_answer_t answer = patch(w, w->account->token, id, "\"name\":\"Anna Berg\"", "");
    http_answer_fini(&answer);
    account_sql(w->account, "UPDATE leads SET terms = terms || 4711::bigint");
    answer = patch(w, w->account->token, id, "\"name\":\"Vera\"", "");
    want_status("changed", &answer, 200);
    http_answer_fini(&answer);
    want_count(w, "the name's and the field's", 1,
               "SELECT count(*) FROM leads WHERE cardinality(terms) = 2 AND 4711 = ANY (terms)");
}

/* One invalid attribute, and nothing is applied. */
static void what_is_wrong_changes_nothing(void **state)
{
    world_t *w = *state;
    char path[128], id[64], attributes[256];
    make_lead(w, ",\"name\":\"Anna\"", path, id);
    for (size_t i = 0; i < PLUMB_COUNT(refused); i++) {
        snprintf(attributes, sizeof attributes, "\"city\":\"Riga\",%s", refused[i].attributes);
        http_answer_t answer = patch(w, w->account->token, id, attributes, "");
        world_want_error(refused[i].name, &answer, refused[i].status, refused[i].code,
                         refused[i].pointer);
        http_answer_fini(&answer);
    }
    http_answer_t all =
        patch(w, w->account->token, id, "\"colour\":1,\"status\":\"x\",\"city\":7", "");
    json_t *tree = world_parse(&all);
    assert_int_equal(json_array_size(json_object_get(tree, "errors")), 3);
    json_decref(tree);
    http_answer_fini(&all);
    want_count(w, "untouched", 1, "SELECT count(*) FROM leads WHERE version = 1 AND city IS NULL");
    want_count(w, "no events", 0, "SELECT count(*) FROM events WHERE kind <> 'lead.created'");
}

static void documents_that_name_something_else(void **state)
{
    world_t *w = *state;
    char path[128], id[64], body[512];
    make_lead(w, "", path, id);
    const struct {
        const char *name, *form;
        int status;
        const char *code, *pointer;
    } cases[] = {
        {"type", "{\"data\":{\"type\":\"users\",\"id\":\"%s\"}}", 409, "type_conflict",
         "/data/type"},
        {"id", "{\"data\":{\"type\":\"leads\",\"id\":\"" NOBODY "\"}}", 409, "id_conflict",
         "/data/id"},
        {"no id", "{\"data\":{\"type\":\"leads\"}}", 400, "bad_document", "/data"},
        {"no data", "{}", 400, "bad_document", ""},
        {"list", "{\"data\":[]}", 400, "bad_document", "/data"},
        {"no JSON", "{", 400, "bad_json", NULL},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        const char *hole = strstr(cases[i].form, "%s");
        size_t before = hole == NULL ? strlen(cases[i].form) : (size_t)(hole - cases[i].form);
        snprintf(body, sizeof body, "%.*s%s%s", (int)before, cases[i].form, hole == NULL ? "" : id,
                 hole == NULL ? "" : hole + 2);
        http_answer_t answer = ask(w, "PATCH", path, "", body);
        world_want_error(cases[i].name, &answer, cases[i].status, cases[i].code, cases[i].pointer);
        http_answer_fini(&answer);
    }
}

static void a_stale_change_is_refused(void **state)
{
    static const struct {
        const char *header;
        int status;
    } cases[] = {{"If-Match: \"1\"\r\n", 200},
                 {"If-Match: \"1\"\r\n", 412},
                 {"If-Match: \"9\", \"2\"\r\n", 200},
                 {"If-Match: W/\"3\"\r\n", 412},
                 {"If-Match: *\r\n", 200},
                 {"", 200}};
    world_t *w = *state;
    char path[128], id[64];
    make_lead(w, "", path, id);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        http_answer_t answer =
            patch(w, w->account->token, id, "\"city\":\"Riga\"", cases[i].header);
        want_status(cases[i].header, &answer, cases[i].status);
        if (answer.status == 412)
            want_text(&answer, "errors.0.code", "stale");
        http_answer_fini(&answer);
    }
    http_answer_t gone = ask(w, "DELETE", path, "If-Match: \"1\"\r\n", NULL);
    want_status("stale delete", &gone, 412);
    http_answer_fini(&gone);
}

static void leads_are_put_away_and_brought_back(void **state)
{
    world_t *w = *state;
    char path[128], id[64], restore[160], body[256];
    make_lead(w, ",\"name\":\"Anna\"", path, id);
    snprintf(restore, sizeof restore, "%s/restore", path);
    http_answer_t answer = ask(w, "DELETE", path, "", "{\"ignored\":true}");
    want_status("deleted", &answer, 204);
    assert_string_equal(http_header(&answer, "Content-Length"), "");
    assert_string_equal(http_header(&answer, "Content-Type"), "");
    http_answer_fini(&answer);
    snprintf(body, sizeof body, "{\"data\":{\"type\":\"leads\",\"id\":\"%s\"}}", id);
    static const char *const methods[] = {"GET", "PATCH", "DELETE"};
    for (size_t i = 0; i < PLUMB_COUNT(methods); i++) {
        answer = ask(w, methods[i], path, "", i == 1 ? body : NULL);
        want_status(methods[i], &answer, 404);
        http_answer_fini(&answer);
    }
    answer = ask(w, "POST", restore, "", NULL);
    want_status("restored", &answer, 200);
    want_text(&answer, "data.attributes.name", "Anna");
    http_answer_fini(&answer);
    answer = ask(w, "GET", path, "", NULL);
    want_status("there again", &answer, 200);
    http_answer_fini(&answer);
    want_count(w, "told", 1, "SELECT count(*) FROM events WHERE kind = 'lead.deleted'");
    want_count(w, "told too", 1, "SELECT count(*) FROM events WHERE kind = 'lead.restored'");
    want_count(w, "history", 2, "SELECT count(*) FROM lead_changes WHERE attribute = 'deletedAt'");
}

/* The sum of all deltas of changes: what each combination gained and lost. */
static void counters_follow(void **state)
{
    world_t *w = *state;
    char path[128], id[64];
    make_lead(w, "", path, id);
    account_sql(w->account, "DELETE FROM lead_deltas"); /* the creation's */
    http_answer_t answer = patch(w, w->account->token, id, "\"status\":\"Success\"", "");
    http_answer_fini(&answer);
    answer = patch(w, w->account->token, id, "\"city\":\"Riga\"", "");
    http_answer_fini(&answer);
    want_count(w, "moved", 2, "SELECT count(*) FROM lead_deltas");
    want_count(w, "out of", -1, "SELECT sum(leads) FROM lead_deltas WHERE status = 'New'");
    want_count(
        w, "into", 1,
        "SELECT sum(leads) FROM lead_deltas d JOIN leads l ON l.status = d.status "
        "AND l.project_id = d.project_id AND l.quiz_id = d.quiz_id "
        "AND d.flags = plumb_lead_flags(l.viewed, l.paid, l.blocked, l.is_test, false, false)");
    answer = ask(w, "DELETE", path, "", NULL);
    http_answer_fini(&answer);
    want_count(w, "deleted", 1, "SELECT sum(leads) FROM lead_deltas WHERE flags & 32 <> 0");
}

/* ---- marks hold deliveries and let them go ---- */

static void hold(const world_t *w, const char *id, const char *marks, const char *reason)
{
    account_sql(w->account, "UPDATE leads SET %s WHERE id = '%s'", marks, id);
    account_sql(w->account,
                "UPDATE deliveries SET state = 'held', reason = '%s', epoch = NULL, "
                "deadline_at = now() - interval '1 day' WHERE lead_id = '%s'",
                reason, id);
}

static void want_delivery(const world_t *w, const char *what, const char *id, const char *state,
                          const char *reason)
{
    long there = account_count(w->account,
                               "SELECT count(*) FROM deliveries WHERE lead_id = '%s' "
                               "AND state = '%s' AND coalesce(reason, '') = '%s'",
                               id, state, reason);
    if (there != 1)
        fail_msg("%s: not %s (%s)", what, state, reason);
}

static void marks_hold_and_let_go(void **state)
{
    static const struct {
        const char *name, *marks, *reason, *attributes, *state, *then;
    } cases[] = {
        {"unblocked", "blocked = true", "lead_blocked", "\"blocked\":false", "pending", ""},
        {"unblocked, unpaid", "blocked = true, paid = false", "lead_blocked", "\"blocked\":false",
         "held", "lead_unpaid"},
        {"unblocked duplicate", "blocked = true, duplicate_of = id", "lead_blocked",
         "\"blocked\":false", "held", "lead_duplicate"},
        {"paid", "paid = false", "lead_unpaid", "\"paid\":true", "pending", ""},
        {"paid, blocked", "paid = false, blocked = true", "lead_blocked", "\"paid\":true", "held",
         "lead_blocked"},
        {"paid duplicate", "paid = false, duplicate_of = id", "lead_duplicate", "\"paid\":true",
         "held", "lead_duplicate"},
        {"something else", "paid = false", "lead_unpaid", "\"city\":\"Riga\"", "held",
         "lead_unpaid"},
        {"another reason", "blocked = true", "suspended", "\"blocked\":false", "held", "suspended"},
    };
    world_t *w = *state;
    char path[128], id[64];
    account_credential(w->account, "webhooks", "{\"url\":\"http://127.0.0.1:1/\"}", NULL);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        make_lead(w, "", path, id);
        hold(w, id, cases[i].marks, cases[i].reason);
        http_answer_t answer = patch(w, w->account->token, id, cases[i].attributes, "");
        want_status(cases[i].name, &answer, 200);
        http_answer_fini(&answer);
        want_delivery(w, cases[i].name, id, cases[i].state, cases[i].then);
    }
    want_count(w, "may be sent still", 0,
               "SELECT count(*) FROM deliveries WHERE state = 'pending' AND deadline_at < now()");
    http_answer_t answer = patch(w, w->account->token, id, "\"blocked\":true", "");
    http_answer_fini(&answer);
    make_lead(w, "", path, id);
    answer = patch(w, w->account->token, id, "\"blocked\":true", "");
    http_answer_fini(&answer);
    want_delivery(w, "blocked", id, "held", "lead_blocked");
}

static void leads_are_released_by_hand(void **state)
{
    static const struct {
        const char *name, *marks, *reason;
        int status;
        const char *state, *then;
    } cases[] = {
        {"unpaid", "paid = false", "lead_unpaid", 200, "pending", ""},
        {"duplicate", "duplicate_of = id", "lead_duplicate", 200, "pending", ""},
        {"blocked", "blocked = true", "lead_blocked", 409, "held", "lead_blocked"},
    };
    world_t *w = *state;
    char path[128], id[64], release[160], token[64];
    account_credential(w->account, "webhooks", "{\"url\":\"http://127.0.0.1:1/\"}", NULL);
    account_token(w->account, "writertoken1", "read,write", NULL, token);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        make_lead(w, "", path, id);
        hold(w, id, cases[i].marks, cases[i].reason);
        snprintf(release, sizeof release, "%s/release", path);
        http_answer_t answer = world_ask(w, 0, token, "POST", release, "", NULL);
        want_status("a mere writer", &answer, 403);
        http_answer_fini(&answer);
        answer = ask(w, "POST", release, "", NULL);
        want_status(cases[i].name, &answer, cases[i].status);
        http_answer_fini(&answer);
        want_delivery(w, cases[i].name, id, cases[i].state, cases[i].then);
    }
}

/* ---- who may ---- */

static void scopes_rule_attributes(void **state)
{
    static const struct {
        const char *name, *scopes, *attributes;
        int status;
    } cases[] = {
        {"writer, city", "write", "\"city\":\"Riga\"", 200},
        {"writer, paid", "write", "\"paid\":false", 403},
        {"writer, blocked", "write", "\"blocked\":true", 403},
        {"operator, paid", "operate", "\"paid\":false", 200},
        {"operator, city", "operate", "\"city\":\"Riga\"", 403},
        {"admin, both", "admin", "\"paid\":true,\"city\":\"Riga\"", 200},
        {"reader", "read", "\"city\":\"Riga\"", 403},
        {"intake", "intake", "\"city\":\"Riga\"", 403},
    };
    world_t *w = *state;
    char path[128], id[64], name[16], token[64];
    make_lead(w, "", path, id);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        snprintf(name, sizeof name, "scopedtoken%zu", i);
        account_token(w->account, name, cases[i].scopes, NULL, token);
        http_answer_t answer = patch(w, token, id, cases[i].attributes, "");
        want_status(cases[i].name, &answer, cases[i].status);
        http_answer_fini(&answer);
    }
}

/* The answer's head without what differs from request to request. */
static void want_same(const char *what, http_answer_t *a, http_answer_t *b)
{
    want_status(what, a, 404);
    want_status(what, b, 404);
    assert_string_equal(a->body, b->body);
    http_answer_fini(a);
    http_answer_fini(b);
}

/* Another account's lead, and one of another project, answer like one that is missing. */
static void foreign_leads_are_missing(void **state)
{
    static const struct {
        const char *method, *tail, *body;
    } cases[] = {{"PATCH", "",
                  "{\"data\":{\"type\":\"leads\",\"id\":\"%s\",\"attributes\":{\"city\":\"x\"}}}"},
                 {"DELETE", "", NULL},
                 {"POST", "/restore", NULL},
                 {"POST", "/release", NULL}};
    world_t *w = *state;
    char path[128], id[64], token[64], bound[64], body[2][256], at[2][160];
    make_lead(w, "", path, id);
    plumb_uuid_t project = plumb_uuid_new();
    account_token(w->account, "boundtoken12", "read,write,operate,admin", &project, bound);
    account_sql(w->account, "INSERT INTO accounts (id, name) VALUES ('" NOBODY "', 'other')");
    account_token(w->account, "foreigntoken", "read,write,operate,admin", NULL, token);
    account_sql(w->account,
                "UPDATE tokens SET account_id = '" NOBODY "' WHERE id = 'foreigntoken'");
    const char *const tokens[] = {token, bound};
    for (size_t i = 0; i < PLUMB_COUNT(cases) * 2; i++) {
        const char *ids[] = {id, NOBODY};
        size_t row = i / 2;
        for (int k = 0; k < 2; k++) {
            snprintf(at[k], sizeof at[k], "/api/v1/leads/%s%s", ids[k], cases[row].tail);
            snprintf(
                body[k], sizeof body[k],
                "{\"data\":{\"type\":\"leads\",\"id\":\"%s\",\"attributes\":{\"city\":\"x\"}}}",
                ids[k]);
        }
        bool has_body = cases[row].body != NULL;
        http_answer_t a =
            world_ask(w, 0, tokens[i % 2], cases[row].method, at[0], "", has_body ? body[0] : NULL);
        http_answer_t b =
            world_ask(w, 0, tokens[i % 2], cases[row].method, at[1], "", has_body ? body[1] : NULL);
        want_same(cases[row].method, &a, &b);
    }
    want_count(w, "untouched", 1, "SELECT count(*) FROM leads WHERE version = 1");
}

/* Two at once: one after the other, none lost. */
typedef struct racer {
    const world_t *w;
    const char *id;
    int good;
} racer_t;

static void *race(void *self)
{
    racer_t *r = self;
    for (int i = 0; i < 10; i++) {
        http_answer_t answer = patch(r->w, r->w->account->token, r->id, "\"city\":\"Riga\"", "");
        r->good += answer.status == 200;
        http_answer_fini(&answer);
    }
    return NULL;
}

static void changes_at_once_are_all_counted(void **state)
{
    world_t *w = *state;
    char path[128], id[64];
    pthread_t threads[4];
    racer_t racers[4];
    long good = 0;
    make_lead(w, ",\"name\":\"Anna\"", path, id);
    for (int i = 0; i < 4; i++) {
        racers[i] = (racer_t){w, id, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        good += racers[i].good;
    }
    assert_int_equal(good, 40);
    want_count(w, "versions", 41, "SELECT version FROM leads");
    want_count(w, "events", 40, "SELECT count(*) FROM events WHERE kind = 'lead.updated'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_lead_is_changed),
        TEST(what_it_is_found_by_follows),
        TEST(terms_of_fields_stay),
        TEST(what_is_wrong_changes_nothing),
        TEST(documents_that_name_something_else),
        TEST(a_stale_change_is_refused),
        TEST(leads_are_put_away_and_brought_back),
        TEST(counters_follow),
        TEST(marks_hold_and_let_go),
        TEST(leads_are_released_by_hand),
        TEST(scopes_rule_attributes),
        TEST(foreign_leads_are_missing),
        TEST(changes_at_once_are_all_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
