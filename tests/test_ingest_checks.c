/* The checks of a lead's way in, over raw HTTP: what passes, what is refused, what is turned off,
 * and the trace that each leaves. */
#include "api_world.h"
#include "checks.h"
#include "count.h"

/* Set the quiz's settings. */
static void set(const world_t *w, const char *settings)
{
    char quiz[PLUMB_UUID_TEXT];
    account_sql(w->account, "UPDATE quizzes SET settings = '%s' WHERE id = '%s'", settings,
                plumb_uuid_text(&w->account->quiz, quiz));
}

static http_answer_t post(const world_t *w, const char *attributes)
{
    static unsigned nth;
    char all[3072]; /* never the same body twice */
    snprintf(all, sizeof all, ", \"externalId\": \"%u\"%s", ++nth, attributes);
    return world_post(w, 0, w->account->token, all, "");
}

/* The entry of `check` in the trace of the lead that was answered, "" if there is none. */
static void trace_of(const world_t *w, const http_answer_t *answer, const char *check, char *out,
                     size_t size)
{
    char id[PLUMB_UUID_TEXT], sql[512];
    world_text(answer, "data.id", id, sizeof id);
    snprintf(sql, sizeof sql,
             "SELECT coalesce((SELECT string_agg(x.value, ' ') FROM leads l, "
             "json_array_elements(l.trace) e, json_array_elements_text(e) x "
             "WHERE l.id = '%s' AND e->>0 = '%s'), '')",
             id, check);
    pg_run(w->account->conninfo, sql, out, size);
}

static void want_trace(const world_t *w, const http_answer_t *answer, const char *check,
                       const char *want)
{
    char got[256];
    if (answer->status != 201)
        fail_msg("%s: status %d: %s", check, answer->status, answer->body);
    trace_of(w, answer, check, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: trace '%s', want '%s'", check, got, want);
}

/* A lead with `attributes` under `settings` leaves this entry. */
static void leaves(const world_t *w, const char *settings, const char *attributes,
                   const char *check, const char *want)
{
    set(w, settings);
    http_answer_t a = post(w, attributes);
    want_trace(w, &a, check, want);
    http_answer_fini(&a);
}

static void leave_traces(void **state)
{
    const world_t *w = *state;
    const char *attributes = ", \"phone\": \"+79001234567\"";
    leaves(w, "{}", attributes, "token", "token passed account");
    leaves(w, "{}", attributes, "shape", "shape passed");
    leaves(w, "{}", attributes, "ownership", "ownership passed");
    leaves(w, "{}", attributes, "normalise", "normalise passed");
    leaves(w, "{}", attributes, "limits", "limits skipped");
    leaves(w, "{\"limits\":{\"clientPerMinute\":1000}}", attributes, "limits", "limits passed");
    leaves(w, "{\"identical\":{\"windowSeconds\":0}}", attributes, "identical",
           "identical skipped off");
    leaves(w, "{\"duplicates\":{\"policy\":\"allow\"}}", attributes, "duplicate",
           "duplicate skipped off");
    leaves(w, "{\"payment\":false}", attributes, "payment", "payment skipped off");
    leaves(w, "{\"geo\":false}", attributes, "geo", "geo skipped off");
}

/* What stands wrong in the table has its default, and leads come in. */
static void wrong_settings_stop_nothing(void **state)
{
    const world_t *w = *state;
    leaves(w, "{\"payment\":\"no\",\"geo\":false,\"duplicates\":7}", "", "geo", "geo skipped off");
    leaves(w, "[]", "", "shape", "shape passed");
}

static void normalises(void **state)
{
    const world_t *w = *state;
    char phone[64];
    set(w, "{}");
    http_answer_t a = post(w, ", \"phone\": \"8 (900) 123-45-67\", \"email\": \"A@B.EXAMPLE\"");
    assert_int_equal(a.status, 201);
    world_text(&a, "data.attributes.phone", phone, sizeof phone);
    assert_string_equal(phone, "+79001234567");
    world_text(&a, "data.attributes.email", phone, sizeof phone);
    assert_string_equal(phone, "A@b.example");
    http_answer_fini(&a);
    a = post(w, ", \"phone\": \"call me\"");
    world_want_error("no phone", &a, 422, "invalid", "/data/attributes/phone");
    http_answer_fini(&a);
}

/* Turned off, values stay as they came, up to their length. */
static void normalises_not(void **state)
{
    const world_t *w = *state;
    char phone[64];
    set(w, "{\"normalise\":false}");
    http_answer_t a = post(w, ", \"phone\": \"call me\"");
    want_trace(w, &a, "normalise", "normalise skipped off");
    world_text(&a, "data.attributes.phone", phone, sizeof phone);
    assert_string_equal(phone, "call me");
    http_answer_fini(&a);
    a = post(w, ", \"phone\": \"123456789012345678901234567890123\"");
    world_want_error("too long", &a, 422, "invalid", "/data/attributes/phone");
    http_answer_fini(&a);
}

/* The table is what the semantics list, in their order, and names settings that exist. */
static void table(void **state)
{
    static const char *const names[] = {"token",        "shape",     "ownership", "normalise",
                                        "verification", "limits",    "identical", "duplicate",
                                        "payment",      "blocklist", "geo"};
    size_t count, settings;
    const check_t *checks = checks_rows(&count);
    const quiz_setting_t *rows = quiz_setting_rows(&settings);
    (void)state;
    assert_int_equal(count, PLUMB_COUNT(names));
    for (size_t i = 0; i < count; i++) {
        bool found = checks[i].setting == NULL;
        assert_string_equal(checks[i].name, names[i]);
        for (size_t k = 0; k < settings && !found; k++)
            found = strcmp(rows[k].path, checks[i].setting) == 0;
        assert_true(found);
        assert_true(checks[i].setting != NULL || checks[i].is_off == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leave_traces), cmocka_unit_test(wrong_settings_stop_nothing),
        cmocka_unit_test(normalises),   cmocka_unit_test(normalises_not),
        cmocka_unit_test(table),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
