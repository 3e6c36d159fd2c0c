/* Queues, the accounts in them, and the lines of jobs of one credential each.
 *
 * Rings hold only what may really go.  What may not (no call left for the credential, breaker,
 * throttle, account at its share of the workers) leaves its ring and comes back by a refresh when
 * that changes, so nothing is searched. */
#include "state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TENANT_PART 4 /* an account may hold a quarter of the calls of a queue's workers */
#define PAUSED_PART 8 /* of the memory may stay with a queue that does not move */

/* --- queues --- */

static bool same_name(const bk_node_t *node, const void *key)
{
    const queue_t *queue = BK_OF(const queue_t, node, node);
    const plumb_slice_t *name = key;
    return strlen(queue->name) == name->length &&
           memcmp(queue->name, name->data, name->length) == 0;
}

queue_t *bk_queue_find(const broker_t *b, plumb_slice_t name)
{
    uint64_t hash = bk_hash(b->hash_seed, name.data, name.length);
    bk_node_t *node = bk_table_find(&b->queues, hash, same_name, &name);
    return node == NULL ? NULL : BK_OF(queue_t, node, node);
}

void bk_queue_free(broker_t *b, queue_t *queue)
{
    for (bk_node_t *at = bk_table_next(&b->lanes, NULL); at != NULL;
         at = bk_table_next(&b->lanes, at)) {
        lane_t *lane = BK_OF(lane_t, node, at);
        if (lane->queue == queue)
            lane->queue = NULL;
    }
    bk_list_remove(&queue->ready);
    bk_table_remove(&b->queues, &queue->node);
    free(queue);
}

/* Room for one more name: one that is not used goes. */
static bool make_room(broker_t *b)
{
    if (b->queues.count < BK_QUEUES_MAX)
        return true;
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at)) {
        queue_t *queue = BK_OF(queue_t, node, at);
        if (queue->refs == 0 && queue->state == b->initial) {
            bk_queue_free(b, queue);
            return true;
        }
    }
    return false;
}

queue_t *bk_queue_get(broker_t *b, plumb_slice_t name)
{
    queue_t *queue = bk_queue_find(b, name);
    if (queue != NULL || !make_room(b))
        return queue;
    queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return NULL;
    memcpy(queue->name, name.data, name.length);
    queue->state = b->initial;
    queue->unserved_ms = b->now_ms;
    bk_list_init(&queue->tenants);
    bk_list_init(&queue->ward);
    bk_list_init(&queue->served);
    bk_list_init(&queue->arrivals);
    for (int p = 0; p < PLUMB_PRIORITIES; p++)
        bk_list_init(&queue->rings[p]);
    bk_table_add(&b->queues, &queue->node, bk_hash(b->hash_seed, name.data, name.length));
    return queue;
}

void bk_queue_unref(broker_t *b, queue_t *queue)
{
    (void)b;
    queue->refs--;
}

bool bk_queue_closed(const broker_t *b, const queue_t *queue)
{
    return queue->state != BK_QUEUE_OPEN ||
           (bk_list_empty(&queue->served) &&
            b->now_ms - queue->unserved_ms >= b->set.worker_dead_ms);
}

/* --- rings --- */

static void ring(bk_link_t *head, bk_link_t *link, bool in)
{
    if (in && !bk_linked(link))
        bk_list_append(head, link);
    else if (!in)
        bk_list_remove(link);
}

static void refresh_queue(broker_t *b, queue_t *queue)
{
    bool any = !bk_list_empty(&queue->ward);
    if (!any && queue->reserved != NULL) {
        queue->reserved->reserved = NULL;
        queue->reserved = NULL;
    }
    if (!any)
        queue->ward_ms = 0;
    else if (queue->ward_ms == 0)
        queue->ward_ms = b->now_ms;
    for (int p = 0; p < PLUMB_PRIORITIES; p++)
        any = any || !bk_list_empty(&queue->rings[p]);
    ring(&b->ready, &queue->ready, any && queue->state != BK_QUEUE_PAUSED);
}

static bool tenant_may(const tenant_t *tenant)
{
    size_t most = tenant->queue->credit / TENANT_PART;
    return tenant->assigned < (most > 0 ? most : 1);
}

static void refresh_share(tenant_t *tenant, int priority)
{
    share_t *share = &tenant->shares[priority];
    ring(&tenant->queue->rings[priority], &share->link,
         !bk_list_empty(&share->lines) && tenant_may(tenant));
}

void bk_tenant_refresh(broker_t *b, tenant_t *tenant)
{
    for (int p = 0; p < PLUMB_PRIORITIES; p++)
        refresh_share(tenant, p);
    refresh_queue(b, tenant->queue);
}

void bk_line_refresh(broker_t *b, line_t *line)
{
    tenant_t *tenant = line->tenant;
    bool may = !bk_list_empty(&line->tickets) && line->blocked_by == NULL &&
               bk_lane_may(b, line->lane, line);
    bk_link_t *head = line->ward ? &tenant->queue->ward : &tenant->shares[line->priority].lines;
    if (may == bk_linked(&line->ready))
        return;
    ring(head, &line->ready, may);
    refresh_share(tenant, (int)line->priority);
    refresh_queue(b, tenant->queue);
}

void bk_queue_credit(broker_t *b, queue_t *queue)
{
    size_t credit = 0;
    for (bk_link_t *at = queue->served.next; at != &queue->served; at = at->next)
        credit += BK_OF(served_t, in_queue, at)->peer->credit;
    if (credit == queue->credit)
        return;
    queue->credit = credit;
    for (bk_link_t *at = queue->tenants.next; at != &queue->tenants; at = at->next)
        bk_tenant_refresh(b, BK_OF(tenant_t, in_queue, at));
}

/* --- accounts and lines --- */

typedef struct tenant_key {
    const queue_t *queue;
    const plumb_uuid_t *account;
} tenant_key_t;

static bool same_tenant(const bk_node_t *node, const void *key)
{
    const tenant_t *tenant = BK_OF(const tenant_t, node, node);
    const tenant_key_t *want = key;
    return tenant->queue == want->queue &&
           memcmp(tenant->account.b, want->account->b, sizeof tenant->account.b) == 0;
}

static tenant_t *tenant_get(broker_t *b, queue_t *queue, const plumb_uuid_t *account)
{
    tenant_key_t key = {queue, account};
    uint64_t hash = bk_hash(b->hash_seed ^ queue->node.hash, account->b, sizeof account->b);
    bk_node_t *node = bk_table_find(&b->tenants, hash, same_tenant, &key);
    if (node != NULL)
        return BK_OF(tenant_t, node, node);
    tenant_t *tenant = calloc(1, sizeof *tenant);
    if (tenant == NULL)
        return NULL;
    tenant->queue = queue;
    tenant->account = *account;
    for (int p = 0; p < PLUMB_PRIORITIES; p++) {
        tenant->shares[p].tenant = tenant;
        bk_list_init(&tenant->shares[p].lines);
    }
    bk_list_append(&queue->tenants, &tenant->in_queue);
    bk_table_add(&b->tenants, &tenant->node, hash);
    return tenant;
}

static void tenant_put(broker_t *b, tenant_t *tenant)
{
    if (tenant->lines > 0)
        return;
    for (int p = 0; p < PLUMB_PRIORITIES; p++)
        bk_list_remove(&tenant->shares[p].link);
    refresh_queue(b, tenant->queue);
    bk_list_remove(&tenant->in_queue);
    bk_table_remove(&b->tenants, &tenant->node);
    free(tenant);
}

static line_t *line_find(const lane_t *lane, const tenant_t *tenant, const plumb_job_t *job)
{
    for (bk_link_t *at = lane->lines.next; at != &lane->lines; at = at->next) {
        line_t *line = BK_OF(line_t, in_lane, at);
        if (line->tenant == tenant && line->priority == job->priority &&
            line->ward == (job->crashes > 0))
            return line;
    }
    return NULL;
}

line_t *bk_line_get(broker_t *b, queue_t *queue, const plumb_job_t *job, lane_t *lane)
{
    tenant_t *tenant = tenant_get(b, queue, &job->account);
    if (tenant == NULL)
        return NULL;
    line_t *line = line_find(lane, tenant, job);
    if (line == NULL)
        line = calloc(1, sizeof *line);
    if (line == NULL) {
        tenant_put(b, tenant);
        return NULL;
    }
    if (line->jobs++ > 0)
        return line;
    line->tenant = tenant;
    line->lane = lane;
    line->priority = job->priority;
    line->ward = job->crashes > 0;
    bk_list_init(&line->tickets);
    tenant->lines++;
    bk_list_append(&lane->lines, &line->in_lane);
    bk_list_remove(&lane->idle);
    return line;
}

void bk_line_unref(broker_t *b, line_t *line)
{
    if (--line->jobs > 0)
        return;
    lane_t *lane = line->lane;
    tenant_t *tenant = line->tenant;
    bk_list_remove(&line->waiter);
    bk_list_remove(&line->ready);
    bk_list_remove(&line->in_lane);
    if (bk_list_empty(&lane->lines)) {
        lane->idle_ms = b->now_ms;
        bk_list_append(&b->idle_lanes, &lane->idle);
    }
    tenant->lines--;
    refresh_share(tenant, (int)line->priority);
    refresh_queue(b, tenant->queue);
    free(line);
    tenant_put(b, tenant);
}

ticket_t *bk_line_first(const line_t *line)
{
    bk_link_t *first = bk_list_first(&line->tickets);
    return first == NULL ? NULL : BK_OF(ticket_t, place, first);
}

/* Where `seq` belongs: at the end for what just came, near the front for what comes back. */
static bk_link_t *place_for(bk_link_t *head, uint64_t seq, size_t offset)
{
    bk_link_t *at = head->prev;
    if (at == head || ((ticket_t *)(void *)((char *)at - offset))->seq < seq)
        return at;
    for (at = head; at->next != head; at = at->next) {
        if (((ticket_t *)(void *)((char *)at->next - offset))->seq > seq)
            break;
    }
    return at;
}

static void refresh_after_change(broker_t *b, line_t *line)
{
    if (line->lane->breaker == BK_HALF_OPEN)
        bk_lane_refresh(b, line->lane); /* another line may be the oldest now */
    else
        bk_line_refresh(b, line);
}

void bk_line_insert(broker_t *b, line_t *line, ticket_t *t)
{
    queue_t *queue = line->tenant->queue;
    bk_list_insert(place_for(&line->tickets, t->seq, offsetof(ticket_t, place)), &t->place);
    bk_list_insert(place_for(&queue->arrivals, t->seq, offsetof(ticket_t, arrival)), &t->arrival);
    queue->waiting++;
    queue->bytes += bk_job_bytes(t->payload->length);
    refresh_after_change(b, line);
}

void bk_line_remove(broker_t *b, ticket_t *t)
{
    line_t *line = t->payload->line;
    queue_t *queue = line->tenant->queue;
    bk_list_remove(&t->place);
    bk_list_remove(&t->arrival);
    queue->waiting--;
    queue->bytes -= bk_job_bytes(t->payload->length);
    if (bk_list_empty(&line->tickets) && line->blocked_by != NULL) {
        bk_list_remove(&line->waiter);
        line->blocked_by = NULL;
    }
    refresh_after_change(b, line);
}

/* --- what does not move gives its room to others: its jobs wait in the tables --- */

void bk_line_spill(broker_t *b, line_t *line)
{
    bk_link_t *at = line->tickets.next;
    for (int kept = 0; kept < BK_KEEP_BLOCKED && at != &line->tickets; kept++)
        at = at->next;
    while (at != &line->tickets) {
        ticket_t *t = BK_OF(ticket_t, place, at);
        at = at->next;
        bk_ticket_move(b, t, BK_GIVEN_UP, NULL);
    }
}

void bk_queue_spill(broker_t *b, queue_t *queue)
{
    while (queue->bytes > b->set.memory / PAUSED_PART) {
        bk_ticket_move(b, BK_OF(ticket_t, arrival, queue->arrivals.prev), BK_GIVEN_UP, NULL);
    }
}

void bk_queue_set(broker_t *b, queue_t *queue, queue_state_t state)
{
    queue->state = state;
    b->beacon_wanted = true;
    refresh_queue(b, queue);
    if (state == BK_QUEUE_PAUSED)
        bk_queue_spill(b, queue);
}

void bk_queues_sweep(broker_t *b)
{
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at)) {
        queue_t *queue = BK_OF(queue_t, node, at);
        if (bk_queue_closed(b, queue) && queue->state != BK_QUEUE_DRAINING)
            bk_queue_spill(b, queue);
    }
}
