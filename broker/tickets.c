/* What is known of one attempt of one delivery, from its job's arrival to the tracker's ack.
 *
 * A ticket is in one phase; bk_ticket_move is the only way from one to another, so that counts,
 * rings and memory always agree with it (check.c). */
#include "state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const broker_t *b, const plumb_ticket_t *id)
{
    return bk_hash(b->hash_seed + id->attempt, id->delivery.b, sizeof id->delivery.b);
}

static bool same(const bk_node_t *node, const void *key)
{
    const ticket_t *t = BK_OF(const ticket_t, node, node);
    const plumb_ticket_t *id = key;
    return t->id.attempt == id->attempt &&
           memcmp(t->id.delivery.b, id->delivery.b, sizeof id->delivery.b) == 0;
}

ticket_t *bk_ticket_find(const broker_t *b, const plumb_ticket_t *id)
{
    bk_node_t *node = bk_table_find(&b->tickets, hash_of(b, id), same, id);
    return node == NULL ? NULL : BK_OF(ticket_t, node, node);
}

ticket_t *bk_ticket_new(broker_t *b, const plumb_ticket_t *id)
{
    ticket_t *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->id = *id;
    t->seq = ++b->seq;
    t->arrived_ms = b->now_ms;
    bk_table_add(&b->tickets, &t->node, hash_of(b, id));
    bk_memory_add(b, NULL, bk_ticket_bytes());
    return t;
}

static void drop_payload(broker_t *b, ticket_t *t)
{
    payload_t *payload = t->payload;
    if (payload == NULL)
        return;
    t->payload = NULL;
    bk_memory_add(b, payload->line->lane, -bk_job_bytes(payload->length));
    for (unsigned i = 0; i < payload->throttle_count; i++)
        bk_throttle_put(b, payload->throttles[i]);
    bk_line_unref(b, payload->line);
    free(payload);
}

static void leave_assigned(broker_t *b, ticket_t *t)
{
    peer_t *peer = t->peer;
    bk_list_remove(&t->place);
    peer->assigned--;
    if (peer->alone && peer->assigned == 0) {
        peer->alone = false;
        peer->free_ms = b->now_ms + 9 * (b->now_ms - peer->reserved_ms);
    }
    t->peer = NULL;
    if (t->payload == NULL)
        return;
    line_t *line = t->payload->line;
    line->tenant->queue->assigned--;
    line->tenant->assigned--;
    bk_lane_ended(b, line->lane, t);
    bk_tenant_refresh(b, line->tenant);
}

static void leave(broker_t *b, ticket_t *t)
{
    bk_list_remove(&t->alarm);
    switch ((phase_t)t->phase) {
    case BK_WAITING:
        bk_line_remove(b, t);
        break;
    case BK_ASSIGNED:
        leave_assigned(b, t);
        break;
    case BK_DOUBT:
        if (t->queue != NULL)
            t->queue->doubted--;
        break;
    case BK_DONE:
        bk_list_remove(&t->place);
        t->peer = NULL;
        if (t->queue != NULL)
            t->queue->unacked--;
        break;
    case BK_MISSING:
        t->twice = true; /* whatever it is now: the copy that was slow may yet come */
        break;
    default:
        break;
    }
    t->phase = BK_NEW;
}

static void enter_assigned(broker_t *b, ticket_t *t, peer_t *peer)
{
    t->peer = peer;
    t->last = peer->serial;
    t->assigned_ms = b->now_ms;
    bk_list_append(&peer->jobs, &t->place);
    peer->assigned++;
    bk_alarm_set(b, t, t->payload == NULL ? BK_ALARM_UNACKED : BK_ALARM_ASSIGNED);
    if (t->payload == NULL)
        return;
    line_t *line = t->payload->line;
    line->tenant->queue->assigned++;
    line->tenant->assigned++;
    bk_lane_began(b, line->lane, t);
    bk_tenant_refresh(b, line->tenant);
}

static void enter_done(broker_t *b, ticket_t *t, peer_t *peer)
{
    t->peer = peer;
    bk_list_append(&peer->done, &t->place);
    if (t->queue != NULL)
        t->queue->unacked++;
    bk_alarm_set(b, t, BK_ALARM_UNACKED);
}

void bk_ticket_move(broker_t *b, ticket_t *t, phase_t phase, peer_t *peer)
{
    leave(b, t);
    if (phase != BK_WAITING && phase != BK_ASSIGNED && phase != BK_DOUBT)
        drop_payload(b, t);
    t->phase = (uint8_t)phase;
    switch (phase) {
    case BK_WAITING:
        assert(t->payload != NULL);
        bk_line_insert(b, t->payload->line, t);
        break;
    case BK_ASSIGNED:
        enter_assigned(b, t, peer);
        break;
    case BK_DOUBT:
        if (t->queue != NULL)
            t->queue->doubted++;
        t->doubt = b->questions + 1; /* what was asked before may be answered late */
        bk_alarm_now(b, t, BK_ALARM_DOUBT);
        break;
    case BK_DONE:
        enter_done(b, t, peer);
        break;
    case BK_LOST:
        b->counts.lost++;
        bk_alarm_now(b, t, BK_ALARM_LOST);
        break;
    case BK_GIVEN_UP:
        b->counts.given_up++;
        bk_alarm_now(b, t, BK_ALARM_GIVEN_UP);
        break;
    case BK_GONE:
        bk_alarm_set(b, t, t->twice ? BK_ALARM_GONE_LONG : BK_ALARM_GONE);
        break;
    case BK_MISSING:
        bk_alarm_set(b, t, BK_ALARM_MISSING);
        break;
    default:
        break;
    }
}

void bk_ticket_free(broker_t *b, ticket_t *t)
{
    leave(b, t);
    drop_payload(b, t);
    if (t->queue != NULL)
        bk_queue_unref(b, t->queue);
    bk_table_remove(&b->tickets, &t->node);
    bk_memory_add(b, NULL, -bk_ticket_bytes());
    free(t);
}

void bk_ticket_forget(broker_t *b, ticket_t *t)
{
    if (t->twice)
        bk_ticket_move(b, t, BK_GONE, NULL);
    else
        bk_ticket_free(b, t);
}

/* Recorded: forget it, whatever phase it is in.  Only where its worker has yet to say what came of
 * it is that awaited, for the worker's credit and the breaker. */
void bk_ticket_acked(broker_t *b, ticket_t *t)
{
    if (t->phase == BK_GONE)
        return;
    if (t->phase == BK_MISSING) {
        bk_ticket_move(b, t, BK_GONE, NULL);
        return;
    }
    if (t->phase == BK_ASSIGNED && t->payload != NULL) {
        if (!t->acked)
            bk_alarm_set(b, t, BK_ALARM_ACKED);
        t->acked = true;
        return;
    }
    bk_ticket_forget(b, t);
}

void bk_ticket_again(broker_t *b, ticket_t *t)
{
    if (t->acked)
        bk_ticket_forget(b, t);
    else if (t->payload == NULL || b->stopping)
        bk_ticket_move(b, t, BK_GIVEN_UP, NULL);
    else
        bk_ticket_move(b, t, BK_WAITING, NULL);
}

/* Its worker lets go of a result only once it is recorded, so there was none and will be none.
 * But what it once listed as begun may have been sent. */
void bk_ticket_unrecorded(broker_t *b, ticket_t *t, uint64_t question)
{
    if (t->phase != BK_DOUBT || question < t->doubt)
        return;
    if (t->begun)
        bk_ticket_move(b, t, BK_LOST, NULL);
    else
        bk_ticket_again(b, t);
}
