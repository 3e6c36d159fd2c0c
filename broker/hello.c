/* A worker says hello: what it lists, against what was assigned to its slot. */
#include "workers.h"

/* Who speaks, seen from what we know of the slot. */
typedef enum relation {
    FIRST, /* nothing: what it lists runs there */
    SAME,  /* the instance itself: it has what it lists, and only that */
    HEIR,  /* of the instance we know, or of whom that one was: its file tells all that had begun */
    STRANGER, /* its file tells of another: what it does not list may have been sent */
} relation_t;

static relation_t relate(const peer_t *peer, const plumb_note_t *note)
{
    if (peer == NULL)
        return FIRST;
    if (peer->instance == note->instance)
        return SAME;
    bool heir = note->previous != 0 &&
                (note->previous == peer->instance || note->previous == peer->previous);
    return heir ? HEIR : STRANGER;
}

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

/* What the worker has not, though it was assigned to its slot. */
static void take_back(broker_t *b, ticket_t *t, relation_t relation)
{
    if (t->mark == b->hello) /* a flight file's "assigned": it never began */
        bk_ticket_again(b, t);
    else if (t->acked)
        bk_ticket_forget(b, t);
    else if (relation == STRANGER)
        bk_ticket_move(b, t, BK_LOST, NULL);
    else
        bk_ticket_move(b, t, BK_DOUBT, NULL); /* it may be done, and both words of it lost */
}

static size_t reconcile_jobs(broker_t *b, peer_t *peer, relation_t relation)
{
    size_t lacking = 0;
    for (bk_link_t *at = peer->jobs.prev, *prev = NULL; at != &peer->jobs; at = prev) {
        prev = at->prev;
        ticket_t *t = BK_OF(ticket_t, place, at);
        bool begun = t->listed >= PLUMB_PHASE_PLUGIN;
        if (t->mark == b->hello && (relation == SAME || begun)) {
            t->last = peer->serial;
            t->begun = t->begun || begun;
            continue;
        }
        lacking++;
        take_back(b, t, relation);
    }
    return lacking;
}

/* What was done and is not acked is in the file of an heir; a stranger's may lack it. */
static size_t reconcile_done(broker_t *b, peer_t *peer, relation_t relation)
{
    size_t lacking = 0;
    for (bk_link_t *at = peer->done.next, *next = NULL; relation == STRANGER && at != &peer->done;
         at = next) {
        next = at->next;
        ticket_t *t = BK_OF(ticket_t, place, at);
        if (t->mark == b->hello)
            continue;
        lacking++;
        t->lost_done = true;
        bk_ticket_move(b, t, BK_LOST, NULL);
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

/* What it lists and nobody here knew it has: it runs there.  Unless it is a flight file's
 * "assigned": an instance that was here before names itself as the file's owner. */
static void enter_all(broker_t *b, peer_t *peer, const plumb_note_t *note)
{
    bool of_file = note->previous != 0 && note->previous != note->instance;
    for (size_t i = 0; i < note->held_count; i++) {
        if (!of_file || note->held[i].phase >= PLUMB_PHASE_PLUGIN)
            enter(b, peer, &note->held[i]);
    }
}

static void tell(broker_t *b, const char *slot, relation_t relation, size_t lacking)
{
    static const broker_event_t events[] = {[FIRST] = BROKER_WORKER_HERE,
                                            [SAME] = BROKER_WORKER_LACKS,
                                            [HEIR] = BROKER_WORKER_REPLACED,
                                            [STRANGER] = BROKER_WORKER_DEAD};
    if (relation != SAME || lacking > 0)
        bk_event(b, events[relation], slot, lacking);
}

void bk_hello(broker_t *b, const char *slot, const plumb_note_t *note)
{
    peer_t *peer = bk_peer_find(b, slot, note->name.length);
    relation_t relation = relate(peer, note);
    if (peer == NULL)
        peer = bk_peer_new(b, slot);
    if (peer == NULL)
        return; /* out of memory, or too many: it says hello again */
    if (relation != SAME)
        peer->serial = ++b->serial;
    peer->instance = note->instance;
    peer->previous = note->previous;
    peer->asked = false;
    bk_peer_heard(b, peer);
    bk_peer_serve(b, peer, note->queues, note->queue_count);
    bk_peer_credit(b, peer, note->credit);
    mark(b, note);
    size_t lacking = reconcile_jobs(b, peer, relation) + reconcile_done(b, peer, relation);
    enter_all(b, peer, note);
    tell(b, slot, relation, lacking);
    plumb_note_t welcome = {
        .type = PLUMB_MSG_WELCOME, .clock_ms = note->clock_ms, .credit = (uint32_t)b->set.fence_ms};
    (void)bk_note_to_worker(b, slot, &welcome); /* lost: it says hello again */
}
