/* A worker says hello: what it lists, against what was assigned to it. */
#include "workers.h"

/* Each listed ticket carries the number of this hello and the phase it was listed in. */
static void mark(broker_t *b, const plumb_note_t *note)
{
    b->hello++;
    for (size_t i = 0; i < note->held_count; i++) {
        ticket_t *t = bk_ticket_find(b, &note->held[i].ticket);
        if (t == NULL)
            continue;
        t->mark = b->hello;
        t->listed = note->held[i].phase;
    }
}

/* What it has and what it lacks.  `heir`: a new instance lists what its predecessor's flight file
 * says, where "assigned" means that it never began; the instance itself means that it has it. */
static size_t reconcile(broker_t *b, peer_t *peer, bool heir)
{
    size_t lacking = 0;
    for (bk_link_t *at = peer->jobs.prev, *prev = NULL; at != &peer->jobs; at = prev) {
        prev = at->prev;
        ticket_t *t = BK_OF(ticket_t, place, at);
        bool listed = t->mark == b->hello;
        if (listed && !(heir && t->listed == PLUMB_PHASE_ASSIGNED)) {
            t->last = peer->serial;
            t->begun = t->begun || t->listed >= PLUMB_PHASE_PLUGIN;
            continue;
        }
        lacking++;
        if (listed)
            bk_ticket_again(b, t);
        else if (t->acked)
            bk_ticket_forget(b, t);
        else
            bk_ticket_move(b, t, BK_DOUBT, NULL); /* it may be done, and both words of it lost */
    }
    return lacking;
}

static void enter(broker_t *b, peer_t *peer, const plumb_held_t *held)
{
    ticket_t *t = bk_ticket_find(b, &held->ticket);
    bool begun = held->phase >= PLUMB_PHASE_PLUGIN;
    if (t == NULL)
        t = bk_ticket_new(b, &held->ticket);
    else if (t->phase != BK_MISSING && t->phase != BK_DOUBT && !(t->phase == BK_WAITING && begun))
        return;
    if (t == NULL)
        return;
    t->begun = t->begun || begun;
    bk_ticket_move(b, t, BK_ASSIGNED, peer);
}

/* What it lists and nobody here knew it has: it runs there. */
static void enter_all(broker_t *b, peer_t *peer, const plumb_note_t *note, bool heir)
{
    for (size_t i = 0; i < note->held_count; i++) {
        if (!(heir && note->held[i].phase == PLUMB_PHASE_ASSIGNED))
            enter(b, peer, &note->held[i]);
    }
}

/* The living peer of the slot after this hello; NULL: out of memory. */
static peer_t *settle(broker_t *b, const char *slot, const plumb_note_t *note, bool *known)
{
    peer_t *peer = bk_peer_find(b, slot, note->name.length);
    if (peer != NULL && peer->instance != note->instance && peer->instance != note->previous) {
        bk_event(b, BROKER_WORKER_DEAD, slot, bk_peer_lose(b, peer));
        bk_peer_free(b, peer);
        peer = NULL;
    }
    *known = peer != NULL;
    return peer != NULL ? peer : bk_peer_new(b, slot);
}

void bk_hello(broker_t *b, const char *slot, const plumb_note_t *note)
{
    bool known = false;
    peer_t *peer = settle(b, slot, note, &known);
    if (peer == NULL)
        return;
    /* An instance that was here before names itself. */
    bool heir = note->previous != 0 && note->previous != note->instance &&
                (!known || peer->instance != note->instance);
    bool replaced = known && peer->instance != note->instance;
    if (peer->instance != note->instance)
        peer->serial = ++b->serial;
    peer->instance = note->instance;
    peer->asked = false;
    bk_peer_heard(b, peer);
    bk_peer_serve(b, peer, note->queues, note->queue_count);
    bk_peer_credit(b, peer, note->credit);
    mark(b, note);
    size_t lacking = reconcile(b, peer, heir);
    enter_all(b, peer, note, heir);
    if (replaced)
        bk_event(b, BROKER_WORKER_REPLACED, slot, lacking);
    else if (!known)
        bk_event(b, BROKER_WORKER_HERE, slot, 0);
    else if (lacking > 0)
        bk_event(b, BROKER_WORKER_LACKS, slot, lacking);
    plumb_note_t welcome = {
        .type = PLUMB_MSG_WELCOME, .clock_ms = note->clock_ms, .credit = (uint32_t)b->set.fence_ms};
    (void)bk_note_to_worker(b, slot, &welcome); /* lost: it says hello again */
}
