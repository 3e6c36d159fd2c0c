/* Standard Webhooks: the checked vectors, and everything that must not pass. */
#include "count.h"
#include "signature.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BODY_A                                                                                     \
    "{\"type\":\"lead.created\",\"timestamp\":\"2025-01-02T03:04:05Z\",\"data\":{\"id\":\"L-1\","  \
    "\"name\":\"Анна\"}}"
#define BODY_A_LONGER BODY_A " "
#define UPSTREAM "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define COUNTING "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define COUNTING_UNPADDED "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define GOOD_A "v1,C5cIpiqmn/8ihvMGR4JgaBnL8vUQxR0QTVWzwzpQJkg="
#define NOW 1735787045

static const struct {
    const char *name, *secret, *id, *timestamp, *body, *signatures;
    int64_t now;
    signature_verdict_t want;
} cases[] = {
    {"upstream's own", UPSTREAM, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
     "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330,
     SIGNATURE_GOOD},
    {"bytes 0 to 31", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A, NOW,
     SIGNATURE_GOOD},
    {"secret without padding", COUNTING_UNPADDED, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A,
     NOW, SIGNATURE_GOOD},
    {"24 bytes", "whsec_qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "msg_plumb_0001", "1735787045", BODY_A,
     "v1,HnzvqviYrBiW8kywighEEgHqZfqSF9NjsfOSO922GUQ=", NOW, SIGNATURE_GOOD},
    {"empty body", COUNTING, "msg_plumb_0002", "1735787045", "",
     "v1,zh0uX4JEmtkNh4sq1dMfNZz0rturgxCUOvgY4jn5TVU=", NOW, SIGNATURE_GOOD},
    {"second of two", COUNTING, "msg_plumb_0001", "1735787045", BODY_A,
     "v1,HnzvqviYrBiW8kywighEEgHqZfqSF9NjsfOSO922GUQ= " GOOD_A, NOW, SIGNATURE_GOOD},
    {"beside another version", COUNTING, "msg_plumb_0001", "1735787045", BODY_A,
     "v1a,AAAA  " GOOD_A, NOW, SIGNATURE_GOOD},
    {"five minutes old", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A, NOW + 300,
     SIGNATURE_GOOD},
    {"five minutes early", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A, NOW - 300,
     SIGNATURE_GOOD},
    {"older", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A, NOW + 301, SIGNATURE_STALE},
    {"earlier", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A, NOW - 301,
     SIGNATURE_STALE},
    {"other secret", UPSTREAM, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A, NOW,
     SIGNATURE_WRONG},
    {"other id", COUNTING, "msg_plumb_0003", "1735787045", BODY_A, GOOD_A, NOW, SIGNATURE_WRONG},
    {"other time", COUNTING, "msg_plumb_0001", "1735787046", BODY_A, GOOD_A, NOW, SIGNATURE_WRONG},
    {"other body", COUNTING, "msg_plumb_0001", "1735787045", BODY_A_LONGER, GOOD_A, NOW,
     SIGNATURE_WRONG},
    {"cut signature", COUNTING, "msg_plumb_0001", "1735787045", BODY_A,
     "v1,C5cIpiqmn/8ihvMGR4JgaBnL8vUQxR0QTVWzwzpQ", NOW, SIGNATURE_WRONG},
    {"longer signature", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, GOOD_A "AAAA", NOW,
     SIGNATURE_WRONG},
    {"no version", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, &GOOD_A[3], NOW,
     SIGNATURE_WRONG},
    {"empty list", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, "", NOW, SIGNATURE_WRONG},
    {"no signature", COUNTING, "msg_plumb_0001", "1735787045", BODY_A, NULL, NOW,
     SIGNATURE_MISSING},
    {"no id", COUNTING, NULL, "1735787045", BODY_A, GOOD_A, NOW, SIGNATURE_MISSING},
    {"id with a dot", COUNTING, "msg.1", "1735787045", BODY_A, GOOD_A, NOW, SIGNATURE_MISSING},
    {"no time", COUNTING, "msg_plumb_0001", NULL, BODY_A, GOOD_A, NOW, SIGNATURE_MISSING},
    {"no number", COUNTING, "msg_plumb_0001", "now", BODY_A, GOOD_A, NOW, SIGNATURE_MISSING},
    {"before 1970", COUNTING, "msg_plumb_0001", "-5", BODY_A, GOOD_A, NOW, SIGNATURE_MISSING},
};

static void checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        signature_secret_t secret;
        plumb_err_t err = {0};
        signature_call_t call = {.id = cases[i].id,
                                 .timestamp = cases[i].timestamp,
                                 .signatures = cases[i].signatures,
                                 .body = cases[i].body,
                                 .length = strlen(cases[i].body)};
        if (signature_secret_read(&secret, cases[i].secret, &err) != 0)
            fail_msg("%s: %s", cases[i].name, err.text);
        signature_verdict_t got = signature_check(&secret, &call, cases[i].now);
        if (got != cases[i].want)
            fail_msg("%s: %s, want %s", cases[i].name, signature_word(got),
                     signature_word(cases[i].want));
    }
}

static void refuses_secrets(void **state)
{
    char too_long[6 + 96 + 1] = "whsec_"; /* 72 bytes */
    const char *const bad[] = {"",
                               "whsec_",
                               "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                               "whsec_qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
                               "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=x",
                               "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8-",
                               too_long};
    (void)state;
    memset(too_long + 6, 'A', 96);
    for (size_t i = 0; i < PLUMB_COUNT(bad); i++) {
        signature_secret_t secret;
        plumb_err_t err = {0};
        if (signature_secret_read(&secret, bad[i], &err) != -PLUMB_E_USAGE || secret.length != 0)
            fail_msg("'%s' was taken", bad[i]);
        if (bad[i][0] != '\0' && strstr(err.text, bad[i]) != NULL && strlen(bad[i]) > 6)
            fail_msg("the error repeats the secret: %s", err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checks), cmocka_unit_test(refuses_secrets)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
