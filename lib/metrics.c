/* Metrics: series are found without a lock, made under one, and live as long as the process. */
#include "metrics.h"

#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX 256 /* and "other" behind them */
#define LABEL_MAX 128
#define BUCKETS_MAX 16

typedef enum kind { COUNTER, GAUGE, REQUEST, ATTEMPT, LATENCY, BATCH } kind_t;

typedef struct row {
    const char *name, *daemon, *labels, *help;
    kind_t kind;
} row_t;

static const row_t rows[PLUMB_M_COUNT] = {
#define PLUMB_METRIC(id, name_, kind_, daemon_, labels_, help_)                                    \
    [PLUMB_M_##id] = {.name = (name_),                                                             \
                      .kind = kind_,                                                               \
                      .daemon = (daemon_),                                                         \
                      .labels = (labels_),                                                         \
                      .help = (help_)},
#include "metric_table.h"
#undef PLUMB_METRIC
};

/* What a kind is to Prometheus; a histogram's bounds, and how many of what is observed make 1. */
static const struct {
    const char *type;
    double unit;
    unsigned buckets;
    double bounds[BUCKETS_MAX];
} kinds[] = {
    [COUNTER] = {"counter", 1, 0, {0}},
    [GAUGE] = {"gauge", 1, 0, {0}},
    [REQUEST] = {"histogram",
                 1000,
                 12,
                 {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}},
    [ATTEMPT] = {"histogram", 1000, 11, {.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}},
    [LATENCY] = {"histogram",
                 1000,
                 15,
                 {.01, .025, .05, .1, .25, .5, 1, 5, 15, 60, 300, 900, 3600, 21600, 86400}},
    [BATCH] = {"histogram", 1, 11, {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}},
};

typedef struct series {
    char label[LABEL_MAX];
    _Atomic int64_t value;     /* a histogram's sum, in thousandths of what is observed */
    _Atomic uint64_t bucket[]; /* not cumulated; one more than bounds: +Inf */
} series_t;

/* The registry: made by whoever counts first, read by any thread; `lock` is for making only. */
static struct {
    pthread_mutex_t lock;
    struct {
        _Atomic unsigned count;
        series_t *series[SERIES_MAX + 1];
    } metric[PLUMB_M_COUNT];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- series ---- */

static series_t *find(plumb_metric_t metric, const char *label)
{
    unsigned count = atomic_load_explicit(&all.metric[metric].count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++)
        if (strcmp(all.metric[metric].series[i]->label, label) == 0)
            return all.metric[metric].series[i];
    return NULL;
}

static series_t *make(plumb_metric_t metric, const char *label)
{
    unsigned buckets = kinds[rows[metric].kind].buckets;
    unsigned count = atomic_load_explicit(&all.metric[metric].count, memory_order_relaxed);
    series_t *series = calloc(1, sizeof *series + (buckets + 1) * sizeof series->bucket[0]);
    if (series == NULL)
        return NULL;
    memcpy(series->label, label, strlen(label) + 1);
    all.metric[metric].series[count] = series;
    atomic_store_explicit(&all.metric[metric].count, count + 1, memory_order_release);
    return series;
}

static const char *other(plumb_metric_t metric)
{
    return strchr(rows[metric].labels, ',') != NULL ? "other,other" : "other";
}

/* What stands for values that cannot be shown: too long, or no text. */
static const char *fit(plumb_metric_t metric, const char *label)
{
    size_t length = strlen(label);
    return length < LABEL_MAX && plumb_utf8_valid(label, length) ? label : other(metric);
}

/* The series of `label`, made if need be; NULL without memory: then it is not counted. */
static series_t *take(plumb_metric_t metric, const char *label)
{
    series_t *series = find(metric, label);
    if (series != NULL)
        return series;
    label = fit(metric, label);
    pthread_mutex_lock(&all.lock);
    if (atomic_load(&all.metric[metric].count) >= SERIES_MAX)
        label = other(metric);
    series = find(metric, label);
    if (series == NULL)
        series = make(metric, label);
    pthread_mutex_unlock(&all.lock);
    return series;
}

void plumb_metric_add(plumb_metric_t metric, const char *label, int64_t by)
{
    series_t *series = take(metric, label);
    if (series != NULL)
        atomic_fetch_add_explicit(&series->value, by, memory_order_relaxed);
}

void plumb_metric_set(plumb_metric_t metric, const char *label, int64_t value)
{
    series_t *series = take(metric, label);
    if (series != NULL)
        atomic_store_explicit(&series->value, value, memory_order_relaxed);
}

void plumb_metric_observe_ms(plumb_metric_t metric, const char *label, double ms)
{
    series_t *series = take(metric, label);
    kind_t kind = rows[metric].kind;
    unsigned i = 0;
    if (series == NULL)
        return;
    if (!(ms >= 0)) /* also what is no number */
        ms = 0;
    ms = fmin(ms, 1e12); /* the sum stays an integer */
    while (i < kinds[kind].buckets && ms > kinds[kind].bounds[i] * kinds[kind].unit)
        i++;
    atomic_fetch_add_explicit(&series->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->value, (int64_t)(ms * 1000), memory_order_relaxed);
}

/* ---- text ---- */

/* The text in double quotes, as Prometheus escapes it. */
static void write_quoted(plumb_buf_t *out, const char *text, size_t length)
{
    plumb_buf_put(out, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            plumb_buf_text(out, "\\n");
        else if (text[i] == '"' || text[i] == '\\')
            plumb_buf_put(out, (char[]){'\\', text[i]}, 2);
        else
            plumb_buf_put(out, text + i, 1);
    }
    plumb_buf_put(out, "\"", 1);
}

/* Up to the next comma, or all of it where this is the last. */
static size_t piece(const char *text, bool last)
{
    return last ? strlen(text) : strcspn(text, ",");
}

/* `{a="x",b="y",le="1"}`, or nothing; `le` NULL: without. */
static void write_labels(plumb_buf_t *out, const char *names, const char *values, const char *le)
{
    const char *between = "{";
    while (*names != '\0') {
        size_t name = strcspn(names, ",");
        bool last = names[name] == '\0';
        size_t value = piece(values, last);
        plumb_buf_text(out, between);
        plumb_buf_put(out, names, name);
        plumb_buf_text(out, "=");
        write_quoted(out, values, value);
        names += name + !last;
        values += value + (values[value] == ',');
        between = ",";
    }
    if (le != NULL)
        plumb_buf_printf(out, "%sle=\"%s\"", between, le);
    if (*between == ',' || le != NULL)
        plumb_buf_text(out, "}");
}

static void write_histogram(plumb_buf_t *out, const row_t *row, const series_t *series)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= kinds[row->kind].buckets; i++) {
        char le[32] = "+Inf";
        if (i < kinds[row->kind].buckets)
            snprintf(le, sizeof le, "%.10g", kinds[row->kind].bounds[i]);
        sum += atomic_load_explicit(&series->bucket[i], memory_order_relaxed);
        plumb_buf_printf(out, "%s_bucket", row->name);
        write_labels(out, row->labels, series->label, le);
        plumb_buf_printf(out, " %" PRIu64 "\n", sum);
    }
    double thousandths = (double)atomic_load_explicit(&series->value, memory_order_relaxed);
    plumb_buf_printf(out, "%s_sum", row->name);
    write_labels(out, row->labels, series->label, NULL);
    plumb_buf_printf(out, " %.15g\n%s_count", thousandths / 1000 / kinds[row->kind].unit,
                     row->name);
    write_labels(out, row->labels, series->label, NULL);
    plumb_buf_printf(out, " %" PRIu64 "\n", sum);
}

static void write_series(plumb_buf_t *out, const row_t *row, const series_t *series)
{
    if (kinds[row->kind].buckets > 0) {
        write_histogram(out, row, series);
        return;
    }
    plumb_buf_text(out, row->name);
    write_labels(out, row->labels, series->label, NULL);
    plumb_buf_printf(out, " %" PRId64 "\n",
                     atomic_load_explicit(&series->value, memory_order_relaxed));
}

static void write_metric(plumb_buf_t *out, plumb_metric_t metric)
{
    const row_t *row = &rows[metric];
    if (row->labels[0] == '\0') /* present before anything happened */
        take(metric, "");
    unsigned count = atomic_load_explicit(&all.metric[metric].count, memory_order_acquire);
    plumb_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                     kinds[row->kind].type);
    for (unsigned i = 0; i < count; i++)
        write_series(out, row, all.metric[metric].series[i]);
}

void plumb_metrics_write(plumb_buf_t *out, const char *daemon)
{
    for (plumb_metric_t metric = 0; metric < PLUMB_M_COUNT; metric++)
        if (strcmp(rows[metric].daemon, daemon) == 0 || strcmp(rows[metric].daemon, "all") == 0)
            write_metric(out, metric);
}
