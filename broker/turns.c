/* Whose turn it is in a queue: priorities by weight, accounts by deficit round robin, credentials
 * in turn, first in first out. */
#include "state.h"

#define COST_UNIT 16384 /* an ordinary job costs one turn, a large one as many as it is long */

static const int weights[PLUMB_PRIORITIES] = {
    [PLUMB_HIGH] = 16, [PLUMB_NORMAL] = 4, [PLUMB_LOW] = 1};

static int64_t cost_of(const ticket_t *t)
{
    return 1 + (int64_t)(t->payload->length / COST_UNIT);
}

static int next_priority(const queue_t *queue)
{
    int best = -1;
    for (int p = 0; p < PLUMB_PRIORITIES; p++) {
        if (!bk_list_empty(&queue->rings[p]) &&
            (best < 0 || queue->turn[p] + weights[p] > queue->turn[best] + weights[best]))
            best = p;
    }
    return best;
}

line_t *bk_queue_peek(broker_t *b, queue_t *queue)
{
    (void)b;
    int priority = next_priority(queue);
    if (priority < 0)
        return NULL;
    bk_link_t *head = &queue->rings[priority];
    for (;;) {
        share_t *share = BK_OF(share_t, link, bk_list_first(head));
        line_t *line = BK_OF(line_t, ready, bk_list_first(&share->lines));
        int64_t cost = cost_of(bk_line_first(line));
        if (share->deficit < cost)
            share->deficit++;
        if (share->deficit >= cost)
            return line;
        bk_list_remove(&share->link);
        bk_list_append(head, &share->link);
    }
}

void bk_queue_charge(broker_t *b, line_t *line)
{
    (void)b;
    if (line->ward)
        return;
    queue_t *queue = line->tenant->queue;
    share_t *share = &line->tenant->shares[line->priority];
    for (int p = 0; p < PLUMB_PRIORITIES; p++) {
        if (bk_list_empty(&queue->rings[p]))
            continue;
        queue->turn[p] += weights[p];
        queue->turn[line->priority] -= weights[p];
    }
    share->deficit -= cost_of(bk_line_first(line));
    bk_list_remove(&line->ready);
    bk_list_append(&share->lines, &line->ready);
    bk_list_remove(&share->link);
    bk_list_append(&queue->rings[line->priority], &share->link);
}
