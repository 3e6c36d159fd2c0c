/* What workers say besides hello: heartbeats, done, returned, recalled. */
#include "workers.h"

#include <string.h>

#define RETURN_WAIT_MS 1000 /* a worker that returned a job gets none of its queue for so long */

static void fenced(broker_t *b, const char *slot)
{
    plumb_note_t note = {.type = PLUMB_MSG_FENCED};
    (void)bk_note_to_worker(b, slot, &note);
}

static void on_ping(broker_t *b, const char *slot, const plumb_note_t *note)
{
    peer_t *peer = bk_peer_find(b, slot, note->name.length);
    if (peer == NULL || peer->instance != note->instance) {
        fenced(b, slot);
        return;
    }
    bk_peer_heard(b, peer);
    bk_peer_credit(b, peer, note->credit);
    plumb_note_t pong = {.type = PLUMB_MSG_PONG, .clock_ms = note->clock_ms};
    (void)bk_note_to_worker(b, slot, &pong);
    if (peer->asked)
        fenced(b, slot);
}

/* Is the ticket this worker's to speak of?  Also when it was just taken back from it: the word
 * crossed. */
static bool is_its(const peer_t *peer, const ticket_t *t)
{
    return t != NULL &&
           ((t->phase == BK_ASSIGNED && t->peer == peer) ||
            ((t->phase == BK_WAITING || t->phase == BK_DOUBT) && t->last == peer->serial));
}

static void done(broker_t *b, peer_t *peer, ticket_t *t, const plumb_note_t *note)
{
    lane_t *lane = t->payload == NULL ? NULL : t->payload->line->lane;
    bool probe = t->probe;
    if (t->queue != NULL)
        t->queue->done++;
    if (t->acked)
        bk_ticket_forget(b, t);
    else
        bk_ticket_move(b, t, BK_DONE, peer);
    if (lane == NULL)
        return;
    bk_lane_outcome(b, lane, probe, note->outcome);
    if (note->retry_after_ms > 0 &&
        (note->outcome == PLUMB_OUT_retry || note->outcome == PLUMB_OUT_throttled))
        bk_lane_hold(b, lane, note->retry_after_ms);
    bk_lane_refresh(b, lane);
}

static void on_done(broker_t *b, peer_t *peer, const plumb_note_t *note)
{
    for (size_t i = 0; i < note->held_count; i++) {
        ticket_t *t = bk_ticket_find(b, &note->held[i].ticket);
        if (is_its(peer, t))
            done(b, peer, t, note);
    }
}

/* It may come back for good reason (its plugin is gone) and the worker not have said so yet. */
static void others_first(broker_t *b, peer_t *peer, const queue_t *queue)
{
    for (size_t i = 0; i < peer->served_count; i++) {
        if (peer->served[i].queue == queue)
            peer->served[i].not_before_ms = b->now_ms + RETURN_WAIT_MS;
    }
}

static void on_return(broker_t *b, peer_t *peer, const plumb_note_t *note)
{
    for (size_t i = 0; i < note->held_count; i++) {
        ticket_t *t = bk_ticket_find(b, &note->held[i].ticket);
        if (t == NULL || t->phase != BK_ASSIGNED || t->peer != peer)
            continue;
        b->counts.returned++;
        others_first(b, peer, t->queue);
        bk_ticket_again(b, t);
    }
}

static void on_recalled(broker_t *b, peer_t *peer, const plumb_note_t *note)
{
    size_t count = 0;
    for (size_t i = 0; i < note->held_count; i++) {
        ticket_t *t = bk_ticket_find(b, &note->held[i].ticket);
        if (t == NULL || t->phase != BK_ASSIGNED || t->peer != peer)
            continue;
        bk_ticket_move(b, t, BK_GONE, NULL);
        b->items[count++] = note->held[i];
    }
    if (count == 0)
        return;
    b->counts.recalled += count;
    plumb_note_t answer = {.type = PLUMB_MSG_RECALLED, .held = b->items, .held_count = count};
    (void)bk_note_to_tracker(b, &answer); /* lost: it asks again, and what is gone answers */
}

typedef void (*work_fn)(broker_t *b, peer_t *peer, const plumb_note_t *note);

static work_fn handler_of(plumb_msg_type_t type)
{
    switch (type) {
    case PLUMB_MSG_DONE:
        return on_done;
    case PLUMB_MSG_RETURN:
        return on_return;
    case PLUMB_MSG_RECALLED:
        return on_recalled;
    default:
        return NULL;
    }
}

/* HELLO and PING must name the slot they come from and an instance.  The others may leave both
 * out, but not differ. */
static bool is_addressed(const char *slot, const plumb_note_t *note, bool must)
{
    if (must && (note->name.length == 0 || note->instance == 0))
        return false;
    return note->name.length == 0 || bk_name_is(note->name, slot);
}

void bk_work_note(broker_t *b, const char *slot, const plumb_note_t *note)
{
    work_fn handler = handler_of(note->type);
    bool greets = note->type == PLUMB_MSG_HELLO || note->type == PLUMB_MSG_PING;
    if (handler == NULL && !greets) {
        b->counts.foreign++;
        return;
    }
    if (!is_addressed(slot, note, greets)) {
        b->counts.misaddressed++;
        return;
    }
    if (greets) {
        if (b->mode != BK_RUNS) /* an answer would be a lease under an epoch that may be dead */
            return;
        if (note->type == PLUMB_MSG_HELLO)
            bk_hello(b, slot, note);
        else
            on_ping(b, slot, note);
        return;
    }
    peer_t *peer = bk_peer_find(b, slot, strlen(slot));
    if (peer == NULL || (note->instance != 0 && note->instance != peer->instance))
        b->counts.misaddressed++;
    else
        handler(b, peer, note);
}
