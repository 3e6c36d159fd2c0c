/* Workers: leases, credit, who dies and what becomes of its jobs.
 *
 * A worker is a slot name with one living instance.  What it lists in a HELLO is reconciled with
 * what was assigned to it (hello.c). */
#include "workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_EVERY_MS 60000

typedef struct name {
    const char *data;
    size_t length;
} name_t;

static bool same(const bk_node_t *node, const void *key)
{
    const peer_t *peer = BK_OF(const peer_t, node, node);
    const name_t *name = key;
    return strlen(peer->slot) == name->length && memcmp(peer->slot, name->data, name->length) == 0;
}

peer_t *bk_peer_find(const broker_t *b, const char *slot, size_t length)
{
    name_t name = {slot, length};
    bk_node_t *node = bk_table_find(&b->peers, bk_hash(b->hash_seed, slot, length), same, &name);
    return node == NULL ? NULL : BK_OF(peer_t, node, node);
}

peer_t *bk_peer_new(broker_t *b, const char *slot)
{
    if (b->peers.count >= BK_WORKERS_MAX)
        return NULL;
    peer_t *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return NULL;
    snprintf(peer->slot, sizeof peer->slot, "%s", slot);
    bk_list_init(&peer->jobs);
    bk_list_init(&peer->done);
    bk_table_add(&b->peers, &peer->node, bk_hash(b->hash_seed, slot, strlen(slot)));
    return peer;
}

/* --- what it serves --- */

static void unserve(broker_t *b, peer_t *peer)
{
    for (size_t i = 0; i < peer->served_count; i++) {
        queue_t *queue = peer->served[i].queue;
        if (queue->reserved == peer) {
            queue->reserved = NULL;
            peer->reserved = NULL;
        }
        bk_list_remove(&peer->served[i].in_queue);
        if (bk_list_empty(&queue->served))
            queue->unserved_ms = b->now_ms;
        bk_queue_credit(b, queue);
        bk_queue_unref(b, queue);
    }
    free(peer->served);
    peer->served = NULL;
    peer->served_count = 0;
}

static void serve_one(broker_t *b, peer_t *peer, plumb_slice_t name)
{
    if (!bk_name_valid(name))
        return;
    queue_t *queue = bk_queue_get(b, name);
    if (queue == NULL)
        return;
    for (size_t i = 0; i < peer->served_count; i++) {
        if (peer->served[i].queue == queue)
            return;
    }
    if (bk_queue_closed(b, queue))
        b->beacon_wanted = true; /* somebody serves it again */
    served_t *served = &peer->served[peer->served_count++];
    *served = (served_t){.peer = peer, .queue = queue};
    bk_list_append(&queue->served, &served->in_queue);
    queue->refs++;
}

/* Takes the place of what it served before; names beyond the limit of queues are left out. */
void bk_peer_serve(broker_t *b, peer_t *peer, const plumb_slice_t *names, size_t count)
{
    served_t *fresh = calloc(count > 0 ? count : 1, sizeof *fresh);
    if (fresh == NULL)
        return; /* out of memory: what it served before stands */
    unserve(b, peer);
    peer->served = fresh;
    for (size_t i = 0; i < count; i++)
        serve_one(b, peer, names[i]);
    for (size_t i = 0; i < peer->served_count; i++)
        bk_queue_credit(b, peer->served[i].queue);
}

void bk_peer_credit(broker_t *b, peer_t *peer, uint32_t credit)
{
    credit = credit < BK_CREDIT_MAX ? credit : BK_CREDIT_MAX;
    if (credit == peer->credit)
        return;
    peer->credit = credit;
    for (size_t i = 0; i < peer->served_count; i++)
        bk_queue_credit(b, peer->served[i].queue);
}

/* --- life and death --- */

void bk_peer_heard(broker_t *b, peer_t *peer)
{
    peer->heard_ms = b->now_ms;
    peer->dead_ms = b->now_ms + b->set.worker_dead_ms;
    peer->unreachable = false;
    if (peer->dead_ms < b->peers_ms)
        b->peers_ms = peer->dead_ms;
}

static size_t lose_list(broker_t *b, bk_link_t *list, bool done)
{
    size_t lost = 0;
    while (!bk_list_empty(list)) {
        ticket_t *t = BK_OF(ticket_t, place, bk_list_first(list));
        if (t->acked) {
            bk_ticket_forget(b, t);
            continue;
        }
        t->lost_done = done;
        bk_ticket_move(b, t, BK_LOST, NULL);
        lost++;
    }
    return lost;
}

/* What it had begun cannot be told, so all it had may have been sent. */
size_t bk_peer_lose(broker_t *b, peer_t *peer)
{
    return lose_list(b, &peer->jobs, false) + lose_list(b, &peer->done, true);
}

void bk_peer_free(broker_t *b, peer_t *peer)
{
    unserve(b, peer);
    bk_table_remove(&b->peers, &peer->node);
    free(peer);
}

static peer_t *first_dead(const broker_t *b, int64_t *next_ms)
{
    *next_ms = INT64_MAX;
    for (bk_node_t *at = bk_table_next(&b->peers, NULL); at != NULL;
         at = bk_table_next(&b->peers, at)) {
        peer_t *peer = BK_OF(peer_t, node, at);
        if (peer->dead_ms <= b->now_ms)
            return peer;
        if (peer->dead_ms < *next_ms)
            *next_ms = peer->dead_ms;
    }
    return NULL;
}

void bk_peers_check(broker_t *b)
{
    if (b->now_ms < b->peers_ms)
        return;
    int64_t next_ms = 0;
    for (peer_t *peer = first_dead(b, &next_ms); peer != NULL; peer = first_dead(b, &next_ms)) {
        bk_event(b, BROKER_WORKER_DEAD, peer->slot, bk_peer_lose(b, peer));
        bk_peer_free(b, peer);
    }
    b->peers_ms = next_ms;
}

void bk_peers_forgive(broker_t *b, int64_t ms)
{
    for (bk_node_t *at = bk_table_next(&b->peers, NULL); at != NULL;
         at = bk_table_next(&b->peers, at))
        BK_OF(peer_t, node, at)->dead_ms += ms;
}

/* Told that it is fenced, a worker drops what has not begun and lists the rest.  It gets nothing
 * before: a job that crossed its hello would be taken for one it has not got. */
void bk_peer_ask(broker_t *b, peer_t *peer)
{
    if (peer->asked || (peer->asked_ms != 0 && b->now_ms - peer->asked_ms < ASK_EVERY_MS))
        return;
    peer->asked = true;
    peer->asked_ms = b->now_ms;
    plumb_note_t note = {.type = PLUMB_MSG_FENCED};
    (void)bk_note_to_worker(b, peer->slot, &note); /* said again at its next ping */
    bk_event(b, BROKER_WORKER_ASKED, peer->slot, 0);
}

/* --- who gets the next job --- */

bool bk_peer_fit(const broker_t *b, const served_t *served)
{
    const peer_t *peer = served->peer;
    return !peer->unreachable && !peer->asked && b->now_ms - peer->heard_ms <= b->set.fence_ms &&
           b->now_ms >= served->not_before_ms;
}

peer_t *bk_peer_pick(broker_t *b, const queue_t *queue)
{
    peer_t *best = NULL;
    for (const bk_link_t *at = queue->served.next; at != &queue->served; at = at->next) {
        const served_t *served = BK_OF(const served_t, in_queue, at);
        peer_t *peer = served->peer;
        if (peer->assigned < peer->credit && !peer->alone && peer->reserved == NULL &&
            (best == NULL || peer->credit - peer->assigned > best->credit - best->assigned) &&
            bk_peer_fit(b, served))
            best = peer;
    }
    return best;
}
