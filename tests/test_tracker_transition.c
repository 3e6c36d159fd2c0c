/* What a result does to a delivery: every class, state, relation of attempts, end of schedule. */
#include "count.h"
#include "transition.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)
#define HOUR INT64_C(3600000)
#define FAR (NOW + 100 * HOUR)

static const int64_t waits[] = {10000, 60000, 300000};
static const retry_policy_t policy = {waits, PLUMB_COUNT(waits), 0};

static credential_row_t fresh_credential(void)
{
    return (credential_row_t){
        .succeeded_ms = NOW - 1000, .created_ms = NOW - HOUR, .enabled = true};
}

/* ---- the table of the protocol ---- */

/* clang-format off */
static const struct {
    const char *name;
    delivery_row_t row;
    attempt_result_t result;
    delivery_state_t state;
    delivery_reason_t reason;
    verdict_t verdict;
    int64_t wait_ms; /* of a pending one */
    uint32_t tries, crashes, recall;
    delivery_event_t event;
} cases[] = {
    {"ok", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR}, {.attempt = 1, .outcome = PLUMB_OUT_ok},
     STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"duplicate", {.state = STATE_QUEUED, .attempt = 2, .tries = 1, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_duplicate}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 1, 0, 0, EVENT_NONE},
    {"late success recalls the newer attempt", {.state = STATE_QUEUED, .attempt = 3, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 3, EVENT_NONE},
    {"late success of a pending one", {.state = STATE_PENDING, .attempt = 2, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"success of a pending one's last attempt", {.state = STATE_PENDING, .attempt = 2, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_ok}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"success of a held one", {.state = STATE_HELD, .attempt = 1, .reason = REASON_AMBIGUOUS, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"success of an ambiguous one", {.state = STATE_AMBIGUOUS, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"success after the deadline is one", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = NOW - 1},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_DELIVERED, REASON_NONE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"success of a failed one", {.state = STATE_FAILED, .attempt = 1, .reason = REASON_DEADLINE, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_FAILED, REASON_DEADLINE, VERDICT_LATE, 0, 0, 0, 0, EVENT_LATE_SUCCESS},
    {"success of a canceled one", {.state = STATE_CANCELED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok}, STATE_CANCELED, REASON_NONE, VERDICT_LATE, 0, 0, 0, 0, EVENT_LATE_SUCCESS},
    {"the second late success", {.state = STATE_FAILED, .attempt = 1, .late_success = true, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok, .known = true}, STATE_FAILED, REASON_NONE, VERDICT_REPEATED, 0, 0, 0, 0, EVENT_NONE},
    {"success of an attempt that was never made", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_ok}, STATE_QUEUED, REASON_NONE, VERDICT_LATE, 0, 0, 0, 0, EVENT_NONE},
    {"repeated success", {.state = STATE_DELIVERED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ok, .known = true}, STATE_DELIVERED, REASON_NONE, VERDICT_REPEATED, 0, 0, 0, 0, EVENT_NONE},
    {"failure after success", {.state = STATE_DELIVERED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_retry}, STATE_DELIVERED, REASON_NONE, VERDICT_LATE, 0, 0, 0, 0, EVENT_NONE},
    {"failure of an older attempt", {.state = STATE_QUEUED, .attempt = 2, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_permanent}, STATE_QUEUED, REASON_NONE, VERDICT_LATE, 0, 0, 0, 0, EVENT_NONE},
    {"failure of an attempt taken back", {.state = STATE_PENDING, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_permanent}, STATE_PENDING, REASON_NONE, VERDICT_LATE, 0, 0, 0, 0, EVENT_NONE},
    {"failure of a held one", {.state = STATE_HELD, .attempt = 1, .reason = REASON_SUSPENDED, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ambiguous}, STATE_HELD, REASON_SUSPENDED, VERDICT_LATE, 0, 0, 0, 0, EVENT_NONE},
    {"first retry", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR}, {.attempt = 1, .outcome = PLUMB_OUT_retry},
     STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 1, 0, 0, EVENT_NONE},
    {"retries follow tries, not attempts", {.state = STATE_QUEUED, .attempt = 9, .tries = 1, .deadline_ms = FAR},
     {.attempt = 9, .outcome = PLUMB_OUT_retry}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 60000, 2, 0, 0, EVENT_NONE},
    {"last retry", {.state = STATE_QUEUED, .attempt = 3, .tries = 2, .deadline_ms = FAR},
     {.attempt = 3, .outcome = PLUMB_OUT_retry}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 300000, 3, 0, 0, EVENT_NONE},
    {"one retry too many", {.state = STATE_QUEUED, .attempt = 4, .tries = 3, .deadline_ms = FAR},
     {.attempt = 4, .outcome = PLUMB_OUT_retry}, STATE_FAILED, REASON_RETRIES, VERDICT_COUNTED, 0, 4, 0, 0, EVENT_FAILED},
    {"retry-after is a floor", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_retry, .retry_after_ms = 45000}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 45000, 1, 0, 0, EVENT_NONE},
    {"a short retry-after shortens nothing", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_retry, .retry_after_ms = 1}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 1, 0, 0, EVENT_NONE},
    {"garbage in retry-after", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_retry, .retry_after_ms = INT64_MIN}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 1, 0, 0, EVENT_NONE},
    {"retry-after beyond a day", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_throttled, .retry_after_ms = INT64_MAX}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 24 * HOUR, 0, 0, 0, EVENT_NONE},
    {"retry beyond the deadline", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = NOW + 9999},
     {.attempt = 1, .outcome = PLUMB_OUT_retry}, STATE_FAILED, REASON_DEADLINE, VERDICT_COUNTED, 0, 1, 0, 0, EVENT_FAILED},
    {"retry just before the deadline", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = NOW + 10000},
     {.attempt = 1, .outcome = PLUMB_OUT_retry}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 1, 0, 0, EVENT_NONE},
    {"throttled", {.state = STATE_QUEUED, .attempt = 5, .tries = 3, .deadline_ms = FAR},
     {.attempt = 5, .outcome = PLUMB_OUT_throttled}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 3, 0, 0, EVENT_NONE},
    {"throttled for long", {.state = STATE_QUEUED, .attempt = 5, .deadline_ms = FAR},
     {.attempt = 5, .outcome = PLUMB_OUT_throttled, .retry_after_ms = 11000}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 11000, 0, 0, 0, EVENT_NONE},
    {"throttled beyond the deadline", {.state = STATE_QUEUED, .attempt = 5, .deadline_ms = NOW + 1},
     {.attempt = 5, .outcome = PLUMB_OUT_throttled}, STATE_FAILED, REASON_DEADLINE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_FAILED},
    {"first credentials", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_credentials}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 0, 0, 0, EVENT_NONE},
    {"permanent", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_permanent}, STATE_FAILED, REASON_PERMANENT, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_FAILED},
    {"gone", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR}, {.attempt = 1, .outcome = PLUMB_OUT_gone},
     STATE_HELD, REASON_SUSPENDED, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_NONE},
    {"ambiguous, a repeat allowed", {.state = STATE_QUEUED, .attempt = 2, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_ambiguous, .resend = true}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 60000, 0, 0, 0, EVENT_NONE},
    {"ambiguous for the hundredth time", {.state = STATE_QUEUED, .attempt = 100, .deadline_ms = FAR},
     {.attempt = 100, .outcome = PLUMB_OUT_ambiguous, .resend = true}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 300000, 0, 0, 0, EVENT_NONE},
    {"ambiguous, no repeat allowed", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ambiguous}, STATE_HELD, REASON_AMBIGUOUS, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_HELD},
    {"ambiguous beyond the deadline", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = NOW},
     {.attempt = 1, .outcome = PLUMB_OUT_ambiguous, .resend = true}, STATE_FAILED, REASON_DEADLINE, VERDICT_COUNTED, 0, 0, 0, 0, EVENT_FAILED},
    {"bug", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR}, {.attempt = 1, .outcome = PLUMB_OUT_bug},
     STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 1, 0, 0, EVENT_NONE},
    {"blamed once", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_bug, .blamed = true}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 1, 1, 0, EVENT_NONE},
    {"blamed twice", {.state = STATE_QUEUED, .attempt = 2, .tries = 1, .crashes = 1, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_bug, .blamed = true}, STATE_FAILED, REASON_BUG, VERDICT_COUNTED, 0, 2, 2, 0, EVENT_FAILED},
    {"blamed once, its answer unknown", {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR},
     {.attempt = 1, .outcome = PLUMB_OUT_ambiguous, .blamed = true, .resend = true}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 10000, 0, 1, 0, EVENT_NONE},
    {"blamed twice, its answer unknown", {.state = STATE_QUEUED, .attempt = 2, .crashes = 1, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_ambiguous, .blamed = true, .resend = true}, STATE_FAILED, REASON_BUG, VERDICT_COUNTED, 0, 0, 2, 0, EVENT_FAILED},
    {"blamed before, an honest bug now", {.state = STATE_QUEUED, .attempt = 2, .tries = 1, .crashes = 1, .deadline_ms = FAR},
     {.attempt = 2, .outcome = PLUMB_OUT_bug}, STATE_PENDING, REASON_NONE, VERDICT_COUNTED, 60000, 2, 1, 0, EVENT_NONE},
};

/* clang-format on */

static void protocol_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        delivery_row_t row = cases[i].row;
        credential_row_t credential = fresh_credential();
        transition_t t = transition_result(&row, &credential, &cases[i].result, &policy, NOW, 7);
        int64_t wait_ms = row.state == STATE_PENDING && t.changed ? row.due_ms - NOW : 0;
        if (row.state != cases[i].state || row.reason != cases[i].reason ||
            t.verdict != cases[i].verdict || wait_ms != cases[i].wait_ms ||
            row.tries != cases[i].tries || row.crashes != cases[i].crashes ||
            t.recall != cases[i].recall || t.event != cases[i].event)
            fail_msg("%s: %s %d, %s, wait %" PRId64 ", tries %u, crashes %u, recall %u, event %d",
                     cases[i].name, delivery_state_name(row.state), row.reason,
                     verdict_name(t.verdict), wait_ms, row.tries, row.crashes, t.recall, t.event);
        assert_int_equal(row.attempt, cases[i].row.attempt);
    }
}

/* ---- what holds whatever comes ---- */

static void check_invariants(const delivery_row_t *before, const delivery_row_t *after,
                             const attempt_result_t *result, const transition_t *t)
{
    bool success = result->outcome <= PLUMB_OUT_duplicate;
    assert_int_equal(after->attempt, before->attempt);
    if (!delivery_is_live(before->state)) /* final states stay */
        assert_int_equal(after->state, before->state);
    if (!success && (before->state != STATE_QUEUED || result->attempt != before->attempt))
        assert_memory_equal(after, before, sizeof *after); /* the fence */
    if (success && delivery_is_live(before->state) && result->attempt <= before->attempt)
        assert_int_equal(after->state, STATE_DELIVERED);
    if (t->verdict == VERDICT_COUNTED) /* a counted result always moves it */
        assert_int_not_equal(after->state, before->state);
    if (!t->changed)
        assert_memory_equal(after, before, sizeof *after);
    if (after->state == STATE_PENDING && before->state == STATE_QUEUED)
        assert_true(after->due_ms > NOW && after->due_ms <= after->deadline_ms);
}

static void every_combination(void **unused)
{
    (void)unused;
    size_t count = 0;
    for (unsigned s = 0; s < STATE_COUNT; s++)
        for (unsigned outcome = 0; outcome < PLUMB_OUT_COUNT; outcome++)
            for (uint32_t attempt = 1; attempt <= 4; attempt++)
                for (uint32_t tries = 0; tries <= 4; tries++)
                    for (unsigned bits = 0; bits < 32; bits++) {
                        delivery_row_t row = {.state = (delivery_state_t)s,
                                              .attempt = 3,
                                              .tries = tries,
                                              .crashes = bits & 1,
                                              .deadline_ms = bits & 2 ? FAR : NOW + 20000};
                        attempt_result_t result = {.attempt = attempt,
                                                   .outcome = (plumb_outcome_t)outcome,
                                                   .blamed = bits & 4,
                                                   .resend = bits & 8,
                                                   .known = bits & 16};
                        credential_row_t credential = fresh_credential();
                        const delivery_row_t before = row;
                        transition_t t =
                            transition_result(&row, &credential, &result, &policy, NOW, count++);
                        check_invariants(&before, &row, &result, &t);
                        t = transition_result(&row, &credential, &result, &policy, NOW, 0);
                        assert_int_not_equal(t.verdict, VERDICT_COUNTED); /* never twice */
                    }
}

/* ---- jitter ---- */

static void jitter_only_adds(void **state)
{
    (void)state;
    const retry_policy_t jittery = {waits, PLUMB_COUNT(waits), 20};
    int64_t least = INT64_MAX, most = 0;
    for (uint32_t chance = 0; chance < 5000; chance++) {
        delivery_row_t row = {.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR};
        credential_row_t credential = fresh_credential();
        attempt_result_t result = {.attempt = 1, .outcome = PLUMB_OUT_retry};
        transition_result(&row, &credential, &result, &jittery, NOW, chance);
        least = row.due_ms - NOW < least ? row.due_ms - NOW : least;
        most = row.due_ms - NOW > most ? row.due_ms - NOW : most;
    }
    assert_int_equal(least, 10000);
    assert_int_equal(most, 12000);
}

/* ---- credentials ---- */

static transition_t result_of(credential_row_t *credential, plumb_outcome_t outcome,
                              delivery_row_t *row)
{
    *row = (delivery_row_t){.state = STATE_QUEUED, .attempt = 1, .deadline_ms = FAR};
    attempt_result_t result = {.attempt = 1, .outcome = outcome, .resend = true};
    return transition_result(row, credential, &result, &policy, NOW, 0);
}

static void third_refusal_suspends(void **state)
{
    (void)state;
    credential_row_t credential = fresh_credential();
    delivery_row_t row;
    for (int i = 0; i < 2; i++) {
        assert_false(result_of(&credential, PLUMB_OUT_credentials, &row).suspended);
        assert_int_equal(row.state, STATE_PENDING);
    }
    assert_true(result_of(&credential, PLUMB_OUT_credentials, &row).suspended);
    assert_true(credential.suspended);
    assert_string_equal(credential.suspended_reason, "credentials");
    assert_int_equal(row.state, STATE_HELD);
    assert_int_equal(row.reason, REASON_SUSPENDED);
    assert_false(result_of(&credential, PLUMB_OUT_credentials, &row).suspended); /* once */
    assert_int_equal(row.state, STATE_HELD);
    result_of(&credential, PLUMB_OUT_retry, &row); /* what comes later is held as well */
    assert_int_equal(row.state, STATE_HELD);
}

static void getting_in_forgets_refusals(void **state)
{
    (void)state;
    static const plumb_outcome_t got_in[] = {PLUMB_OUT_ok, PLUMB_OUT_duplicate,
                                             PLUMB_OUT_permanent};
    for (size_t i = 0; i < PLUMB_COUNT(got_in); i++) {
        credential_row_t credential = fresh_credential();
        delivery_row_t row;
        result_of(&credential, PLUMB_OUT_credentials, &row);
        result_of(&credential, PLUMB_OUT_credentials, &row);
        result_of(&credential, got_in[i], &row);
        assert_int_equal(credential.refused, 0);
    }
}

static void gone_suspends_at_once(void **state)
{
    (void)state;
    credential_row_t credential = fresh_credential();
    delivery_row_t row;
    assert_true(result_of(&credential, PLUMB_OUT_gone, &row).suspended);
    assert_string_equal(credential.suspended_reason, "gone");
}

static void three_days_without_success(void **state)
{
    (void)state;
    static const struct {
        uint32_t failures;
        int64_t succeeded_ms, created_ms;
        bool suspends;
    } rows[] = {{19, NOW - 72 * HOUR, 0, true},
                {18, NOW - 72 * HOUR, 0, false},
                {50, NOW - 72 * HOUR + 1, 0, false},
                {50, 0, NOW - 72 * HOUR, true},
                {50, 0, NOW - HOUR, false}};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        credential_row_t credential = {.failures = rows[i].failures,
                                       .succeeded_ms = rows[i].succeeded_ms,
                                       .created_ms = rows[i].created_ms,
                                       .enabled = true};
        delivery_row_t row;
        transition_t t = result_of(&credential, PLUMB_OUT_retry, &row);
        if (t.suspended != rows[i].suspends ||
            row.state != (rows[i].suspends ? STATE_HELD : STATE_PENDING))
            fail_msg("row %zu: suspended %d, %s", i, t.suspended, delivery_state_name(row.state));
    }
}

static void success_time_is_not_written_for_each(void **state)
{
    (void)state;
    credential_row_t credential = fresh_credential();
    delivery_row_t row;
    result_of(&credential, PLUMB_OUT_ok, &row);
    assert_int_equal(credential.succeeded_ms, NOW - 1000); /* fresh enough */
    credential.failures = 1;
    result_of(&credential, PLUMB_OUT_ok, &row);
    assert_int_equal(credential.succeeded_ms, NOW);
    assert_int_equal(credential.failures, 0);
    credential.succeeded_ms = NOW - SUCCESS_EVERY_MS;
    result_of(&credential, PLUMB_OUT_ok, &row);
    assert_int_equal(credential.succeeded_ms, NOW);
}

static void waiting_is_no_failure(void **state)
{
    (void)state;
    credential_row_t credential = fresh_credential();
    delivery_row_t row;
    result_of(&credential, PLUMB_OUT_throttled, &row);
    assert_int_equal(credential.failures, 0);
}

/* ---- feeding and taking back ---- */

/* clang-format off */
static void feeding(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        feed_facts_t facts;
        int64_t deadline_ms;
        delivery_state_t state;
        delivery_reason_t reason;
        delivery_event_t event;
    } rows[] = {
        {"good", {.has_credential = true, .enabled = true}, FAR, STATE_QUEUED, REASON_NONE, EVENT_NONE},
        {"at the deadline", {.has_credential = true, .enabled = true}, NOW, STATE_QUEUED, REASON_NONE, EVENT_NONE},
        {"past it", {.has_credential = true, .enabled = true}, NOW - 1, STATE_FAILED, REASON_DEADLINE, EVENT_FAILED},
        {"suspended", {.has_credential = true, .enabled = true, .suspended = true}, FAR, STATE_HELD, REASON_SUSPENDED, EVENT_NONE},
        {"switched off", {.has_credential = true}, FAR, STATE_HELD, REASON_DISABLED, EVENT_NONE},
        {"deleted", {0}, FAR, STATE_SKIPPED, REASON_UNLINKED, EVENT_NONE},
        {"erased", {.has_credential = true, .enabled = true, .erased = true}, FAR, STATE_CANCELED, REASON_ERASED, EVENT_NONE},
        {"unreadable", {.has_credential = true, .enabled = true, .unreadable = true}, FAR, STATE_HELD, REASON_SEALED, EVENT_HELD},
    };
    /* clang-format on */
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        delivery_row_t row = {
            .state = STATE_PENDING, .attempt = 4, .deadline_ms = rows[i].deadline_ms};
        transition_t t = transition_feed(&row, &rows[i].facts, NOW);
        uint32_t attempt = rows[i].state == STATE_QUEUED ? 5 : 4;
        if (row.state != rows[i].state || row.reason != rows[i].reason ||
            t.event != rows[i].event || row.attempt != attempt)
            fail_msg("%s: %s, reason %d, attempt %u", rows[i].name, delivery_state_name(row.state),
                     row.reason, row.attempt);
    }
}

static void taking_back(void **state)
{
    (void)state;
    delivery_row_t row = {.state = STATE_QUEUED, .attempt = 2, .tries = 1, .due_ms = 1};
    assert_false(transition_take_back(&row, 1, NOW));
    assert_int_equal(row.state, STATE_QUEUED);
    assert_true(transition_take_back(&row, 2, NOW));
    assert_int_equal(row.state, STATE_PENDING);
    assert_int_equal(row.due_ms, NOW);
    assert_int_equal(row.tries, 1);
    assert_int_equal(row.attempt, 2);
    assert_false(transition_take_back(&row, 2, NOW));
}

static void names(void **state)
{
    (void)state;
    for (unsigned s = 0; s < STATE_COUNT; s++)
        assert_int_equal(delivery_state_find(delivery_state_name((delivery_state_t)s), STATE_COUNT),
                         s);
    assert_int_equal(delivery_state_find("", STATE_SKIPPED), STATE_SKIPPED);
    assert_null(delivery_reason_name(REASON_NONE));
    for (unsigned r = 1; r < REASON_COUNT; r++)
        assert_non_null(delivery_reason_name((delivery_reason_t)r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protocol_table),
        cmocka_unit_test(every_combination),
        cmocka_unit_test(jitter_only_adds),
        cmocka_unit_test(third_refusal_suspends),
        cmocka_unit_test(getting_in_forgets_refusals),
        cmocka_unit_test(gone_suspends_at_once),
        cmocka_unit_test(three_days_without_success),
        cmocka_unit_test(success_time_is_not_written_for_each),
        cmocka_unit_test(waiting_is_no_failure),
        cmocka_unit_test(feeding),
        cmocka_unit_test(taking_back),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
