/* Metrics: every series one row of metric_table.h; present from the start; labels from closed
 * lists. Counters and gauges are atomics: any thread may change them. */
#ifndef PLUMB_METRICS_H
#define PLUMB_METRICS_H

#include "buf.h"

#include <stdint.h>

typedef enum plumb_metric {
#define PLUMB_METRIC(id, name, kind, daemon, labels, help) PLUMB_M_##id,
#include "metric_table.h"
#undef PLUMB_METRIC
    PLUMB_M_COUNT
} plumb_metric_t;

/* `label` holds the values of the metric's labels, joined by commas ("webhooks,ok"; "" when it has
 * none).  An unknown value makes a new series, up to 256 a metric; beyond that they are gathered
 * under "other". */
void plumb_metric_add(plumb_metric_t metric, const char *label, int64_t by);
void plumb_metric_set(plumb_metric_t metric, const char *label, int64_t value);
/* Histograms take milliseconds; BATCH ones a plain count. */
void plumb_metric_observe_ms(plumb_metric_t metric, const char *label, double ms);

/* Prometheus text of the rows that belong to `daemon` ("all" rows too). */
void plumb_metrics_write(plumb_buf_t *out, const char *daemon);

#endif
