/* Figures for metrics and for the operator. */
#include "state.h"

static const char *const states[] = {
    [BK_QUEUE_OPEN] = "open", [BK_QUEUE_PAUSED] = "paused", [BK_QUEUE_DRAINING] = "draining"};

static size_t breakers_of(const broker_t *b, const queue_t *queue)
{
    size_t open = 0;
    for (bk_node_t *at = bk_table_next(&b->lanes, NULL); at != NULL;
         at = bk_table_next(&b->lanes, at)) {
        const lane_t *lane = BK_OF(const lane_t, node, at);
        open += lane->breaker == BK_OPEN && lane->queue == queue;
    }
    return open;
}

static size_t workers_of(const queue_t *queue)
{
    size_t count = 0;
    for (const bk_link_t *at = queue->served.next; at != &queue->served; at = at->next)
        count++;
    return count;
}

static int64_t oldest_of(const broker_t *b, const queue_t *queue)
{
    const bk_link_t *first = bk_list_first(&queue->arrivals);
    return first == NULL ? 0 : b->now_ms - BK_OF(const ticket_t, arrival, first)->arrived_ms;
}

void broker_each_queue(broker_t *b, broker_queue_fn each, void *self)
{
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at)) {
        const queue_t *queue = BK_OF(const queue_t, node, at);
        broker_queue_figures_t figures = {.name = queue->name,
                                          .state = states[queue->state],
                                          .waiting = queue->waiting + queue->doubted,
                                          .assigned = queue->assigned,
                                          .unacked = queue->unacked,
                                          .breakers = breakers_of(b, queue),
                                          .workers = workers_of(queue),
                                          .oldest_ms = oldest_of(b, queue),
                                          .handed_out = queue->handed_out,
                                          .done = queue->done};
        each(self, &figures);
    }
}

const broker_counts_t *broker_counts(const broker_t *b)
{
    return &b->counts;
}

uint64_t broker_epoch(const broker_t *b)
{
    return b->epoch;
}

int64_t broker_held(const broker_t *b)
{
    return b->held;
}

size_t broker_tickets(const broker_t *b)
{
    return b->tickets.count;
}

size_t broker_workers(const broker_t *b)
{
    return b->peers.count;
}
