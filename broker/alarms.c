/* Tickets that must be looked at later: what the tracker has not acknowledged is said again, what
 * nobody asks for any more is forgotten.
 *
 * Each alarm has one delay, so a list in order of setting is in order of time. */
#include "state.h"

#define BATCHES 4 /* notes of one kind in one step; the rest in the next */

typedef void (*action_fn)(broker_t *b, ticket_t *t);

static void again(broker_t *b, ticket_t *t);
static void look_at_worker(broker_t *b, ticket_t *t);
static void forget(broker_t *b, ticket_t *t);
static void drop(broker_t *b, ticket_t *t);

/* What is said to the tracker when the alarm goes (PLUMB_MSG_COUNT: nothing), and what then. */
static const struct rule {
    int64_t delay_ms;
    plumb_msg_type_t note;
    bool given_up;
    action_fn then;
} rules[BK_ALARMS] = {
    /* With a worker for long: is its row still queued?  Then: does the worker still have it? */
    [BK_ALARM_ASSIGNED] = {60000, PLUMB_MSG_UNACKED, false, look_at_worker},
    [BK_ALARM_UNACKED] = {5000, PLUMB_MSG_UNACKED, false, again},
    [BK_ALARM_LOST] = {1000, PLUMB_MSG_LOST, false, again},
    [BK_ALARM_GIVEN_UP] = {1000, PLUMB_MSG_LOST, true, again},
    /* Until it is answered: recorded (an ack), or not (bk_ticket_unrecorded). */
    [BK_ALARM_DOUBT] = {400, PLUMB_MSG_UNACKED, false, again},
    [BK_ALARM_ACKED] = {5000, PLUMB_MSG_COUNT, false, forget},
    [BK_ALARM_GONE] = {30000, PLUMB_MSG_COUNT, false, drop},
    [BK_ALARM_GONE_LONG] = {600000, PLUMB_MSG_COUNT, false, drop},
    [BK_ALARM_MISSING] = {60000, PLUMB_MSG_COUNT, false, drop},
};

void bk_alarm_set(broker_t *b, ticket_t *t, alarm_t alarm)
{
    bk_list_remove(&t->alarm);
    t->due_ms = b->now_ms + rules[alarm].delay_ms;
    bk_list_append(&b->alarms[alarm], &t->alarm);
}

void bk_alarm_now(broker_t *b, ticket_t *t, alarm_t alarm)
{
    bk_list_remove(&t->alarm);
    t->due_ms = b->now_ms;
    bk_list_insert(&b->alarms[alarm], &t->alarm);
}

static alarm_t alarm_of(const ticket_t *t)
{
    switch ((phase_t)t->phase) {
    case BK_LOST:
        return BK_ALARM_LOST;
    case BK_GIVEN_UP:
        return BK_ALARM_GIVEN_UP;
    case BK_DOUBT:
        return BK_ALARM_DOUBT;
    default:
        return BK_ALARM_UNACKED;
    }
}

static void again(broker_t *b, ticket_t *t)
{
    bk_alarm_set(b, t, alarm_of(t));
}

/* A job that got lost on its way to the worker shows only here: a worker told to say hello lists
 * what it has. */
static void look_at_worker(broker_t *b, ticket_t *t)
{
    bk_alarm_set(b, t, BK_ALARM_ASSIGNED);
    if (!t->begun && b->now_ms - t->assigned_ms > rules[BK_ALARM_ASSIGNED].delay_ms * 3 / 2)
        bk_peer_ask(b, t->peer);
}

static void forget(broker_t *b, ticket_t *t)
{
    bk_ticket_forget(b, t);
}

static void drop(broker_t *b, ticket_t *t)
{
    bk_ticket_free(b, t);
}

static bool is_due(const broker_t *b, const bk_link_t *list)
{
    const bk_link_t *first = bk_list_first(list);
    return first != NULL && BK_OF(const ticket_t, alarm, first)->due_ms <= b->now_ms;
}

/* Take what is due, at most one note full, off its list. */
static size_t gather(broker_t *b, bk_link_t *list, bk_link_t *due)
{
    size_t count = 0;
    for (; count < PLUMB_HELD_MAX && is_due(b, list); count++) {
        ticket_t *t = BK_OF(ticket_t, alarm, bk_list_first(list));
        bk_list_remove(&t->alarm);
        bk_list_append(due, &t->alarm);
        b->items[count] =
            (plumb_held_t){.ticket = t->id, .phase = PLUMB_PHASE_ASSIGNED, .done = t->lost_done};
    }
    return count;
}

static void run(broker_t *b, alarm_t alarm)
{
    const struct rule *rule = &rules[alarm];
    bk_link_t due;
    bk_list_init(&due);
    size_t count = gather(b, &b->alarms[alarm], &due);
    if (rule->note != PLUMB_MSG_COUNT) {
        plumb_note_t note = {
            .type = rule->note, .given_up = rule->given_up, .held = b->items, .held_count = count};
        if (alarm == BK_ALARM_DOUBT)
            note.instance = ++b->questions;
        (void)bk_note_to_tracker(b, &note); /* lost: it is said again */
    }
    while (!bk_list_empty(&due))
        rule->then(b, BK_OF(ticket_t, alarm, bk_list_first(&due)));
}

void bk_alarms_run(broker_t *b)
{
    for (int alarm = 0; alarm < BK_ALARMS; alarm++) {
        for (int i = 0; i < BATCHES && is_due(b, &b->alarms[alarm]); i++)
            run(b, (alarm_t)alarm);
    }
}

int64_t bk_alarms_due(const broker_t *b)
{
    int64_t due = INT64_MAX;
    for (int alarm = 0; alarm < BK_ALARMS; alarm++) {
        const bk_link_t *first = bk_list_first(&b->alarms[alarm]);
        if (first != NULL && BK_OF(const ticket_t, alarm, first)->due_ms < due)
            due = BK_OF(const ticket_t, alarm, first)->due_ms;
    }
    return due;
}
