/* The broker: its core, whose ports lead onto the simulated network. */
#include "sim.h"

#include "core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static broker_t *broker;

static bool to_worker(void *self, const char *slot, const void *frame, size_t length)
{
    (void)self;
    int worker = slot[strlen(slot) - 1] - '0';
    return wire_send(BROKER, WORKER + worker, IN_WORK, frame, length) == 1;
}

static bool is_unacked(const void *frame, size_t length)
{
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    plumb_err_t err;
    return plumb_msg_check(frame, length, &type, &err) == 0 && type == PLUMB_MSG_UNACKED;
}

static bool to_tracker(void *self, const void *frame, size_t length)
{
    (void)self;
    if (sim.mutant == MUTANT_UNACKED && is_unacked(frame, length))
        return true;
    return wire_send(BROKER, TRACKER, IN_RESULTS, frame, length) == 1;
}

static bool to_control(void *self, const void *identity, size_t identity_length, const void *frame,
                       size_t length)
{
    (void)self, (void)identity, (void)identity_length;
    return wire_send(BROKER, TRACKER, IN_CONTROL, frame, length) == 1;
}

static void beacon(void *self, const void *frame, size_t length)
{
    (void)self;
    wire_send(BROKER, TRACKER, IN_BEACON, frame, length);
    wire_send(BROKER, INGEST, IN_BEACON, frame, length);
}

static void event(void *self, broker_event_t which, const char *subject, uint64_t number)
{
    static const char *const names[BROKER_EVENTS] = {
        "here", "replaced", "dead",   "lacks", "asked",  "reserved", "breaker open", "closed",
        "open", "paused",   "drains", "epoch", "doubts", "stands",   "full"};
    (void)self;
    sim_trace("broker: %s %s %llu", names[which], subject, (unsigned long long)number);
}

static void check(void)
{
    plumb_err_t err = {0};
    if (broker_check(broker, &err) < 0)
        sim_fail("the broker's own check: %s", err.text);
}

static void start(int node)
{
    (void)node;
    const broker_settings_t settings = {.name = "broker",
                                        .memory = 1 << 20,
                                        .beacon_every_ms = 1000,
                                        .epoch_dead_ms = 10000,
                                        .worker_dead_ms = 10000,
                                        .fence_ms = 5000,
                                        .breaker_run = 5,
                                        .breaker_open_ms = 2000,
                                        .breaker_open_max_ms = 15000,
                                        .destination_start = 5,
                                        .destination_max = 20};
    const broker_ports_t ports = {.to_worker = to_worker,
                                  .to_tracker = to_tracker,
                                  .to_control = to_control,
                                  .beacon = beacon,
                                  .event = event};
    broker = broker_new(&settings, &ports, sim_random(), sim.now_ms);
    if (broker == NULL)
        abort();
}

static void stop(int node)
{
    (void)node;
    broker_destroy(&broker);
}

static void take(const frame_t *frame, inbox_t inbox)
{
    char name[16];
    switch (inbox) {
    case IN_ACKS:
        broker_acks(broker, sim.now_ms, frame->data, frame->length);
        break;
    case IN_WORK:
        snprintf(name, sizeof name, "worker-%d", frame->from - WORKER);
        broker_work(broker, sim.now_ms, name, strlen(name), frame->data, frame->length);
        break;
    case IN_CONTROL:
        broker_control(broker, sim.now_ms, "tracker", 7, frame->data, frame->length);
        break;
    default:
        broker_job(broker, sim.now_ms, frame->data, frame->length);
    }
}

/* The sockets in the order of the real loop. */
static void turn(int node)
{
    static const inbox_t order[] = {IN_ACKS, IN_WORK, IN_CONTROL, IN_JOBS};
    (void)node;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        frame_t *frame;
        while ((order[i] != IN_JOBS || broker_takes(broker)) &&
               (frame = wire_take(BROKER, order[i])) != NULL) {
            take(frame, order[i]);
            free(frame);
        }
    }
    broker_step(broker, sim.now_ms);
    check();
}

static int64_t due_ms(int node)
{
    (void)node;
    return broker_due_ms(broker);
}

bool broker_holds(void)
{
    return broker_tickets(broker) > 0;
}

/* Long after: what it has to wait for is over, and it asks whether its epoch stands. */
bool broker_is_empty(void)
{
    plumb_buf_t frame = {0};
    plumb_err_t err = {0};
    int64_t now_ms = sim.now_ms + 700000;
    broker_step(broker, now_ms);
    plumb_note_t stands = {.type = PLUMB_MSG_STANDS, .epoch = broker_epoch(broker), .stands = true};
    if (plumb_note_encode(&frame, &stands, &err) < 0)
        abort();
    broker_control(broker, now_ms, "tracker", 7, frame.data, frame.length);
    plumb_buf_fini(&frame);
    for (int64_t i = 0; i < 4; i++)
        broker_step(broker, now_ms + 11000 * i);
    return broker_tickets(broker) == 0 && broker_held(broker) == 0;
}

const daemon_t broker_daemon = {start, stop, turn, due_ms};
