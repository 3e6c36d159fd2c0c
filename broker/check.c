/* What must hold between any two calls.  The core never looks at itself; tests and the simulator
 * do, after each of their steps. */
#include "state.h"

#include <inttypes.h>

typedef struct tally {
    size_t waiting, assigned, done, payloads;
    int64_t bytes;
    const ticket_t *waits; /* the last looked at */
} tally_t;

static size_t length_of(const bk_link_t *head)
{
    size_t length = 0;
    for (const bk_link_t *at = head->next; at != head; at = at->next)
        length++;
    return length;
}

static bool holds_payload(const ticket_t *t)
{
    return t->phase == BK_WAITING || t->phase == BK_ASSIGNED || t->phase == BK_DOUBT;
}

static int check_ticket(const broker_t *b, const ticket_t *t, tally_t *tally, plumb_err_t *err)
{
    bool with_peer = t->phase == BK_ASSIGNED || t->phase == BK_DONE;
    tally->bytes += bk_ticket_bytes();
    if (t->phase == BK_NEW || t->phase >= BK_PHASES)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "a ticket in phase %u", t->phase);
    if (t->payload != NULL && !holds_payload(t))
        return plumb_err_set(err, PLUMB_E_INTERNAL, "phase %u keeps its job", t->phase);
    if ((t->peer != NULL) != with_peer)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "phase %u and its worker", t->phase);
    if (bk_linked(&t->place) != (with_peer || t->phase == BK_WAITING) ||
        bk_linked(&t->arrival) != (t->phase == BK_WAITING))
        return plumb_err_set(err, PLUMB_E_INTERNAL, "phase %u in a wrong list", t->phase);
    if (bk_linked(&t->alarm) == (t->phase == BK_WAITING))
        return plumb_err_set(err, PLUMB_E_INTERNAL, "phase %u and its alarm", t->phase);
    if (t->phase == BK_WAITING && t->payload == NULL)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "nothing of what waits");
    if (t->payload != NULL && t->queue == NULL)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "a job of no queue");
    if (b->stopping && t->phase == BK_WAITING)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "a job waits while we stop");
    tally->waiting += t->phase == BK_WAITING;
    tally->assigned += t->phase == BK_ASSIGNED;
    tally->done += t->phase == BK_DONE;
    if (t->payload != NULL) {
        tally->payloads++;
        tally->bytes += bk_job_bytes(t->payload->length);
    }
    return 0;
}

static int check_line(const broker_t *b, const line_t *line, tally_t *tally, plumb_err_t *err)
{
    uint64_t seq = 0;
    for (const bk_link_t *at = line->tickets.next; at != &line->tickets; at = at->next) {
        const ticket_t *t = BK_OF(const ticket_t, place, at);
        if (t->phase != BK_WAITING || t->payload->line != line || t->seq <= seq)
            return plumb_err_set(err, PLUMB_E_INTERNAL, "a line out of order");
        seq = t->seq;
        tally->waiting++;
    }
    bool may = seq != 0 && line->blocked_by == NULL && bk_lane_may(b, line->lane, line);
    if (bk_linked(&line->ready) != may)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "a line that may%s go is%s ready",
                             may ? "" : " not", may ? " not" : "");
    tally->payloads += line->jobs;
    return 0;
}

/* A hold that has just run out opens its lane at the next step only; so do lines. */
static bool is_due(const broker_t *b, const lane_t *lane)
{
    return lane->timer.place != 0 && lane->timer.due_ms <= b->now_ms;
}

static int check_lanes(const broker_t *b, tally_t *tally, plumb_err_t *err)
{
    for (bk_node_t *at = bk_table_next(&b->lanes, NULL); at != NULL;
         at = bk_table_next(&b->lanes, at)) {
        const lane_t *lane = BK_OF(const lane_t, node, at);
        size_t before = tally->payloads;
        for (const bk_link_t *l = lane->lines.next; l != &lane->lines; l = l->next) {
            if (!is_due(b, lane) && check_line(b, BK_OF(const line_t, in_lane, l), tally, err) < 0)
                return -err->code;
        }
        if (bk_list_empty(&lane->lines) != bk_linked(&lane->idle))
            return plumb_err_set(err, PLUMB_E_INTERNAL, "a lane is idle with jobs, or not without");
        if (lane->inflight > tally->payloads - before && !is_due(b, lane))
            return plumb_err_set(err, PLUMB_E_INTERNAL, "a lane with %u calls of %zu jobs",
                                 lane->inflight, tally->payloads - before);
        if (lane->limit < 1 ||
            (lane->limit > b->set.destination_max && lane->limit > b->set.destination_start))
            return plumb_err_set(err, PLUMB_E_INTERNAL, "a lane may make %u calls", lane->limit);
        if (lane->bytes < 0 || (bk_list_empty(&lane->lines) && lane->bytes != 0))
            return plumb_err_set(err, PLUMB_E_INTERNAL, "a lane weighs %" PRId64, lane->bytes);
    }
    return 0;
}

static int check_peers(const broker_t *b, tally_t *tally, plumb_err_t *err)
{
    for (bk_node_t *at = bk_table_next(&b->peers, NULL); at != NULL;
         at = bk_table_next(&b->peers, at)) {
        const peer_t *peer = BK_OF(const peer_t, node, at);
        size_t jobs = length_of(&peer->jobs);
        if (jobs != peer->assigned)
            return plumb_err_set(err, PLUMB_E_INTERNAL, "%s has %zu jobs, counted %zu", peer->slot,
                                 jobs, peer->assigned);
        if (peer->reserved != NULL && peer->reserved->reserved != peer)
            return plumb_err_set(err, PLUMB_E_INTERNAL, "%s is reserved for nobody", peer->slot);
        tally->assigned += jobs;
        tally->done += length_of(&peer->done);
    }
    return 0;
}

static int check_queues(const broker_t *b, tally_t *tally, plumb_err_t *err)
{
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at)) {
        const queue_t *queue = BK_OF(const queue_t, node, at);
        if (length_of(&queue->arrivals) != queue->waiting)
            return plumb_err_set(err, PLUMB_E_INTERNAL, "%s counts %zu that wait", queue->name,
                                 queue->waiting);
        tally->waiting += queue->waiting;
        size_t assigned = 0;
        for (const bk_link_t *l = queue->tenants.next; l != &queue->tenants; l = l->next)
            assigned += BK_OF(const tenant_t, in_queue, l)->assigned;
        if (assigned != queue->assigned)
            return plumb_err_set(err, PLUMB_E_INTERNAL, "%s counts %zu assigned, accounts %zu",
                                 queue->name, queue->assigned, assigned);
        bool any = !bk_list_empty(&queue->ward);
        for (int p = 0; p < PLUMB_PRIORITIES; p++)
            any = any || !bk_list_empty(&queue->rings[p]);
        if (bk_linked(&queue->ready) != (any && queue->state != BK_QUEUE_PAUSED))
            return plumb_err_set(err, PLUMB_E_INTERNAL, "%s and its ring", queue->name);
    }
    return 0;
}

int broker_check(const broker_t *b, plumb_err_t *err)
{
    tally_t tickets = {0};
    tally_t lists = {0};
    for (bk_node_t *at = bk_table_next(&b->tickets, NULL); at != NULL;
         at = bk_table_next(&b->tickets, at)) {
        if (check_ticket(b, BK_OF(const ticket_t, node, at), &tickets, err) < 0)
            return -err->code;
    }
    if (tickets.bytes != b->held)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "tickets weigh %" PRId64 ", counted %" PRId64,
                             tickets.bytes, b->held);
    if (check_peers(b, &lists, err) < 0 || check_queues(b, &lists, err) < 0)
        return -err->code;
    if (lists.assigned != tickets.assigned || lists.done != tickets.done ||
        lists.waiting != tickets.waiting)
        return plumb_err_set(err, PLUMB_E_INTERNAL, "waiting %zu/%zu assigned %zu/%zu done %zu/%zu",
                             tickets.waiting, lists.waiting, tickets.assigned, lists.assigned,
                             tickets.done, lists.done);
    lists = (tally_t){0};
    return check_lanes(b, &lists, err);
}
