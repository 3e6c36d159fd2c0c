/* The core's figures as metrics. */
#include "loop.h"

#include "count.h"
#include "metrics.h"

#include <stdio.h>
#include <string.h>

/* A queue's channel: most are named after one. */
static const char *channel_of(const char *queue)
{
    static const char prefix[] = "integration-";
    return strncmp(queue, prefix, sizeof prefix - 1) == 0 ? queue + sizeof prefix - 1 : queue;
}

static void gauge_queue(void *self, const broker_queue_figures_t *q)
{
    (void)self;
    const char *channel = channel_of(q->name);
    plumb_metric_set(PLUMB_M_QUEUE_WAITING, channel, (int64_t)q->waiting);
    plumb_metric_set(PLUMB_M_QUEUE_ASSIGNED, channel, (int64_t)q->assigned);
    plumb_metric_set(PLUMB_M_QUEUE_OLDEST, channel, (q->oldest_ms + 500) / 1000);
    plumb_metric_set(PLUMB_M_BREAKER_OPEN, channel, (int64_t)q->breakers);
}

void broker_gauges(loop_t *loop)
{
    const broker_counts_t *now = broker_counts(loop->core);
    const broker_counts_t *told = &loop->told;
    const struct {
        plumb_metric_t metric;
        const char *label;
        uint64_t now, told;
    } counters[] = {
        {PLUMB_M_BROKER_JOBS, "taken", now->taken, told->taken},
        {PLUMB_M_BROKER_JOBS, "known", now->known, told->known},
        {PLUMB_M_BROKER_JOBS, "stale", now->stale, told->stale},
        {PLUMB_M_BROKER_JOBS, "refused", now->refused, told->refused},
        {PLUMB_M_BROKER_JOBS, "given_up", now->given_up, told->given_up},
        {PLUMB_M_BROKER_JOBS, "handed_out", now->handed_out, told->handed_out},
        {PLUMB_M_BROKER_JOBS, "returned", now->returned, told->returned},
        {PLUMB_M_BROKER_JOBS, "recalled", now->recalled, told->recalled},
        {PLUMB_M_BROKER_JOBS, "lost", now->lost, told->lost},
        {PLUMB_M_FRAMES_REFUSED, "malformed", now->malformed, told->malformed},
        {PLUMB_M_FRAMES_REFUSED, "type", now->foreign, told->foreign},
        {PLUMB_M_FRAMES_REFUSED, "name", now->misaddressed, told->misaddressed},
    };
    for (size_t i = 0; i < PLUMB_COUNT(counters); i++)
        plumb_metric_add(counters[i].metric, counters[i].label,
                         (int64_t)(counters[i].now - counters[i].told));
    loop->told = *now;
    plumb_metric_set(PLUMB_M_BROKER_HELD, "", broker_held(loop->core));
    plumb_metric_set(PLUMB_M_BROKER_TICKETS, "", (int64_t)broker_tickets(loop->core));
    broker_each_queue(loop->core, gauge_queue, loop);
}
