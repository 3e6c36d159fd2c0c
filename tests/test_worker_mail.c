/* Mail through the host: what is sent, and what each way to fail means. */
#include "fake_smtp.h"
#include "worker_bench.h"

#include "count.h"

static const char *channels(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/tests/channels", getenv("PLUMB_BUILD"));
    return path;
}

static plumb_ticket_t give(bench_t *b, const fake_smtp_t *smtp, const char *extra)
{
    char given[256];
    snprintf(given, sizeof given, "{\"url\":\"smtp://127.0.0.1:%d\"%s}", fake_smtp_port(smtp),
             extra);
    return bench_give(b, "post", "send", given, NULL, TAKE_BEGUN);
}

static void is_sent(void **state)
{
    (void)state;
    char text[1024];
    fake_smtp_t *smtp = fake_smtp_start(NULL, NULL);
    bench_t *b = bench_open(channels(), NULL);
    plumb_ticket_t t = give(b, smtp, ",\"user\":\"u\",\"password\":\"secretword\"");
    bench_until(b, 1, 5000);
    plumb_result_t r = bench_result(b, &t);
    assert_int_equal(r.outcome, PLUMB_OUT_ok);
    assert_int_equal(r.status, 250);
    assert_int_equal(r.requests, 1);
    assert_int_equal(fake_smtp_messages(smtp), 1);
    fake_smtp_text(smtp, text, sizeof text);
    assert_string_equal(text,
                        "Subject: New lead\r\n\r\nA line\r\n..dot at its begin\r\n..\r\nend\r\n");
    json_t *exchange = bench_exchange(b, &r);
    char *shown = json_dumps(exchange, 0);
    assert_null(strstr(shown, "secretword"));
    free(shown);
    json_decref(exchange);
    /* Once more, then HTTP with the same lane: the handle must not remember the other protocol. */
    give(b, smtp, "");
    bench_until(b, 2, 5000);
    assert_int_equal(fake_smtp_messages(smtp), 2);
    bench_close(&b);
    fake_smtp_stop(&smtp);
}

static void fails(void **state)
{
    (void)state;
    static const struct {
        const char *command, *answer;
        plumb_outcome_t outcome;
        int status, messages, requests;
    } rows[] = {
        {"", "", PLUMB_OUT_retry, 0, 0, 0},
        {"", "554 go away", PLUMB_OUT_permanent, 554, 0, 0},
        {"EHLO", "", PLUMB_OUT_retry, -1, 0, 0},
        {"MAIL", "451 later", PLUMB_OUT_retry, 451, 0, 0},
        {"MAIL", "hang", PLUMB_OUT_retry, -1, 0, 0},
        {"RCPT", "550 nobody", PLUMB_OUT_permanent, 550, 0, 0},
        {"RCPT", "", PLUMB_OUT_retry, -1, 0, 0},
        {"DATA", "452 full", PLUMB_OUT_retry, 452, 0, 0},
        {"DATA", "hang", PLUMB_OUT_retry, -1, 0, 0},
        {".", "552 too large", PLUMB_OUT_permanent, 552, 1, 1},
        {".", "451 try again", PLUMB_OUT_retry, 451, 1, 1},
        {".", "hang", PLUMB_OUT_ambiguous, -1, 1, 1}, /* silence after the final dot */
        {".", "", PLUMB_OUT_ambiguous, -1, 1, 1},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        fake_smtp_t *smtp = fake_smtp_start(rows[i].command, rows[i].answer);
        bench_t *b = bench_open(channels(), NULL);
        plumb_ticket_t t = give(b, smtp, ",\"wait_ms\":700"); /* the limit is minutes */
        bench_until(b, 1, 5000);
        plumb_result_t r = bench_result(b, &t);
        if (r.outcome != rows[i].outcome || (rows[i].status >= 0 && r.status != rows[i].status) ||
            fake_smtp_messages(smtp) != rows[i].messages || r.requests != rows[i].requests)
            fail_msg("%s '%s': %s %d '%.*s', %d messages, %d requests", rows[i].command,
                     rows[i].answer, plumb_outcome_name(r.outcome), r.status, (int)r.detail.length,
                     r.detail.data, fake_smtp_messages(smtp), r.requests);
        bench_close(&b);
        fake_smtp_stop(&smtp);
    }
}

static void login_refused(void **state)
{
    (void)state;
    fake_smtp_t *smtp = fake_smtp_start("AUTH", "535 wrong password");
    bench_t *b = bench_open(channels(), NULL);
    plumb_ticket_t t = give(b, smtp, ",\"user\":\"u\",\"password\":\"p\"");
    bench_until(b, 1, 5000);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_credentials);
    assert_int_equal(fake_smtp_messages(smtp), 0);
    bench_close(&b);
    fake_smtp_stop(&smtp);
}

/* The library waits for the final dot's answer without returning: that must not be the loop. */
static void a_slow_server_delays_nobody(void **state)
{
    (void)state;
    fake_smtp_t *smtp = fake_smtp_start(".", "hang");
    bench_t *b = bench_open(channels(), NULL);
    plumb_ticket_t slow = give(b, smtp, ",\"wait_ms\":1500");
    for (int64_t end = plumb_mono_ms() + 5000; fake_smtp_messages(smtp) == 0;) {
        assert_true(plumb_mono_ms() < end);
        bench_turn(b, 5);
    }
    for (int i = 0; i < 20; i++) {
        int64_t began = plumb_mono_ms();
        bench_turn(b, 10);
        assert_true(plumb_mono_ms() - began < 250);
    }
    assert_int_equal(results_count(&b->results), 0);
    bench_until(b, 1, 5000);
    assert_int_equal(bench_result(b, &slow).outcome, PLUMB_OUT_ambiguous);
    bench_close(&b);
    fake_smtp_stop(&smtp);
}

/* A server that takes the mail and then says nothing to QUIT has taken it. */
static void silence_after_quit(void **state)
{
    (void)state;
    fake_smtp_t *smtp = fake_smtp_start("QUIT", "hang");
    bench_t *b = bench_open(channels(), NULL);
    plumb_ticket_t t = give(b, smtp, ",\"wait_ms\":1500");
    bench_until(b, 1, 10000);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_ok);
    bench_close(&b);
    fake_smtp_stop(&smtp);
}

static void cut_while_it_hangs(void **state)
{
    (void)state;
    fake_smtp_t *smtp = fake_smtp_start(".", "hang");
    bench_t *b = bench_open(channels(), NULL);
    plumb_ticket_t t = give(b, smtp, "");
    for (int64_t end = plumb_mono_ms() + 5000; fake_smtp_messages(smtp) == 0;) {
        assert_true(plumb_mono_ms() < end);
        bench_turn(b, 5);
    }
    calls_cut(&b->calls);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_ambiguous);
    bench_close(&b); /* soon, and with nothing left: the sanitizer looks */
    fake_smtp_stop(&smtp);
}

/* The fence stands before the text: what was said before it changes nothing. */
static void fence_before_the_text(void **state)
{
    (void)state;
    fake_smtp_t *smtp = fake_smtp_start(NULL, NULL);
    bench_t *b = bench_open(channels(), NULL);
    give(b, smtp, "");
    bench_lapse(b);
    for (int i = 0; i < 50 && b->calls.first->state == CALL_FLYING; i++)
        bench_turn(b, 20);
    assert_int_equal(b->calls.first->state, CALL_HELD);
    assert_int_equal(fake_smtp_messages(smtp), 0);
    bench_renew(b);
    bench_until(b, 1, 5000);
    assert_int_equal(fake_smtp_messages(smtp), 1);
    bench_close(&b);
    fake_smtp_stop(&smtp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_sent),
                                       cmocka_unit_test(fails),
                                       cmocka_unit_test(login_refused),
                                       cmocka_unit_test(a_slow_server_delays_nobody),
                                       cmocka_unit_test(silence_after_quit),
                                       cmocka_unit_test(cut_while_it_hangs),
                                       cmocka_unit_test(fence_before_the_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
