/* Check 6: rate limits of token, account and, for a lead, of its client and of test leads. */
#include "checks.h"
#include "clock.h"
#include "idempotency.h"

#include <sodium.h>
#include <string.h>

#define MINUTE_US INT64_C(60000000)
#define DAY_US (INT64_C(24) * 60 * MINUTE_US)

/* One more limit.  Returns its subject, to be filled. */
static uint8_t *add(charge_t *charge, limit_kind_t kind, const plumb_rate_t *rate)
{
    limit_t *limit = &charge->list[charge->count];
    *limit = (limit_t){.kind = kind, .rate = *rate};
    charge->count++;
    return limit->subject;
}

/* Fingerprint, else address, of this quiz only; hashed, since it may end up in Redis. */
static void client_subject(const request_t *request, uint8_t subject[16])
{
    static const char purpose[] = "plumb client limit";
    const quiz_t *quiz = request->quiz;
    const plumb_slice_t *value = request->lead.value;
    plumb_slice_t client = {(const char *)request->source.address, sizeof request->source.address};
    if (value[PLUMB_LEAD_FINGERPRINT].length > 0)
        client = value[PLUMB_LEAD_FINGERPRINT];
    else if (value[PLUMB_LEAD_IP_ADDRESS].data != NULL)
        client = value[PLUMB_LEAD_IP_ADDRESS];
    crypto_generichash_state state;
    crypto_generichash_init(&state, quiz->key.bytes, sizeof quiz->key.bytes, 16);
    crypto_generichash_update(&state, (const uint8_t *)purpose, sizeof purpose);
    crypto_generichash_update(&state, quiz->id.b, sizeof quiz->id.b);
    crypto_generichash_update(&state, (const uint8_t *)client.data, client.length);
    crypto_generichash_final(&state, subject, 16);
}

static void add_of_quiz(request_t *request, charge_t *charge)
{
    const quiz_settings_t *settings = &request->quiz->settings;
    const plumb_slice_t *test = &request->lead.value[PLUMB_LEAD_IS_TEST];
    plumb_rate_t clients = {settings->client_per_minute, MINUTE_US, settings->client_per_minute};
    plumb_rate_t tests = {settings->tests_per_day, DAY_US, settings->tests_per_day};
    if (clients.count > 0)
        client_subject(request, add(charge, LIMIT_CLIENT, &clients));
    if (tests.count > 0 && test->data != NULL && test->data[0] == 't')
        memcpy(add(charge, LIMIT_TESTS, &tests), request->quiz->id.b, sizeof request->quiz->id.b);
}

static void find_limits(request_t *request)
{
    const rates_t *rates = &request->ingest->rates;
    charge_t *charge = &request->charge;
    charge->count = 0;
    if (rates->token.count > 0)
        memcpy(add(charge, LIMIT_TOKEN, &rates->token), request->identity.token, TOKEN_ID);
    if (rates->account.count > 0)
        memcpy(add(charge, LIMIT_ACCOUNT, &rates->account), request->identity.account.b,
               sizeof request->identity.account.b);
    if (request->quiz != NULL)
        add_of_quiz(request, charge);
}

bool checks_charge(request_t *request)
{
    charge_t *charge = &request->charge;
    limit_state_t state;
    find_limits(request);
    if (charge->count == 0)
        return true;
    if (limits_take(request->ingest->limits, charge->list, charge->count, plumb_mono_us(),
                    &state)) {
        charge->is_shared = state.is_shared;
        answer_limit_headers(request, &state);
        return true;
    }
    charge->count = 0;
    answer_limited(request, &state);
    return false;
}

void checks_uncharge(request_t *request)
{
    charge_t *charge = &request->charge;
    if (charge->count > 0)
        limits_give(request->ingest->limits, charge->list, charge->count, charge->is_shared);
    charge->count = 0;
}

check_verdict_t check_limits(request_t *request, const char **reason)
{
    *reason = NULL;
    if (checks_charge(request))
        return request->charge.count > 0 ? CHECK_PASSED : CHECK_SKIPPED;
    idempotency_replay(request); /* a repeat costs nothing, so it is answered all the same */
    return CHECK_ENDED;
}
