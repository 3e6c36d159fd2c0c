/* Hand jobs to workers that have credit. */
#include "state.h"

#define WARD_PATIENCE_MS 2000 /* before a worker is emptied for a blamed job */
#define WARD_RESERVE_MAX_MS 60000

/* The throttle key that holds the job up longest; NULL: it may go. */
static throttle_t *held_by(const broker_t *b, const payload_t *payload)
{
    throttle_t *by = NULL;
    int64_t longest_us = 0;
    for (unsigned i = 0; i < payload->throttle_count; i++) {
        int64_t wait_us = bk_throttle_wait_us(b, payload->throttles[i]);
        if (wait_us > longest_us) {
            longest_us = wait_us;
            by = payload->throttles[i];
        }
    }
    return by;
}

/* May the line's first job go, as far as throttles are concerned?  If not, it waits at the key. */
static bool pass_throttles(broker_t *b, line_t *line)
{
    throttle_t *by = held_by(b, bk_line_first(line)->payload);
    if (by == NULL)
        return true;
    bk_throttle_block(b, by, line);
    bk_line_refresh(b, line);
    if (by->hold_ms - b->now_ms >= b->set.epoch_dead_ms)
        bk_line_spill(b, line);
    return false;
}

static bool give(broker_t *b, line_t *line, peer_t *peer)
{
    ticket_t *t = bk_line_first(line);
    payload_t *payload = t->payload;
    if (!b->ports.to_worker(b->ports.self, peer->slot, payload->frame, payload->length)) {
        peer->unreachable = true;
        return false;
    }
    bk_queue_charge(b, line);
    for (unsigned i = 0; i < payload->throttle_count; i++)
        bk_throttle_charge(b, payload->throttles[i]);
    t->queue->handed_out++;
    b->counts.handed_out++;
    bk_ticket_move(b, t, BK_ASSIGNED, peer);
    return true;
}

/* --- jobs blamed for a crash: each goes to a worker that has nothing else --- */

static void release(broker_t *b, queue_t *queue)
{
    peer_t *peer = queue->reserved;
    if (peer == NULL)
        return;
    queue->reserved = NULL;
    peer->reserved = NULL;
    peer->free_ms = b->now_ms + 9 * (b->now_ms - peer->reserved_ms); /* others lose a tenth */
}

static bool can_take_alone(const broker_t *b, const served_t *served)
{
    const peer_t *peer = served->peer;
    return peer->assigned == 0 && peer->credit > 0 &&
           (peer->reserved == NULL || peer->reserved == served->queue) && bk_peer_fit(b, served);
}

/* Empty the worker that has least to do: it gets nothing until the blamed job was there. */
static void reserve(broker_t *b, queue_t *queue)
{
    peer_t *best = NULL;
    for (bk_link_t *at = queue->served.next; at != &queue->served; at = at->next) {
        const served_t *served = BK_OF(const served_t, in_queue, at);
        peer_t *peer = served->peer;
        if (peer->reserved == NULL && !peer->alone && peer->credit > 0 &&
            peer->free_ms <= b->now_ms && bk_peer_fit(b, served) &&
            (best == NULL || peer->assigned < best->assigned))
            best = peer;
    }
    if (best == NULL)
        return;
    best->reserved = queue;
    best->reserved_ms = b->now_ms;
    queue->reserved = best;
    bk_event(b, BROKER_WORKER_RESERVED, best->slot, 0);
}

static peer_t *pick_alone(broker_t *b, queue_t *queue)
{
    for (bk_link_t *at = queue->served.next; at != &queue->served; at = at->next) {
        const served_t *served = BK_OF(const served_t, in_queue, at);
        if (can_take_alone(b, served))
            return served->peer;
    }
    if (queue->reserved != NULL) {
        if (b->now_ms - queue->reserved->reserved_ms > WARD_RESERVE_MAX_MS)
            release(b, queue);
    } else if (b->now_ms - queue->ward_ms >= WARD_PATIENCE_MS) {
        reserve(b, queue);
    }
    return NULL;
}

static bool from_ward(broker_t *b, queue_t *queue)
{
    while (!bk_list_empty(&queue->ward)) {
        line_t *line = BK_OF(line_t, ready, bk_list_first(&queue->ward));
        if (!pass_throttles(b, line))
            continue;
        peer_t *peer = pick_alone(b, queue);
        if (peer == NULL)
            return false;
        bool was_reserved = peer->reserved != NULL;
        if (!give(b, line, peer))
            return true; /* not reachable after all: another? */
        if (!was_reserved)
            peer->reserved_ms = b->now_ms;
        peer->alone = true;
        queue->ward_ms = bk_list_empty(&queue->ward) ? 0 : b->now_ms;
        if (queue->reserved == peer) {
            queue->reserved = NULL;
            peer->reserved = NULL;
        }
        return true;
    }
    return false;
}

/* --- all others --- */

static bool from_rings(broker_t *b, queue_t *queue)
{
    peer_t *peer = bk_peer_pick(b, queue);
    if (peer == NULL)
        return false;
    for (line_t *line = bk_queue_peek(b, queue); line != NULL; line = bk_queue_peek(b, queue)) {
        if (!pass_throttles(b, line))
            continue;
        give(b, line, peer); /* else the worker is marked, and another round finds the next */
        return true;
    }
    return false;
}

/* The next queue in turn for which a worker may have room. */
static queue_t *next_queue(broker_t *b)
{
    for (bk_link_t *at = b->ready.next; at != &b->ready; at = at->next) {
        queue_t *queue = BK_OF(queue_t, ready, at);
        if (queue->stuck != b->round) {
            bk_list_remove(&queue->ready);
            bk_list_append(&b->ready, &queue->ready);
            return queue;
        }
    }
    return NULL;
}

void bk_hand_out(broker_t *b)
{
    if (b->mode != BK_RUNS || b->stopping)
        return;
    b->round++;
    for (queue_t *queue = next_queue(b); queue != NULL; queue = next_queue(b)) {
        if (!from_ward(b, queue) && !from_rings(b, queue))
            queue->stuck = b->round;
    }
}
