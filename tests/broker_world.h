/* A broker's core in a test's hands: its time, its peers' frames in, what it says out.  After each
 * call the core's own invariants are checked. */
#ifndef PLUMB_TESTS_BROKER_WORLD_H
#define PLUMB_TESTS_BROKER_WORLD_H

#include "core.h"
#include "count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef enum world_port { TO_WORKER, TO_TRACKER, TO_CONTROL, BEACONS, PORTS } world_port_t;

typedef struct said {
    world_port_t port;
    char to[64];
    plumb_msg_type_t type;
    plumb_ticket_t job;
    plumb_note_t note; /* numbers only; lists below */
    plumb_held_t *held;
    char *text;
    char queues[256]; /* joined by commas */
    plumb_uuid_t lanes[64];
    int64_t waits[64];
    size_t lane_count;
} said_t;

typedef struct world {
    broker_t *b;
    int64_t now;
    said_t *said;
    size_t count, capacity;
    bool deaf[PORTS]; /* nothing can be sent there */
    unsigned events[BROKER_EVENTS];
    plumb_buf_t frame;
} world_t;

/* --- what it says --- */

static inline void world_record(world_t *w, world_port_t port, const char *to, const void *frame,
                                size_t length)
{
    plumb_err_t err = {0};
    if (w->count == w->capacity) {
        w->capacity = w->capacity == 0 ? 64 : w->capacity * 2;
        w->said = realloc(w->said, w->capacity * sizeof *w->said);
        assert_non_null(w->said);
    }
    said_t *said = &w->said[w->count++];
    *said = (said_t){.port = port};
    snprintf(said->to, sizeof said->to, "%s", to);
    assert_int_equal(plumb_msg_check(frame, length, &said->type, &err), 0);
    if (said->type == PLUMB_MSG_JOB) {
        plumb_job_t job;
        assert_int_equal(plumb_job_decode(&job, frame, length, &err), 0);
        said->job = job.ticket;
        return;
    }
    plumb_note_space_t space = {0};
    assert_int_equal(plumb_note_decode(&said->note, &space, frame, length, &err), 0);
    plumb_note_t *note = &said->note;
    said->held = calloc(note->held_count + 1, sizeof *said->held);
    if (note->held_count > 0)
        memcpy(said->held, note->held, note->held_count * sizeof *said->held);
    said->text = strndup(note->text.length > 0 ? note->text.data : "", note->text.length);
    for (size_t i = 0; i < note->queue_count; i++)
        snprintf(said->queues + strlen(said->queues), sizeof said->queues - strlen(said->queues),
                 "%s%.*s", i == 0 ? "" : ",", (int)note->queues[i].length, note->queues[i].data);
    for (size_t i = 0; i < note->lane_count && i < PLUMB_COUNT(said->lanes); i++) {
        said->lanes[i] = note->lanes[i];
        said->waits[i] = note->lane_wait_ms[i];
        said->lane_count++;
    }
    plumb_note_space_fini(&space);
}

static inline bool world_to_worker(void *self, const char *slot, const void *frame, size_t length)
{
    world_t *w = self;
    if (!w->deaf[TO_WORKER])
        world_record(w, TO_WORKER, slot, frame, length);
    return !w->deaf[TO_WORKER];
}

static inline bool world_to_tracker(void *self, const void *frame, size_t length)
{
    world_t *w = self;
    if (!w->deaf[TO_TRACKER])
        world_record(w, TO_TRACKER, "", frame, length);
    return !w->deaf[TO_TRACKER];
}

static inline bool world_to_control(void *self, const void *identity, size_t identity_length,
                                    const void *frame, size_t length)
{
    char to[64];
    snprintf(to, sizeof to, "%.*s", (int)identity_length, (const char *)identity);
    world_record(self, TO_CONTROL, to, frame, length);
    return true;
}

static inline void world_beacon(void *self, const void *frame, size_t length)
{
    world_record(self, BEACONS, "", frame, length);
}

static inline void world_event(void *self, broker_event_t event, const char *subject,
                               uint64_t number)
{
    (void)subject;
    (void)number;
    ((world_t *)self)->events[event]++;
}

static inline void world_forget(world_t *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free(w->said[i].held);
        free(w->said[i].text);
    }
    w->count = 0;
}

/* How many messages of a type went to a port (`to` NULL: to anybody there). */
static inline size_t world_count(const world_t *w, world_port_t port, plumb_msg_type_t type,
                                 const char *to)
{
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++)
        count += w->said[i].port == port && w->said[i].type == type &&
                 (to == NULL || strcmp(w->said[i].to, to) == 0);
    return count;
}

static inline size_t world_given(const world_t *w, const char *slot)
{
    return world_count(w, TO_WORKER, PLUMB_MSG_JOB, slot);
}

/* The last of a type; NULL: none. */
static inline const said_t *world_last(const world_t *w, world_port_t port, plumb_msg_type_t type)
{
    for (size_t i = w->count; i-- > 0;) {
        if (w->said[i].port == port && w->said[i].type == type)
            return &w->said[i];
    }
    return NULL;
}

typedef struct world_worker {
    const char *slot;
    uint64_t instance;
    uint32_t credit;
} world_worker_t;

/* The workers of most tests; wide has room for whatever a test puts. */
static const world_worker_t world_alpha = {"worker-0", 11, 8};
static const world_worker_t world_alpha_again = {"worker-0", 12, 8}; /* its next start */
static const world_worker_t world_beta = {"worker-1", 21, 8};
static const world_worker_t world_wide = {"worker-0", 11, 4000};

/* --- life --- */

static inline broker_settings_t world_settings(void)
{
    return (broker_settings_t){.name = "broker-t",
                               .memory = 4 << 20,
                               .beacon_every_ms = 1000,
                               .epoch_dead_ms = 10000,
                               .worker_dead_ms = 10000,
                               .fence_ms = 5000,
                               .breaker_run = 5,
                               .breaker_open_ms = 15000,
                               .breaker_open_max_ms = 900000,
                               .destination_start = 5,
                               .destination_max = 20};
}

static inline void world_check(const world_t *w)
{
    plumb_err_t err = {0};
    if (broker_check(w->b, &err) < 0)
        fail_msg("invariant: %s", err.text);
}

static inline void world_init(world_t *w, const broker_settings_t *settings)
{
    *w = (world_t){.now = 1000000};
    broker_ports_t ports = {.self = w,
                            .to_worker = world_to_worker,
                            .to_tracker = world_to_tracker,
                            .to_control = world_to_control,
                            .beacon = world_beacon,
                            .event = world_event};
    broker_settings_t standard = world_settings();
    w->b = broker_new(settings != NULL ? settings : &standard, &ports, 42, w->now);
    assert_non_null(w->b);
}

static inline void world_fini(world_t *w)
{
    broker_destroy(&w->b);
    world_forget(w);
    free(w->said);
    plumb_buf_fini(&w->frame);
}

static inline void world_step(world_t *w)
{
    broker_step(w->b, w->now);
    world_check(w);
}

/* Let time pass, with a step whenever one is due. */
static inline void world_pass(world_t *w, int64_t ms)
{
    int64_t end = w->now + ms;
    while (w->now < end) {
        int64_t due = broker_due_ms(w->b);
        due = due <= w->now ? w->now + 1 : due;
        w->now = due < end ? due : end;
        world_step(w);
    }
}

/* --- what others say --- */

static inline plumb_uuid_t world_id(unsigned kind, unsigned n)
{
    plumb_uuid_t id = {{0}};
    id.b[0] = (uint8_t)kind;
    id.b[6] = 0x70;
    id.b[8] = 0x80;
    for (int i = 0; i < 4; i++)
        id.b[12 + i] = (uint8_t)(n >> (24 - 8 * i));
    return id;
}

static inline plumb_ticket_t world_ticket(unsigned n, uint32_t attempt)
{
    return (plumb_ticket_t){world_id(1, n), attempt};
}

/* Does what was said name delivery n's first attempt?  `said` may be NULL. */
static inline bool world_names(const said_t *said, unsigned n)
{
    plumb_ticket_t ticket = world_ticket(n, 1);
    for (size_t i = 0; said != NULL && i < said->note.held_count; i++) {
        if (memcmp(&said->held[i].ticket, &ticket, sizeof ticket) == 0)
            return true;
    }
    return false;
}

static inline plumb_held_t world_held(unsigned n, plumb_phase_t phase)
{
    return (plumb_held_t){.ticket = world_ticket(n, 1), .phase = phase};
}

#define WORLD_SLICE(text) ((plumb_slice_t){(text), sizeof(text) - 1})

/* Delivery n, attempt 1, of account 1 and credential 1, in queue "integration-a". */
static inline plumb_job_t world_job(const world_t *w, unsigned n)
{
    return (plumb_job_t){.ticket = world_ticket(n, 1),
                         .account = world_id(2, 1),
                         .lead = world_id(3, n),
                         .credential = world_id(4, 1),
                         .epoch = broker_epoch(w->b),
                         .priority = PLUMB_NORMAL,
                         .queue = WORLD_SLICE("integration-a"),
                         .channel = WORLD_SLICE("a"),
                         .verb = WORLD_SLICE("send"),
                         .body = WORLD_SLICE("\x80"),
                         .secrets = WORLD_SLICE("\x80")};
}

static inline void world_put(world_t *w, const plumb_job_t *job)
{
    plumb_err_t err = {0};
    if (plumb_job_encode(&w->frame, job, &err) < 0)
        fail_msg("encode: %s", err.text);
    broker_job(w->b, w->now, w->frame.data, w->frame.length);
    world_check(w);
}

/* Jobs first … first + count - 1, as world_job makes them. */
static inline void world_put_many(world_t *w, unsigned first, unsigned count)
{
    for (unsigned n = first; n < first + count; n++) {
        plumb_job_t job = world_job(w, n);
        world_put(w, &job);
    }
}

static inline void world_encode(world_t *w, const plumb_note_t *note)
{
    plumb_err_t err = {0};
    if (plumb_note_encode(&w->frame, note, &err) < 0)
        fail_msg("encode: %s", err.text);
}

static inline void world_work(world_t *w, const char *slot, const plumb_note_t *note)
{
    world_encode(w, note);
    broker_work(w->b, w->now, slot, strlen(slot), w->frame.data, w->frame.length);
    world_check(w);
}

static inline void world_hello(world_t *w, world_worker_t worker, uint64_t previous,
                               const plumb_held_t *held, size_t count)
{
    plumb_slice_t queues[] = {WORLD_SLICE("integration-a"), WORLD_SLICE("integration-b")};
    plumb_note_t note = {.type = PLUMB_MSG_HELLO,
                         .name = {worker.slot, strlen(worker.slot)},
                         .instance = worker.instance,
                         .previous = previous,
                         .clock_ms = 77,
                         .credit = worker.credit,
                         .queues = queues,
                         .queue_count = 2,
                         .held = held,
                         .held_count = count};
    world_work(w, worker.slot, &note);
}

static inline void world_ping(world_t *w, world_worker_t worker)
{
    plumb_note_t note = {.type = PLUMB_MSG_PING,
                         .name = {worker.slot, strlen(worker.slot)},
                         .instance = worker.instance,
                         .clock_ms = w->now,
                         .credit = worker.credit};
    world_work(w, worker.slot, &note);
}

/* Let time pass with the workers' heartbeats. */
static inline void world_live(world_t *w, const world_worker_t *workers, size_t count, int64_t ms)
{
    for (int64_t left = ms; left > 0; left -= 500) {
        for (size_t i = 0; i < count; i++)
            world_ping(w, workers[i]);
        world_pass(w, left < 500 ? left : 500);
    }
}

static inline void world_say(world_t *w, world_worker_t worker, plumb_msg_type_t type, unsigned n)
{
    plumb_held_t held = world_held(n, PLUMB_PHASE_ASSIGNED);
    plumb_note_t note = {.type = type, .held = &held, .held_count = 1};
    world_work(w, worker.slot, &note);
}

static inline void world_done_as(world_t *w, world_worker_t worker, plumb_ticket_t ticket,
                                 plumb_outcome_t outcome, int64_t retry_after_ms)
{
    plumb_held_t held = {.ticket = ticket, .phase = PLUMB_PHASE_ANSWERED};
    plumb_note_t note = {.type = PLUMB_MSG_DONE,
                         .outcome = outcome,
                         .retry_after_ms = retry_after_ms,
                         .held = &held,
                         .held_count = 1};
    world_work(w, worker.slot, &note);
}

static inline void world_done(world_t *w, world_worker_t worker, unsigned n)
{
    world_done_as(w, worker, world_ticket(n, 1), PLUMB_OUT_ok, 0);
}

static inline void world_ack_ticket(world_t *w, plumb_ticket_t ticket)
{
    plumb_held_t held = {.ticket = ticket};
    plumb_note_t note = {.type = PLUMB_MSG_ACKS, .held = &held, .held_count = 1};
    world_encode(w, &note);
    broker_acks(w->b, w->now, w->frame.data, w->frame.length);
    world_check(w);
}

static inline void world_ack(world_t *w, unsigned n)
{
    world_ack_ticket(w, world_ticket(n, 1));
}

/* The tracker's answer that `ticket` was still queued when question `number` was asked. */
static inline void world_unrecorded(world_t *w, plumb_ticket_t ticket, uint64_t epoch,
                                    uint64_t number)
{
    plumb_held_t held = {.ticket = ticket};
    plumb_note_t note = {.type = PLUMB_MSG_UNACKED,
                         .epoch = epoch,
                         .instance = number,
                         .held = &held,
                         .held_count = 1};
    world_encode(w, &note);
    broker_acks(w->b, w->now, w->frame.data, w->frame.length);
    world_check(w);
}

/* … to the last question, which names it. */
static inline void world_answer(world_t *w, unsigned n)
{
    const said_t *asked = world_last(w, TO_TRACKER, PLUMB_MSG_UNACKED);
    assert_true(world_names(asked, n));
    world_unrecorded(w, world_ticket(n, 1), asked->note.epoch, asked->note.instance);
    world_step(w);
}

static inline void world_ask(world_t *w, const plumb_note_t *note)
{
    world_encode(w, note);
    broker_control(w->b, w->now, "asker", 5, w->frame.data, w->frame.length);
    world_check(w);
}

static inline void world_ask_list(world_t *w, plumb_msg_type_t type, const plumb_held_t *held,
                                  size_t count)
{
    plumb_note_t note = {.type = type,
                         .instance = 9,
                         .epoch = broker_epoch(w->b),
                         .held = held,
                         .held_count = count};
    world_ask(w, &note);
}

static inline void world_command(world_t *w, const char *verb, const char *queue)
{
    plumb_note_t note = {
        .type = PLUMB_MSG_CONTROL, .name = {queue, strlen(queue)}, .text = {verb, strlen(verb)}};
    world_ask(w, &note);
}

/* Credential `c`'s job n; account `a`. */
static inline plumb_job_t world_job_of(const world_t *w, unsigned n, unsigned a, unsigned c)
{
    plumb_job_t job = world_job(w, n);
    job.account = world_id(2, a);
    job.credential = world_id(4, c);
    return job;
}

static inline unsigned world_number(const said_t *said)
{
    const uint8_t *b = said->job.delivery.b;
    return (unsigned)b[12] << 24 | (unsigned)b[13] << 16 | (unsigned)b[14] << 8 | b[15];
}

static inline size_t world_between(const world_t *w, unsigned low, unsigned high)
{
    size_t count = 0;
    for (size_t i = 0; i < w->count; i++)
        count += w->said[i].type == PLUMB_MSG_JOB && w->said[i].port == TO_WORKER &&
                 world_number(&w->said[i]) >= low && world_number(&w->said[i]) <= high;
    return count;
}

/* --- worlds to begin with --- */

/* world_alpha holds jobs 1 … count. */
static inline void world_begin(world_t *w, unsigned count)
{
    world_init(w, NULL);
    world_hello(w, world_alpha, 0, NULL, 0);
    world_put_many(w, 1, count);
    world_step(w);
    assert_int_equal(world_given(w, world_alpha.slot), count);
    world_forget(w);
}

/* Nothing in it; memory is no limit, and a credential has so many calls at once. */
static inline void world_begin_wide(world_t *w, unsigned calls)
{
    broker_settings_t set = world_settings();
    set.memory = 256 << 20;
    set.destination_start = calls;
    set.destination_max = calls;
    world_init(w, &set);
}

#endif
