/* Metrics: the text Prometheus reads, bounds of labels, and counting from several threads. */
#include "count.h"
#include "golden.h"
#include "metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static plumb_buf_t text;

static const char *shown(const char *daemon)
{
    plumb_buf_clear(&text);
    plumb_metrics_write(&text, daemon);
    assert_false(text.failed);
    return text.data;
}

static void assert_line(const char *daemon, const char *line)
{
    if (strstr(shown(daemon), line) == NULL)
        fail_msg("no '%s' in\n%s", line, text.data);
}

static int release(void **state)
{
    (void)state;
    plumb_buf_fini(&text);
    return 0;
}

/* Before anything happened: each metric has its help, each without labels its zero. */
static void shows_all_from_the_start(void **state)
{
    (void)state;
    golden_text("metrics_tracker.txt", shown("tracker"));
    assert_null(strstr(text.data, "plumb_leads_accepted_total"));
    assert_line("worker", "\n# TYPE plumb_worker_calls gauge\nplumb_worker_calls 0\n");
}

static void counts(void **state)
{
    (void)state;
    plumb_metric_add(PLUMB_M_ATTEMPTS, "webhooks,ok", 2);
    plumb_metric_add(PLUMB_M_ATTEMPTS, "webhooks,retry", 1);
    plumb_metric_add(PLUMB_M_ATTEMPTS, "webhooks,ok", 3);
    plumb_metric_set(PLUMB_M_CALLS, "", 17);
    plumb_metric_set(PLUMB_M_CALLS, "", 12);
    plumb_metric_add(PLUMB_M_CALLS, "", -2);
    assert_line("worker",
                "\nplumb_delivery_attempts_total{channel=\"webhooks\",outcome=\"ok\"} 5\n");
    assert_line("worker",
                "\nplumb_delivery_attempts_total{channel=\"webhooks\",outcome=\"retry\"} 1\n");
    assert_line("worker", "\nplumb_worker_calls 10\n");
}

static void observes(void **state)
{
    (void)state;
    static const double times[] = {0, 9.99, 10, 10.01, 30000, 30001, 1e9, -5, NAN, INFINITY};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        plumb_metric_observe_ms(PLUMB_M_ATTEMPT_SECONDS, "null", times[i]);
    assert_line("worker", "attempt_duration_seconds_bucket{channel=\"null\",le=\"0.01\"} 5\n");
    assert_line("worker", "attempt_duration_seconds_bucket{channel=\"null\",le=\"0.025\"} 6\n");
    assert_line("worker", "attempt_duration_seconds_bucket{channel=\"null\",le=\"10\"} 6\n");
    assert_line("worker", "attempt_duration_seconds_bucket{channel=\"null\",le=\"30\"} 7\n");
    assert_line("worker", "attempt_duration_seconds_bucket{channel=\"null\",le=\"+Inf\"} 10\n");
    assert_line("worker", "attempt_duration_seconds_count{channel=\"null\"} 10\n");
    plumb_metric_observe_ms(PLUMB_M_RESULT_GROUP, "", 3);
    plumb_metric_observe_ms(PLUMB_M_RESULT_GROUP, "", 512);
    assert_line("tracker", "plumb_result_group_bucket{le=\"4\"} 1\n");
    assert_line("tracker", "plumb_result_group_bucket{le=\"512\"} 2\n");
    assert_line("tracker", "plumb_result_group_sum 515\n");
    plumb_metric_observe_ms(PLUMB_M_DELIVERY_LATENCY, "null", 1500);
    assert_line("tracker", "plumb_delivery_latency_seconds_sum{channel=\"null\"} 1.5\n");
    assert_line("tracker",
                "plumb_delivery_latency_seconds_bucket{channel=\"null\",le=\"86400\"} 1\n");
}

static void escapes_labels(void **state)
{
    (void)state;
    char long_label[300];
    memset(long_label, 'x', sizeof long_label - 1);
    long_label[sizeof long_label - 1] = '\0';
    plumb_metric_add(PLUMB_M_LEADS_REJECTED, "a\"b\\c\nd", 1);
    plumb_metric_add(PLUMB_M_LEADS_REJECTED, "one,two", 1);
    plumb_metric_add(PLUMB_M_LEADS_REJECTED, "", 1);
    plumb_metric_add(PLUMB_M_LEADS_REJECTED, "\xff", 1);
    plumb_metric_add(PLUMB_M_LEADS_REJECTED, long_label, 1);
    plumb_metric_add(PLUMB_M_HTTP_ANSWERS, "/leads", 1);
    assert_line("ingest", "\nplumb_leads_rejected_total{reason=\"a\\\"b\\\\c\\nd\"} 1\n");
    assert_line("ingest", "\nplumb_leads_rejected_total{reason=\"one,two\"} 1\n");
    assert_line("ingest", "\nplumb_leads_rejected_total{reason=\"\"} 1\n");
    assert_line("ingest", "\nplumb_leads_rejected_total{reason=\"other\"} 2\n");
    assert_line("ingest", "\nplumb_http_answers_total{route=\"/leads\",status=\"\"} 1\n");
}

static void bounds_series(void **state)
{
    (void)state;
    unsigned lines = 0;
    for (int i = 0; i < 1000; i++) {
        char label[32];
        snprintf(label, sizeof label, "%d,200", i);
        plumb_metric_observe_ms(PLUMB_M_HTTP_SECONDS, label, 1);
        plumb_metric_add(PLUMB_M_DB_ERRORS, label, 1);
    }
    assert_line("ingest", "\nplumb_database_errors_total{code=\"255,200\"} 1\n");
    assert_line("ingest", "\nplumb_database_errors_total{code=\"other\"} 744\n");
    assert_line("ingest", "_count{method=\"other\",route=\"other\"} 744\n");
    for (const char *at = text.data; (at = strstr(at, "\nplumb_database_errors_total{")); at++)
        lines++;
    assert_int_equal(lines, 257);
}

#define THREADS 4
#define TIMES 20000

static void *count_much(void *self)
{
    for (int i = 0; i < TIMES; i++) {
        char label[16];
        snprintf(label, sizeof label, "q%d", i % 20);
        plumb_metric_add(PLUMB_M_QUEUE_WAITING, label, 1);
        plumb_metric_observe_ms(PLUMB_M_COMMIT_SECONDS, "", 1);
    }
    return self;
}

static void counts_from_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
    shown("broker"); /* reads meanwhile */
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_line("broker", "\nplumb_queue_waiting{channel=\"q19\"} 4000\n");
    assert_line("ingest", "\nplumb_commit_duration_seconds_count 80000\n");
    assert_line("ingest", "\nplumb_commit_duration_seconds_sum 80\n");
}

/* ---- docs/metrics.md, made from the table ---- */

static const struct {
    const char *name, *kind, *daemon, *labels, *help;
} rows[] = {
#define PLUMB_METRIC(id, name_, kind_, daemon_, labels_, help_)                                    \
    {.name = (name_), .kind = #kind_, .daemon = (daemon_), .labels = (labels_), .help = (help_)},
#include "metric_table.h"
#undef PLUMB_METRIC
};

static const char page_head[] =
    "# Metrics\n\n"
    "What `/metrics` of each daemon shows: `curl --unix-socket <run_dir>/<name>.http "
    "http://x/metrics`, and ingest's port.\n"
    "This page is made from `lib/metric_table.h`: `PLUMB_GOLDEN=write make test ARGS=\"-R "
    "metrics\"`.\n\n"
    "- Series without labels are there from the start; others from their first value.\n"
    "- Labels come from short closed lists: channel, outcome, reason, state, route. Beyond 256 "
    "values of a metric the rest is\n  counted as `other`.\n"
    "- Histograms, in seconds: REQUEST 1 ms to 5 s, ATTEMPT 10 ms to 30 s, LATENCY 10 ms to a "
    "day; BATCH counts 1 to 1,024.\n";

static void write_table(plumb_buf_t *out, const char *title, const char *daemon)
{
    plumb_buf_printf(out, "\n## %s\n\n| metric | kind | labels | what |\n|---|---|---|---|\n",
                     title);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++)
        if (strcmp(rows[i].daemon, daemon) == 0)
            plumb_buf_printf(out, "| `%s` | %s | %s | %s |\n", rows[i].name, rows[i].kind,
                             rows[i].labels, rows[i].help);
}

static void is_documented(void **state)
{
    (void)state;
    static const char *const daemons[][2] = {{"Every daemon", "all"},
                                             {"ingest", "ingest"},
                                             {"broker", "broker"},
                                             {"worker", "worker"},
                                             {"tracker", "tracker"}};
    plumb_buf_clear(&text);
    plumb_buf_text(&text, page_head);
    for (size_t i = 0; i < PLUMB_COUNT(daemons); i++)
        write_table(&text, daemons[i][0], daemons[i][1]);
    golden_text("../../docs/metrics.md", text.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_all_from_the_start),
        cmocka_unit_test(counts),
        cmocka_unit_test(observes),
        cmocka_unit_test(escapes_labels),
        cmocka_unit_test(bounds_series),
        cmocka_unit_test(counts_from_threads),
        cmocka_unit_test(is_documented),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
