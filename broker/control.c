/* What the tracker and the operator ask of the broker: audits, recalls, pause and statistics. */
#include "state.h"

#include <inttypes.h>
#include <string.h>

#define LANES_SHOWN 1000

/* Where a question came from and must be answered. */
typedef struct asker {
    const void *identity;
    size_t length;
} asker_t;

/* --- audit and recall --- */

/* Not held: what is unknown.  A note is kept that a second copy will come, and the first may yet.
 */
static bool is_missing(broker_t *b, const plumb_ticket_t *id)
{
    ticket_t *t = bk_ticket_find(b, id);
    if (t != NULL && t->phase != BK_MISSING)
        return false;
    if (t == NULL && bk_takes(b, bk_ticket_bytes()))
        t = bk_ticket_new(b, id);
    if (t != NULL)
        bk_ticket_move(b, t, BK_MISSING, NULL);
    return true;
}

static void on_audit(broker_t *b, asker_t asker, const plumb_note_t *note)
{
    if (note->epoch != b->epoch || b->mode != BK_RUNS)
        return;
    size_t count = 0;
    for (size_t i = 0; i < note->held_count; i++) {
        if (is_missing(b, &note->held[i].ticket))
            b->items[count++] = note->held[i];
    }
    plumb_note_t answer = {.type = PLUMB_MSG_MISSING,
                           .instance = note->instance,
                           .held = b->items,
                           .held_count = count};
    (void)bk_note_to_control(b, asker.identity, asker.length, &answer);
}

/* Its job may yet come: then it must not go out. */
static void recall_unknown(broker_t *b, ticket_t *t, const plumb_ticket_t *id)
{
    if (t == NULL && bk_takes(b, bk_ticket_bytes()))
        t = bk_ticket_new(b, id);
    if (t != NULL)
        bk_ticket_move(b, t, BK_GONE, NULL);
}

/* True: it was here, and will not be called under this attempt any more. */
static bool recall(broker_t *b, const plumb_held_t *held)
{
    ticket_t *t = bk_ticket_find(b, &held->ticket);
    switch (t == NULL ? BK_MISSING : (phase_t)t->phase) {
    case BK_MISSING:
        recall_unknown(b, t, &held->ticket);
        return false;
    case BK_DOUBT: /* its worker has it not */
        if (t->begun)
            return false;
        /* fallthrough */
    case BK_WAITING:
        b->counts.recalled++;
        bk_ticket_move(b, t, BK_GONE, NULL);
        return true;
    case BK_GONE:
    case BK_GIVEN_UP:
        return true;
    case BK_ASSIGNED: {
        plumb_note_t note = {.type = PLUMB_MSG_RECALL, .held = held, .held_count = 1};
        (void)bk_note_to_worker(b, t->peer->slot, &note);
        return false;
    }
    default:
        return false;
    }
}

static void on_recall(broker_t *b, asker_t asker, const plumb_note_t *note)
{
    size_t count = 0;
    for (size_t i = 0; i < note->held_count; i++) {
        if (recall(b, &note->held[i]))
            b->items[count++] = note->held[i];
    }
    plumb_note_t answer = {.type = PLUMB_MSG_RECALLED, .held = b->items, .held_count = count};
    if (count > 0)
        (void)bk_note_to_control(b, asker.identity, asker.length, &answer);
}

/* Also unasked: a tracker that did not hear us for too long tells us that our epoch is dead. */
static void on_stands(broker_t *b, const plumb_note_t *note)
{
    if (note->epoch != b->epoch)
        return;
    if (!note->stands)
        bk_epoch_falls(b);
    else if (b->mode == BK_ASKS)
        bk_epoch_stands(b);
}

/* --- the operator --- */

static void answer(broker_t *b, asker_t asker)
{
    plumb_note_t note = {.type = PLUMB_MSG_STATE, .text = {b->text.data, b->text.length}};
    if (!b->text.failed)
        (void)bk_note_to_control(b, asker.identity, asker.length, &note);
}

static void refuse(broker_t *b, asker_t asker, const char *sentence)
{
    plumb_buf_clear(&b->text);
    plumb_buf_text(&b->text, "{\"error\":");
    plumb_buf_json_text(&b->text, sentence);
    plumb_buf_text(&b->text, "}");
    answer(b, asker);
}

static void write_queue(void *self, const broker_queue_figures_t *q)
{
    plumb_buf_t *out = self;
    plumb_buf_text(out, out->data[out->length - 1] == '[' ? "{\"name\":" : ",{\"name\":");
    plumb_buf_json_text(out, q->name);
    plumb_buf_printf(out,
                     ",\"state\":\"%s\",\"waiting\":%zu,\"assigned\":%zu,\"unacked\":%zu,"
                     "\"oldestMs\":%" PRId64 ",\"handedOut\":%" PRIu64 ",\"done\":%" PRIu64
                     ",\"workers\":%zu,\"breakersOpen\":%zu}",
                     q->state, q->waiting, q->assigned, q->unacked, q->oldest_ms, q->handed_out,
                     q->done, q->workers, q->breakers);
}

static void write_workers(broker_t *b)
{
    const char *comma = "";
    for (bk_node_t *at = bk_table_next(&b->peers, NULL); at != NULL;
         at = bk_table_next(&b->peers, at)) {
        const peer_t *peer = BK_OF(const peer_t, node, at);
        plumb_buf_printf(&b->text, "%s{\"slot\":", comma);
        plumb_buf_json_text(&b->text, peer->slot);
        plumb_buf_printf(&b->text,
                         ",\"credit\":%" PRIu32 ",\"assigned\":%zu,\"silentMs\":%" PRId64 "}",
                         peer->credit, peer->assigned, b->now_ms - peer->heard_ms);
        comma = ",";
    }
}

static void write_lanes(broker_t *b)
{
    size_t shown = 0;
    for (bk_node_t *at = bk_table_next(&b->lanes, NULL); at != NULL && shown < LANES_SHOWN;
         at = bk_table_next(&b->lanes, at)) {
        const lane_t *lane = BK_OF(const lane_t, node, at);
        if (lane->breaker == BK_CLOSED)
            continue;
        char id[PLUMB_UUID_TEXT];
        bool open = lane->breaker == BK_OPEN;
        plumb_buf_printf(&b->text,
                         "%s{\"credential\":\"%s\",\"state\":\"%s\",\"waitMs\":%" PRId64 "}",
                         shown == 0 ? "" : ",", plumb_uuid_text(&lane->id, id),
                         open ? "open" : "halfOpen", open ? lane->until_ms - b->now_ms : 0);
        shown++;
    }
}

static void stats(broker_t *b, asker_t asker)
{
    plumb_buf_clear(&b->text);
    plumb_buf_text(&b->text, "{\"broker\":");
    plumb_buf_json_text(&b->text, b->name);
    plumb_buf_printf(&b->text,
                     ",\"epoch\":\"%" PRIu64 "\",\"memory\":{\"held\":%" PRId64
                     ",\"limit\":%" PRId64 "},\"tickets\":%zu,\"queues\":[",
                     b->epoch, b->held, b->set.memory, b->tickets.count);
    if (!b->text.failed)
        broker_each_queue(b, write_queue, &b->text);
    plumb_buf_text(&b->text, "],\"workers\":[");
    write_workers(b);
    plumb_buf_text(&b->text, "],\"lanes\":[");
    write_lanes(b);
    plumb_buf_text(&b->text, "]}");
    answer(b, asker);
}

/* The operator's words for a queue; the rest of CONTROL is "stats". */
static const struct verb {
    const char *text;
    queue_state_t state;
    broker_event_t event;
} verbs[] = {
    {"pause", BK_QUEUE_PAUSED, BROKER_QUEUE_PAUSED},
    {"resume", BK_QUEUE_OPEN, BROKER_QUEUE_OPEN},
    {"drain", BK_QUEUE_DRAINING, BROKER_QUEUE_DRAINING},
};

/* All there are, and those to come. */
static void set_all(broker_t *b, const struct verb *verb)
{
    b->initial = verb->state;
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at))
        bk_queue_set(b, BK_OF(queue_t, node, at), verb->state);
    bk_event(b, verb->event, "", 0);
}

static void set_one(broker_t *b, asker_t asker, const struct verb *verb, plumb_slice_t name)
{
    queue_t *queue = bk_name_valid(name) ? bk_queue_get(b, name) : NULL;
    if (queue == NULL) {
        refuse(b, asker, "no such queue");
        return;
    }
    bk_queue_set(b, queue, verb->state);
    bk_event(b, verb->event, queue->name, 0);
    stats(b, asker);
}

static void on_command(broker_t *b, asker_t asker, const plumb_note_t *note)
{
    if (bk_name_is(note->text, "stats")) {
        stats(b, asker);
        return;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!bk_name_is(note->text, verbs[i].text))
            continue;
        if (note->name.length > 0) {
            set_one(b, asker, &verbs[i], note->name);
        } else {
            set_all(b, &verbs[i]);
            stats(b, asker);
        }
        return;
    }
    refuse(b, asker, "the verbs are pause, resume, drain and stats");
}

void bk_control_note(broker_t *b, const void *identity, size_t identity_length,
                     const plumb_note_t *note)
{
    asker_t asker = {identity, identity_length};
    switch (note->type) {
    case PLUMB_MSG_AUDIT:
        on_audit(b, asker, note);
        break;
    case PLUMB_MSG_RECALL:
        on_recall(b, asker, note);
        break;
    case PLUMB_MSG_STANDS:
        on_stands(b, note);
        break;
    case PLUMB_MSG_CONTROL:
        on_command(b, asker, note);
        break;
    default:
        b->counts.foreign++;
        break;
    }
}
