/* The core's doors: frames in, time, epochs.  core.h has the contract. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

#define STANDS_EVERY_MS 500
#define SWEEP_EVERY_MS 1000
#define FULL_EVERY_MS 5000
#define STALL_MS 1000 /* what we stand still beyond that is not the workers' silence */
#define OUT_KEEP (128 << 10)

/* --- small things --- */

uint64_t bk_random(broker_t *b) /* splitmix64 */
{
    uint64_t z = b->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void bk_event(broker_t *b, broker_event_t event, const char *subject, uint64_t number)
{
    if (b->ports.event != NULL)
        b->ports.event(b->ports.self, event, subject, number);
}

void bk_event_id(broker_t *b, broker_event_t event, const plumb_uuid_t *id, uint64_t number)
{
    char text[PLUMB_UUID_TEXT];
    bk_event(b, event, plumb_uuid_text(id, text), number);
}

bool bk_name_is(plumb_slice_t name, const char *text)
{
    return name.length == strlen(text) && memcmp(name.data, text, name.length) == 0;
}

/* What may stand in logs, metrics and file names as it is. */
bool bk_name_valid(plumb_slice_t name)
{
    if (name.length == 0 || name.length > BK_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

/* --- notes out --- */

static bool encode(broker_t *b, plumb_note_t *note)
{
    plumb_err_t err = {0};
    if (b->out.capacity > OUT_KEEP) /* after a long list */
        plumb_buf_fini(&b->out);
    note->name = (plumb_slice_t){b->name, strlen(b->name)};
    note->epoch = b->epoch;
    return plumb_note_encode(&b->out, note, &err) == 0;
}

bool bk_note_to_tracker(broker_t *b, plumb_note_t *note)
{
    return encode(b, note) && b->ports.to_tracker(b->ports.self, b->out.data, b->out.length);
}

bool bk_note_to_worker(broker_t *b, const char *slot, plumb_note_t *note)
{
    return encode(b, note) && b->ports.to_worker(b->ports.self, slot, b->out.data, b->out.length);
}

bool bk_note_to_control(broker_t *b, const void *identity, size_t identity_length,
                        plumb_note_t *note)
{
    return encode(b, note) && b->ports.to_control(b->ports.self, identity, identity_length,
                                                  b->out.data, b->out.length);
}

/* --- epochs --- */

static void new_epoch(broker_t *b)
{
    do
        b->epoch = bk_random(b) >> 1;
    while (b->epoch == 0);
    b->mode = BK_RUNS;
    b->beacon_ms = b->now_ms - b->set.beacon_every_ms; /* due at once */
    b->beacon_wanted = true;
    bk_event(b, BROKER_EPOCH_NEW, b->name, b->epoch);
}

static void forget_all(broker_t *b)
{
    b->tickets.frozen = true;
    for (bk_node_t *at = bk_table_next(&b->tickets, NULL), *next = NULL; at != NULL; at = next) {
        next = bk_table_next(&b->tickets, at);
        bk_ticket_free(b, BK_OF(ticket_t, node, at));
    }
    b->tickets.frozen = false;
    for (bk_node_t *at = bk_table_next(&b->peers, NULL); at != NULL;
         at = bk_table_next(&b->peers, NULL))
        bk_peer_free(b, BK_OF(peer_t, node, at));
}

void bk_epoch_falls(broker_t *b)
{
    forget_all(b);
    new_epoch(b);
}

/* Workers could not reach us meanwhile: their silence counts from now.  None gets a job before it
 * is heard again. */
void bk_epoch_stands(broker_t *b)
{
    for (bk_node_t *at = bk_table_next(&b->peers, NULL); at != NULL;
         at = bk_table_next(&b->peers, at))
        BK_OF(peer_t, node, at)->dead_ms = b->now_ms + b->set.worker_dead_ms;
    b->mode = BK_RUNS;
    b->beacon_ms = b->now_ms - b->set.beacon_every_ms;
    bk_event(b, BROKER_EPOCH_STANDS, b->name, b->epoch);
}

/* Every call tells the time.  Whoever waited for our beacon counts us dead after epoch_dead; a
 * little before that we stop trusting our own epoch. */
static void set_clock(broker_t *b, int64_t now_ms)
{
    int64_t stood = now_ms - b->now_ms;
    if (stood <= 0)
        return;
    b->now_ms = now_ms;
    if (stood > STALL_MS)
        bk_peers_forgive(b, stood - STALL_MS);
    if (b->mode == BK_RUNS && now_ms - b->beacon_ms > b->set.epoch_dead_ms / 10 * 9) {
        b->mode = BK_ASKS;
        b->ask_ms = now_ms;
        bk_event(b, BROKER_EPOCH_DOUBT, b->name, (uint64_t)stood);
    }
}

static void ask(broker_t *b)
{
    if (b->now_ms < b->ask_ms)
        return;
    plumb_note_t note = {.type = PLUMB_MSG_STANDS};
    (void)bk_note_to_tracker(b, &note); /* asked again until it is answered */
    b->ask_ms = b->now_ms + STANDS_EVERY_MS;
}

/* --- life --- */

static bool init(broker_t *b)
{
    bk_table_t *tables[] = {&b->tickets, &b->lanes,  &b->throttles,
                            &b->tenants, &b->queues, &b->peers};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (!bk_table_init(tables[i]))
            return false;
    }
    return true;
}

broker_t *broker_new(const broker_settings_t *settings, const broker_ports_t *ports, uint64_t seed,
                     int64_t now_ms)
{
    broker_t *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->set = *settings;
    if (b->set.beacon_every_ms > settings->epoch_dead_ms / 4)
        b->set.beacon_every_ms = settings->epoch_dead_ms / 4;
    b->ports = *ports;
    size_t length = strlen(settings->name);
    memcpy(b->name, settings->name, length < BK_NAME_MAX ? length : BK_NAME_MAX);
    b->set.name = b->name;
    b->random = seed;
    b->hash_seed = bk_random(b);
    b->now_ms = now_ms;
    b->peers_ms = INT64_MAX;
    b->sweep_ms = now_ms + SWEEP_EVERY_MS;
    bk_list_init(&b->idle_lanes);
    bk_list_init(&b->idle_throttles);
    bk_list_init(&b->ready);
    for (int i = 0; i < BK_ALARMS; i++)
        bk_list_init(&b->alarms[i]);
    if (!init(b)) {
        broker_destroy(&b);
        return NULL;
    }
    new_epoch(b);
    return b;
}

/* Everything that forget_all leaves: what only remembers. */
static void free_all(broker_t *b)
{
    while (!bk_list_empty(&b->idle_lanes))
        bk_lane_free(b, BK_OF(lane_t, idle, bk_list_first(&b->idle_lanes)));
    while (!bk_list_empty(&b->idle_throttles))
        bk_throttle_free(b, BK_OF(throttle_t, idle, bk_list_first(&b->idle_throttles)));
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, NULL))
        bk_queue_free(b, BK_OF(queue_t, node, at));
}

void broker_destroy(broker_t **broker)
{
    broker_t *b = *broker;
    if (b == NULL)
        return;
    if (b->peers.buckets != NULL) { /* the last that init makes */
        forget_all(b);
        free_all(b);
    }
    bk_table_t *tables[] = {&b->tickets, &b->lanes,  &b->throttles,
                            &b->tenants, &b->queues, &b->peers};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        bk_table_fini(tables[i]);
    bk_heap_fini(&b->timers);
    plumb_note_space_fini(&b->space);
    plumb_buf_fini(&b->out);
    plumb_buf_fini(&b->text);
    free(b);
    *broker = NULL;
}

/* --- frames in --- */

static bool decode(broker_t *b, plumb_note_t *note, const void *frame, size_t length)
{
    plumb_err_t err = {0};
    if (plumb_note_decode(note, &b->space, frame, length, &err) == 0)
        return true;
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    if (plumb_msg_check(frame, length, &type, &err) == 0)
        b->counts.foreign++; /* a job or a result */
    else
        b->counts.malformed++;
    return false;
}

void broker_job(broker_t *b, int64_t now_ms, const void *frame, size_t length)
{
    set_clock(b, now_ms);
    plumb_job_t job;
    plumb_err_t err = {0};
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    if (plumb_job_decode_to_pass_on(&job, frame, length, &err) == 0)
        bk_job(b, &job, frame, length);
    else if (plumb_msg_check(frame, length, &type, &err) == 0 && type != PLUMB_MSG_JOB)
        b->counts.foreign++;
    else
        b->counts.malformed++;
}

void broker_work(broker_t *b, int64_t now_ms, const void *identity, size_t identity_length,
                 const void *frame, size_t length)
{
    set_clock(b, now_ms);
    plumb_note_t note;
    char slot[BK_NAME_MAX + 1] = "";
    if (!decode(b, &note, frame, length))
        return;
    if (!bk_name_valid((plumb_slice_t){identity, identity_length})) {
        b->counts.misaddressed++;
        return;
    }
    memcpy(slot, identity, identity_length);
    bk_work_note(b, slot, &note);
}

void broker_control(broker_t *b, int64_t now_ms, const void *identity, size_t identity_length,
                    const void *frame, size_t length)
{
    set_clock(b, now_ms);
    plumb_note_t note;
    if (decode(b, &note, frame, length))
        bk_control_note(b, identity, identity_length, &note);
}

void broker_acks(broker_t *b, int64_t now_ms, const void *frame, size_t length)
{
    set_clock(b, now_ms);
    plumb_note_t note;
    if (!decode(b, &note, frame, length))
        return;
    if (note.type == PLUMB_MSG_CENSUS || note.type == PLUMB_MSG_ADOPT)
        return; /* for workers */
    bool recorded = note.type == PLUMB_MSG_ACKS;
    if (!recorded && note.type != PLUMB_MSG_UNACKED) {
        b->counts.foreign++;
        return;
    }
    if (note.epoch != b->epoch && (note.epoch != 0 || !recorded))
        return; /* for another broker */
    for (size_t i = 0; i < note.held_count; i++) {
        ticket_t *t = bk_ticket_find(b, &note.held[i].ticket);
        if (t != NULL && recorded)
            bk_ticket_acked(b, t);
        else if (t != NULL)
            bk_ticket_unrecorded(b, t, note.instance);
    }
}

/* --- time --- */

static void run_timers(broker_t *b)
{
    for (bk_timer_t *timer = bk_heap_first(&b->timers); timer != NULL && timer->due_ms <= b->now_ms;
         timer = bk_heap_first(&b->timers)) {
        bk_timer_unset(&b->timers, timer);
        timer->fire(b, timer);
    }
}

static void sweep(broker_t *b)
{
    if (b->now_ms < b->sweep_ms)
        return;
    b->sweep_ms = b->now_ms + SWEEP_EVERY_MS;
    bk_lanes_sweep(b);
    bk_throttles_sweep(b);
    bk_queues_sweep(b);
    if (b->full > 0 && b->now_ms - b->full_ms >= FULL_EVERY_MS) {
        bk_event(b, BROKER_FULL, b->name, b->full);
        b->full = 0;
        b->full_ms = b->now_ms;
    }
}

void broker_step(broker_t *b, int64_t now_ms)
{
    set_clock(b, now_ms);
    if (b->mode == BK_ASKS) {
        ask(b);
        return;
    }
    run_timers(b);
    bk_peers_check(b);
    sweep(b);
    bk_hand_out(b);
    bk_alarms_run(b);
    bk_beacon(b);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t broker_due_ms(const broker_t *b)
{
    if (b->mode == BK_ASKS)
        return b->ask_ms;
    const bk_timer_t *timer = bk_heap_first(&b->timers);
    int64_t due = earlier(bk_alarms_due(b), bk_beacon_due(b));
    due = earlier(due, earlier(b->peers_ms, b->sweep_ms));
    return timer == NULL ? due : earlier(due, timer->due_ms);
}

bool broker_takes(const broker_t *b)
{
    return b->mode == BK_RUNS;
}

void broker_stop(broker_t *b, int64_t now_ms)
{
    set_clock(b, now_ms);
    b->stopping = true;
    b->beacon_wanted = true;
    for (bk_node_t *at = bk_table_next(&b->queues, NULL); at != NULL;
         at = bk_table_next(&b->queues, at)) {
        queue_t *queue = BK_OF(queue_t, node, at);
        while (!bk_list_empty(&queue->arrivals)) {
            bk_ticket_move(b, BK_OF(ticket_t, arrival, queue->arrivals.next), BK_GIVEN_UP, NULL);
        }
    }
}

bool broker_is_idle(const broker_t *b)
{
    return b->mode == BK_ASKS || (bk_list_empty(&b->alarms[BK_ALARM_GIVEN_UP]) &&
                                  bk_list_empty(&b->alarms[BK_ALARM_DOUBT]));
}
