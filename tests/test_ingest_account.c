/* Plans and top-ups. */
#include "api_world.h"
#include "count.h"

#include <pthread.h>

#define NOBODY "0190c9d2-0000-7000-8000-00000000000a"

static http_answer_t ask(const world_t *w, const char *token, const char *method, const char *path,
                         const char *body)
{
    return world_ask(w, 0, token, method, path, "", body);
}

static void want_status(const char *what, const http_answer_t *answer, int status)
{
    if (answer->status != status)
        fail_msg("%s: %d, want %d: %s", what, answer->status, status, answer->body);
}

static void want_text(const http_answer_t *answer, const char *path, const char *want)
{
    char got[256];
    world_text(answer, path, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s', want '%s' in %s", path, got, want, answer->body);
}

static void want_number(const http_answer_t *answer, const char *path, json_int_t want)
{
    json_t *tree = world_parse(answer);
    json_int_t got = json_integer_value(world_at(tree, path));
    if (got != want)
        fail_msg("%s: %d, want %d in %s", path, (int)got, (int)want, answer->body);
    json_decref(tree);
}

static http_answer_t update(const world_t *w, const char *token, const char *attributes)
{
    char id[PLUMB_UUID_TEXT], body[512];
    snprintf(body, sizeof body,
             "{\"data\":{\"type\":\"accounts\",\"id\":\"%s\",\"attributes\":{%s}}}",
             plumb_uuid_text(&w->account->id, id), attributes);
    return ask(w, token, "PATCH", "/api/v1/account", body);
}

static http_answer_t top_up(const world_t *w, unsigned ingest, const char *attributes)
{
    char body[512];
    snprintf(body, sizeof body, "{\"data\":{\"type\":\"topUps\",\"attributes\":{%s}}}", attributes);
    return world_ask(w, ingest, w->account->token, "POST", "/api/v1/account/top-ups", "", body);
}

static void the_account_is_shown_and_changed(void **state)
{
    world_t *w = *state;
    char writer[64], bound[64];
    account_token(w->account, "writertoken1", "read,write,operate", NULL, writer);
    account_token(w->account, "boundtoken12", "read,admin", &w->account->project, bound);
    http_answer_t answer = ask(w, writer, "GET", "/api/v1/account", NULL);
    want_status("shown", &answer, 200);
    want_text(&answer, "data.type", "accounts");
    want_text(&answer, "data.attributes.plan", "unlimited");
    want_text(&answer, "data.links.self", "/api/v1/account");
    want_number(&answer, "data.attributes.leadsLeft", 0);
    http_answer_fini(&answer);
    answer = update(w, writer, "\"plan\":\"none\"");
    want_status("writer", &answer, 403);
    http_answer_fini(&answer);
    answer = update(w, bound, "\"plan\":\"none\"");
    want_status("bound", &answer, 403);
    http_answer_fini(&answer);
    answer = update(w, w->account->token, "\"plan\":\"balance\",\"name\":\"Shop\"");
    want_status("admin", &answer, 200);
    want_text(&answer, "data.attributes.plan", "balance");
    want_text(&answer, "data.attributes.name", "Shop");
    http_answer_fini(&answer);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM balances"), 1);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *name, *attributes;
        int status;
        const char *code, *pointer;
    } changes[] =
        {
            {"plan", "\"plan\":\"gold\"", 422, "invalid", "/data/attributes/plan"},
            {"no plan", "\"plan\":null", 422, "invalid", "/data/attributes/plan"},
            {"left", "\"leadsLeft\":5", 422, "read_only", "/data/attributes/leadsLeft"},
        },
      top_ups[] = {
          {"none", "", 422, "required", "/data/attributes"},
          {"zero", "\"leads\":0", 422, "invalid", "/data/attributes/leads"},
          {"less", "\"leads\":-1", 422, "invalid", "/data/attributes/leads"},
          {"text", "\"leads\":\"5\"", 422, "invalid", "/data/attributes/leads"},
          {"half", "\"leads\":0.5", 422, "invalid", "/data/attributes/leads"},
          {"who", "\"leads\":1,\"madeBy\":\"x\"", 422, "read_only", "/data/attributes/madeBy"},
      };
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(changes); i++) {
        http_answer_t answer = update(w, w->account->token, changes[i].attributes);
        world_want_error(changes[i].name, &answer, changes[i].status, changes[i].code,
                         changes[i].pointer);
        http_answer_fini(&answer);
    }
    for (size_t i = 0; i < PLUMB_COUNT(top_ups); i++) {
        http_answer_t answer = top_up(w, 0, top_ups[i].attributes);
        world_want_error(top_ups[i].name, &answer, top_ups[i].status, top_ups[i].code,
                         top_ups[i].pointer);
        http_answer_fini(&answer);
    }
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM top_ups"), 0);
}

/* Leads that were left while there was nothing to pay them with. */
static void make_unpaid(const world_t *w, int count)
{
    char document[1024];
    account_document(w->account, "", document, sizeof document);
    for (int i = 0; i < count; i++) {
        http_answer_t answer = ask(w, w->account->token, "POST", "/api/v1/leads", document);
        want_status("lead", &answer, 201);
        http_answer_fini(&answer);
    }
    account_sql(w->account, "UPDATE leads SET paid = false");
    account_sql(w->account, "UPDATE deliveries SET state = 'held', reason = 'lead_unpaid', "
                            "epoch = NULL");
}

/* The oldest are paid first; what is left stays on the balance. */
static void a_top_up_pays_the_oldest_first(void **state)
{
    world_t *w = *state;
    char location[128], id[64];
    account_credential(w->account, "webhooks", "{\"url\":\"http://127.0.0.1:1/\"}", NULL);
    make_unpaid(w, 5);
    http_answer_t answer = top_up(w, 0, "\"leads\":3,\"reason\":\"invoice 7\"");
    want_status("three", &answer, 201);
    want_number(&answer, "data.attributes.leads", 3);
    want_text(&answer, "data.attributes.madeBy", "abcdefghijkl");
    world_text(&answer, "data.id", id, sizeof id);
    snprintf(location, sizeof location, "/api/v1/account/top-ups/%s", id);
    assert_string_equal(http_header(&answer, "Location"), location);
    want_text(&answer, "data.links.self", location);
    http_answer_fini(&answer);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE paid"), 3);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads l WHERE paid AND EXISTS "
                                               "(SELECT FROM leads o WHERE o.id < l.id "
                                               "AND NOT o.paid)"),
                     0);
    assert_int_equal(account_count(w->account,
                                   "SELECT count(*) FROM deliveries d JOIN leads l "
                                   "ON l.id = d.lead_id WHERE l.paid = (d.state = 'pending')"),
                     5);
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM events WHERE kind = 'lead.paid'"), 3);
    answer = top_up(w, 0, "\"leads\":10");
    http_answer_fini(&answer);
    assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"), 8);
    answer = ask(w, w->account->token, "GET", location, NULL);
    want_text(&answer, "data.attributes.reason", "invoice 7");
    http_answer_fini(&answer);
    answer = ask(w, w->account->token, "GET", "/api/v1/account/top-ups/" NOBODY, NULL);
    want_status("nobody's", &answer, 404);
    http_answer_fini(&answer);
}

typedef struct racer {
    const world_t *w;
    unsigned ingest;
} racer_t;

#define ROUNDS 5
#define RACERS 8

static void *race(void *self)
{
    const racer_t *r = self;
    for (int i = 0; i < ROUNDS; i++) {
        http_answer_t answer = top_up(r->w, r->ingest, "\"leads\":1");
        if (answer.status != 201)
            fprintf(stderr, "%d: %s\n", answer.status, answer.body);
        http_answer_fini(&answer);
    }
    return NULL;
}

/* Many at once, at two ingests: each lead is paid once, and nothing is lost. */
static void top_ups_at_once_add_up(void **state)
{
    world_t *w = *state;
    pthread_t threads[RACERS];
    racer_t racers[RACERS];
    world_start(w);
    make_unpaid(w, 25);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (racer_t){w, i % 2};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(account_count(w->account, "SELECT sum(leads) FROM top_ups"), RACERS * ROUNDS);
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE paid"), 25);
    assert_int_equal(account_count(w->account, "SELECT leads_left FROM balances"),
                     RACERS * ROUNDS - 25);
    assert_int_equal(
        account_count(w->account, "SELECT count(*) FROM lead_changes WHERE attribute = 'paid'"),
        25);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_account_is_shown_and_changed),
        TEST(what_is_wrong_is_told),
        TEST(a_top_up_pays_the_oldest_first),
        TEST(top_ups_at_once_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
