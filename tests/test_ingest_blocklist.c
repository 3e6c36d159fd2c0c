/* Blocklists: the table by itself, the cache and the check over raw HTTP. */
#include "api_world.h"
#include "blind.h"
#include "blocked_table.h"
#include "count.h"

/* ---- the table ---- */

static const uint8_t here[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 7};

static plumb_slice_t slice(const char *text)
{
    return (plumb_slice_t){text, strlen(text)};
}

static void text(blocked_table_t *t, blocked_kind_t kind, const char *value,
                 const plumb_uuid_t *project, int64_t until_ms)
{
    if (!blocked_add_text(t, kind, value, strlen(value), project, until_ms))
        fail_msg("%s is refused", value);
}

static void matches(void **state)
{
    (void)state;
    static const plumb_uuid_t all = {{0}}, ours = {{1}}, others = {{2}};
    blocked_table_t t;
    int64_t phone = 42;
    assert_true(blocked_init(&t, 8));
    blocked_add_term(&t, BLOCKED_PHONE, phone, &ours, INT64_MAX);
    text(&t, BLOCKED_DOMAIN, "spam.example", &all, INT64_MAX);
    text(&t, BLOCKED_IP, "192.0.2.0/29", &all, 1000);
    text(&t, BLOCKED_IP, "2001:db8::/32", &others, INT64_MAX);
    text(&t, BLOCKED_FINGERPRINT, "bot", &others, INT64_MAX);
    text(&t, BLOCKED_FINGERPRINT, "bot", &ours, INT64_MAX);
    assert_false(blocked_add_text(&t, BLOCKED_IP, "nowhere", 7, &all, INT64_MAX));
    assert_false(blocked_add_text(&t, BLOCKED_IP, "192.0.2.1:80", 12, &all, INT64_MAX));
    blocked_sort(&t);
    uint8_t six[16] = {0x20, 0x01, 0x0D, 0xB8, 1};
    const struct {
        blocked_query_t query;
        int64_t now_ms;
        blocked_kind_t want;
    } cases[] = {
        {{.project = &ours}, 0, BLOCKED_KINDS},
        {{.project = &ours, .phone = &phone}, 0, BLOCKED_PHONE},
        {{.project = &others, .phone = &phone}, 0, BLOCKED_KINDS},
        {{.project = &ours, .email = &phone}, 0, BLOCKED_KINDS},
        {{.project = &ours, .domain = slice("spam.example")}, 0, BLOCKED_DOMAIN},
        {{.project = &ours, .domain = slice("a.b.spam.example")}, 0, BLOCKED_DOMAIN},
        {{.project = &ours, .domain = slice("nospam.example")}, 0, BLOCKED_KINDS},
        {{.project = &ours, .domain = slice("example")}, 0, BLOCKED_KINDS},
        {{.project = &ours, .address = here}, 999, BLOCKED_IP},
        {{.project = &ours, .address = here}, 1000, BLOCKED_KINDS},
        {{.project = &others, .address = six}, 0, BLOCKED_IP},
        {{.project = &ours, .address = six}, 0, BLOCKED_KINDS},
        {{.project = &ours, .fingerprint = slice("bot")}, 0, BLOCKED_FINGERPRINT},
        {{.project = &ours, .fingerprint = slice("bo")}, 0, BLOCKED_KINDS},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++)
        if (blocked_match(&t, &cases[i].query, cases[i].now_ms) != cases[i].want)
            fail_msg("case %zu", i);
    blocked_fini(&t);
}

/* A large list finds all of its own and nothing else. */
static void large(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    static const plumb_uuid_t all = {{0}};
    blocked_table_t t;
    assert_true(blocked_init(&t, MANY));
    for (int64_t i = 0; i < MANY; i++)
        blocked_add_term(&t, BLOCKED_EMAIL, i, &all, INT64_MAX);
    blocked_add_term(&t, BLOCKED_EMAIL, MANY, &all, INT64_MAX); /* no room was made for it */
    blocked_sort(&t);
    for (int64_t i = 0; i < MANY; i += 7) {
        int64_t absent = i + MANY;
        blocked_query_t query = {.project = &all, .email = &i};
        assert_int_equal(blocked_match(&t, &query, 0), BLOCKED_EMAIL);
        query.email = &absent;
        assert_int_equal(blocked_match(&t, &query, 0), BLOCKED_KINDS);
    }
    blocked_fini(&t);
}

/* ---- the check ---- */

static void block(const world_t *w, const char *kind, const char *term, const char *value,
                  const char *more)
{
    char id[PLUMB_UUID_TEXT];
    account_sql(w->account,
                "INSERT INTO blocklist (account_id, id, kind, term, sealed, value, project_id, "
                "expires_at) VALUES ('%s', gen_random_uuid(), '%s', %s, %s, %s, %s)",
                plumb_uuid_text(&w->account->id, id), kind, term,
                strcmp(term, "NULL") == 0 ? "NULL" : "'sealed'", value, more);
}

static void unblock_all(const world_t *w)
{
    account_sql(w->account, "DELETE FROM blocklist");
}

/* Post a lead with these attributes; its entry in the trace must be `want`, and the sender must not
 * see a difference. */
static void want(const world_t *w, const char *attributes, const char *entry)
{
    static unsigned nth;
    char body[4096], all[2048], id[PLUMB_UUID_TEXT], sql[256], got[128];
    snprintf(all, sizeof all, ", \"externalId\": \"%u\"%s", ++nth, attributes);
    account_document(w->account, all, body, sizeof body);
    http_answer_t a = world_ask(w, 0, w->account->token, "POST", "/api/v1/leads", "", body);
    if (a.status != 201)
        fail_msg("%s: status %d: %s", attributes, a.status, a.body);
    assert_null(strstr(a.body, "\"blocked\":true"));
    world_text(&a, "data.id", id, sizeof id);
    snprintf(sql, sizeof sql,
             "SELECT coalesce((SELECT e::text FROM leads l, json_array_elements(l.trace) e "
             "WHERE l.id = '%s' AND e->>0 = 'blocklist'), '')",
             id);
    pg_run(w->account->conninfo, sql, got, sizeof got);
    if (strcmp(got, entry) != 0)
        fail_msg("%s: trace %s, want %s", attributes, got, entry);
    http_answer_fini(&a);
}

#define PASSED "[\"blocklist\",\"passed\"]"
#define MARKED(kind) "[\"blocklist\",\"marked\",\"" kind "\"]"

/* The term of a value of the test's account. */
static void term_of(const world_t *w, const char *value, bool is_phone, char out[32])
{
    plumb_key_t key;
    plumb_err_t err = {0};
    int64_t term;
    assert_int_equal(
        plumb_vault_index_key(w->account->vault, w->account->db, &w->account->id, &key, &err), 0);
    assert_true(is_phone ? plumb_blind_phone(&term, &key, value, strlen(value))
                         : plumb_blind_email(&term, &key, value, strlen(value)));
    snprintf(out, 32, "%lld", (long long)term);
}

static void marks(void **state)
{
    const world_t *w = *state;
    char phone[32], email[32];
    want(w, ", \"phone\": \"+79001234567\", \"email\": \"a@spam.example\"", PASSED);
    term_of(w, "+79001234567", true, phone);
    term_of(w, "bad@ok.example", false, email);
    block(w, "phone", phone, "NULL", "NULL, NULL");
    block(w, "email", email, "NULL", "NULL, NULL");
    block(w, "domain", "NULL", "'spam.example'", "NULL, NULL");
    block(w, "ip", "NULL", "'198.51.100.0/24'", "NULL, now() + interval '1 hour'");
    block(w, "ip", "NULL", "'203.0.113.9'", "NULL, now() - interval '1 second'");
    block(w, "fingerprint", "NULL", "'bot'", "NULL, NULL");
    block(w, "fingerprint", "NULL", "'elsewhere'", "gen_random_uuid(), NULL");
    want(w, ", \"phone\": \"8 900 123 45 67\"", MARKED("phone"));
    want(w, ", \"phone\": \"+79001234568\"", PASSED);
    want(w, ", \"email\": \"bad@OK.example\"", MARKED("email"));
    want(w, ", \"email\": \"good@ok.example\"", PASSED);
    want(w, ", \"email\": \"a@mail.SPAM.example\"", MARKED("domain"));
    want(w, ", \"ipAddress\": \"198.51.100.77\"", MARKED("ip"));
    want(w, ", \"ipAddress\": \"203.0.113.9\"", PASSED); /* expired */
    want(w, ", \"fingerprint\": \"bot\"", MARKED("fingerprint"));
    want(w, ", \"fingerprint\": \"elsewhere\"", PASSED); /* another project's */
    unblock_all(w);
}

/* Without an address in the lead, the client's own counts. */
static void looks_at_the_client(void **state)
{
    const world_t *w = *state;
    block(w, "ip", "NULL", "'127.0.0.0/8'", "NULL, NULL");
    want(w, "", MARKED("ip"));
    want(w, ", \"ipAddress\": \"192.0.2.1\"", PASSED);
    unblock_all(w);
    want(w, "", PASSED);
}

static void turned_off(void **state)
{
    const world_t *w = *state;
    block(w, "fingerprint", "NULL", "'bot'", "NULL, NULL");
    account_sql(w->account, "UPDATE quizzes SET settings = '{\"blocklist\":false}'");
    want(w, ", \"fingerprint\": \"bot\"", "[\"blocklist\",\"skipped\",\"off\"]");
    account_sql(w->account, "UPDATE quizzes SET settings = '{\"normalise\":false}'");
    block(w, "domain", "NULL", "'spam.example'", "NULL, NULL");
    want(w, ", \"email\": \"a@SPAM.example\"", MARKED("domain"));
    account_sql(w->account, "UPDATE quizzes SET settings = '{}'");
    want(w, ", \"fingerprint\": \"bot\"", MARKED("fingerprint"));
    unblock_all(w);
}

/* ---- the cache ---- */

static bool is_blocked(blocklists_t *lists, const world_t *w)
{
    blocked_query_t query = {.project = &w->account->project, .fingerprint = slice("bot")};
    blocked_kind_t kind;
    plumb_err_t err = {0};
    if (blocklists_match(lists, &w->account->id, &query, &kind, &err) < 0)
        fail_msg("match: %s", err.text);
    return kind == BLOCKED_FINGERPRINT;
}

/* Nobody told of the change: within its life the version is looked at. */
static void sees_the_version(void **state)
{
    const world_t *w = *state;
    blocklists_t *lists;
    plumb_err_t err = {0};
    assert_int_equal(blocklists_new(&lists, w->ingest[0].readers, 20, &err), 0);
    assert_false(is_blocked(lists, w));
    block(w, "fingerprint", "NULL", "'bot'", "NULL, NULL");
    int64_t deadline_ms = plumb_mono_ms() + 10000;
    while (!is_blocked(lists, w) && plumb_mono_ms() < deadline_ms)
        pause_ms(2);
    assert_true(is_blocked(lists, w));
    unblock_all(w);
    while (is_blocked(lists, w) && plumb_mono_ms() < deadline_ms)
        pause_ms(2);
    assert_false(is_blocked(lists, w));
    blocklists_destroy(&lists);
}

static void forgets_when_told(void **state)
{
    const world_t *w = *state;
    blocklists_t *lists;
    plumb_err_t err = {0};
    plumb_uuid_t other = plumb_uuid_new();
    assert_int_equal(blocklists_new(&lists, w->ingest[0].readers, 60000, &err), 0);
    assert_false(is_blocked(lists, w));
    block(w, "fingerprint", "NULL", "'bot'", "NULL, NULL");
    assert_false(is_blocked(lists, w));
    blocklists_drop(lists, &other);
    assert_false(is_blocked(lists, w));
    blocklists_drop(lists, &w->account->id);
    assert_true(is_blocked(lists, w));
    unblock_all(w);
    assert_true(is_blocked(lists, w));
    blocklists_drop(lists, NULL);
    assert_false(is_blocked(lists, w));
    blocklists_destroy(&lists);
}

/* An ingest that keeps lists for a minute hears of a change at once. */
static void hears_of_changes(void **state)
{
    world_t *w = *state;
    if (plumb_conf_set(&w->account->conf, "ingest.cache=60s", "test", &(plumb_err_t){0}) < 0)
        fail();
    world_start(w);
    blocklists_t *lists = w->ingest[1].blocklists;
    assert_false(is_blocked(lists, w));
    block(w, "fingerprint", "NULL", "'bot'", "NULL, NULL");
    int64_t deadline_ms = plumb_mono_ms() + 10000;
    while (!is_blocked(lists, w) && plumb_mono_ms() < deadline_ms)
        pause_ms(2);
    assert_true(is_blocked(lists, w));
    unblock_all(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(large),
        cmocka_unit_test(marks),
        cmocka_unit_test(looks_at_the_client),
        cmocka_unit_test(turned_off),
        cmocka_unit_test(sees_the_version),
        cmocka_unit_test(forgets_when_told),
        cmocka_unit_test(hears_of_changes),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
