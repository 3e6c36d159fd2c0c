/* The rules of a delivery's life (docs/messages.md, "what a result does"). */
#include "transition.h"

#include "count.h"

#include <assert.h>
#include <string.h>

#define CRASHES_MAX 2
#define REFUSED_MAX 3
#define FAILURES_MAX 20
#define NO_SUCCESS_MS (INT64_C(72) * 3600 * 1000)

/* ---- names ---- */

static const struct {
    const char *name;
    bool live;
} states[STATE_COUNT] = {
    [STATE_PENDING] = {"pending", true},
    [STATE_QUEUED] = {"queued", true},
    [STATE_HELD] = {"held", true},
    [STATE_AMBIGUOUS] = {"ambiguous", true},
    [STATE_DELIVERED] = {"delivered", false},
    [STATE_FAILED] = {"failed", false},
    [STATE_SKIPPED] = {"skipped", false},
    [STATE_CANCELED] = {"canceled", false},
};

const char *delivery_state_name(delivery_state_t state)
{
    return states[state].name;
}

delivery_state_t delivery_state_find(const char *name, delivery_state_t unknown)
{
    for (unsigned state = 0; state < STATE_COUNT; state++)
        if (strcmp(states[state].name, name) == 0)
            return (delivery_state_t)state;
    return unknown;
}

bool delivery_is_live(delivery_state_t state)
{
    return states[state].live;
}

const char *delivery_reason_name(delivery_reason_t reason)
{
    static const char *const names[REASON_COUNT] = {
        [REASON_RETRIES] = "retries_used_up",
        [REASON_DEADLINE] = "deadline",
        [REASON_BUG] = "bug",
        [REASON_PERMANENT] = "permanent",
        [REASON_AMBIGUOUS] = "ambiguous",
        [REASON_SUSPENDED] = "credential_suspended",
        [REASON_DISABLED] = "credential_disabled",
        [REASON_SEALED] = "cannot_open",
        [REASON_ERASED] = "erased",
        [REASON_UNLINKED] = "credential_deleted",
    };
    return names[reason];
}

const char *verdict_name(verdict_t verdict)
{
    static const char *const names[VERDICT_COUNT] = {"counted", "late", "repeated", "unknown"};
    return names[verdict];
}

const char *delivery_event_name(delivery_event_t event)
{
    static const char *const names[] = {NULL, "delivery.failed", "delivery.held",
                                        "delivery.late_success"};
    return names[event];
}

/* ---- where a row goes ---- */

static void fail(delivery_row_t *row, transition_t *t, delivery_reason_t reason)
{
    row->state = STATE_FAILED;
    row->reason = reason;
    t->event = EVENT_FAILED;
}

static void hold(delivery_row_t *row, delivery_reason_t reason)
{
    row->state = STATE_HELD;
    row->reason = reason;
}

/* Wait for another attempt, if there is time for one and somebody to send it to. */
static void wait_for(delivery_row_t *row, const credential_row_t *credential, transition_t *t,
                     int64_t wait_ms, int64_t now_ms)
{
    int64_t due_ms = now_ms + wait_ms;
    if (due_ms > row->deadline_ms) {
        fail(row, t, REASON_DEADLINE);
    } else if (credential->suspended) {
        hold(row, REASON_SUSPENDED);
    } else {
        row->state = STATE_PENDING;
        row->due_ms = due_ms;
        row->reason = REASON_NONE;
    }
}

/* Wait number `index` of the schedule, never shortened by chance, never under the service's word.
 */
static int64_t wait_of(const retry_policy_t *policy, size_t index, int64_t floor_ms,
                       uint32_t chance)
{
    assert(policy->count > 0);
    int64_t wait = policy->waits[index < policy->count ? index : policy->count - 1];
    int64_t spread = wait / 100 * policy->jitter_percent;
    if (spread > 0)
        wait += (int64_t)chance % (spread + 1);
    return wait > floor_ms ? wait : floor_ms;
}

static int64_t floor_of(const attempt_result_t *result)
{
    if (result->retry_after_ms < 0)
        return 0;
    return result->retry_after_ms < RETRY_AFTER_MAX_MS ? result->retry_after_ms
                                                       : RETRY_AFTER_MAX_MS;
}

/* ---- the credential ---- */

static void succeed(credential_row_t *c, int64_t now_ms)
{
    if (c->refused > 0 || c->failures > 0 || now_ms - c->succeeded_ms >= SUCCESS_EVERY_MS)
        c->succeeded_ms = now_ms;
    c->refused = 0;
    c->failures = 0;
}

static void suspend(credential_row_t *c, transition_t *t, const char *reason)
{
    if (c->suspended)
        return;
    c->suspended = true;
    c->suspended_reason = reason;
    t->suspended = true;
}

/* Count a failure against the credential.  An answer about the content shows that we got in. */
static void count_failure(credential_row_t *c, const attempt_result_t *result, transition_t *t,
                          int64_t now_ms)
{
    if (result->outcome == PLUMB_OUT_throttled)
        return;
    c->failures++;
    if (result->outcome == PLUMB_OUT_credentials)
        c->refused++;
    if (result->outcome == PLUMB_OUT_permanent)
        c->refused = 0;
    int64_t since = c->succeeded_ms > 0 ? c->succeeded_ms : c->created_ms;
    if (result->outcome == PLUMB_OUT_gone)
        suspend(c, t, "gone");
    else if (c->refused >= REFUSED_MAX)
        suspend(c, t, "credentials");
    else if (c->failures >= FAILURES_MAX && now_ms - since >= NO_SUCCESS_MS)
        suspend(c, t, "failures");
}

/* ---- results ---- */

/* Whoever crashed a worker's plugin twice is parked, whatever became of its call.  True: it was. */
static bool apply_blame(delivery_row_t *row, const attempt_result_t *result, transition_t *t)
{
    if (!result->blamed || ++row->crashes < CRASHES_MAX)
        return false;
    fail(row, t, REASON_BUG);
    return true;
}

static void apply_try(delivery_row_t *row, const credential_row_t *credential,
                      const attempt_result_t *result, const retry_policy_t *policy, transition_t *t,
                      int64_t now_ms, uint32_t chance)
{
    if (row->tries > policy->count)
        fail(row, t, REASON_RETRIES);
    else
        wait_for(row, credential, t, wait_of(policy, row->tries - 1, floor_of(result), chance),
                 now_ms);
}

/* The back-off of repeats follows the attempt, since tries are not charged: without a growing wait
 * a receiver that hangs would be called every few seconds for a week. */
static void apply_ambiguous(delivery_row_t *row, const credential_row_t *credential,
                            const attempt_result_t *result, const retry_policy_t *policy,
                            transition_t *t, int64_t now_ms, uint32_t chance)
{
    if (result->resend) {
        wait_for(row, credential, t, wait_of(policy, row->attempt - 1, floor_of(result), chance),
                 now_ms);
        return;
    }
    hold(row, REASON_AMBIGUOUS);
    t->event = EVENT_HELD;
}

static void apply_failure(delivery_row_t *row, const credential_row_t *credential,
                          const attempt_result_t *result, const retry_policy_t *policy,
                          transition_t *t, int64_t now_ms, uint32_t chance)
{
    if (result->outcome == PLUMB_OUT_retry || result->outcome == PLUMB_OUT_bug)
        row->tries++;
    if (apply_blame(row, result, t))
        return;
    switch (result->outcome) {
    case PLUMB_OUT_retry:
    case PLUMB_OUT_bug:
        apply_try(row, credential, result, policy, t, now_ms, chance);
        break;
    case PLUMB_OUT_throttled:
    case PLUMB_OUT_credentials: /* the third has suspended its credential: held */
        wait_for(row, credential, t, wait_of(policy, 0, floor_of(result), chance), now_ms);
        break;
    case PLUMB_OUT_gone:
        hold(row, REASON_SUSPENDED);
        break;
    case PLUMB_OUT_permanent:
        fail(row, t, REASON_PERMANENT);
        break;
    case PLUMB_OUT_ambiguous:
        apply_ambiguous(row, credential, result, policy, t, now_ms, chance);
        break;
    case PLUMB_OUT_ok:
    case PLUMB_OUT_duplicate:
    case PLUMB_OUT_COUNT:
        assert(false);
    }
}

static void apply_success(delivery_row_t *row, credential_row_t *credential,
                          const attempt_result_t *result, transition_t *t, int64_t now_ms)
{
    if (row->state == STATE_DELIVERED)
        return;
    if (delivery_is_live(row->state)) {
        if (row->state == STATE_QUEUED && result->attempt < row->attempt)
            t->recall = row->attempt;
        row->state = STATE_DELIVERED;
        row->reason = REASON_NONE;
        t->verdict = VERDICT_COUNTED;
        t->changed = true;
        succeed(credential, now_ms);
    } else if (!row->late_success) {
        row->late_success = true;
        t->changed = true;
        t->event = EVENT_LATE_SUCCESS;
    }
}

transition_t transition_result(delivery_row_t *row, credential_row_t *credential,
                               const attempt_result_t *result, const retry_policy_t *policy,
                               int64_t now_ms, uint32_t chance)
{
    transition_t t = {.verdict = result->known ? VERDICT_REPEATED : VERDICT_LATE};
    bool success = result->outcome == PLUMB_OUT_ok || result->outcome == PLUMB_OUT_duplicate;
    if (success && result->attempt <= row->attempt) {
        apply_success(row, credential, result, &t, now_ms);
    } else if (!success && row->state == STATE_QUEUED && result->attempt == row->attempt) {
        t.verdict = VERDICT_COUNTED;
        t.changed = true;
        count_failure(credential, result, &t, now_ms);
        apply_failure(row, credential, result, policy, &t, now_ms, chance);
    }
    return t;
}

/* ---- handing over and taking back ---- */

transition_t transition_feed(delivery_row_t *row, const feed_facts_t *facts, int64_t now_ms)
{
    transition_t t = {.verdict = VERDICT_COUNTED, .changed = true};
    assert(row->state == STATE_PENDING);
    if (now_ms > row->deadline_ms) {
        fail(row, &t, REASON_DEADLINE);
    } else if (facts->erased) {
        row->state = STATE_CANCELED;
        row->reason = REASON_ERASED;
    } else if (!facts->has_credential) {
        row->state = STATE_SKIPPED;
        row->reason = REASON_UNLINKED;
    } else if (facts->suspended || !facts->enabled) {
        hold(row, facts->suspended ? REASON_SUSPENDED : REASON_DISABLED);
    } else if (facts->unreadable) {
        hold(row, REASON_SEALED);
        t.event = EVENT_HELD;
    } else {
        row->state = STATE_QUEUED;
        row->attempt++;
        row->reason = REASON_NONE;
    }
    return t;
}

bool transition_take_back(delivery_row_t *row, uint32_t attempt, int64_t now_ms)
{
    if (row->state != STATE_QUEUED || row->attempt != attempt)
        return false;
    row->state = STATE_PENDING;
    row->due_ms = now_ms;
    return true;
}
