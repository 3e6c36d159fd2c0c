/* What an ended transfer means, by what had left the machine. */
#include "outcome.h"

#include "count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        sent_t sent;
        verdict_t verdict;
        const char *detail;
    } rows[] = {
        {"complete",
         {.code = CURLE_OK, .status = 500, .bytes_left = true, .head_complete = true},
         VERDICT_REPLY,
         ""},
        {"name", {.code = CURLE_COULDNT_RESOLVE_HOST}, VERDICT_RETRY, "does not resolve"},
        {"connect", {.code = CURLE_COULDNT_CONNECT}, VERDICT_RETRY, "refuses"},
        {"guard", {.code = CURLE_COULDNT_CONNECT, .refused = true}, VERDICT_RETRY, "not allowed"},
        {"guard at reuse",
         {.code = CURLE_ABORTED_BY_CALLBACK, .refused = true},
         VERDICT_RETRY,
         "not allowed"},
        {"tls", {.code = CURLE_SSL_CONNECT_ERROR}, VERDICT_RETRY, "TLS"},
        {"certificate", {.code = CURLE_PEER_FAILED_VERIFICATION}, VERDICT_RETRY, "not trusted"},
        {"time-out before", {.code = CURLE_OPERATION_TIMEDOUT}, VERDICT_RETRY, "no connection"},
        {"anything before",
         {.code = CURLE_SSL_ENGINE_INITFAILED},
         VERDICT_RETRY,
         "could not be sent"},
        {"fence", {.code = CURLE_ABORTED_BY_CALLBACK, .fenced = true}, VERDICT_AGAIN, ""},
        {"time-out after",
         {.code = CURLE_OPERATION_TIMEDOUT, .bytes_left = true},
         VERDICT_AMBIGUOUS,
         "time-out"},
        {"time-out in a 200",
         {.code = CURLE_OPERATION_TIMEDOUT,
          .bytes_left = true,
          .status = 200,
          .head_complete = true},
         VERDICT_AMBIGUOUS,
         "time-out"},
        {"empty", {.code = CURLE_GOT_NOTHING, .bytes_left = true}, VERDICT_AMBIGUOUS, "without"},
        {"reset", {.code = CURLE_RECV_ERROR, .bytes_left = true}, VERDICT_AMBIGUOUS, "cut"},
        {"send",
         {.code = CURLE_SEND_ERROR, .bytes_left = true},
         VERDICT_AMBIGUOUS,
         "while sending"},
        {"partial",
         {.code = CURLE_PARTIAL_FILE, .bytes_left = true, .status = 200, .head_complete = true},
         VERDICT_AMBIGUOUS,
         "broke off"},
        {"no http",
         {.code = CURLE_WEIRD_SERVER_REPLY, .bytes_left = true},
         VERDICT_AMBIGUOUS,
         "protocol"},
        {"0.9",
         {.code = CURLE_UNSUPPORTED_PROTOCOL, .bytes_left = true},
         VERDICT_AMBIGUOUS,
         "protocol"},
        {"OK without a head",
         {.code = CURLE_OK, .bytes_left = true},
         VERDICT_AMBIGUOUS,
         "broke off"},
        {"repeated",
         {.code = CURLE_ABORTED_BY_CALLBACK, .bytes_left = true, .repeated = true},
         VERDICT_AMBIGUOUS,
         "without an answer"},
        {"longer than we read",
         {.code = CURLE_WRITE_ERROR,
          .bytes_left = true,
          .status = 200,
          .head_complete = true,
          .capped = true},
         VERDICT_REPLY,
         ""},
        {"head too large",
         {.code = CURLE_WRITE_ERROR, .bytes_left = true, .status = 200},
         VERDICT_AMBIGUOUS,
         "too large"},
        {"mail taken",
         {.code = CURLE_OK, .mail = true, .status = 250, .bytes_left = true},
         VERDICT_REPLY,
         ""},
        {"recipient refused",
         {.code = CURLE_SEND_ERROR, .mail = true, .status = 550},
         VERDICT_REPLY,
         ""},
        {"login refused",
         {.code = CURLE_LOGIN_DENIED, .mail = true, .status = 535},
         VERDICT_REPLY,
         ""},
        {"text refused",
         {.code = CURLE_WEIRD_SERVER_REPLY, .mail = true, .status = 552, .bytes_left = true},
         VERDICT_REPLY,
         ""},
        {"before DATA",
         {.code = CURLE_RECV_ERROR, .mail = true, .status = 250},
         VERDICT_RETRY,
         "cut"},
        {"silence after the final dot",
         {.code = CURLE_OPERATION_TIMEDOUT, .mail = true, .status = 354, .bytes_left = true},
         VERDICT_AMBIGUOUS,
         "time-out"},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        const char *detail = NULL;
        verdict_t verdict = outcome_judge(&rows[i].sent, &detail);
        if (verdict != rows[i].verdict || strstr(detail, rows[i].detail) == NULL)
            fail_msg("%s: %d '%s'", rows[i].name, verdict, detail);
        if (verdict == VERDICT_AMBIGUOUS || verdict == VERDICT_RETRY)
            assert_true(detail[0] != '\0');
    }
}

static void retry_after(void **state)
{
    (void)state;
    const int64_t now = 1735787045; /* Thu, 02 Jan 2025 03:04:05 GMT */
    static const struct {
        const char *value;
        int64_t ms;
    } rows[] = {
        {"7", 7000},
        {" 7 ", 7000},
        {"0", 0},
        {"", 0},
        {"-5", 0},
        {"soon", 0},
        {"7s", 0},
        {"1.5", 0},
        {"86400", 86400000},
        {"86401", 86400000},
        {"99999999999999999999999999", 86400000},
        {"Thu, 02 Jan 2025 03:05:05 GMT", 60000},
        {"Thu, 02 Jan 2025 03:04:05 GMT", 0},
        {"Thu, 02 Jan 2020 03:04:05 GMT", 0},
        {"Fri, 02 Jan 2099 03:04:05 GMT", 86400000},
        {"Thursday, 02-Jan-25 03:05:05 GMT", 60000},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++)
        if (outcome_retry_after(rows[i].value, now) != rows[i].ms)
            fail_msg("'%s': %d", rows[i].value, (int)outcome_retry_after(rows[i].value, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(verdicts), cmocka_unit_test(retry_after)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
